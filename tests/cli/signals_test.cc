// The program among others: what signals, closed pipes and full disks do to a run.
#include <sys/stat.h>

#include <set>

#include "cli/program.h"

namespace {

using namespace program;

const std::string kLong =
    "agents = 2\nrounds = 2000000\ntasks = 2\nlog_every = 50\n[task]\nkind = \"sinusoid\"\n[model]\nhidden = "
    "[8]\n[eval]\ntasks = 6\nsteps = [0, 1]\nvalidation_tasks = 4\n";

bool logged(const fs::path& run, size_t rows) {
  return lines(slurp(run / "metrics.jsonl")).size() >= rows;
}

double seconds_to_end(Process& p, int signal, Result& r) {
  const auto start = std::chrono::steady_clock::now();
  p.send(signal);
  r = p.wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Each round of a run has its line once.
void expect_each_line_once(const fs::path& run) {
  std::set<int64_t> seen;
  for (const auto& line : lines(slurp(run / "metrics.jsonl"))) {
    const Json row = Json::parse(line, nullptr, false);
    ASSERT_TRUE(row.is_object()) << line;
    EXPECT_TRUE(seen.insert(row["round"].get<int64_t>()).second) << "twice: round " << row["round"];
  }
}

// Each scalar of each step once, over all event files: (tag, step) pairs, read without the program's reader.
void expect_each_event_once(const fs::path& run) {
  std::set<std::pair<std::string, uint64_t>> seen;
  for (const auto& entry : fs::directory_iterator(run)) {
    if (!entry.path().filename().string().starts_with("events.out")) continue;
    const std::string all = slurp(entry.path());
    for (size_t at = 0; at + 16 <= all.size();) {
      uint64_t size = 0;
      std::memcpy(&size, all.data() + at, 8);
      ASSERT_LE(at + 16 + size, all.size()) << entry.path();
      const std::string event = all.substr(at + 12, size);
      at += 16 + size;
      // 0x09 time[8], 0x10 step, 0x2a summary { 0x0a value { 0x0a tag, 0x15 float } }
      if (event.size() < 10 || event[9] != 0x10) continue;
      uint64_t step = 0;
      size_t i = 10;
      for (int shift = 0; i < event.size(); shift += 7) {
        const auto b = static_cast<uint8_t>(event[i++]);
        step |= static_cast<uint64_t>(b & 0x7f) << shift;
        if (b < 0x80) break;
      }
      if (i + 6 > event.size() || event[i] != 0x2a) continue;
      const std::string tag = event.substr(i + 6, static_cast<uint8_t>(event[i + 5]));
      EXPECT_TRUE(seen.insert({tag, step}).second) << tag << " of step " << step << " twice";
    }
  }
  EXPECT_FALSE(seen.empty());
}

TEST_F(BadInput, AnInterruptedRunSaysSo) {
  spill(at / "e.toml", kLong);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGXCPU}) {
    SCOPED_TRACE(signal);
    const std::string out = "run" + std::to_string(signal);
    Process p(command_line({"train", "e.toml", "--out", out}), at.path());
    ASSERT_TRUE(wait_until([&] { return logged(at / out, 4); }));
    Result r;
    EXPECT_LT(seconds_to_end(p, signal, r), 5);
    EXPECT_EQ(r.code, 128 + signal) << r.err;
    EXPECT_TRUE(holds(r.err, "and saved; go on with: symma train --resume --out " + out)) << r.err;
    EXPECT_TRUE(fs::exists(at / (out + "/checkpoint.safetensors")));
    expect_nothing_half_written(at.path());
    // And on: what was saved is where it goes on from.
    Process again(command_line({"train", "--resume", "--out", out}), at.path());
    const size_t rows = lines(slurp(at / (out + "/metrics.jsonl"))).size();
    ASSERT_TRUE(wait_until([&] { return logged(at / out, rows + 4); }));
    EXPECT_EQ(seconds_to_end(again, SIGKILL, r) < 5, true);
    Process third(command_line({"train", "--resume", "--out", out}), at.path());
    ASSERT_TRUE(wait_until([&] { return logged(at / out, rows + 8); }));
    seconds_to_end(third, SIGTERM, r);
    expect_each_line_once(at / out);
    expect_each_event_once(at / out);
  }
}

TEST_F(BadInput, NohupHolds) {
  spill(at / "e.toml", kLong);
  Words command{"sh", "-c", "trap '' HUP; exec \"$@\"", "x"};
  for (const auto& word : command_line({"train", "e.toml", "--out", "run"})) command.push_back(word);
  Process p(command, at.path());
  ASSERT_TRUE(wait_until([&] { return logged(at / "run", 4); }));
  p.send(SIGHUP);
  const size_t rows = lines(slurp(at / "run/metrics.jsonl")).size();
  ASSERT_TRUE(wait_until([&] { return logged(at / "run", rows + 10); }));
  Result r;
  seconds_to_end(p, SIGTERM, r);
  EXPECT_EQ(r.code, 128 + SIGTERM);
}

TEST_F(BadInput, ASavingSignalSavesAndTheRunGoesOn) {
  spill(at / "e.toml", kLong);
  Process p(command_line({"train", "e.toml", "--out", "run"}), at.path());
  ASSERT_TRUE(wait_until([&] { return logged(at / "run", 4); }));
  EXPECT_FALSE(fs::exists(at / "run/checkpoint.safetensors"));
  p.send(SIGUSR1);
  ASSERT_TRUE(wait_until([&] { return fs::exists(at / "run/checkpoint.safetensors"); }));
  const size_t rows = lines(slurp(at / "run/metrics.jsonl")).size();
  ASSERT_TRUE(wait_until([&] { return logged(at / "run", rows + 10); }));
  Result r;
  seconds_to_end(p, SIGTERM, r);
  EXPECT_EQ(r.code, 128 + SIGTERM);
}

// An evaluation of half an hour, after rounds of no time: it begins and is given up.
TEST_F(BadInput, AnEvaluationHears) {
  for (const std::string& setting :
       {std::string("eval.validation_tasks=3000000"), std::string("eval.tasks=3000000")}) {
    SCOPED_TRACE(setting);
    spill(at / "e.toml",
          "agents = 2\nrounds = 40\ntasks = 2\n[task]\nkind = \"sinusoid\"\n[model]\nhidden = "
          "[64, 64]\n[eval]\ntasks = 6\nsteps = [0, 50]\nvalidation_tasks = 4\n");
    const bool validation = holds(setting, "validation");
    const std::string out = validation ? "v" : "t";
    Process p(command_line({"train", "e.toml", "--out", out, "--set", setting, "--set", "eval.every=20"}),
              at.path());
    ASSERT_TRUE(wait_until([&] { return logged(at / out, validation ? 19 : 40); }));
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    Result r;
    EXPECT_LT(seconds_to_end(p, SIGTERM, r), 5);
    EXPECT_EQ(r.code, 128 + SIGTERM) << r.err;
    EXPECT_TRUE(holds(r.err, "go on with: symma train --resume --out " + out)) << r.err;
    EXPECT_TRUE(fs::exists(at / (out + "/checkpoint.safetensors")));
    expect_each_line_once(at / out);
  }
}

// The line of a round whose validation was given up is written when the run goes on, and all is as in one go.
TEST_F(BadInput, AGivenUpValidationIsMadeUpFor) {
  const std::string file = kSines + "every = 5\n";
  spill(at / "e.toml", file);
  const Words some{"--set", "log_every=5",       "--set", "eval.validation_tasks=20000",
                   "--set", "eval.steps=[0, 10]"};
  const auto train = [&](const Words& first) {
    Words all{"train"};
    all.insert(all.end(), first.begin(), first.end());
    all.insert(all.end(), some.begin(), some.end());
    return command_line(all);
  };
  ASSERT_EQ(Process(train({"e.toml", "--out", "whole"}), at.path()).wait().code, 0);
  int given_up = 0;
  for (int k = 0; k < 12; ++k) {
    Words first{"e.toml", "--out", "cut"};
    if (k > 0) first.push_back("--resume");
    Process p(train(first), at.path());
    std::this_thread::sleep_for(std::chrono::milliseconds(900 + 130 * k));
    Result r;
    seconds_to_end(p, SIGTERM, r);
    given_up += r.code == 128 + SIGTERM;
  }
  ASSERT_EQ(Process(train({"e.toml", "--out", "cut", "--resume"}), at.path()).wait().code, 0);
  EXPECT_GT(given_up, 0);
  const auto told = [&](const char* run) {
    std::vector<Json> out;
    for (const auto& line : lines(slurp(at.path() / run / "metrics.jsonl"))) {
      Json row = Json::parse(line);
      row.erase("seconds");
      out.push_back(row);
    }
    return out;
  };
  EXPECT_EQ(told("cut"), told("whole"));
  expect_each_event_once(at / "cut");
}

// A round of an hour: what it began is forgotten, and the word comes within the time that it may take.
TEST_F(BadInput, ALongRoundHears) {
  spill(at / "e.toml",
        "agents = 1\nrounds = 4\ntasks = 4000000\n[task]\nkind = \"sinusoid\"\n[model]\nhidden = [40, "
        "40]\n[learner]\ninner_steps = 30\n");
  Process p(command_line({"train", "e.toml", "--out", "run", "--set", "tasks=60000"}), at.path());
  ASSERT_TRUE(wait_until([&] { return fs::exists(at / "run/metrics.jsonl"); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  Result r;
  EXPECT_LT(seconds_to_end(p, SIGTERM, r), 12);
  EXPECT_EQ(r.code, 128 + SIGTERM) << r.err;
  EXPECT_TRUE(holds(r.err, "--resume --out run")) << r.err;
}

// A reader that has enough: the run goes on and is whole.
TEST_F(BadInput, AClosedPipe) {
  spill(at / "e.toml", kSines);
  std::string all;
  for (const auto& word : command_line({"train", "e.toml", "--out", "run"})) all += "'" + word + "' ";
  const Result r = Process({"bash", "-c", "set -o pipefail; " + all + "2>&1 | head -1"}, at.path()).wait();
  EXPECT_EQ(r.code, 128 + SIGPIPE) << r.out;
  EXPECT_TRUE(fs::exists(at / "run/summary.json"));
  EXPECT_TRUE(fs::exists(at / "run/report.html"));
  EXPECT_TRUE(fs::exists(at / "run/checkpoint.safetensors"));
  const Result l =
      Process(
          {"bash", "-c", std::string("'") + SYMMA_PROGRAM + "' list | head -1 2>err; echo ${PIPESTATUS[0]}"},
          at.path())
          .wait();
  EXPECT_TRUE(l.err.empty()) << l.err;
  EXPECT_EQ(lines(l.out).back(), std::to_string(128 + SIGPIPE));
}

// What can't be told is no success.
TEST_F(BadInput, AFullStandardOutput) {
  spill(at / "e.toml", kSines);
  run_well({"train", "e.toml", "--out", "run"}, at.path());
  run_well({"train", "e.toml", "--out", "other", "--set", "seed=2"}, at.path());
  spill(at / "few.csv", "x,y\n1,2\n2,\n");
  const std::string program = SYMMA_PROGRAM;
  for (const std::string& words :
       {std::string("--version"), std::string("--help"), std::string("list"), std::string("list --json"),
        std::string("train e.toml --out again"), std::string("eval run"), std::string("compare run other"),
        std::string("report run"), std::string("adapt run --data few.csv"),
        std::string("eval run --set eval.tasks=5"), std::string("train --help")}) {
    SCOPED_TRACE(words);
    const Result r = Process({"bash", "-c", "'" + program + "' " + words + " >/dev/full"}, at.path()).wait();
    EXPECT_EQ(r.code, 2) << r.err;
    EXPECT_TRUE(holds(r.err, "standard output: cannot be written: No space left")) << r.err;
  }
  // Nobody hears the progress; the run is made all the same.
  const Result r =
      Process({"bash", "-c", "'" + program + "' train e.toml --out quiet 2>/dev/full"}, at.path()).wait();
  EXPECT_EQ(r.code, 0);
  // Standard streams that are closed are not taken for files.
  const Result c =
      Process({"bash", "-c", "'" + program + "' train e.toml --out closed 0<&- 1>&- 2>&-"}, at.path()).wait();
  EXPECT_EQ(c.code, 0);
  EXPECT_EQ(read_tensors(at / "closed/checkpoint.safetensors").tensors["theta"],
            read_tensors(at / "quiet/checkpoint.safetensors").tensors["theta"]);
  for (const char* file : {"closed/experiment.toml", "closed/metrics.jsonl", "closed/scores.csv"})
    EXPECT_FALSE(holds(slurp(at / file), "round 20/20")) << file;
}

}  // namespace
