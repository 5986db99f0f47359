#include "symma/report/report.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/options.h"
#include "symma/report/assets.h"

namespace symma {
namespace {

Json evaluation(double scale, int64_t agents) {
  Json e = {{"split", "test"},
            {"metric", "mse"},
            {"higher_is_better", false},
            {"protocol", "support and query apart"},
            {"tasks", 600},
            {"steps", {0, 1, 5, 10}}};
  const auto scaled = [&](std::vector<double> xs) {
    for (double& x : xs) x *= scale;
    return Json(xs);
  };
  e["mean"] = scaled({3.125, 0.890625, 0.45, 0.36});
  e["ci95"] = scaled({0.25, 0.0625, 0.036, 0.02});
  e["median"] = scaled({2.875, 0.71, 0.3, 0.2});
  e["q1"] = scaled({1.125, 0.33, 0.12, 0.08});
  e["q3"] = scaled({4.875, 1.2, 0.58, 0.45});
  for (int64_t a = 0; a < agents; ++a) {
    const auto d = static_cast<double>(a) / 64;
    e["per_agent"].push_back({3.0 + d, 0.875 + d, 0.4375 + d, 0.34375 + d});
  }
  return e;
}

Json summary(const std::string& name) {
  const std::vector<std::pair<int, int>> pairs = {{0, 2}, {1, 2}, {2, 3}, {2, 4}, {3, 4}, {4, 5}};
  Json s = {{"symma", "0.1.0"},
            {"experiment", name},
            {"description", "shares < half & \"more\""},
            {"seed", 1},
            {"agents", 6},
            {"rounds", 20000},
            {"wall_s", 94.5},
            {"tasks_per_s", 12700.0},
            {"parameters", 1761},
            {"device", "cpu"},
            {"threads", 2},
            {"finished", true},
            {"task", "sinusoid"},
            {"model", "mlp"},
            {"learner", "maml"}};
  s["settings"] = {{"", {{"seed", 1}}},
                   {"task", {{"amplitude", {0.1, 5.0}}, {"shots", 10}}},
                   {"learner", {{"inner_rate", 0.01}, {"note", "<script>alert(1)</script>"}}},
                   {"exchange", {{"topology", "edges"}}}};
  for (int a = 0; a < 6; ++a) s["agent_share"].push_back(fmt::format("amplitude {}-{} <of> 6", a, a + 1));
  s["eval"] = evaluation(1, 6);
  s["exchange"] = {{"topology", "edges"}, {"strategy", "adapt-then-combine"}, {"rounds", 20000},
                   {"bits", 13524480000}, {"disagreement", 0.0021},           {"lambda2", 0.864},
                   {"server", false}};
  for (const auto& [a, b] : pairs) {
    s["exchange"]["edges"].push_back({{"from", a}, {"to", b}, {"bits", 1127040000}});
    s["exchange"]["edges"].push_back({{"from", b}, {"to", a}, {"bits", 1127040000}});
  }
  return s;
}

std::string metrics(int rows) {
  std::string out;
  for (int k = 1; k <= rows; ++k) {
    Json row = {{"round", 100 * k},
                {"seconds", 0.5 * k},
                {"tasks", 600 * k},
                {"loss", 4.0 / k},
                {"disagreement", 1.0 / (k * k)},
                {"bits", 67622400 * k}};
    for (int a = 0; a < 6; ++a) row["loss_per_agent"].push_back(4.0 / k + 0.125 * a);
    if (k == 3) row["loss"] = nullptr;  // one diverged
    if (k % 5 == 0)
      row["validation"] = {{"metric", "mse"}, {"steps", {0, 1}}, {"mean", {3.0 + 1.0 / k, 1.0 + 1.0 / k}}};
    out += row.dump() + "\n";
  }
  return out;
}

Json curves() {
  const Json xs = {-5.0, -2.5, 0.0, 2.5, 5.0};
  return {{"kind", "curve"},
          {"tasks",
           {{{"title", "agent 0, amplitude 2.1 <phase> 0.4"},
             {"support", {{"x", {-1.0, 2.0}}, {"y", {0.5, 1.5}}}},
             {"truth", {{"x", xs}, {"y", {1.0, -1.0, 0.0, 1.0, -1.0}}}},
             {"before", {0.1, 0.2, 0.3, 0.4, nullptr}},
             {"after", {0.9, -0.9, 0.0, 0.9, -0.9}},
             {"steps", 10}}}}};
}

Json images() {
  const std::string pixels = "AP8A/wD/AP8A";  // 3 x 3
  return {{"kind", "images"},
          {"tasks",
           {{{"title", "five-way"},
             {"steps", 3},
             {"height", 3},
             {"width", 3},
             {"support", {{{"pixels", pixels}, {"label", 0}}, {{"pixels", pixels}, {"label", 1}}}},
             {"query",
              {{{"pixels", pixels}, {"label", 0}, {"predicted", 0}},
               {{"pixels", pixels}, {"label", 1}, {"predicted", 0}}}}}}}};
}

Json points() {
  return {
      {"kind", "points"},
      {"tasks",
       {{{"title", "moons"},
         {"support", {{"x", {{0.0, 1.0}, {2.0, 3.0}}}, {"label", {0, 1}}}},
         {"query",
          {{"x", {{0.5, 1.0}, {2.0, 2.5}, {1.0, 1.0}}}, {"label", {0, 1, 1}}, {"predicted", {0, 1, 0}}}}}}}};
}

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

Json page_data(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const size_t from = page.find(open) + open.size();
  return Json::parse(page.substr(from, page.find("</script>", from) - from));
}

class Report : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ =
        (std::filesystem::temp_directory_path() / ("symma_report_" + std::to_string(::getpid()))).string();
    make_folder(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::string run(const std::string& name, const Json& s, const Json& gallery = curves(), int rows = 20) {
    const std::string folder = root_ + "/" + name;
    make_folder(folder);
    write_file(folder + "/summary.json", s.dump(1));
    write_file(folder + "/metrics.jsonl", metrics(rows));
    if (!gallery.is_null()) write_file(folder + "/gallery.json", gallery.dump());
    return folder;
  }

  // The page of one run must fail in one line that holds these words.
  void expect_error(const std::string& folder, const std::vector<std::string>& words) {
    try {
      report_html({folder});
      ADD_FAILURE() << "no error for " << folder;
    } catch (const UserError& e) {
      for (const auto& w : words) EXPECT_NE(std::string(e.what()).find(w), std::string::npos) << e.what();
      EXPECT_EQ(count(e.what(), "\n"), 0u) << e.what();
    }
  }

  std::string root_;
};

TEST_F(Report, HasEverySectionAndTheHeadline) {
  Json s = summary("collaborate");
  s["ood"] = evaluation(2, 6);
  const std::string page = report_html({run("a", s)});
  EXPECT_NE(
      page.find("mse 0.360 ± 0.020 after 10 steps on 600 unseen test tasks; 6 agents on <code>edges</code>"),
      std::string::npos);
  for (const char* section : {"Adaptation", "Tasks", "Training", "Communication", "Agents", "Settings"}) {
    EXPECT_EQ(count(page, std::string("<h3>") + section + "</h3>"), 1u) << section;
  }
  for (const char* kind : {"eval", "ood", "loss", "validation", "disagreement", "agents_loss", "agents"}) {
    EXPECT_EQ(count(page, std::string("data-chart=\"") + kind + "\""), 1u) << kind;
  }
  EXPECT_EQ(count(page, "class=\"edge\""), 6u);
  EXPECT_EQ(count(page, "<g class=\"node\">"), 6u);
  EXPECT_EQ(count(page, "class=\"traffic\""), 6u);
  EXPECT_NE(page.find("1.13 Gbit each way on each of 6 edges"), std::string::npos);
  EXPECT_NE(page.find("13.5 Gbit (1.69 GB)"), std::string::npos);
  // Medians and quartiles stand beside the means.
  EXPECT_NE(
      page.find(
          "<th scope=\"row\">10</th><td class=\"number\">0.360 ± 0.020</td><td class=\"number\">0.200</td>"
          "<td class=\"number\">0.0800 – 0.450</td>"),
      std::string::npos);
  EXPECT_NE(page.find("support and query apart"), std::string::npos);
  EXPECT_NE(page.find("0.864"), std::string::npos);
}

TEST_F(Report, ChartsHoldTheFilesNumbers) {
  const Json s = summary("collaborate");
  const Json data = page_data(report_html({run("a", s)}));
  const Json& e = data["runs"][0]["eval"];
  for (const char* key : {"steps", "mean", "ci95", "median", "q1", "q3", "per_agent"})
    EXPECT_EQ(e[key], s["eval"][key]) << key;
  EXPECT_EQ(e["lower"], Json({2.875, 0.828125, 0.45 - 0.036, 0.36 - 0.02}));
  EXPECT_EQ(e["upper"], Json({3.375, 0.953125, 0.45 + 0.036, 0.36 + 0.02}));
  EXPECT_TRUE(e["log"]);
  const Json& t = data["runs"][0]["training"];
  ASSERT_EQ(t["loss"].size(), 20u);
  for (size_t k = 1; k <= 20; ++k) {
    EXPECT_EQ(t["round"][k - 1], 100.0 * static_cast<double>(k));
    EXPECT_EQ(t["seconds"][k - 1], 0.5 * static_cast<double>(k));
    EXPECT_EQ(t["bits"][k - 1], 67622400.0 * static_cast<double>(k));
    EXPECT_EQ(t["disagreement"][k - 1], 1.0 / static_cast<double>(k * k));
    EXPECT_EQ(t["loss"][k - 1], k == 3 ? Json(nullptr) : Json(4.0 / static_cast<double>(k)));
    EXPECT_EQ(t["loss_per_agent"][5][k - 1], 4.0 / static_cast<double>(k) + 0.625);
  }
  const Json& v = data["runs"][0]["validation"];
  EXPECT_EQ(v["round"], Json({500.0, 1000.0, 1500.0, 2000.0}));
  EXPECT_EQ(v["mean"][1], Json({1.0 + 1.0 / 5, 1.0 + 1.0 / 10, 1.0 + 1.0 / 15, 1.0 + 1.0 / 20}));
}

TEST_F(Report, ThinningLosesNoSpike) {
  const std::string folder = run("long", summary("long"), nullptr, 1);
  std::string rows;
  for (int k = 1; k <= 30000; ++k)
    rows += fmt::format("{{\"round\":{},\"loss\":{}}}\n", k,
                        k == 17777   ? "99.5"
                        : k == 23456 ? "null"
                                     : "1.0");
  write_file(folder + "/metrics.jsonl", rows);
  const Json t = page_data(report_html({folder}))["runs"][0]["training"];
  EXPECT_TRUE(t["thinned"]);
  EXPECT_LE(t["loss"].size(), 2000u);
  EXPECT_EQ(std::count(t["loss"].begin(), t["loss"].end(), Json(99.5)), 1);
  EXPECT_EQ(std::count(t["loss"].begin(), t["loss"].end(), Json(nullptr)), 1);
}

TEST_F(Report, NamesCannotBecomeMarkup) {
  Json s = summary("</script><img src=x onerror=alert(1)> & <b>");
  s["exchange"]["topology"] = "ed<ges>";
  const std::string page = report_html({run("a", s)});
  EXPECT_EQ(count(page, "<img"), 0u);
  EXPECT_EQ(count(page, "<b>"), 0u);
  EXPECT_EQ(count(page, "ed<ges>"), 0u);
  EXPECT_EQ(count(page, "<phase>"), 0u);
  EXPECT_EQ(count(page, "<of>"), 0u);
  EXPECT_EQ(count(page, "</script>"), 3u);  // the data, the charts, the page's own
  EXPECT_NE(page.find("shares &lt; half &amp; &quot;more&quot;"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;alert(1)&lt;/script&gt;"), std::string::npos);
  EXPECT_EQ(page_data(page)["runs"][0]["name"], s["experiment"]);
}

TEST_F(Report, LoadsNothing) {
  std::string page = report_html({run("a", summary("a"), images())});
  EXPECT_NE(page.find("Content-Security-Policy\" content=\"default-src 'none'"), std::string::npos);
  const size_t at = page.find(assets::chart_js);
  ASSERT_NE(at, std::string::npos);
  // Chart.js names two pages in its licence comments, and nothing else.
  EXPECT_EQ(
      count(std::string(assets::chart_js), "http://") + count(std::string(assets::chart_js), "https://"), 2u);
  page.erase(at, assets::chart_js.size());
  for (const char* load : {"http://", "https://", "src=", "@import", "url(\"", "<link", "fetch(", "import("})
    EXPECT_EQ(count(page, load), 0u) << load;
}

TEST_F(Report, DrawsEachKindOfTask) {
  const std::string curve = report_html({run("c", summary("c"), curves())});
  EXPECT_EQ(count(curve, "<path class=\"truth\""), 1u);
  EXPECT_EQ(count(curve, "<path class=\"before\""), 1u);
  EXPECT_EQ(count(curve, "<path class=\"after\""), 1u);
  EXPECT_EQ(count(curve, "<circle class=\"support\""), 2u);
  const std::string image = report_html({run("i", summary("i"), images())});
  EXPECT_EQ(count(image, "data-pixels=\"AP8A/wD/AP8A\""), 4u);
  EXPECT_EQ(count(image, "class=\"tile right\""), 1u);
  EXPECT_EQ(count(image, "class=\"tile wrong\""), 1u);
  EXPECT_NE(image.find("1 of 2 right"), std::string::npos);
  const std::string point = report_html({run("p", summary("p"), points())});
  EXPECT_EQ(count(point, "class=\"miss\""), 1u);
  EXPECT_NE(point.find("2 of 3 right"), std::string::npos);
  EXPECT_EQ(count(report_html({run("n", summary("n"), nullptr)}), "<h3>Tasks</h3>"), 0u);
}

TEST_F(Report, AMeanThatAFewTasksRuinIsPointedOut) {
  EXPECT_EQ(count(report_html({run("calm", summary("calm"))}), "class=\"caution\""), 0u);
  Json s = summary("wild");
  s["eval"]["mean"][3] = 812.5;
  EXPECT_NE(report_html({run("wild", s)}).find("After 10 steps the mean lies far outside the quartiles"),
            std::string::npos);
  s["eval"]["mean"][3] = nullptr;
  EXPECT_NE(report_html({run("worse", s)}).find("After 10 steps the mean is not finite: some tasks diverged"),
            std::string::npos);
}

TEST_F(Report, GraphsHaveTheirOwnShapes) {
  Json star = summary("star");
  star["exchange"] = {{"topology", "star"}, {"bits", 4096}, {"rounds", 1}, {"server", true}};
  for (int a = 0; a < 6; ++a)
    star["exchange"]["edges"].push_back({{"from", a}, {"to", 6}, {"bits", 1000 * (a + 1)}});
  const std::string page = report_html({run("star", star)});
  EXPECT_EQ(count(page, "<g class=\"node server\">"), 1u);
  EXPECT_EQ(count(page, "class=\"head\""), 6u);  // one way only
  for (const char* label : {">1.00 kbit<", ">6.00 kbit<"}) EXPECT_EQ(count(page, label), 1u) << label;

  Json torus = summary("torus");
  torus["exchange"] = {{"topology", "torus"}, {"bits", 4096}, {"rounds", 1}};
  for (int i = 0; i < 6; ++i) {  // 2 x 3
    for (const int to : {i / 3 * 3 + (i + 1) % 3, (i + 3) % 6})
      torus["exchange"]["edges"].push_back({{"from", i}, {"to", to}, {"bits", 8}});
  }
  const std::string grid = report_html({run("torus", torus)});
  std::set<std::string> rows;  // the distinct heights of the nodes: two rows
  for (size_t at = grid.find("<circle cx="); at != std::string::npos; at = grid.find("<circle cx=", at + 1)) {
    const size_t cy = grid.find("cy=\"", at) + 4;
    rows.insert(grid.substr(cy, grid.find('"', cy) - cy));
  }
  EXPECT_EQ(rows.size(), 2u);
}

// The summary of a large fleet says how many edges there are, and lists none.
TEST_F(Report, EdgesThatAreNotListedAreNotDenied) {
  Json ring = summary("ring");
  ring["agents"] = 3000;
  ring["eval"].erase("per_agent");
  ring.erase("agent_share");
  ring["exchange"] = {{"topology", "ring"},
                      {"bits", 37248000},
                      {"rounds", 2},
                      {"directed_edges", 6000},
                      {"edges", Json::array()}};
  const std::string page = report_html({run("ring", ring)});
  EXPECT_EQ(count(page, "do not share"), 0u);
  EXPECT_EQ(count(page, "too many to draw"), 1u);
  EXPECT_EQ(count(page, "<g class=\"node"), 0u);
}

TEST_F(Report, ComparesSeveralRuns) {
  Json alone = summary("alone");
  alone["eval"] = evaluation(4, 6);
  alone["exchange"] = {{"topology", "none"}, {"bits", 0}, {"edges", Json::array()}};
  const auto a = run("a", summary("edges")), b = run("b", alone);
  const std::string page = report_html({a, b});
  EXPECT_LT(page.find("id=\"comparison\""), page.find("id=\"run-0\""));
  for (const char* kind :
       {"compare", "compare_median", "compare_loss", "compare_validation", "compare_disagreement"}) {
    EXPECT_EQ(count(page, std::string("data-chart=\"") + kind + "\""), 1u) << kind;
  }
  EXPECT_NE(page.find("Lowest mse after 10 steps: <strong>edges</strong> 0.360 ± 0.020; then "
                      "<strong>alone</strong> 1.440 ± 0.080"),
            std::string::npos);
  EXPECT_EQ(page_data(page)["groups"], Json::parse(R"([{"metric": "mse", "runs": [0, 1], "log": true}])"));
  EXPECT_EQ(page_data(page)["runs"][1]["eval"]["mean"], alone["eval"]["mean"]);
  // Runs of one name are told apart.
  const auto c = run("c", summary("edges"));
  const Json data = page_data(report_html({a, c}));
  EXPECT_EQ(data["runs"][0]["name"], "edges (a)");
  EXPECT_EQ(data["runs"][1]["name"], "edges (c)");
}

// Attack by rule, coloured against the plain mean without attack, whichever run came first.
TEST_F(Report, AttacksAreHeldAgainstThePlainMean) {
  const auto fleet = [&](const std::string& name, const std::string& rule, const std::string& attack,
                         double scale) {
    Json s = summary(name);
    s["settings"]["aggregator"] = {{"kind", rule}};
    if (!attack.empty()) s["faults"] = {{"kind", attack}, {"agents", {1}}};
    s["eval"] = evaluation(scale, 6);
    return run(name, s);
  };
  // After 10 steps: krum .72 and the mean .36 in peace, .45 and 1.8 under attack. 1.5 times the mean's is
  // .54.
  const std::string page = report_html({fleet("a", "krum", "", 2), fleet("b", "mean", "", 1),
                                        fleet("c", "krum", "alie", 1.25), fleet("d", "mean", "alie", 5)});
  EXPECT_NE(page.find("reaches without attack"), std::string::npos);
  EXPECT_NE(page.find("what \"b\" reaches"), std::string::npos);
  EXPECT_NE(page.find("<td class=\"number fails\">0.720</td><td class=\"number bears\">0.360</td>"),
            std::string::npos);
  EXPECT_NE(page.find("<td class=\"number bears\">0.450</td><td class=\"number fails\">1.80</td>"),
            std::string::npos);
}

TEST_F(Report, PrivacyStandsBesideTheScore) {
  Json s = summary("guarded");
  s["privacy"] = {{"statement", "epsilon 3.1 at delta 1e-05 for one agent"}};
  const std::string page = report_html({run("a", s), run("b", summary("open"))});
  EXPECT_NE(page.find("<td class=\"words\">epsilon 3.1 at delta 1e-05 for one agent</td>"),
            std::string::npos);
  EXPECT_NE(page.find("<td class=\"words\">nothing</td>"), std::string::npos);
  EXPECT_EQ(report_html({run("c", summary("c")), run("d", summary("d"))}).find("what is promised"),
            std::string::npos);
}

TEST_F(Report, RunsThatAllDivergedAreNotRanked) {
  Json s = summary("lost");
  s["eval"]["mean"] = {3.0, nullptr, nullptr, nullptr};
  s["eval"]["ci95"] = {0.1, nullptr, nullptr, nullptr};
  const std::string page = report_html({run("a", s), run("b", s)});
  EXPECT_EQ(page.find("Lowest mse"), std::string::npos);
  EXPECT_NE(page.find("No run's mean mse is finite after 10 steps"), std::string::npos);
}

TEST_F(Report, TheTerminalTableIsAligned) {
  Json other = summary("größer");
  other["eval"] = evaluation(4, 6);
  const std::string table = comparison_table({run("a", summary("edges")), run("b", other)});
  EXPECT_EQ(table,
            "run     learner  topology              mse @0                 mse @1                 mse @5     "
            "           mse @10       bits\n"
            "edges   maml     edges     3.12 ± 0.25 (2.88)  0.891 ± 0.062 (0.710)  0.450 ± 0.036 (0.300)  "
            "0.360 ± 0.020 (0.200)  13.5 Gbit\n"
            "größer  maml     edges      12.5 ± 1.0 (11.5)     3.56 ± 0.25 (2.84)     1.80 ± 0.14 (1.20)  "
            "1.440 ± 0.080 (0.800)  13.5 Gbit\n"
            "mse: mean ± 95 % interval (median) after @ steps of adaptation, lower is better\n");
}

TEST_F(Report, AnUnfinishedRunHasAPage) {
  Json s = summary("stopped");
  s["finished"] = false;
  s.erase("eval");
  const auto folder = run("stopped", s, nullptr);
  write_file(folder + "/metrics.jsonl", "");
  const std::string page = report_html({folder});
  EXPECT_NE(page.find("Not evaluated yet"), std::string::npos);
  EXPECT_NE(page.find("unfinished"), std::string::npos);
  EXPECT_NE(comparison_table({folder}).find("stopped: not evaluated yet"), std::string::npos);
}

TEST_F(Report, DamagedFilesAreNamed) {
  expect_error(root_ + "/absent", {"/absent", "no such folder", "symma train"});
  EXPECT_THROW(report_html({}), UserError);

  const auto missing = run("missing", summary("x"));
  std::filesystem::remove(missing + "/metrics.jsonl");
  expect_error(missing, {"missing/metrics.jsonl", "no such file"});
  std::filesystem::remove(missing + "/summary.json");
  expect_error(missing, {"missing/summary.json", "no such file"});

  const auto bad = run("bad", summary("x"));
  write_file(bad + "/summary.json", "{\"experiment\": \"x\", ");
  expect_error(bad, {"bad/summary.json", "not JSON"});
  write_file(bad + "/summary.json", "[1, 2]");
  expect_error(bad, {"bad/summary.json", "not a JSON object"});

  const auto broken = [&](const std::string& pointer, const Json& value,
                          const std::vector<std::string>& words) {
    Json s = summary("x");
    s[Json::json_pointer(pointer)] = value;
    auto all = words;
    all.push_back("broken/summary.json");
    expect_error(run("broken", s), all);
  };
  broken("/agents", "six", {"\"agents\" is not a whole number"});
  broken("/agents", 0, {"\"agents\" is below 1"});
  broken("/eval/mean", {1.0, 2.0}, {"\"eval.mean\" has 2 numbers where 4 are due"});
  broken("/eval/median/0", "low", {"\"eval.median\" is not a number"});
  broken("/eval/per_agent/5", {1.0}, {"\"eval.per_agent\" has a list of 1 numbers for 4 steps"});
  broken("/exchange/edges/0/to", 6, {"joins 0 and 6, but there are 6 nodes"});
  broken("/agent_share", {"one"}, {"1 lines for 6 agents"});
  broken("/settings/task", 3, {"\"settings.task\" is not an object"});

  const auto rows = run("rows", summary("x"));
  write_file(rows + "/metrics.jsonl", "{\"round\": 1, \"loss\": 1}\nnonsense\n{\"round\": 2, \"loss\": 1}\n");
  expect_error(rows, {"rows/metrics.jsonl:2"});
  write_file(rows + "/metrics.jsonl", "{\"loss\": 1}\n");
  expect_error(rows, {"rows/metrics.jsonl", "\"round\""});

  expect_error(run("g1", summary("x"), Json::parse("{\"kind\": \"opera\", \"tasks\": []}")),
               {"g1/gallery.json", "opera"});
  Json short_curve = curves();
  short_curve["tasks"][0]["after"].erase(0);
  expect_error(run("g2", summary("x"), short_curve), {"g2/gallery.json", "differ in length"});
  Json cut = images();
  cut["tasks"][0]["support"][0]["pixels"] = "AP8A\"><";
  expect_error(run("g3", summary("x"), cut), {"g3/gallery.json", "not base64 of 3 x 3 bytes"});
  Json untitled = points();
  untitled["tasks"][0].erase("title");
  expect_error(run("g4", summary("x"), untitled), {"g4/gallery.json", "not a gallery"});
}

TEST_F(Report, WritesTheFileWhole) {
  const auto folder = run("a", summary("a"));
  write_report({folder}, root_ + "/report.html");
  EXPECT_EQ(read_file(root_ + "/report.html"), report_html({folder}));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/report.html.part"));
  EXPECT_THROW(write_report({folder}, root_ + "/absent/report.html"), UserError);
}

// The script runs in a real browser: every chart is drawn and nothing is complained about.
TEST_F(Report, RunsInABrowserWithoutErrors) {
  std::string browser;
  for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
    if (browser.empty() && std::system(fmt::format("command -v {} >/dev/null 2>&1", name).c_str()) == 0)
      browser = name;
  }
  if (browser.empty()) GTEST_SKIP() << "no chromium here: the page's script was not run";
  Json wild = summary("wild");
  wild["eval"]["mean"][3] = nullptr;
  wild["ood"] = evaluation(2, 6);
  Json accuracy = summary("accuracy <&> '");
  accuracy["eval"]["metric"] = "accuracy";
  for (const char* key : {"mean", "median", "q1", "q3"}) accuracy["eval"][key] = {0.2, 0.5, 0.75, 0.875};
  Json stopped = summary("stopped");
  stopped.erase("eval");
  Json hundred = summary("hundred");
  hundred["agents"] = 100;
  hundred.erase("agent_share");
  hundred["eval"] = evaluation(1, 100);
  const std::vector<std::vector<std::string>> pages = {
      {run("a", wild)},
      {run("b", wild), run("c", accuracy, images()), run("d", stopped, points()),
       run("e", hundred, nullptr)}};
  for (const auto& folders : pages) {
    const std::string path = root_ + "/report.html";
    write_report(folders, path);
    const std::string command = fmt::format(
        "HOME={0} timeout 100 {1} --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage "
        "--user-data-dir={0}/browser "
        "--enable-logging=stderr --virtual-time-budget=5000 --dump-dom file://{2} >{0}/dom.html "
        "2>{0}/log.txt",
        root_, browser, path);
    const int status = std::system(command.c_str());
    const std::string dom = read_file(root_ + "/dom.html"), log = read_file(root_ + "/log.txt");
    ASSERT_EQ(status, 0) << log;
    EXPECT_EQ(count(log, "CONSOLE"), 0u) << log;
    EXPECT_EQ(count(dom, "data-error="), 0u);
    const std::string page = read_file(path);
    const size_t charts = count(page, " data-index=\"");
    EXPECT_GT(charts, 5u);
    EXPECT_NE(dom.find(fmt::format("data-charts=\"{}\"", charts)), std::string::npos) << dom.substr(0, 300);
  }
}

}  // namespace
}  // namespace symma
