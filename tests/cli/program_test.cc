// What each command gives: the files of a run, the same scores again, predictions, pages, the list of parts.
#include <algorithm>
#include <cmath>

#include "cli/program.h"

namespace {

using namespace program;

const char* const kFleet = R"(name = "three sines"
description = "a fleet for a test"
seed = 5
agents = 3
rounds = 60
tasks = 2
[task]
kind = "sinusoid"
[model]
hidden = [8, 6]
[exchange]
topology = "ring"
[eval]
tasks = 10
steps = [0, 1, 4]
validation_tasks = 4
ood = true
)";

void expect_numbers(const Json& list, size_t n) {
  ASSERT_TRUE(list.is_array()) << list;
  ASSERT_EQ(list.size(), n);
  for (const auto& x : list) EXPECT_TRUE(x.is_number() && std::isfinite(x.get<double>())) << list;
}

// Piped output is plain: no carriage return, no colours.
void expect_plain(const Result& r) {
  for (const auto& text : {r.out, r.err}) {
    EXPECT_EQ(text.find('\r'), std::string::npos);
    EXPECT_EQ(text.find('\033'), std::string::npos);
  }
}

class OfARun : public testing::Test {
 protected:
  void SetUp() override {
    spill(at / "sines.toml", kFleet);
    trained = run_well({"train", "sines.toml", "--out", "run"}, at.path());
  }
  TempDir at;
  Result trained;
};

TEST_F(OfARun, TheFolderHoldsWhatItShould) {
  for (const char* file :
       {"experiment.toml", "metrics.jsonl", "summary.json", "checkpoint.safetensors", "report.html"})
    EXPECT_TRUE(fs::exists(at / ("run/" + std::string(file)))) << file;
  expect_nothing_half_written(at / "run");
  expect_plain(trained);
  EXPECT_TRUE(holds(trained.err, "3 agents, maml on sinusoid, model mlp with 77 parameters, topology ring"))
      << trained.err;
  EXPECT_TRUE(holds(trained.err, "round 60/60 (100%)") && holds(trained.err, " rounds/s ") &&
              holds(trained.err, " left ") && holds(trained.err, "validation mse"))
      << trained.err;
  EXPECT_TRUE(holds(trained.out, "mse on 10 test tasks") && holds(trained.out, "run/report.html"))
      << trained.out;

  const Json s = json_file(at / "run/summary.json");
  EXPECT_EQ(s["experiment"], "three sines");
  EXPECT_EQ(s["seed"], 5);
  EXPECT_EQ(s["agents"], 3);
  EXPECT_EQ(s["rounds"], 60);
  EXPECT_GT(s["wall_s"].get<double>(), 0);
  EXPECT_NEAR(s["tasks_per_s"].get<double>() * s["wall_s"].get<double>(), 60 * 2 * 3, 1e-6);
  for (const char* part : {"eval", "ood"}) {
    const Json& e = s[part];
    EXPECT_EQ(e["split"], std::string(part) == "eval" ? "test" : "ood");
    EXPECT_EQ(e["metric"], "mse");
    EXPECT_EQ(e["tasks"], 10);
    EXPECT_EQ(e["steps"], Json({0, 1, 4}));
    for (const char* key : {"mean", "ci95", "median", "q1", "q3"}) expect_numbers(e[key], 3);
    ASSERT_EQ(e["per_agent"].size(), 3u);
    for (const auto& row : e["per_agent"]) expect_numbers(row, 3);
    for (size_t i = 0; i < 3; ++i) {
      double mean = 0;
      for (const auto& row : e["per_agent"]) mean += row[i].get<double>() / 3;
      EXPECT_NEAR(mean, e["mean"][i].get<double>(), 1e-9);
      EXPECT_LE(e["q1"][i].get<double>(), e["median"][i].get<double>());
      EXPECT_LE(e["median"][i].get<double>(), e["q3"][i].get<double>());
    }
  }
  // A ring of three has three edges of two directions, and every round sends a row of 77 numbers of 32 bits
  // along each.
  EXPECT_EQ(s["exchange"]["rounds"], 60);
  EXPECT_EQ(s["exchange"]["bits"], 60 * 6 * 77 * 32);
  EXPECT_TRUE(s["exchange"]["disagreement"].is_number());

  int64_t round = 0;
  for (const auto& line : lines(slurp(at / "run/metrics.jsonl"))) {
    const Json row = Json::parse(line, nullptr, false);
    ASSERT_TRUE(row.is_object()) << line;
    EXPECT_GT(row["round"].get<int64_t>(), round);
    round = row["round"];
    expect_numbers(row["loss_per_agent"], 3);
  }
  EXPECT_EQ(round, 60);
}

// The file that a run keeps has every default in it, and makes the same run.
TEST_F(OfARun, ItsExperimentFileMakesItAgain) {
  const std::string file = slurp(at / "run/experiment.toml");
  for (const char* word : {"inner_lr = ", "order = 2", "strategy = \"adapt-then-combine\"", "queries = 10",
                           "activation = \"relu\"", "seed = 5"})
    EXPECT_TRUE(holds(file, word)) << word;
  run_well({"train", "run/experiment.toml", "--out", "again"}, at.path());
  EXPECT_EQ(slurp(at / "again/experiment.toml"), file);
  EXPECT_EQ(json_file(at / "again/summary.json")["eval"], json_file(at / "run/summary.json")["eval"]);
}

TEST_F(OfARun, EvalGivesTheSameScoresAgain) {
  const Json before = json_file(at / "run/summary.json");
  const Result r = run_well({"eval", "run"}, at.path());
  expect_plain(r);
  const Json after = json_file(at / "run/summary.json");
  for (const char* part : {"eval", "ood", "exchange", "rounds"}) EXPECT_EQ(before[part], after[part]) << part;
  EXPECT_TRUE(trained.out.starts_with(r.out)) << trained.out << r.out;  // the same table
  // Judged otherwise: beside the summary.
  run_well({"eval", "run", "--set", "eval.tasks=25"}, at.path());
  EXPECT_EQ(json_file(at / "run/summary.json"), after);
  EXPECT_EQ(json_file(at / "run/eval.json")["tasks"], 25);
}

TEST_F(OfARun, ReportAndCompare) {
  fs::remove(at / "run/report.html");
  expect_plain(run_well({"report", "run"}, at.path()));
  const std::string page = slurp(at / "run/report.html");
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>") || page.starts_with("<!doctype html>"))
      << page.substr(0, 50);
  EXPECT_TRUE(holds(page, "three sines") && holds(page, "a fleet for a test") && holds(page, "</html>"));
  for (const char* reach : {"src=\"http", "href=\"http", "url(http", "@import"})
    EXPECT_FALSE(holds(page, reach)) << "the page needs the network: " << reach;

  run_well(
      {"train", "sines.toml", "--out", "alone", "--set", "exchange.topology=none", "--set", "name=alone"},
      at.path());
  const Result table = run_well({"compare", "run", "alone"}, at.path());
  expect_plain(table);
  EXPECT_TRUE(holds(table.out, "three sines") && holds(table.out, "alone")) << table.out;
  run_well({"report", "run", "alone", "--out", "both.html"}, at.path());
  const std::string both = slurp(at / "both.html");
  EXPECT_TRUE(holds(both, "three sines") && holds(both, "alone"));
}

TEST(Train, WarnsOfARuleThatLetsHostileAgentsThrough) {
  TempDir at;
  spill(at / "sines.toml", kFleet);
  const Words line{"train",  "sines.toml",
                   "--set",  "rounds=2",
                   "--set",  "exchange.topology=star",
                   "--set",  "faults.agents=[1]",
                   "--set",  "aggregator.kind=trimmed_mean",
                   "--force"};
  const std::string warning =
      "warning: [aggregator] bad: is 0, and the server gathers 3 rows of which 1 is hostile";
  EXPECT_TRUE(holds(run_well(line, at.path()).err, warning));
  Words allowed = line;
  allowed.insert(allowed.end(), {"--set", "aggregator.bad=1"});
  EXPECT_FALSE(holds(run_well(allowed, at.path()).err, "warning"));
}

TEST(Adapt, PredictsASineBetterThanItsMean) {
  TempDir at;
  spill(at / "s.toml",
        "rounds = 3000\ntasks = 8\n[task]\nkind = \"sinusoid\"\n[model]\nhidden = [40, 40]\n[learner]\nkind "
        "= \"maml\"\n[eval]\ntasks = 20\nsteps = [0, 1, 10]\n");
  run_well({"train", "s.toml", "--out", "run"}, at.path());
  const auto f = [](double x) { return 3.5 * std::sin(x - 0.8); };
  std::string csv = "x,y\n";
  std::vector<double> known;
  for (double x : {-4.2, -2.1, -0.3, 1.7, 4.4}) {
    known.push_back(f(x));
    csv += std::to_string(x) + "," + std::to_string(f(x)) + "\n";
  }
  Words asked;
  for (int i = 0; i <= 40; ++i) {
    asked.push_back(std::to_string(-4 + 0.2 * i));
    csv += asked.back() + ",\n";
  }
  spill(at / "few.csv", csv);
  const Result r = run_well({"adapt", "run", "--data", "few.csv"}, at.path());
  expect_plain(r);
  EXPECT_TRUE(holds(r.out, "adapted to 5 examples in 10 steps")) << r.out;
  EXPECT_TRUE(holds(r.out, "run/adapted/predictions.csv") && holds(r.out, "run/adapted/adapted.safetensors"))
      << r.out;

  const Words rows = lines(slurp(at / "run/adapted/predictions.csv"));
  ASSERT_EQ(rows.size(), 42u);
  EXPECT_EQ(rows[0], "x,prediction");
  double mean = 0, ours = 0, naive = 0;
  for (double y : known) mean += y / static_cast<double>(known.size());
  for (size_t i = 0; i < asked.size(); ++i) {
    ASSERT_TRUE(rows[i + 1].starts_with(asked[i] + ",")) << rows[i + 1];
    const double y = std::stod(rows[i + 1].substr(asked[i].size() + 1)), truth = f(std::stod(asked[i]));
    ours += (y - truth) * (y - truth) / 41;
    naive += (mean - truth) * (mean - truth) / 41;
  }
  EXPECT_LT(ours, 0.7 * naive) << "mean squared error " << ours << ", of the mean alone " << naive;

  const Tensors t = read_tensors(at / "run/adapted/adapted.safetensors");
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& [name, one] : t.tensors) {
    shapes[name] = one.shape;
    EXPECT_EQ(one.dtype, "F32");
  }
  const std::map<std::string, std::vector<int64_t>> right{{"layer0.weight", {1, 40}},  {"layer0.bias", {40}},
                                                          {"layer1.weight", {40, 40}}, {"layer1.bias", {40}},
                                                          {"head.weight", {40, 1}},    {"head.bias", {1}}};
  EXPECT_EQ(shapes, right);
  expect_nothing_half_written(at / "run");

  // Elsewhere, with other steps: no step leaves the parameters as they were learned.
  run_well({"adapt", "run", "--data", "few.csv", "--steps", "0", "--out", "still"}, at.path());
  std::string row;
  const Tensors still = read_tensors(at / "still/adapted.safetensors");
  for (const char* name :
       {"layer0.weight", "layer0.bias", "layer1.weight", "layer1.bias", "head.weight", "head.bias"})
    row += still.tensors.at(name).bytes;
  EXPECT_EQ(row, read_tensors(at / "run/checkpoint.safetensors").tensors.at("theta").bytes);
}

TEST(Adapt, NamesTheClassOfARow) {
  TempDir at;
  std::string csv = "task,u,v,y\n";
  for (int g = 0; g < 6; ++g) {
    for (int i = 0; i < 12; ++i)
      csv += "g" + std::to_string(g) + "," + std::to_string(i % 5) + "," + std::to_string((i * 7 + g) % 4) +
             "," + (i % 2 ? "odd" : "even") + "\n";
  }
  spill(at / "t.csv", csv);
  spill(at / "e.toml",
        "rounds = 10\n[task]\nkind = \"table\"\npath = \"t.csv\"\npredict = \"classification\"\nshots = "
        "2\nqueries = 2\n[model]\nhidden = [8]\n[eval]\ntasks = 4\n");
  run_well({"train", "e.toml", "--out", "run"}, at.path());
  spill(at / "few.csv", "u,v,y\n1,2,odd\n2,2,even\n0,1,\n3,3,\n");
  run_well({"adapt", "run", "--data", "few.csv"}, at.path());
  const Words rows = lines(slurp(at / "run/adapted/predictions.csv"));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0], "u,v,label,probability");
  for (size_t i = 1; i < 3; ++i) EXPECT_TRUE(holds(rows[i], ",odd,") || holds(rows[i], ",even,")) << rows[i];
  // Other tasks to be judged on, from another file.
  run_well({"eval", "run", "--data", "t.csv"}, at.path());
  EXPECT_EQ(json_file(at / "run/eval.json")["metric"], "accuracy");
}

// kind -> the parts that issue 2 names
const std::map<std::string, Words> kParts{
    {"Learner", {"maml", "reptile", "protonet", "imaml", "scratch", "pretrain", "r2d2", "alpaca"}},
    {"Model", {"mlp", "conv"}},
    {"TaskFamily", {"sinusoid", "images", "table", "blobs"}},
    {"Topology", {"none", "full", "star", "ring", "torus", "random", "edges"}}};

TEST(List, NamesEveryPart) {
  TempDir at;
  const Result all = run_well({"list"}, at.path());
  expect_plain(all);
  for (const auto& [kind, names] : kParts) {
    for (const auto& name : names)
      EXPECT_TRUE(holds("\n" + all.out, "\n" + kind + " " + name + "\n")) << kind << " " << name;
  }
  const Result one = run_well({"list", "Learner"}, at.path());
  EXPECT_TRUE(holds(one.out, "Learner maml") && holds(one.out, "inner_lr") &&
              holds(one.out, "arXiv:1703.03400"));
  EXPECT_FALSE(holds(one.out, "Topology"));
}

TEST(List, AsJsonHasOptionsDefaultsAndSources) {
  TempDir at;
  const Json all = Json::parse(run_well({"list", "--json"}, at.path()).out, nullptr, false);
  ASSERT_TRUE(all.is_object());
  for (const auto& [kind, names] : kParts) {
    ASSERT_TRUE(all.contains(kind));
    for (const auto& name : names)
      EXPECT_TRUE(
          std::any_of(all[kind].begin(), all[kind].end(), [&](const Json& p) { return p["name"] == name; }))
          << kind << " " << name;
  }
  for (const auto& [kind, parts] : all.items()) {
    for (const auto& part : parts) {
      const std::string name = kind + " " + part["name"].get<std::string>();
      EXPECT_FALSE(part["summary"].get<std::string>().empty()) << name;
      EXPECT_FALSE(part["source"].get<std::string>().empty()) << name;
      ASSERT_TRUE(part["options"].is_array()) << name;
      for (const auto& option : part["options"]) {
        EXPECT_FALSE(option["name"].get<std::string>().empty()) << name;
        EXPECT_FALSE(option["doc"].get<std::string>().empty()) << name << " " << option["name"];
        EXPECT_TRUE(option.contains("default") && !option["default"].is_null())
            << name << " " << option["name"];
        EXPECT_TRUE(option.contains("range")) << name << " " << option["name"];
      }
    }
  }
}

TEST(List, IsTheTableInTheDocs) {
  const fs::path docs = fs::path(SYMMA_SOURCE_DIR) / "docs/parts.md";
  if (!fs::exists(docs)) GTEST_SKIP() << "there is no docs/parts.md";
  TempDir at;
  EXPECT_EQ(run_well({"list", "--markdown"}, at.path()).out, slurp(docs))
      << "make it again: symma list --markdown > docs/parts.md";
}

TEST(Help, NamesTheCommands) {
  TempDir at;
  const Result r = run_well({"--help"}, at.path());
  for (const char* command : {"train", "eval", "adapt", "compare", "report", "list"})
    EXPECT_TRUE(holds(r.out, command)) << command;
  EXPECT_TRUE(holds(run_well({"train", "--help"}, at.path()).out, "--resume"));
  EXPECT_FALSE(run_well({"--version"}, at.path()).out.empty());
}

}  // namespace
