// symma compare --paired against the files that it reads, and what it refuses.
#include <cmath>

#include "cli/program.h"
#include "symma/core/files.h"
#include "symma/eval/scores.h"

namespace {

using namespace program;

class Pair : public testing::Test {
 protected:
  void SetUp() override {
    spill(at / "e.toml", kSines);
    run_well({"train", "e.toml", "--out", "a"}, at.path());
    run_well({"train", "e.toml", "--out", "b", "--set", "learner.inner_lr=0.001"}, at.path());
  }
  void refused(Words command, const Words& words) {
    command.insert(command.begin(), "compare");
    expect_refusal(run(command, at.path()), words);
  }
  TempDir at;
};

// steps -> task -> the mean over two agents, of the last column.
std::map<int, std::vector<double>> scores(const fs::path& file, const std::string& column) {
  std::map<int, std::vector<double>> out;
  const Words all = lines(slurp(file));
  EXPECT_EQ(all[0], "split,agent,task,steps," + column);
  for (size_t i = 1; i < all.size(); ++i) {
    char split[8];
    int agent, task, steps;
    double value;
    EXPECT_EQ(std::sscanf(all[i].c_str(), "%7[a-z],%d,%d,%d,%lf", split, &agent, &task, &steps, &value), 5)
        << all[i];
    EXPECT_STREQ(split, "test");
    auto& of_steps = out[steps];
    of_steps.resize(6);
    of_steps[static_cast<size_t>(task)] += value / 2;
  }
  return out;
}

TEST_F(Pair, IsWhatTheFilesSay) {
  const auto a = scores(at / "a/scores.csv", "mse"), b = scores(at / "b/scores.csv", "mse");
  const Json said = Json::parse(run_well({"compare", "a", "b", "--paired", "--json"}, at.path()).out);
  EXPECT_EQ(said["metric"], "mse");
  EXPECT_EQ(said["tasks"], 6);
  ASSERT_EQ(said["rows"].size(), 2u);
  const Json summary = json_file(at / "a/summary.json");
  for (size_t s = 0; s < 2; ++s) {
    const Json& row = said["rows"][s];
    EXPECT_EQ(row["steps"], s);
    double mean = 0, squares = 0, better = 0;
    const auto &x = a.at(static_cast<int>(s)), &y = b.at(static_cast<int>(s));
    for (size_t t = 0; t < 6; ++t) mean += (x[t] - y[t]) / 6, better += (x[t] < y[t]) / 6.0;
    for (size_t t = 0; t < 6; ++t) squares += std::pow(x[t] - y[t] - mean, 2);
    EXPECT_NEAR(row["difference"].get<double>(), mean, 1e-6);
    EXPECT_NEAR(row["ci95"].get<double>(), 2.570581835636314 * std::sqrt(squares / 5 / 6), 1e-6);
    EXPECT_NEAR(row["a_better"].get<double>(), better, 1e-12);
    EXPECT_NEAR(row["a"].get<double>(), summary["eval"]["mean"][s].get<double>(), 1e-6);
  }
  EXPECT_NE(said["rows"][1]["difference"], 0.0);
  const Result table = run_well({"compare", "a", "b", "--paired", "--steps", "1"}, at.path());
  EXPECT_TRUE(holds(table.out, "mse on the same 6 test tasks, lower is better")) << table.out;
  EXPECT_EQ(lines(table.out).size(), 5u) << table.out;
  const Json self = Json::parse(run_well({"compare", "a", "a", "--paired", "--json"}, at.path()).out);
  EXPECT_EQ(self["rows"][1]["difference"], 0.0);
  EXPECT_NEAR(self["rows"][1]["a_better"].get<double>(), 0.5, 1e-12);
}

TEST_F(Pair, OfOtherTasksIsRefusedAndMended) {
  run_well({"train", "e.toml", "--out", "c", "--set", "seed=2"}, at.path());
  refused({"a", "c", "--paired"},
          {"a and c", "not judged on the same tasks", "seed (1 and 2)", "symma eval"});
  run_well({"eval", "c", "--set", "seed=1"}, at.path());
  const Result mended = run_well({"compare", "a", "c", "--paired"}, at.path());
  EXPECT_TRUE(holds(mended.out, "B: c/eval.json")) << mended.out;
  run_well({"train", "e.toml", "--out", "d", "--set", "task.shots=7"}, at.path());
  refused({"a", "d", "--paired"}, {"task.shots (10 and 7)", "symma eval"});
  run_well({"train", "e.toml", "--out", "f", "--set", "eval.tasks=7"}, at.path());
  refused({"a", "f", "--paired"}, {"tasks (6 and 7)", "symma eval"});
  run_well({"train", "e.toml", "--out", "g", "--set", "eval.from=own"}, at.path());
  refused({"a", "g", "--paired"}, {"from (\"everyone\" and \"own\")", "symma eval"});
  run_well({"train", "e.toml", "--out", "h", "--set", "eval.steps=[2, 3]"}, at.path());
  refused({"a", "h", "--paired"}, {"same numbers of steps", "eval.steps"});
}

// A task goes by its key and by nothing of the model: networks of any size are judged on the same ones.
TEST_F(Pair, NetworksOfOtherSizesAreJudgedOnTheSameTasks) {
  const Words many{"--set", "eval.tasks=100", "--set", "rounds=1", "--set", "eval.steps=[0]"};
  for (const std::string wide : {"8", "64"}) {
    Words command{"train", "e.toml", "--out", wide, "--set", "model.hidden=[" + wide + ", 40]"};
    command.insert(command.end(), many.begin(), many.end());
    run_well(command, at.path());
  }
  const std::string said = run_well({"compare", "8", "64", "--paired"}, at.path()).out;
  EXPECT_TRUE(holds(said, "the same 100 test tasks")) << said;
}

// Each run stands in the column of its learner; pretrain in two: as it is, and fine-tuned.
TEST_F(Pair, ColumnsAreToldByLearners) {
  for (const std::string kind : {"scratch", "pretrain"})
    run_well({"train", "e.toml", "--out", kind, "--set", "learner.kind=" + kind}, at.path());
  run_well({"train", "e.toml", "--out", "long", "--set", "rounds=60", "--set", "eval.steps=[0]"}, at.path());
  const Words line{"compare", "a", "scratch", "pretrain", "oracle=long", "--columns"};
  Words as_json = line;
  as_json.push_back("--json");
  const Json said = Json::parse(run_well(as_json, at.path()).out);
  EXPECT_EQ(said["columns"], Json({"scratch", "pooled", "transfer", "meta", "oracle"}));
  ASSERT_EQ(said["rows"].size(), 2u);
  const auto of = [&](const std::string& run) { return json_file(at / (run + "/summary.json"))["eval"]; };
  for (size_t k = 0; k < 2; ++k) {
    const Json& row = said["rows"][k];
    EXPECT_EQ(row["scratch"]["mean"], of("scratch")["mean"][k]);
    EXPECT_EQ(row["transfer"]["ci95"], of("pretrain")["ci95"][k]);
    EXPECT_EQ(row["meta"]["mean"], of("a")["mean"][k]);
    // Neither adapts: one score for all lines.
    EXPECT_EQ(row["pooled"]["mean"], of("pretrain")["mean"][0]);
    EXPECT_EQ(row["oracle"]["mean"], of("long")["mean"][0]);
  }
  const Json pairs = Json::parse(run_well({"compare", "a", "scratch", "--paired", "--json"}, at.path()).out);
  for (const Json& g : said["gaps"]) {
    if (g["rival"] != "scratch") continue;
    const Json& pair = pairs["rows"][g["steps"].get<size_t>()];
    EXPECT_NEAR(g["difference"].get<double>(), pair["difference"].get<double>(), 1e-12);
    EXPECT_NEAR(g["ci95"].get<double>(), pair["ci95"].get<double>(), 1e-12);
  }
  const std::string text = run_well(line, at.path()).out;
  for (const std::string word :
       {"scratch", "pooled", "transfer", "meta", "oracle", "meta less transfer after 1 step"})
    EXPECT_TRUE(holds(text, word)) << text;
}

// Who knows its task is the oracle; it and who sees more of it are paired with who does not.
TEST(Columns, WhoIsToldItsTaskIsTheOracle) {
  TempDir at;
  const std::string file =
      "rounds = 1\ntasks = 2\n[task]\nkind = \"control\"\ncopies = 2\nvary = [\"team\"]\n"
      "[task.world]\nkind = \"payloads\"\nlimit = 5\n[model]\nkind = \"mlp\"\nhidden = [4]\n"
      "[learner]\nkind = \"ippo\"\n[exchange]\ntopology = \"none\"\n[eval]\nsteps = [0]\ntasks = 6\n";
  spill(at / "w.toml", file);
  run_well({"train", "w.toml", "--out", "plain"}, at.path());
  const auto with = [&](const std::string& setting, Words command, const Json& columns) {
    run_well({"train", "w.toml", "--out", "told", "--set", setting, "--force"}, at.path());
    command.insert(command.begin(), "compare");
    command.insert(command.end(), {"--columns", "--json"});
    const Json said = Json::parse(run_well(command, at.path()).out);
    EXPECT_EQ(said["columns"], columns) << setting;
    const Json paired =
        Json::parse(run_well({"compare", "plain", "told", "--paired", "--json"}, at.path()).out);
    EXPECT_EQ(paired["tasks"], 6) << setting;
  };
  const Words both{"plain", "told"};
  with("task.context=true", both, {"meta", "oracle"});
  with("task.world.told=true", both, {"meta", "oracle"});  // an option of the world's own
  with("task.player_index=false", {"told"}, Json::array({"meta"}));
  run_well({"train", "w.toml", "--out", "other", "--set", "task.world.limit=6"}, at.path());
  const auto refusal = run({"compare", "plain", "other", "--paired"}, at.path());
  EXPECT_TRUE(holds(refusal.err, "task.world.limit (5 and 6)")) << refusal.err;
}

// A world says of each of its scores which way it goes; what goes no way, and what a run of an older version
// doesn't say, is refused.
TEST(Directions, AreThoseOfTheScore) {
  TempDir at;
  spill(at / "w.toml",
        "rounds = 1\ntasks = 2\n[task]\nkind = \"control\"\ncopies = 2\n[task.world]\nkind = "
        "\"intersection\"\nlimit = 3\n[model]\nkind = \"mlp\"\nhidden = [4]\n[learner]\nkind = \"ippo\"\n"
        "[rival]\nkind = \"faster\"\n[exchange]\ntopology = \"none\"\n[eval]\nsteps = [0]\ntasks = 6\n");
  run_well({"train", "w.toml", "--out", "a"}, at.path());
  run_well({"train", "w.toml", "--out", "b", "--set", "learner.lr=0.1"}, at.path());
  const auto pair = [&](const std::string& metric) {
    return Words{"compare", "a", "b", "--paired", "--metric", metric};
  };
  const auto higher = [&](const std::string& metric) {
    const std::string said = run_well(pair(metric), at.path()).out;
    EXPECT_NE(holds(said, "lower is better"), holds(said, "higher is better")) << said;
    return holds(said, "higher is better");
  };
  for (const char* up : {"return", "arrived", "rival_arrived", "rival_return"}) EXPECT_TRUE(higher(up)) << up;
  for (const char* down : {"crashed", "seconds", "rival_crashed"}) EXPECT_FALSE(higher(down)) << down;
  expect_refusal(run(pair("length"), at.path()), {"a", "more of \"length\" is better", "arrived, crashed"});
  for (const char* run : {"a", "b"}) {
    Json old = json_file(at / run + "/summary.json");
    old["eval"].erase("directions");
    spill(at / run + "/summary.json", old.dump());
  }
  EXPECT_TRUE(higher("return"));
  expect_refusal(run(pair("crashed"), at.path()), {"a", "more of \"crashed\" is better", "symma eval a"});
}

TEST(Directions, OfClassesAreKnown) {
  TempDir at;
  spill(at / "e.toml", kSines);
  for (const std::string seed : {"1", "2"})
    run_well(
        {"train", "e.toml", "--out", seed, "--set", "task.kind=blobs", "--set", "learner.inner_lr=0." + seed},
        at.path());
  for (const std::string metric : {"accuracy", "loss", "support_loss", "calibration_error"}) {
    const Json said =
        Json::parse(run_well({"compare", "1", "2", "--paired", "--json", "--metric", metric}, at.path()).out);
    EXPECT_EQ(said["higher_is_better"], metric == "accuracy") << metric;
  }
}

// A rival that plays apart is named below the scores, by its mean over the same tasks.
TEST(Rivals, StandBesideTheScores) {
  TempDir at;
  spill(at / "w.toml",
        "rounds = 1\ntasks = 2\n[task]\nkind = \"control\"\nvary = [\"team\"]\n[task.world]\nkind = "
        "\"payloads\"\nlimit = 20\n[model]\nkind = \"mlp\"\nhidden = [4]\n[learner]\nkind = \"ippo\"\n"
        "[rival]\nkind = \"carry\"\n[exchange]\ntopology = \"none\"\n[eval]\nsteps = [0, 1]\ntasks = 5\n");
  const std::string said = run_well({"train", "w.toml", "--out", "run"}, at.path()).out;
  const Json rule = json_file(at / "run/summary.json")["eval"]["rules"]["carry"];
  const auto scores = symma::read_scores(at / "run/scores.csv", "test", "rival_return");
  double sum = 0;
  for (const double x : scores.at(0)) sum += x / 5;
  EXPECT_NEAR(rule["mean"].get<double>(), sum, 1e-6);
  EXPECT_GT(rule["ci95"].get<double>(), 0);
  EXPECT_TRUE(holds(said, "carry")) << said;
  EXPECT_TRUE(holds(symma::read_file(at / "run/report.html"), "<th scope=\"row\">carry"));
}

// Runs of one column that differ by the seed are pooled, by Student's t.
TEST_F(Pair, ColumnsPoolSeeds) {
  run_well({"train", "e.toml", "--out", "c", "--set", "seed=2"}, at.path());
  const Json said =
      Json::parse(run_well({"compare", "meta=a", "meta=c", "--columns", "--json"}, at.path()).out);
  const double x = json_file(at / "a/summary.json")["eval"]["mean"][1],
               y = json_file(at / "c/summary.json")["eval"]["mean"][1];
  EXPECT_NEAR(said["rows"][1]["meta"]["mean"].get<double>(), (x + y) / 2, 1e-12);
  EXPECT_NEAR(said["rows"][1]["meta"]["ci95"].get<double>(), 12.706204736 * std::abs(x - y) / 2, 1e-6);
  // In the order of their seeds, however they are named: pairs are of one seed.
  for (const std::string seed : {"1", "2"})
    run_well(
        {"train", "e.toml", "--out", "s" + seed, "--set", "learner.kind=scratch", "--set", "seed=" + seed},
        at.path());
  const auto gaps = [&](const Words& runs) {
    Words words{"compare"};
    words.insert(words.end(), runs.begin(), runs.end());
    words.insert(words.end(), {"--columns", "--json"});
    return Json::parse(run_well(words, at.path()).out)["gaps"];
  };
  EXPECT_EQ(gaps({"a", "c", "s1", "s2"}), gaps({"a", "c", "s2", "s1"}));
  EXPECT_EQ(gaps({"a", "c", "s2", "s1"})[0]["over"], "seeds");
  // What differs in more than the seed, or not even in that, is no sample.
  run_well({"train", "e.toml", "--out", "other", "--set", "seed=2", "--set", "learner.inner_lr=0.02"},
           at.path());
  refused({"a", "other", "--columns"},
          {"a and other are both of meta", "learner.inner_lr (", "0.02", "seeds"});
  run_well({"train", "e.toml", "--out", "short", "--set", "seed=2", "--set", "rounds=3"}, at.path());
  refused({"a", "short", "--columns"}, {"differ in rounds ("});
  refused({"a", "c", "a", "--columns"}, {"a and a are both of meta", "of one seed, 1"});
  refused({"best=a", "--columns"}, {"best", "scratch, pooled"});
  refused({"gone", "--columns"}, {"gone", "symma train"});
  refused({"a", "--columns", "--paired"}, {"--columns", "--paired"});
  run_well({"train", "e.toml", "--out", "d", "--set", "task.kind=blobs"}, at.path());
  refused({"a", "d", "--columns"}, {"d", "accuracy", "mse"});
}

TEST_F(Pair, WhatIsNotThereIsRefused) {
  refused({"a", "gone", "--paired"}, {"gone", "symma train"});
  refused({"a", "--paired"}, {"1 runs", "two"});
  refused({"a", "b", "--paired", "--steps", "7"}, {"0, 1", "--steps"});
  refused({"a", "b", "--paired", "--metric", "accuracy"}, {"a/scores.csv", "accuracy", "mse"});
  fs::remove(at / "b/scores.csv");
  refused({"a", "b", "--paired"}, {"b/scores.csv", "no such file"});
  spill(at / "b/scores.csv", "split,agent,task,steps,mse\ntest,0,0,zero,1\n");
  refused({"a", "b", "--paired"}, {"b/scores.csv:2", "steps"});
  fs::remove(at / "b/summary.json");
  refused({"a", "b", "--paired"}, {"b", "symma eval b"});
}

}  // namespace
