// What the program says of privacy, and what it keeps: over the built program.
#include <sys/stat.h>

#include "cli/program.h"

namespace {

using namespace program;

const char* const kFile = R"(agents = 5
rounds = 40
tasks = 2
log_every = 5
checkpoint_every = 10
[task]
kind = "sinusoid"
shots = 4
queries = 4
[model]
hidden = [6]
[exchange]
topology = "star"
payload = "updates"
[privacy]
unit = "agent"
where = "server"
noise = 8
[eval]
tasks = 6
steps = [0, 1]
validation_tasks = 2
)";

int mode_of(const std::string& path) {
  struct stat s {};
  EXPECT_EQ(::stat(path.c_str(), &s), 0) << path;
  return static_cast<int>(s.st_mode & 0777);
}

std::vector<Json> rows(const fs::path& folder) {
  std::vector<Json> out;
  for (const auto& line : lines(slurp(folder / "metrics.jsonl")))
    out.push_back(Json::parse(line, nullptr, false));
  return out;
}

TEST(Privacy, OneFigureStandsInTextChartAndTerminal) {
  TempDir at;
  spill(at / "p.toml", kFile);
  for (const Words& more :
       {Words{}, Words{"--set", "server.share=0.4"}, Words{"--set", "privacy.mechanism=tree"}}) {
    Words line{"train", "p.toml", "--force", "--out", "run"};
    line.insert(line.end(), more.begin(), more.end());
    const Result r = run_well(line, at.path());
    const Json privacy = json_file(at / "run/summary.json")["privacy"];
    const std::string statement = privacy["statement"];
    EXPECT_TRUE(holds(r.out, statement)) << r.out;
    EXPECT_TRUE(holds(slurp(at / "run/report.html"), statement));
    EXPECT_TRUE(holds(slurp(at / "run/experiment.toml"), "adjacency = " + privacy["adjacency"].dump()));
    EXPECT_EQ(rows(at / "run").back()["epsilon"], privacy["epsilon"]);
    EXPECT_GE(std::stod(statement.substr(statement.find("epsilon ") + 8)), privacy["epsilon"].get<double>());
    EXPECT_FALSE(holds(statement, "present or absent"));
    EXPECT_FALSE(holds(r.out + r.err, "protects nothing"));
  }
}

// The progress line tells what is spent by then, whether or not there was a row of the log.
TEST(Privacy, EveryLineTellsWhatIsSpentByThen) {
  TempDir at;
  spill(at / "p.toml", kFile);
  const auto shown = [&](const std::string& every) {
    const Result r =
        run_well({"train", "p.toml", "--set", "log_every=" + every, "--out", "by" + every}, at.path());
    Words out;
    for (const std::string& line : lines(r.err))
      if (line.starts_with("round ") && holds(line, "epsilon "))
        out.push_back(line.substr(line.find("epsilon ")));
    return out;
  };
  const Words often = shown("1");
  EXPECT_GE(often.size(), 9u);
  EXPECT_EQ(shown("40"), often);
}

TEST(Privacy, NoiseOfTheSeedIsSaidToProtectNothingEverywhere) {
  TempDir at;
  spill(at / "p.toml", kFile);
  for (const char* out : {"a", "b"}) {
    const Result r =
        run_well({"train", "p.toml", "--set", "privacy.noise_key=seed", "--out", out}, at.path());
    for (const std::string& said :
         {r.out, r.err, slurp(at.path() / out / "report.html"),
          json_file(at.path() / out / "summary.json")["privacy"]["statement"].get<std::string>()})
      EXPECT_TRUE(holds(said, "protects nothing")) << said.substr(0, 2000);
    for (const Json& row : rows(at.path() / out)) EXPECT_EQ(row["protects"], false);
    EXPECT_FALSE(fs::exists(at.path() / out / "spent.txt"));
  }
  EXPECT_TRUE(read_tensors(at / "a/checkpoint.safetensors").tensors["theta"] ==
              read_tensors(at / "b/checkpoint.safetensors").tensors["theta"]);
}

TEST(Privacy, TwoRunsOfOneSeedHaveOtherNoise) {
  TempDir at;
  spill(at / "p.toml", kFile);
  for (const char* out : {"a", "b"}) run_well({"train", "p.toml", "--out", out}, at.path());
  EXPECT_FALSE(read_tensors(at / "a/checkpoint.safetensors").tensors["theta"] ==
               read_tensors(at / "b/checkpoint.safetensors").tensors["theta"]);
}

TEST(Privacy, FilesThatHoldMessagesAreTheirOwnersAlone) {
  TempDir at;
  spill(at / "p.toml", kFile);
  ::umask(022);
  run_well({"train", "p.toml", "--out", "private"}, at.path());
  EXPECT_EQ(mode_of(at / "private/checkpoint.safetensors"), 0600);
  for (const Words& more : {Words{"--set", "faults.late=0.5"},
                            {"--set", "compression.kind=half"},
                            {"--set", "server.secure=true"}}) {
    Words line{"train", "p.toml", "--force", "--set", "privacy.unit=none", "--out", "messages"};
    line.insert(line.end(), more.begin(), more.end());
    run_well(line, at.path());
    EXPECT_EQ(mode_of(at / "messages/checkpoint.safetensors"), 0600) << more[1];
  }
  run_well({"train", "p.toml", "--set", "privacy.unit=none", "--out", "open"}, at.path());
  EXPECT_EQ(mode_of(at / "open/checkpoint.safetensors"), 0644);
}

TEST(Privacy, WhatWasSaidTwiceAfterAKillCountsTwice) {
  TempDir at;
  spill(at / "p.toml", kFile);
  const Words line{"train", "p.toml",           "--set", "rounds=100000",    "--set", "checkpoint_every=60",
                   "--set", "log_every=100000", "--set", "eval.every=100000"};
  Words first = line;
  first.insert(first.end(), {"--out", "run"});
  {
    Process p(command_line(first), at.path());
    ASSERT_TRUE(wait_until([&] { return fs::exists(at / "run/checkpoint.safetensors"); }));
    p.send(SIGKILL);
    p.wait();
  }
  // As if 25 rounds had been played since that checkpoint.
  const auto counters = read_tensors(at / "run/checkpoint.safetensors").tensors["counters"].bytes;
  int64_t saved = 0;
  std::memcpy(&saved, counters.data(), 8);
  const Words spent = lines(slurp(at / "run/spent.txt"));
  ASSERT_EQ(spent.size(), 1u);
  EXPECT_GE(std::stoll(spent[0].substr(spent[0].rfind(' '))), saved);
  char text[80];
  std::snprintf(text, sizeof text, "rounds %18d to %18lld\n", 0, static_cast<long long>(saved) + 25);
  spill(at / "run/spent.txt", text);
  Process again(
      command_line({"train", "p.toml", "--set", "rounds=100000", "--set", "checkpoint_every=60", "--set",
                    "log_every=100000", "--set", "eval.every=100000", "--resume", "--out", "run"}),
      at.path());
  ASSERT_TRUE(wait_until([&] { return lines(slurp(at / "run/spent.txt")).size() == 2; }));
  again.send(SIGTERM);
  const Result r = again.wait();
  EXPECT_TRUE(holds(r.err, "noise is drawn anew")) << r.err;
  run_well({"eval", "run"}, at.path());
  const Json summary = json_file(at / "run/summary.json");
  // 25, and one more where the signal came within the first round: it was cut short, and may have said all.
  const auto twice = summary["privacy"]["steps"].get<int64_t>() - summary["rounds"].get<int64_t>();
  EXPECT_TRUE(twice == 25 || (twice == 26 && summary["rounds"] == saved))
      << twice << " " << summary["rounds"];
  EXPECT_TRUE(holds(summary["privacy"]["statement"], std::to_string(twice) + " rounds were played again"))
      << summary["privacy"]["statement"];
}

}  // namespace
