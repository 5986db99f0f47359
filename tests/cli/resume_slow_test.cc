// A run is a function of its settings and seed: not of interruptions, not of threads.
#include "cli/program.h"

namespace {

using namespace program;

const char* const kSixSines = R"(agents = 6
rounds = 900
tasks = 4
log_every = 7
checkpoint_every = 60
[task]
kind = "sinusoid"
[model]
hidden = [16]
[learner]
kind = "maml"
learn_lr = true
[exchange]
topology = "ring"
[eval]
tasks = 12
steps = [0, 1]
validation_tasks = 4
)";

// The same fleet with the other ways to learn and to share.
const Words kOther{"--set", "learner={kind=\"reptile\", optimizer=\"adam\", meta_lr=0.001}",
                   "--set", "exchange.topology=star",
                   "--set", "exchange.payload=updates",
                   "--set", "exchange.every=3",
                   "--set", "exchange.strategy=combine-then-adapt"};

const char* const kDrawings = R"(agents = 2
rounds = 40
tasks = 2
log_every = 3
checkpoint_every = 5
[task]
kind = "images"
path = ["drawings"]
ways = 3
queries = 2
test_queries = 2
side = 16
[model]
kind = "conv"
channels = 4
blocks = 2
norm = "running"
[learner]
kind = "maml"
inner_lr = 0.1
[exchange]
topology = "full"
[eval]
tasks = 6
steps = [0, 1]
validation_tasks = 4
)";

const char* kTeam = R"(
agents = 2
tasks = 1
rounds = 400
log_every = 4
checkpoint_every = 12
[task]
kind = "control"
copies = 4
[task.world]
kind = "foraging"
rows = 6
columns = 6
limit = 20
[model]
kind = "mlp"
hidden = [16]
[learner]
kind = "qmix"
buffer = 50
batch = 8
[exchange]
topology = "full"
every = 10
[eval]
steps = [0]
tasks = 4
validation_tasks = 2
)";

Words joined(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// The rows of metrics.jsonl without the time that each took.
std::vector<Json> rows(const fs::path& folder) {
  std::vector<Json> out;
  for (const auto& line : lines(slurp(folder / "metrics.jsonl"))) {
    Json row = Json::parse(line, nullptr, false);
    EXPECT_TRUE(row.is_object()) << line;
    if (row.is_object()) {
      row.erase("seconds");
      row.erase("env_steps_per_s");
    }
    out.push_back(row);
  }
  return out;
}

void expect_same_run(const fs::path& a, const fs::path& b) {
  Tensors x = read_tensors(a / "checkpoint.safetensors"), y = read_tensors(b / "checkpoint.safetensors");
  EXPECT_EQ(x.metadata, y.metadata);
  EXPECT_EQ(x.tensors.erase("seconds"), 1u);
  EXPECT_EQ(y.tensors.erase("seconds"), 1u);
  ASSERT_TRUE(x.tensors.contains("theta"));
  EXPECT_GT(x.tensors["theta"].bytes.size(), 0u);
  ASSERT_EQ(x.tensors.size(), y.tensors.size());
  for (const auto& [name, t] : x.tensors)
    EXPECT_TRUE(t == y.tensors[name]) << "tensor " << name << " differs";
  const auto p = rows(a), q = rows(b);
  ASSERT_EQ(p.size(), q.size());
  for (size_t i = 0; i < p.size(); ++i) ASSERT_EQ(p[i], q[i]) << "row " << i;
  Json s = json_file(a / "summary.json"), t = json_file(b / "summary.json");
  EXPECT_EQ(s["eval"], t["eval"]);
  EXPECT_EQ(s["exchange"], t["exchange"]);
  expect_nothing_half_written(a);
  expect_nothing_half_written(b);
}

size_t row_count(const fs::path& folder) {
  return lines(slurp(folder / "metrics.jsonl")).size();
}

// Starts the run, or goes on with it, and kills it as soon as it has a checkpoint and `more` rows beyond
// those it had.
void kill_midway(const Words& arguments, const fs::path& at, const fs::path& folder, size_t more) {
  const size_t had = row_count(folder);
  Process p(command_line(arguments), at);
  EXPECT_TRUE(wait_until(
      [&] { return fs::exists(folder / "checkpoint.safetensors") && row_count(folder) >= had + more; }));
  p.send(SIGKILL);
  const Result r = p.wait();
  EXPECT_EQ(r.signal, SIGKILL) << "it ended before it could be killed\n" << r.err;
  EXPECT_FALSE(fs::exists(folder / "summary.json"));
}

TEST(Resume, AfterKillEqualsTheUnbrokenRun) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  run_well({"train", "s.toml", "--out", "unbroken"}, at.path());
  kill_midway({"train", "s.toml", "--out", "broken"}, at.path(), at / "broken", 20);
  kill_midway({"train", "s.toml", "--resume", "--out", "broken"}, at.path(), at / "broken", 25);
  run_well({"train", "--resume", "--out", "broken"}, at.path());
  expect_same_run(at / "unbroken", at / "broken");
}

TEST(Resume, AfterKillWithAnotherLearnerAndExchange) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  run_well(joined({"train", "s.toml", "--out", "unbroken"}, kOther), at.path());
  kill_midway(joined({"train", "s.toml", "--out", "broken"}, kOther), at.path(), at / "broken", 30);
  run_well({"train", "--resume", "--out", "broken"}, at.path());
  expect_same_run(at / "unbroken", at / "broken");
}

TEST(Resume, AfterKillOnDrawingsWithRunningStatistics) {
  TempDir at;
  spill(at / "d.toml", kDrawings);
  write_drawings(at / "drawings", 4, 4, 4);
  run_well({"train", "d.toml", "--out", "unbroken"}, at.path());
  kill_midway({"train", "d.toml", "--out", "broken"}, at.path(), at / "broken", 3);
  run_well({"train", "--resume", "--out", "broken"}, at.path());
  expect_same_run(at / "unbroken", at / "broken");
}

TEST(Resume, AfterKillOfTeamsThatKeepEpisodes) {
  TempDir at;
  spill(at / "t.toml", kTeam);
  for (const Words& set : {Words{}, Words{"--set", "learner={kind=\"mappo\"}"}}) {
    run_well(joined({"train", "t.toml", "--force", "--out", "unbroken"}, set), at.path());
    fs::remove_all(at / "broken");
    kill_midway(joined({"train", "t.toml", "--out", "broken"}, set), at.path(), at / "broken", 10);
    run_well({"train", "--resume", "--out", "broken"}, at.path());
    expect_same_run(at / "unbroken", at / "broken");
  }
}

TEST(Resume, AfterAKillBeforeTheFirstCheckpointStartsAgain) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  const Words set{"--set", "rounds=500", "--set", "checkpoint_every=100000"};
  run_well(joined({"train", "s.toml", "--out", "unbroken"}, set), at.path());
  {
    Process p(command_line(joined({"train", "s.toml", "--out", "broken"}, set)), at.path());
    ASSERT_TRUE(wait_until([&] { return row_count(at / "broken") > 10; }));
    p.send(SIGKILL);
    ASSERT_EQ(p.wait().signal, SIGKILL);
  }
  EXPECT_FALSE(fs::exists(at / "broken/checkpoint.safetensors"));
  run_well({"train", "--resume", "--out", "broken"}, at.path());
  expect_same_run(at / "unbroken", at / "broken");
}

// What a kill can leave in the middle of a write: half a row, and a file beside the checkpoint.
TEST(Resume, OverATornRowAndALeftoverFile) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  run_well({"train", "s.toml", "--out", "unbroken"}, at.path());
  kill_midway({"train", "s.toml", "--out", "broken"}, at.path(), at / "broken", 20);
  std::ofstream(at / "broken/metrics.jsonl", std::ios::app) << "{\"round\":123,\"sec";
  spill(at / "broken/checkpoint.safetensors.part", "half");
  run_well({"train", "--resume", "--out", "broken"}, at.path());
  expect_same_run(at / "unbroken", at / "broken");
}

// Ctrl-C stops after the round, saves and exits with 130; the command that it prints goes on, wherever the
// run lies.
void interrupt_and_go_on(const std::string& folder) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  run_well({"train", "s.toml", "--out", "unbroken"}, at.path());
  Result r;
  {
    Process p(command_line({"train", "s.toml", "--out", folder}), at.path());
    ASSERT_TRUE(wait_until([&] { return row_count(at / folder) > 20; }));
    p.send(SIGINT);
    r = p.wait();
  }
  EXPECT_EQ(r.code, 130) << "signal " << r.signal << "\n" << r.err;
  ASSERT_FALSE(r.err.empty());
  const std::string last = lines(r.err).back(), mark = "go on with: symma ";
  EXPECT_TRUE(last.starts_with("stopped after round ")) << last;
  const auto from = last.find(mark);
  ASSERT_NE(from, std::string::npos) << last;
  EXPECT_FALSE(fs::exists(at / (folder + "/summary.json")));
  const auto stopped = std::stoll(last.substr(std::strlen("stopped after round ")));
  EXPECT_GT(stopped, 0);
  EXPECT_LT(stopped, 900);

  const Result on =
      Process({"/bin/sh", "-c", SYMMA_PROGRAM " " + last.substr(from + mark.size())}, at.path()).wait();
  EXPECT_EQ(on.code, 0) << on.err;
  expect_same_run(at / "unbroken", at / folder);
}

TEST(Interrupt, StopsSavesAndSaysHowToGoOn) {
  interrupt_and_go_on("run");
}
TEST(Interrupt, TheCommandItPrintsHoldsForAFolderWithASpace) {
  interrupt_and_go_on("my run");
}

TEST(Resume, WithOtherSettingsIsRefused) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  run_well({"train", "s.toml", "--out", "run", "--set", "rounds=20"}, at.path());
  const std::string before = slurp(at / "run/checkpoint.safetensors");
  const Result r = run(
      {"train", "s.toml", "--out", "run", "--resume", "--set", "rounds=20", "--set", "learner.inner_lr=0.5"},
      at.path());
  expect_refusal(r, {"run/experiment.toml", "other settings", "learner.inner_lr: 0.01, and 0.5", "--out"},
                 true);
  EXPECT_EQ(before, slurp(at / "run/checkpoint.safetensors"));
}

// More rounds are the one change that a run can go on with, and what it then is, its file says.
TEST(Resume, WithMoreRoundsEqualsTheLongRunAndKeepsItsLength) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  const Words set{"--set", "eval.every=70"};
  run_well(joined({"train", "s.toml", "--out", "long", "--set", "rounds=420"}, set), at.path());
  run_well(joined({"train", "s.toml", "--out", "run", "--set", "rounds=210"}, set), at.path());
  run_well(joined({"train", "s.toml", "--out", "run", "--resume", "--set", "rounds=420"}, set), at.path());
  expect_same_run(at / "long", at / "run");
  EXPECT_TRUE(holds(slurp(at / "run/experiment.toml"), "rounds = 420 "))
      << "the run's file says another length than the run has";
}

TEST(Train, RefusesAFolderThatHoldsARunUnlessForced) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  run_well({"train", "s.toml", "--out", "run", "--set", "rounds=20"}, at.path());
  const std::string before = slurp(at / "run/checkpoint.safetensors");
  expect_refusal(run({"train", "s.toml", "--out", "run", "--set", "rounds=30"}, at.path()),
                 {"run", "holds a run already", "--resume", "--force", "--out"}, true);
  EXPECT_EQ(before, slurp(at / "run/checkpoint.safetensors"));
  run_well({"train", "s.toml", "--out", "run", "--set", "rounds=30", "--force"}, at.path());
  EXPECT_EQ(json_file(at / "run/summary.json")["rounds"], 30);
}

void expect_threads_do_not_matter(const fs::path& at, const Words& arguments) {
  for (const char* n : {"1", "2"}) {
    const Result r =
        Process(joined(joined({SYMMA_PROGRAM, "--threads", n, "train"}, arguments), {"--out", n}), at).wait();
    ASSERT_EQ(r.code, 0) << r.err;
  }
  EXPECT_EQ(json_file(at / "1/summary.json")["threads"], 1);
  EXPECT_EQ(json_file(at / "2/summary.json")["threads"], 2);
  expect_same_run(at / "1", at / "2");
}

TEST(Threads, DoNotMatterToMaml) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  expect_threads_do_not_matter(at.path(), {"s.toml", "--set", "rounds=150"});
}

TEST(Threads, DoNotMatterToMamlOfTheUsualSize) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  expect_threads_do_not_matter(
      at.path(), {"s.toml", "--set", "rounds=60", "--set", "model.hidden=[40, 40]", "--set", "tasks=25"});
}

TEST(Threads, DoNotMatterToReptile) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  expect_threads_do_not_matter(at.path(), joined({"s.toml", "--set", "rounds=100"}, kOther));
}

TEST(Threads, DoNotMatterToImaml) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  expect_threads_do_not_matter(
      at.path(), {"s.toml", "--set", "rounds=20", "--set", "learner={kind=\"imaml\", inner_lr=0.01}"});
}

TEST(Threads, DoNotMatterToPrototypes) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  expect_threads_do_not_matter(at.path(), {"s.toml", "--set", "rounds=100", "--set", "task={kind=\"blobs\"}",
                                           "--set", "learner={kind=\"protonet\"}"});
}

TEST(Threads, DoNotMatterToPretraining) {
  TempDir at;
  spill(at / "s.toml", kSixSines);
  expect_threads_do_not_matter(at.path(),
                               {"s.toml", "--set", "rounds=100", "--set", "learner={kind=\"pretrain\"}"});
}

TEST(Threads, DoNotMatterToTeams) {
  TempDir at;
  spill(at / "t.toml", kTeam);
  expect_threads_do_not_matter(at.path(), {"t.toml", "--set", "rounds=60"});
  expect_threads_do_not_matter(
      at.path(), {"t.toml", "--force", "--set", "rounds=60", "--set", "learner={kind=\"ippo\"}"});
}

TEST(Threads, DoNotMatterToConvolutions) {
  TempDir at;
  spill(at / "d.toml", kDrawings);
  write_drawings(at / "drawings", 4, 4, 4);
  expect_threads_do_not_matter(at.path(), {"d.toml", "--set", "rounds=12", "--set", "model.channels=16"});
}

}  // namespace
