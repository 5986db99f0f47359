// symma sweep: killed three times it ends as an unbroken one does; failures cost no other run; halves stop.
#include <random>

#include "cli/program.h"

namespace {

using namespace program;

const std::string kTiny = R"(agents = 2
rounds = 30
tasks = 2
[task]
kind = "sinusoid"
[model]
hidden = [6]
[eval]
tasks = 5
steps = [0, 1]
validation_tasks = 3
)";

// What a run is, without what depends on the clock.
std::map<std::string, std::string> essence(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& [name, t] : read_tensors(folder / "checkpoint.safetensors").tensors)
    if (name != "seconds") out[name] = t.bytes;
  out["scores"] = slurp(folder / "scores.csv");
  out["toml"] = slurp(folder / "experiment.toml");
  Json summary = json_file(folder / "summary.json");
  for (const char* key : {"wall_s", "tasks_per_s", "threads"}) summary.erase(key);
  out["summary"] = summary.dump();
  for (const auto& line : lines(slurp(folder / "metrics.jsonl"))) {
    Json row = Json::parse(line);
    row.erase("seconds");
    out["metrics"] += row.dump();
  }
  return out;
}

std::map<std::string, std::map<std::string, std::string>> all_runs(const fs::path& sweep) {
  std::map<std::string, std::map<std::string, std::string>> out;
  for (const auto& entry : fs::directory_iterator(sweep / "runs"))
    out[entry.path().filename().string()] = essence(entry.path());
  return out;
}

// Runs of a sweep that have come to their end.
size_t done(const fs::path& sweep) {
  size_t out = 0;
  std::error_code none_yet;
  for (const auto& entry : fs::directory_iterator(sweep / "runs", none_yet))
    out += fs::exists(entry.path() / "summary.json");
  return out;
}

TEST(Sweep, KilledThreeTimesEndsAsAnUnbrokenOne) {
  TempDir at;
  spill(at / "e.toml", kTiny);
  const Words over{"sweep",  "e.toml",
                   "--over", "seed=1..6",
                   "--over", "exchange.topology=none,ring",
                   "--over", "learner.kind=maml,pretrain",
                   "--jobs", "2"};
  const auto into = [&](const std::string& out) {
    Words words = over;
    words.insert(words.end(), {"--out", out});
    return words;
  };
  const Result whole = run_well(into("whole"), at.path());
  EXPECT_TRUE(holds(whole.err, "run 24/24")) << whole.err;
  EXPECT_TRUE(holds(whole.out, "by Student's t")) << whole.out;
  std::mt19937 dice(20240611);
  for (int kill = 0; kill < 3; ++kill) {
    // By what is done, for how fast the machine is changes from minute to minute.
    const size_t goal = done(at / "killed") + std::uniform_int_distribution<size_t>(1, 6)(dice);
    Process p(command_line(into("killed")), at.path());
    EXPECT_TRUE(wait_until([&] { return done(at / "killed") >= goal; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution<int>(0, 200)(dice)));
    p.send(kill == 1 ? SIGTERM : SIGKILL);
    const Result r = p.wait();
    if (kill == 1) {
      EXPECT_EQ(r.code, 143) << r.err;
    } else {
      EXPECT_EQ(r.signal, SIGKILL);
    }
  }
  const Result ended = run_well(into("killed"), at.path());
  EXPECT_TRUE(holds(ended.err, "runs are done already")) << ended.err;
  const auto a = all_runs(at / "whole"), b = all_runs(at / "killed");
  ASSERT_EQ(a.size(), 24u);
  EXPECT_EQ(a, b);
  // The sweep's own files, but for times.
  Json one = json_file(at / "whole/sweep.json"), two = json_file(at / "killed/sweep.json");
  for (Json* x : {&one, &two})
    for (auto& arm : (*x)["arms"]) arm.erase("seconds");
  EXPECT_EQ(one, two);
  ASSERT_EQ(one["arms"].size(), 4u);
  EXPECT_EQ(one["arms"][0]["seeds"], Json({1, 2, 3, 4, 5, 6}));
  // The interval is Student's t over the seeds' means: 2.5706 at five degrees.
  double sum = 0, squares = 0;
  for (const auto& r : one["arms"][0]["runs"]) sum += r["mean"].back().get<double>() / 6;
  for (const auto& r : one["arms"][0]["runs"]) squares += std::pow(r["mean"].back().get<double>() - sum, 2);
  EXPECT_NEAR(one["arms"][0]["ci95"].back().get<double>(), 2.5705818 * std::sqrt(squares / 5 / 6), 1e-6);
  EXPECT_EQ(lines(slurp(at / "whole/sweep.csv")).size(), 1u + 24 * 2);
  EXPECT_TRUE(fs::exists(at / "whole/report.html"));
  // A third time there is nothing to do.
  const Result again = run_well(into("killed"), at.path());
  EXPECT_TRUE(holds(again.err, "24 of 24 runs are done already")) << again.err;
  const Result compared = run_well({"compare", "whole", "killed", "--json"}, at.path());
  EXPECT_EQ(Json::parse(compared.out)["arms"][0]["seeds"], Json({1, 2, 3, 4, 5, 6}));  // each of them once
}

TEST(Sweep, FailuresAreToldAndCostNoOther) {
  TempDir at;
  spill(at / "e.toml", kTiny);
  const Result r = run({"sweep", "e.toml", "--over", "learner.kind=maml,nonsense", "--out", "s"}, at.path());
  EXPECT_EQ(r.code, 2);
  EXPECT_TRUE(holds(r.err, "FAILED") && holds(r.err, "nonsense")) << r.err;
  EXPECT_TRUE(lines(r.err).back().starts_with("symma: s: 1 of 2 runs failed")) << r.err;
  EXPECT_TRUE(fs::exists(at / "s/runs/kind=maml/report.html"));
  EXPECT_EQ(json_file(at / "s/sweep.json")["failed"].size(), 1u);
  for (const auto& [words, say] : std::vector<std::pair<Words, Words>>{
           {{"sweep", "e.toml"}, {"--over"}},
           {{"sweep", "e.toml", "--over", "seed"}, {"--over seed", "key=value"}},
           {{"sweep", "e.toml", "--over", "sead=1,2"}, {"sead", "seed"}},
           {{"sweep", "gone.toml", "--over", "seed=1,2"}, {"gone.toml"}},
           {{"sweep", "e.toml", "--over", "seed=1,2", "--out", "s", "--set", "tasks=3"},
            {"s", "another file or other settings", "--force"}}})
    expect_refusal(run(words, at.path()), say);
}

// What is done already is the run that is asked for, or it is refused.
TEST(Sweep, AnothersRunIsNotTakenForDone) {
  TempDir at;
  spill(at / "e.toml", kTiny);
  const std::string name = "of_many_years_and_of_many_places_of_the_";
  const auto over = [](const std::string& axis) {
    return Words{"sweep", "e.toml", "--over", axis, "--out", "s", "--json"};
  };
  run_well(over("name=" + name + "north"), at.path());
  const Result south = run_well(over("name=" + name + "south"), at.path());
  EXPECT_FALSE(holds(south.err, "done already")) << south.err;
  EXPECT_TRUE(holds(Json::parse(south.out)["runs"].dump(), "south")) << south.out;
  // Two settings that end in the same word.
  run_well(over("tasks=5"), at.path());
  run_well(over("tasks=5"), at.path());
  expect_refusal(run(over("eval.tasks=5"), at.path()),
                 {"s/runs/tasks=5", "other settings", "tasks: 5, and 2 is asked for", "--out"});
}

TEST(Sweep, TheWorseHalfStopsEarly) {
  TempDir at;
  spill(at / "e.toml", kTiny + "[sweep]\nover = [\"learner.meta_lr=0.001,0.003,0.01,1e-9\", \"seed=1,2\"]\n");
  const Result r = run_well({"sweep", "e.toml", "--out", "s", "--halve"}, at.path());
  const Json s = json_file(at / "s/sweep.json");
  EXPECT_EQ(s["arms"].size(), 1u) << r.out;
  EXPECT_EQ(s["stopped_early"].size(), 6u) << r.out;
  int short_ones = 0;
  for (const auto& entry : fs::directory_iterator(at / "s/runs")) {
    const auto rows = lines(slurp(entry.path() / "metrics.jsonl"));
    short_ones += Json::parse(rows.back())["round"].get<int>() < 30;
  }
  EXPECT_EQ(short_ones, 6);
  // What ran to its end is what it would have been in one go.
  const std::string name = s["runs"][0]["folder"];
  Words words{"train", "e.toml", "--out", "alone"};
  for (const auto& [key, value] : s["runs"][0]["values"].items())
    words.insert(words.end(), {"--set", key + "=" + value.dump()});
  run_well(words, at.path());
  EXPECT_EQ(essence(at / "alone"), essence(fs::path(at / "s/runs") / name));
}

// Who is not validated, diverged or failed is no half that is better.
TEST(Sweep, OnlyWhatIsValidatedGoesOn) {
  TempDir at;
  spill(at / "e.toml", kTiny);
  const auto halve = [&](const std::string& over, const std::string& out, Words more = {}) {
    Words words{"sweep", "e.toml", "--over", over, "--out", out, "--halve", "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words, at.path());
  };
  expect_refusal(
      halve("learner.inner_lr=0.3,0.1,0.01,0.001", "none", {"--set", "rounds=60", "--set", "log_every=60"}),
      {"sweep --halve", "inner_lr=0.3", "no validation in its first 15 rounds", "log_every"});
  EXPECT_FALSE(fs::exists(at / "none"));
  // The first listed diverge.
  const Result r = halve("learner.inner_lr=1e20,1e19,0.01,1e18", "diverged");
  EXPECT_EQ(r.code, 0) << r.err;
  const Json s = json_file(at / "diverged/sweep.json");
  ASSERT_EQ(s["runs"].size(), 1u) << s["runs"];
  EXPECT_EQ(s["runs"][0]["folder"], "inner_lr=0.01");
  EXPECT_EQ(s["stopped_early"].size(), 3u) << s["stopped_early"];
  EXPECT_TRUE(s["failed"].empty());
  expect_refusal(halve("learner.inner_lr=1e20,1e19", "all"),
                 {"sweep --halve", "no arm has a finite validation"});
  // A failure is told as one, and leaves the others their places.
  const Result f = halve("learner.kind=maml,nonsense,pretrain", "failed");
  EXPECT_EQ(f.code, 2);
  EXPECT_TRUE(holds(f.err, "1 of 3 runs failed")) << f.err;
  const Json failed = json_file(at / "failed/sweep.json");
  ASSERT_EQ(failed["failed"].size(), 1u) << failed;
  EXPECT_TRUE(holds(failed["failed"][0], "nonsense")) << failed["failed"];
  for (const auto& line : failed["stopped_early"]) EXPECT_FALSE(holds(line, "nonsense")) << line;
}

}  // namespace
