// symma bench: the form of what it says, and what it refuses. The rates themselves are this machine's.
#include "cli/program.h"

namespace program {
namespace {

TEST(Bench, MamlAsJsonHasTheNumbersThatScriptsRead) {
  TempDir at;
  const Result r = run_well({"bench", "maml", "--json", "--inner-steps", "2", "--tasks", "3", "--shots", "4",
                             "--hidden", "8,7", "--seconds", "0.01"},
                            at.path());
  const Json j = Json::parse(r.out);
  for (const char* key : {"tasks_per_s", "gflops", "sgemm_gflops", "of_sgemm", "tasks_per_cpu_s"})
    EXPECT_GT(j.at(key).get<double>(), 0) << key;
  EXPECT_EQ(j.at("threads"), 1);
  // The count of operations: M = 8 + 56 + 7 weights, 8 of them in the first layer; 3 passes forward and
  // backward, 2 of derivatives, 4 points.
  const double flop = 2.0 * 4 * (3 * (3 * 71 - 8) + 2 * (6 * 71 - 4 * 8));
  EXPECT_NEAR(1e9 * j["gflops"].get<double>() / j["tasks_per_s"].get<double>(), flop, 1e-6 * flop);
}

// Without the one thread that run() asks for.
Result run_with(const std::string& threads, const fs::path& folder) {
  return Process({SYMMA_PROGRAM, "bench", "maml", "--json", "--seconds", "0.01", "--threads", threads},
                 folder)
      .wait();
}

TEST(Bench, ThreadsAreHonoured) {
  TempDir at;
  for (const char* threads : {"1", "3"}) {
    const Result r = run_with(threads, at.path());
    ASSERT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(Json::parse(r.out).at("threads"), std::stoi(threads));
  }
  expect_refusal(run_with("-1", at.path()), {"--threads"});
}

TEST(Bench, EveryOneHasATable) {
  TempDir at;
  const std::map<std::string, Words> small{
      {"maml", {"--part", "train", "--seconds", "0.01"}},
      {"policy", {"--hidden", "4", "--tasks", "2", "--copies", "3", "--seconds", "0.01"}},
      {"conv", {"--channels", "4", "--blocks", "2", "--size", "8", "--tasks", "2", "--seconds", "0.01"}},
      {"exchange", {"--rows", "9", "--columns", "33", "--seconds", "0.01"}},
      {"evolution", {"--dims", "3", "--searches", "3", "--population", "12"}},
      {"optimizer", {"--tasks", "3", "--unroll", "2", "--seconds", "0.01"}},
      {"round", {"--settings", "tasks=2 model.hidden=[4]", "--seconds", "0.01"}},
      {"fleet", {"--agents", "20", "--rounds", "2", "--hidden", "8"}}};
  const Json parts = Json::parse(run_well({"list", "Benchmark", "--json"}, at.path()).out);
  for (const auto& part : parts["Benchmark"]) {
    const std::string name = part["name"];
    ASSERT_TRUE(small.contains(name)) << "no small size is given here for " << name;
    Words command{"bench", name};
    command.insert(command.end(), small.at(name).begin(), small.at(name).end());
    const Result r = run_well(command, at.path());
    EXPECT_TRUE(r.out.starts_with(name + ": ")) << r.out;
    EXPECT_TRUE(holds(r.out, "threads")) << r.out;
    command.push_back("--json");
    const Json j = Json::parse(run_well(command, at.path()).out);
    for (const auto& [key, value] : j.items())
      EXPECT_TRUE(value.is_number() && value > 0) << name << " " << key;
  }
}

TEST(Bench, RoundsOfAnyFile) {
  TempDir at;
  spill(at / "e.toml", kSines);
  const auto measured = [&](const Words& more) {
    Words words{"bench", "--json", "--times", "3", "round", "--file", "e.toml"};
    words.insert(words.end(), more.begin(), more.end());
    return Json::parse(run_well(words, at.path()).out);
  };
  // Two agents with two tasks each; a hidden layer of 8, then of 5.
  const Json plain = measured({}), other = measured({"--settings", "learner.kind=reptile model.hidden=[5]"});
  EXPECT_NEAR(plain["tasks_per_cpu_s"].get<double>(), 4 * plain["rounds_per_cpu_s"].get<double>(), 1e-6);
  EXPECT_EQ(plain["parameters"], 8 + 8 + 8 + 1);
  EXPECT_EQ(other["parameters"], 5 + 5 + 5 + 1);
  EXPECT_TRUE(plain["sgemm_gflops"].is_null()) << "no yardstick where instructions are counted";
  expect_refusal(run({"bench", "round", "--file", "nowhere.toml"}, at.path()), {"nowhere.toml"});
  expect_refusal(run({"bench", "round", "--settings", "learner.kind=mamll"}, at.path()),
                 {"did you mean maml"});
}

TEST(Bench, BadOptionsAreRefused) {
  TempDir at;
  expect_refusal(run({"bench", "mamel"}, at.path()), {"mamel"});
  expect_refusal(run({"bench", "maml", "--inner-steps", "0"}, at.path()), {"inner_steps"});
  expect_refusal(run({"bench", "maml", "--tasks", "many"}, at.path()), {"tasks", "many"});
  expect_refusal(run({"bench", "maml", "--hidden", "40,0"}, at.path()), {"hidden"});
  expect_refusal(run({"bench", "maml", "--hidden", "40,wide"}, at.path()), {"hidden"});
  expect_refusal(run({"bench", "maml", "--part", "all"}, at.path()), {"part", "kernel"});
  expect_refusal(run({"bench", "maml", "--no-such-option", "1"}, at.path()), {"--no-such-option"});
  expect_refusal(run({"bench", "fleet", "--agents", "2"}, at.path()), {"agents"});
}

}  // namespace
}  // namespace program
