// Two processes and one folder; folders that go; processors that are not ours.
#include <sched.h>

#include "cli/program.h"

namespace {

using namespace program;

const std::string kLong =
    "agents = 2\nrounds = 2000000\ntasks = 2\nlog_every = 50\n[task]\nkind = \"sinusoid\"\n[model]\nhidden = "
    "[8]\n[eval]\ntasks = 6\nsteps = [0, 1]\nvalidation_tasks = 4\n";

bool begun(const fs::path& run) {
  return lines(slurp(run / "metrics.jsonl")).size() >= 4;
}

TEST_F(BadInput, OneTrainsInAFolderAtATime) {
  spill(at / "e.toml", kLong);
  Process first(command_line({"train", "e.toml", "--out", "run"}), at.path());
  ASSERT_TRUE(wait_until([&] { return begun(at / "run"); }));
  for (const Words& more :
       {Words{"e.toml", "--force"}, Words{"e.toml", "--resume"}, Words{"--resume"}, Words{"e.toml"}}) {
    Words words{"train", "--out", "run"};
    words.insert(words.end(), more.begin(), more.end());
    expect_refusal(run(words, at.path()), {"run: another symma is training in it", "--out"}, true);
  }
  first.send(SIGTERM);
  EXPECT_EQ(first.wait().code, 128 + SIGTERM);
  // It left nothing behind that keeps others out, nor does a killed one.
  Process second(command_line({"train", "--resume", "--out", "run"}), at.path());
  const size_t rows = lines(slurp(at / "run/metrics.jsonl")).size();
  ASSERT_TRUE(wait_until([&] { return lines(slurp(at / "run/metrics.jsonl")).size() > rows; }));
  second.send(SIGKILL);
  second.wait();
  run_well({"train", "e.toml", "--force", "--out", "run", "--set", "rounds=5"}, at.path());
}

TEST_F(BadInput, TwoBeginAtOnce) {
  spill(at / "e.toml", kSines);
  for (int k = 0; k < 3; ++k) {
    const std::string out = "run" + std::to_string(k);
    Process a(command_line({"train", "e.toml", "--out", out}), at.path()),
        b(command_line({"train", "e.toml", "--out", out}), at.path());
    const Result ra = a.wait(), rb = b.wait();
    // One at least is done; the other was refused, or came so late that it found a run.
    EXPECT_TRUE((ra.code == 0 && rb.code == 2) || (ra.code == 2 && rb.code == 0)) << ra.err << rb.err;
    EXPECT_EQ(lines(slurp(at / (out + "/metrics.jsonl"))).size(), 20u);
  }
}

TEST_F(BadInput, AFolderThatGoes) {
  spill(at / "e.toml", kLong);
  for (const bool moved : {false, true}) {
    Process p(command_line({"train", "e.toml", "--out", "run"}), at.path());
    ASSERT_TRUE(wait_until([&] { return begun(at / "run"); }));
    const auto start = std::chrono::steady_clock::now();
    if (moved)
      fs::rename(at / "run", at / "elsewhere");
    else
      fs::remove_all(at / "run");
    const Result r = p.wait();
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 10);
    EXPECT_EQ(r.code, 2);
    EXPECT_TRUE(holds(lines(r.err).back(), "run: was removed, moved or replaced")) << r.err;
    EXPECT_FALSE(fs::exists(at / "run"));
  }
}

TEST_F(BadInput, ThreadsAreThoseThatItMayUse) {
  spill(at / "e.toml", kSines);
  const Result r =
      Process({"taskset", "-c", "0", SYMMA_PROGRAM, "train", "e.toml", "--out", "run"}, at.path()).wait();
  if (r.code == 127) GTEST_SKIP() << "this needs taskset";
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(json_file(at / "run/summary.json")["threads"], 1);
}

}  // namespace
