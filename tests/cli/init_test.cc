// symma init: what it writes trains as it stands on the data that it was written for, and says what it chose.
#include "cli/program.h"

namespace {

using namespace program;

// Few rounds of what init wrote; all else is as it stands.
void expect_trains(const TempDir& at, const std::string& file) {
  const Result r = run({"train", file, "--set", "rounds=2", "--set", "eval.tasks=3", "--set",
                        "eval.validation_tasks=2", "--out", file + ".run", "--quiet"},
                       at.path());
  EXPECT_EQ(r.code, 0) << file << ": " << r.err << slurp(at / file);
  EXPECT_TRUE(fs::exists(at.path() / (file + ".run/summary.json"))) << file;
}

// Every option that is commented out is taken as it stands, too.
void expect_whole(const TempDir& at, const std::string& file) {
  std::string text;
  for (std::string line : lines(slurp(at / file))) {
    EXPECT_LE(line.size(), 200u) << line;
    text += (line.size() > 1 && line[0] == '#' && line[1] != ' ' ? line.substr(1) : line) + "\n";
  }
  spill(at / ("all_" + file), text);
  expect_trains(at, "all_" + file);
}

Json begun(const TempDir& at, Words words) {
  words.emplace_back("--json");
  const Result r = run_well(words, at.path());
  Json out = Json::parse(r.out, nullptr, false);
  EXPECT_TRUE(out.is_object()) << r.out;
  return out.is_object() ? out["chosen"] : Json();
}

TEST(Init, EveryKindTrainsAsItStands) {
  TempDir at;
  write_drawings(at / "letters", 3, 8, 20);
  for (const std::string kind : {"table", "images", "world", "game", "points"}) {
    Words words{"init", kind};
    if (kind == "images") words.insert(words.end(), {"--data", "letters"});
    const Result r = run_well(words, at.path());
    EXPECT_TRUE(holds(r.out, "written: " + kind + ".toml") && holds(r.out, "symma train " + kind + ".toml"))
        << r.out;
    EXPECT_TRUE(slurp(at / (kind + ".toml")).starts_with("# ")) << kind;
    expect_trains(at, kind + ".toml");
    if (kind != "images") expect_whole(at, kind + ".toml");
  }
  // As with data, the example is no data of anybody's that could be lost.
  expect_refusal(run({"init", "table", "--out", "u.toml"}, at.path()),
                 {"data.csv", "there already", "--data"});
}

TEST(Init, RefusesToOverwriteAndWhatItDoesNotKnow) {
  TempDir at;
  spill(at / "points.toml", "mine");
  expect_refusal(run({"init", "points"}, at.path()), {"points.toml", "there already", "--force"});
  EXPECT_EQ(slurp(at / "points.toml"), "mine");
  run_well({"init", "points", "--force"}, at.path());
  EXPECT_NE(slurp(at / "points.toml"), "mine");
  spill(at / "mine.csv", "home,kwh\na,1\n");
  expect_refusal(run({"init", "mine.csv"}, at.path()), {"mine.csv", "symma init table --data mine.csv"});
  expect_refusal(run({"init", "tabel"}, at.path()), {"tabel", "table"});
  expect_refusal(run({"init", "images"}, at.path()), {"--data"});
  expect_refusal(run({"init", "world", "--data", "mine.csv"}, at.path()), {"--data", "leave it out"});
  expect_refusal(run({"init", "world", "--group", "home"}, at.path()), {"--group", "leave it out"});
  expect_refusal(run({"init", "world", "--world", "forraging"}, at.path()), {"forraging", "foraging"});
  expect_refusal(run({"init", "table", "--world", "foraging"}, at.path()), {"--world", "leave it out"});
  expect_refusal(run({"init", "table", "--data", "gone.csv"}, at.path()), {"gone.csv", "no such file"});
  expect_refusal(run({"init", "table", "--data", "mine.csv"}, at.path()), {"mine.csv"});
  EXPECT_FALSE(fs::exists(at / "table.toml"));
}

struct Case {
  const char* name;
  std::string csv;
  Json chosen;  // what of the choice is expected
};

std::string table(const std::string& header, int groups, int rows, auto line) {
  std::string out = header + "\n";
  uint32_t dice = 5;
  for (int g = 0; g < groups; ++g)
    for (int r = 0; r < rows; ++r) {
      dice = dice * 1664525u + 1013904223u;
      out += line(g, r, static_cast<double>(dice >> 16) / 65536) + "\n";
    }
  return out;
}

// Tables as people have them: where groups, targets, times and holes are, in any order.
TEST(Init, ATableOfOnesOwn) {
  const auto f = [](double x) { return std::to_string(x); };
  const auto n = [](int x) { return std::to_string(x); };
  const std::vector<Case> cases{
      {"plain",
       table("home,outside,kwh", 20, 12,
             [&](int g, int, double u) { return "h" + n(g) + "," + f(u) + "," + f(g * u); }),
       {{"group", "home"},
        {"target", "kwh"},
        {"time", ""},
        {"predict", "regression"},
        {"features", {"outside"}}}},
      // The target first, groups by number, a number for each row, a word that cannot be predicted from.
      {"disorder",
       table("id,outcome,colour,dose,patient", 15, 9,
             [i = 0, &f, &n](int g, int r, double u) mutable {
               return n(++i) + "," + f(g - u) + "," + (r % 2 ? "red" : "blue") + "," + f(u) + "," +
                      n(100 + g);
             }),
       {{"group", "patient"}, {"target", "outcome"}, {"features", {"dose"}}}},
      // Dates, shop after shop and all of the same days.
      {"dates",
       table("date,shop,visitors,sales", 10, 28,
             [&](int g, int r, double u) {
               return "2024-02-" + std::string(r < 9 ? "0" : "") + n(r + 1) + ",shop " + n(g) + "," +
                      f(100 * u) + "," + f(g + u);
             }),
       {{"group", "shop"}, {"target", "sales"}, {"time", "date"}, {"features", {"visitors"}}}},
      // A time that is counted from each one's own start is predicted from, too.
      {"curves",
       table("Subject,Time,conc", 12, 11,
             [&](int g, int r, double u) { return n(g) + "," + n(r) + "," + f(g * u); }),
       {{"group", "Subject"}, {"target", "conc"}, {"time", "Time"}, {"features", {"Time"}}}},
      {"one after the other in time",
       table("session,t,force", 12, 10,
             [&](int g, int r, double u) { return n(g) + "," + n(10 * g + r) + "," + f(g * u); }),
       {{"time", "t"}, {"features", {"t"}}}},
      // One cell into the next group, so that none is over when another begins.
      {"all at once",
       table("session,t,load,force", 9, 10,
             [&](int g, int r, double u) { return n(g) + "," + n(3 * g + r) + "," + f(u) + "," + f(g * u); }),
       {{"time", "t"}}},
      {"classes",
       table("site,width,height,species", 10, 20,
             [&](int g, int r, double u) {
               return "s" + n(g) + "," + f(u) + "," + f(u * g) + "," +
                      (r % 3 == 0   ? "a"
                       : r % 3 == 1 ? "b"
                                    : "c");
             }),
       {{"group", "site"},
        {"target", "species"},
        {"predict", "classification"},
        {"features", {"width", "height"}}}},
      {"yes and no, some groups with neither",
       table("clinic,age,ill", 12, 10,
             [&](int g, int r, double u) {
               return "c" + n(g) + "," + f(u) + "," + (g % 3 ? n(r % 4 == 0) : "0");
             }),
       {{"group", "clinic"}, {"target", "ill"}, {"predict", "classification"}}},
      {"holes",
       table("home,a,b,y", 10, 12,
             [&](int g, int r, double u) {
               return n(g) + "," + (r % 5 == 0 ? "" : f(u)) + "," + f(u) + "," + f(g * u);
             }),
       {{"missing", "mean"}}},
      {"holes in the target",
       table("home,a,b,y", 10, 12,
             [&](int g, int r, double u) {
               return n(g) + "," + (r % 2 == 0 ? "NA" : f(u)) + "," + f(u) + "," +
                      (r % 5 == 0 ? "" : f(g * u));
             }),
       {{"missing", "row"}, {"features", {"b"}}}},
      {"few groups",
       table("hospital,age,score", 3, 30,
             [&](int g, int, double u) { return "h" + n(g) + "," + f(u) + "," + f(g + u); }),
       {{"split", "rows"}, {"agents", 3}}},
      {"short groups",
       table("store,a,b", 60, 12,
             [i = 0, &f, &n](int g, int r, double u) mutable {
               return "s" + n(r < 1 + g % 12 ? g : 100 + ++i % 3) + "," + f(u) + "," + f(g * u);
             }),
       {{"group", "store"}}},
      {"names that need quotes",
       table("\"my, home\",\"the \"\"load\"\"\",\"kwh\n(net)\"", 10, 8,
             [&](int g, int, double u) { return "\"a,b " + n(g) + "\"," + f(u) + "," + f(g * u); }),
       {{"group", "my, home"}, {"target", "kwh\n(net)"}, {"features", {"the \"load\""}}}},
      {"another language",
       table("患者,剂量,目标", 10, 8,
             [&](int g, int, double u) { return "病人" + n(g) + "," + f(u) + "," + f(g * u); }),
       {{"group", "患者"}, {"target", "目标"}}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    TempDir at;
    spill(at / "mine.csv", c.csv);
    const Json chosen = begun(at, {"init", "csv", "--data", "mine.csv"});
    for (const auto& [key, value] : c.chosen.items())
      EXPECT_EQ(chosen[key], value) << key << " " << chosen.dump();
    expect_trains(at, "table.toml");
    expect_whole(at, "table.toml");
  }
}

TEST(Init, SaysWhatItChoseAndTakesWhatIsNamed) {
  TempDir at;
  spill(at / "mine.csv", table("home,room,colour,kwh", 12, 12, [](int g, int r, double u) {
          return "h" + std::to_string(g) + ",r" + std::to_string(r % 4) + ",red," + std::to_string(u * g);
        }));
  expect_refusal(run({"init", "table", "--data", "mine.csv"}, at.path()), {"no column of numbers", "kwh"});
  spill(at / "mine.csv", table("home,room,outside,kwh", 12, 12, [](int g, int r, double u) {
          return "h" + std::to_string(g) + ",r" + std::to_string(r % 4) + "," + std::to_string(u) + "," +
                 std::to_string(u * g);
        }));
  const std::string said = run_well({"init", "table", "--data", "mine.csv"}, at.path()).out;
  for (const char* word : {"144 rows, 4 columns", "group     home", "12 groups of 12 rows", "target    kwh",
                           "time      none", "features  outside", "left out  room"})
    EXPECT_TRUE(holds(said, word)) << word << "\n" << said;
  const Json chosen =
      begun(at, {"init", "table", "--data", "mine.csv", "--group", "room", "--target", "outside", "--force"});
  EXPECT_EQ(chosen["group"], "room");
  EXPECT_EQ(chosen["target"], "outside");
  expect_trains(at, "table.toml");
  expect_refusal(run({"init", "table", "--data", "mine.csv", "--group", "hom", "--force"}, at.path()),
                 {"mine.csv:1", "hom", "home"});
  expect_refusal(
      run({"init", "table", "--data", "mine.csv", "--group", "kwh", "--target", "kwh", "--force"}, at.path()),
      {"kwh", "two columns"});
}

// One cell that is no number made the target another column, or left a feature out as words.
TEST(Init, ASlipInAColumnOfNumbersIsNamed) {
  TempDir at;
  const auto with = [](const std::string& x, const std::string& y) {
    return table("home,x,z,y", 12, 12, [&, i = 0](int g, int, double u) mutable {
      const bool here = ++i == 6;
      return "h" + std::to_string(g) + "," + (here ? x : std::to_string(u)) + "," + std::to_string(u * u) +
             "," + (here ? y : std::to_string(u * g));
    });
  };
  for (const std::string slip : {"inf", "<5", "true", "1e999", "0x10"}) {
    SCOPED_TRACE(slip);
    spill(at / "mine.csv", with("0.5", slip));
    expect_refusal(run({"init", "table", "--data", "mine.csv", "--force"}, at.path()),
                   {"mine.csv:7: column y", slip});
    expect_refusal(run({"init", "table", "--data", "mine.csv", "--target", "y", "--force"}, at.path()),
                   {"mine.csv:7: column y", slip});
    spill(at / "mine.csv", with(slip, "0.5"));
    const std::string said = run_well({"init", "table", "--data", "mine.csv", "--force"}, at.path()).out;
    for (const std::string& word :
         {std::string("features  z"), "\"" + slip + "\" in line 7", std::string("target    y")})
      EXPECT_TRUE(holds(said, word)) << word << "\n" << said;
  }
}

// A column of numbers as people write them is neither taken for words nor passed over for another.
TEST(Init, NumbersThatNoProgramReadsAreNamed) {
  TempDir at;
  const auto with = [&](const std::string& header, const std::string& before, const std::string& after) {
    spill(at / "mine.csv", table(header, 20, 12, [&](int g, int r, double u) {
            return "h" + std::to_string(g) + "," + std::to_string(u) + "," + before +
                   std::to_string(1 + 100 * g + r) + after;
          }));
    return run({"init", "table", "--data", "mine.csv", "--force"}, at.path());
  };
  for (const auto& [before, after, first] :
       std::vector<std::array<std::string, 3>>{{"0.", "%", "0.1%"},
                                               {"\"1,", ".5\"", "1,1.5"},
                                               {"", "e300", "is too large for a float"},
                                               {"$", "", "$1"},
                                               {"3 ", "", "3 1"}}) {
    SCOPED_TRACE(before + "1" + after);
    for (const std::string name : {"kwh", "y"})
      expect_refusal(with("home,x," + name, before, after), {"mine.csv:2: column " + name, first, "write"});
    const Result other = with("home,y,extra", before, after);  // by its name y is predicted
    EXPECT_EQ(other.code, 2);
    EXPECT_TRUE(holds(other.err, "no column of numbers to predict \"y\" from")) << other.err;
  }
  // Words, where there is nothing else to predict.
  spill(at / "mine.csv", table("home,remark", 20, 12, [](int g, int r, double) {
          return "h" + std::to_string(g) + ",as seen " + std::to_string(100 * g + r);
        }));
  expect_refusal(run({"init", "table", "--data", "mine.csv", "--force"}, at.path()),
                 {"column remark holds words", "\"as seen 0\" in line 2", "--target"});
}

// A few small groups do not decide for all.
TEST(Init, GroupsThatAreTooSmallAreLeftOut) {
  TempDir at;
  std::string csv = "home,x,kwh\n";
  for (int g = 0; g < 20; ++g)
    for (int r = 0; r < 1 + 3 * g; ++r)
      csv += "h" + std::to_string(g) + "," + std::to_string(r * 0.37 + g) + "," +
             std::to_string(g * r + 0.5) + "\n";
  spill(at / "mine.csv", csv);
  const Result r = run_well({"init", "table", "--data", "mine.csv"}, at.path());
  EXPECT_TRUE(holds(r.out, "20 groups of 1 to 58 rows")) << r.out;
  EXPECT_TRUE(holds(r.out, "6 rows to learn from")) << r.out;
  EXPECT_TRUE(holds(r.out, "left out  2 groups         2 of 20: with 6 rows or fewer none is left to judge"))
      << r.out;
  EXPECT_TRUE(holds(slurp(at / "table.toml"), "groups with too few rows are left out: 2 of 20"));
  expect_trains(at, "table.toml");
}

TEST(Init, WhatBecomesOfEmptyCellsIsSaid) {
  TempDir at;
  spill(at / "mine.csv", table("home,x,z,kwh", 20, 12, [](int g, int r, double u) {
          return "h" + std::to_string(g) + "," + (r == 3 ? "" : std::to_string(u)) + "," +
                 std::to_string(u * u) + "," + std::to_string(g * u);
        }));
  const Result r = run_well({"init", "table", "--data", "mine.csv"}, at.path());
  EXPECT_TRUE(
      holds(r.out, "missing   mean             20 empty cells: an empty cell becomes its column's mean"))
      << r.out;
}

TEST(Init, AFileWithoutNamesIsNoticed) {
  TempDir at;
  const auto headed = [](const std::string& header) {
    return table(header, 12, 12, [](int g, int, double u) {
      return "h" + std::to_string(g) + "," + std::to_string(u) + "," + std::to_string(u * g);
    });
  };
  spill(at / "mine.csv", headed("h0,0.0663,-0.7645"));
  EXPECT_TRUE(holds(run_well({"init", "table", "--data", "mine.csv"}, at.path()).out,
                    "reads like data (h0, 0.0663, -0.7645)"));
  const Result trained = run_well({"train", "table.toml", "--set", "rounds=2"}, at.path());
  EXPECT_TRUE(holds(trained.out + trained.err, "reads like data"));
  // Years are names, and so is a number beside words.
  for (const char* names : {"home,2020,2021", "home,0.5,load"}) {
    spill(at / "mine.csv", headed(names));
    EXPECT_FALSE(holds(run_well({"init", "table", "--data", "mine.csv", "--force"}, at.path()).out,
                       "reads like data"));
  }
}

TEST(Init, ImagesInColourAndFewOfThem) {
  TempDir at;
  write_drawings(at / "flat", 1, 9, 4);
  const Json few = begun(at, {"init", "images", "--data", "flat/alphabet0"});
  EXPECT_EQ(few["classes"], 9);
  EXPECT_EQ(few["ways"], 2);
  EXPECT_EQ(few["split_by"], "class");
  expect_trains(at, "images.toml");
  write_drawings(at / "one", 1, 9, 1);
  expect_refusal(run({"init", "images", "--data", "one/alphabet0", "--force"}, at.path()), {"one image"});
  write_drawings(at / "lone", 1, 1, 8);
  const Result r = run({"init", "images", "--data", "lone/alphabet0", "--force"}, at.path());
  EXPECT_EQ(r.code, 2) << r.err;
}

}  // namespace
