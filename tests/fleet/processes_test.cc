// A fleet in several processes is the fleet in one, bit for bit: what it learned, what it kept, what it sent,
// how it was judged, and what stands in its folder. And four processes are gone on with by two, or by one.
#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "cli/program.h"
#include "fleet/fleets.h"
#include "fleet/ways.h"
#include "symma/core/parallel.h"
#include "symma/core/record.h"
#include "symma/exchange/privacy.h"
#include "symma/fleet/blocks.h"
#include "symma/fleet/roster.h"
#include "symma/fleet/together.h"
#include "symma/transports/hall.h"
#include "transports/ports.h"

namespace symma {
namespace {

namespace fs = std::filesystem;

struct Ended {
  RunState run;
  std::vector<EvalResult> judged;
};

// Runs until hooks.stop says so, which is asked at rows of the log.
Ended in_parts(const Experiment& e, const RunOptions& options,
               const std::vector<std::vector<int64_t>>& shares, const TrainHooks& hooks = {}) {
  Hall hall(shares, 60);
  std::vector<Ended> ended(shares.size());
  std::vector<std::thread> threads;
  for (size_t p = 0; p < shares.size(); ++p) {
    threads.emplace_back([&, p] {
      at::set_num_threads(1);
      const auto seat = hall.seat(p);
      Party party(static_cast<int64_t>(p), shares, *seat);
      RunState& run = ended[p].run;
      train_together(e, options, hooks, party, run);
      ended[p].judged = judge_together(e, party, p == 0 ? run.learner.rows(shares[0]) : run.learner);
    });
  }
  for (auto& t : threads) t.join();
  return std::move(ended[0]);
}

Json without_times(Json row) {
  for (const char* key : {"seconds", "wall_s", "tasks_per_s", "env_steps_per_s", "threads"}) row.erase(key);
  return row;
}

class EveryWay : public testing::TestWithParam<Json> {};
INSTANTIATE_TEST_SUITE_P(Registry, EveryWay, testing::ValuesIn(every_way()));

TEST_P(EveryWay, InThreePartsIsTheWhole) {
  Json sections = GetParam();
  sections["rounds"] = 6;
  sections["log_every"] = 2;
  sections["checkpoint_every"] = 3;
  Experiment e = fleet(sections);
  const BlocksOf two(2);
  program::TempDir at;
  const RunOptions one{at / "one"}, many{at / "many"};
  RunState whole;
  ASSERT_TRUE(train(e, one, {}, whole));
  e.exchange.letters_may_be_lost = true;
  const Ended parts = in_parts(e, many, shares_of(5, 2, 3));
  EXPECT_EQ(whole.tasks, parts.run.tasks);
  expect_same(whole.learner.own, parts.run.learner.own);
  EXPECT_TRUE(same(whole.learner.theta, parts.run.learner.theta));
  EXPECT_EQ(whole.exchange.bits, parts.run.exchange.bits);
  TensorDict had = kept(whole.exchange), has = kept(parts.run.exchange);
  for (const char* of_losses : {"heard", "asked"}) had.erase(of_losses), has.erase(of_losses);
  expect_same(had, has);
  const auto rows = read_records(at / "one/metrics.jsonl"), others = read_records(at / "many/metrics.jsonl");
  ASSERT_EQ(rows.size(), others.size());
  for (size_t k = 0; k < rows.size(); ++k) {
    Json had_row = without_times(rows[k]), has_row = without_times(others[k]);
    // Where the server has just told all the same, it knows how far they are apart; else it does not.
    if (e.exchange.server.secure && had_row["disagreement"] != 0.0) had_row["disagreement"] = nullptr;
    EXPECT_EQ(had_row, has_row);
  }
  EXPECT_EQ(without_times(conclude(e, one, whole)),
            without_times(conclude(e, many, parts.run, parts.judged)));
  EXPECT_EQ(program::slurp(at / "one/scores.csv"), program::slurp(at / "many/scores.csv"));
  EXPECT_FALSE(fs::exists(at / "many/checkpoint"));
}

// A process makes the agents that it owns, and none of the others'.
TEST_P(EveryWay, APartBeginsAsItsPartOfTheWhole) {
  Json sections = GetParam();
  sections["rounds"] = 6;
  const Experiment e = fleet(sections);
  const std::vector<int64_t> ids{1, 3, 4};
  const RunState part = start_run(e, ids), right = part_of(e, start_run(e), ids);
  EXPECT_TRUE(part.learner.id.equal(right.learner.id));
  EXPECT_TRUE(part.learner.theta.equal(right.learner.theta));
  expect_same(part.learner.own, right.learner.own);
  expect_same(kept(part.exchange), kept(right.exchange));
  expect_same(part.sums, right.sums);
  EXPECT_TRUE(part.rounds.equal(right.rounds));
}

// What a missed message would have taken back adds up in these, and a process may die.
TEST(Together, CorrectedStrategiesAreOfOneProcess) {
  for (const char* strategy :
       {"gradient-tracking", "exact-diffusion", "push-sum", "adapt-then-combine", "combine-then-adapt"}) {
    const Experiment e = fleet({{"exchange", {{"topology", "ring"}, {"strategy", strategy}}}});
    if (e.exchange.tracks() || e.exchange.corrects())
      EXPECT_THROW(check_together(e, {}), UserError) << strategy;
    else
      EXPECT_NO_THROW(check_together(e, {})) << strategy;
    const Experiment alone = fleet({{"exchange", {{"strategy", strategy}}}});
    EXPECT_NO_THROW(check_together(alone, {})) << strategy;
  }
}

// Stopped in the middle, with what is written by blocks; then other numbers of processes go on.
TEST(Checkpoints, OfFourProcessesAreGoneOnWithByTwoAndByOne) {
  const Json sections{{"agents", 8},
                      {"rounds", 12},
                      {"log_every", 2},
                      {"checkpoint_every", 4},
                      {"exchange", {{"topology", "ring"}}},
                      {"compression", {{"kind", "top_k"}, {"gamma", 0.5}}},
                      {"faults", {{"lost", 0.2}, {"late", 0.2}}}};
  const Experiment e = fleet(sections);
  const BlocksOf one_each(1);
  program::TempDir at;
  RunState unbroken;
  train(e, {at / "unbroken"}, {}, unbroken);
  for (const int64_t places : {2, 1}) {
    RunOptions options{at / ("run" + std::to_string(places))};
    // Up to round 8 in four parts, whose blocks stay: as if they had been killed then.
    {
      const auto shares = shares_of(8, 1, 4);
      Hall hall(shares, 60);
      std::vector<std::thread> threads;
      std::vector<std::string> files(4);
      fs::create_directories(options.folder);
      program::spill(at / ("run" + std::to_string(places) + "/experiment.toml"), e.toml);
      for (size_t p = 0; p < 4; ++p)
        threads.emplace_back([&, p] {
          at::set_num_threads(1);
          const auto seat = hall.seat(p);
          RunState part = part_of(e, start_run(e), shares[p]);
          while (part.round < 8) run_round(e, part, seat.get());
          files[p] = save_block(e, options, part);
        });
      for (auto& t : threads) t.join();
      EXPECT_FALSE(has_checkpoint(options));  // until the index says what belongs together
      save_index(options, 8, files);
    }
    options.resume = true;
    RunState end;
    if (places == 1) {
      train(e, options, {}, end);
    } else {
      end = in_parts(e, options, shares_of(8, 1, places)).run;
    }
    EXPECT_EQ(end.round, 12);
    expect_same(unbroken.learner.own, end.learner.own);
    EXPECT_TRUE(same(unbroken.learner.theta, end.learner.theta)) << places;
    EXPECT_EQ(unbroken.exchange.bits, end.exchange.bits);
    expect_same(kept(unbroken.exchange), kept(end.exchange));
  }
}

// A process that stood still while it saved goes on once the first has made a newer checkpoint and removes
// older ones. On the old code it ended for want of the folder, and was never let in again (scripts/punish,
// seed 14007).
TEST(Checkpoints, OfOneThatIsLateAreWrittenWhileOlderOnesAreRemoved) {
  const Experiment e = fleet({});
  const program::TempDir at;
  const RunOptions options{at / "run"};
  RunState late = start_run(e), newer = late;
  newer.round = 500;
  const std::vector<std::string> files{save_block(e, options, newer)};
  std::atomic<bool> over = false;
  std::thread first([&] {
    for (; !over; std::this_thread::sleep_for(std::chrono::milliseconds(50))) save_index(options, 500, files);
  });
  for (int k = 0; k < 300; ++k) {
    late.round = 400 + k % 2;
    EXPECT_NO_THROW(save_block(e, options, late));
  }
  over = true;
  first.join();
  EXPECT_EQ(saved_run(e, options)->round, 500);
}

// ---- The program.

const char* const kFleet = R"(agents = 6
rounds = 40
tasks = 2
checkpoint_every = 10
[task]
kind = "sinusoid"
[model]
hidden = [8, 6]
[exchange]
topology = "ring"
[eval]
tasks = 6
steps = [0, 1]
validation_tasks = 4
)";

void expect_same_run(const program::TempDir& at, const std::string& one, const std::string& other) {
  EXPECT_EQ(without_times(read_json(at / (one + "/summary.json"))),
            without_times(read_json(at / (other + "/summary.json"))));
  EXPECT_EQ(program::slurp(at / (one + "/scores.csv")), program::slurp(at / (other + "/scores.csv")));
  const Safetensors a = read_safetensors(at / (one + "/checkpoint.safetensors")),
                    b = read_safetensors(at / (other + "/checkpoint.safetensors"));
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [name, t] : a.tensors)
    if (name != "seconds") {
      EXPECT_TRUE(same(t, b.tensors.at(name))) << name;
    }
}

TEST(Program, InSeveralProcessesWritesTheSameRun) {
  program::TempDir at;
  program::spill(at / "fleet.toml", kFleet);
  program::run_well({"train", "fleet.toml", "--out", "one"}, at.path());
  const auto several =
      program::run_well({"train", "fleet.toml", "--out", "three", "--processes", "3"}, at.path());
  EXPECT_TRUE(program::holds(several.out, "report:"));
  expect_same_run(at, "one", "three");
}

// Under real launchers: the bits of one process. Debian 12's torchrun, of PyTorch 1.13 under Python 3.11,
// wants to be told that it need not redirect what processes say.
TEST(Program, UnderLaunchersWritesTheSameRun) {
  program::TempDir at;
  program::spill(at / "fleet.toml", kFleet);
  program::run_well({"train", "fleet.toml", "--out", "one"}, at.path());
  const std::vector<program::Words> launchers{
      {"torchrun", "-r", "9:1", "-t", "9:1", "--no_python", "--nproc_per_node", "3", "--master_port",
       std::to_string(free_port())},
      {"mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "3"}};
  for (program::Words words : launchers) {
    const std::string by = words[0];
    if (program::Process({"sh", "-c", "command -v " + by}, at.path()).wait().code != 0) {
      std::printf("%s is not there: skipped\n", by.c_str());
      continue;
    }
    const program::Words line = program::command_line({"train", "fleet.toml", "--out", by});
    words.insert(words.end(), line.begin(), line.end());
    const auto r = program::Process(words, at.path()).wait();
    ASSERT_EQ(r.code, 0) << by << "\n" << r.out << r.err;
    expect_same_run(at, "one", by);
  }
}

// Secure sums: the bits of one process, in any number of them, and rows neither in what the first hears nor
// lost to the run.
TEST(Program, InSeveralProcessesSumsSecurelyTheSameRun) {
  program::TempDir at;
  program::spill(at / "fleet.toml", kFleet);
  const auto train = [&](const std::string& out, const program::Words& more) {
    program::Words words{"train", "fleet.toml",        "--out", out, "--set", "exchange.topology=star",
                         "--set", "server.secure=true"};
    words.insert(words.end(), more.begin(), more.end());
    program::run_well(words, at.path());
  };
  const program::Words updates{"--set", "exchange.payload=updates", "--set", "server.optimizer=adam"};
  train("one", {}), train("updates", updates);
  for (const char* processes : {"2", "3", "6"}) {
    program::Words more{"--processes", processes};
    const bool plain = *processes != '3';
    if (!plain) more.insert(more.end(), updates.begin(), updates.end());
    train(processes, more);
    expect_same_run(at, plain ? "one" : "updates", processes);
  }
}

// What the first process hears of the others for the log and in the end holds none of their rows.
TEST(Parts, ShowTheServersProcessNoRows) {
  const Experiment e = fleet(Json{{"rounds", 5},
                                  {"log_every", 1},
                                  {"checkpoint_every", 2},
                                  {"exchange", {{"topology", "star"}, {"every", 2}}},
                                  {"server", {{"secure", true}}},
                                  {"eval", {{"every", 2}}}});
  program::TempDir at;
  const RunOptions options{at / "run"};
  const std::vector<std::vector<int64_t>> shares{{0}, {1, 2}, {3, 4}};
  struct Keeps final : Transport {
    Keeps(std::unique_ptr<Transport> t, std::vector<Letter>& to) : letters(std::move(t)), heard(to) {}
    Roster roster() override { return letters->roster(); }
    void send(Letter letter) override { letters->send(std::move(letter)); }
    Post collect(Letter::Kind kind, int64_t round, std::span<const int64_t> from) override {
      Post post = letters->collect(kind, round, from);
      heard.insert(heard.end(), post.came.begin(), post.came.end());
      return post;
    }
    std::unique_ptr<Transport> letters;
    std::vector<Letter>& heard;
  };
  Hall hall(shares, 60);
  std::vector<Ended> ended(shares.size());
  std::vector<std::vector<Letter>> heard(shares.size());
  std::vector<std::thread> threads;
  for (size_t p = 0; p < shares.size(); ++p)
    threads.emplace_back([&, p] {
      at::set_num_threads(1);
      Keeps letters(hall.seat(p), heard[p]);
      Party party(static_cast<int64_t>(p), shares, letters);
      RunState& run = ended[p].run;
      train_together(e, options, {}, party, run);
      ended[p].judged = judge_together(e, party, p == 0 ? run.learner.rows(shares[0]) : run.learner);
    });
  for (auto& t : threads) t.join();
  EXPECT_GT(heard[0].size(), 40u);
  // Some numbers of a row, as they lie in memory.
  const auto holds = [&](const Tensor& numbers) {
    const std::string bytes(static_cast<const char*>(numbers.contiguous().data_ptr()), numbers.nbytes());
    return std::any_of(heard[0].begin(), heard[0].end(), [&](const Letter& l) {
      return std::string(l.bytes.begin(), l.bytes.end()).find(bytes) != std::string::npos;
    });
  };
  // Rounds are odd in the end, so that the last rows are the agents' own.
  for (const size_t p : {1, 2}) {
    const State& own = ended[p].run.learner;
    EXPECT_FALSE(own.theta[0].equal(own.theta[1]));
    for (int64_t i = 0; i < own.size(); ++i) EXPECT_FALSE(holds(own.theta[i].narrow(0, 0, 4)));
    for (const auto& [name, t] : own.own)
      if (t.dim() == 2 && t.size(1) >= 4) {
        EXPECT_FALSE(holds(t[0].narrow(0, 0, 4))) << name;
      }
    // They are in the run all the same: this folder is one that all share.
    const State& whole = ended[0].run.learner;
    EXPECT_TRUE(same(whole.theta.index_select(0, own.id), own.theta));
  }
  for (const Json& row : read_records(at / "run/metrics.jsonl"))
    EXPECT_EQ(row["disagreement"].is_null(), row["round"].get<int64_t>() % 2 == 1) << row;
}

// Processes as a launcher that speaks PMI starts them.
class Launched {
 public:
  // One more of a fleet, or one again.
  static std::unique_ptr<program::Process> one(const program::TempDir& at, const std::string& out,
                                               int64_t place, int64_t places, const program::Words& more) {
    program::Words words{"env", "PMI_RANK=" + std::to_string(place), "PMI_SIZE=" + std::to_string(places),
                         "PMI_JOBID=" + at.path().string() + out, "HOME=" + at.path().string()};
    const auto train = program::command_line({"train", "fleet.toml", "--out", out});
    words.insert(words.end(), train.begin(), train.end());
    words.insert(words.end(), more.begin(), more.end());
    return std::make_unique<program::Process>(words, at.path());
  }

  Launched(const program::TempDir& at, const std::string& out, int64_t places, const program::Words& more) {
    for (int64_t p = 0; p < places; ++p) all.push_back(one(at, out, p, places, more));
    // Until it is well under way.
    const std::string log = at / (out + "/metrics.jsonl");
    for (int k = 0; k < 600 && program::lines(program::slurp(log)).size() < 8; ++k)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_GE(program::lines(program::slurp(log)).size(), 8u);
  }
  std::vector<std::unique_ptr<program::Process>> all;
};

TEST(Program, GoesOnWithoutAProcessThatIsKilled) {
  program::TempDir at;
  program::spill(at / "fleet.toml", kFleet);
  const Launched fleet(at, "run", 3,
                       {"--set", "rounds=3000", "--set", "log_every=20", "--set", "transport.patience=1"});
  fleet.all[2]->send(SIGKILL);
  EXPECT_EQ(fleet.all[2]->wait().signal, SIGKILL);
  for (const int p : {0, 1}) {
    const auto r = fleet.all[p]->wait();
    EXPECT_EQ(r.code, 0) << r.err;
  }
  const Json summary = read_json(at / "run/summary.json");
  EXPECT_EQ(summary["rounds"], 3000);
  EXPECT_EQ(summary["eval"]["judged_agents"], (std::vector<int64_t>{0, 1, 2, 3}));
  for (const Json& mean : summary["eval"]["mean"]) EXPECT_TRUE(mean.is_number());
  // The key that they met by is the user's alone.
  EXPECT_EQ(fs::status(at / ".config/symma/fleet.key").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

// The next row of the log may be further away than a process waits before it gives up what it is asked to
// end: on the old code the first then ended in an internal error, and the others waited for it in vain.
TEST(Program, AskedToEndGivesUpNoRoundThatOthersWaitFor) {
  program::TempDir at;
  program::spill(at / "fleet.toml", kFleet);
  const Launched fleet(at, "run", 3,
                       {"--set", "rounds=100000000", "--set", "log_every=20", "--set", "eval.every=100000000",
                        "--set", "transport.patience=30"});
  fleet.all[2]->send(SIGSTOP);
  fleet.all[0]->send(SIGTERM);
  std::this_thread::sleep_for(std::chrono::seconds(7));
  fleet.all[2]->send(SIGCONT);
  for (const int p : {0, 1, 2}) {
    const auto r = fleet.all[p]->wait();
    EXPECT_EQ(r.code, p == 0 ? 128 + SIGTERM : 0) << r.err;
  }
  EXPECT_TRUE(fs::exists(at / "run/checkpoint.safetensors"));
}

// Who is in the roster, by the lines that the first has written so far: agents of each epoch.
std::vector<std::vector<int64_t>> epochs(const std::string& folder) {
  std::vector<std::vector<int64_t>> out;
  for (const Json& line : read_roster(folder))
    if (line.contains("there")) out.push_back(line["there"].get<std::vector<int64_t>>());
  return out;
}

constexpr auto kNever = "rounds=100000000";  // ends when it is asked to

// A fleet of three, of which one goes and comes back; then all are asked to end.
void expect_the_same_bits(const program::TempDir& at, const Launched& fleet, program::Process* third) {
  // Some rows of the log with all of them.
  const size_t rows = program::lines(program::slurp(at / "run/metrics.jsonl")).size();
  EXPECT_TRUE(program::wait_until(
      [&] { return program::lines(program::slurp(at / "run/metrics.jsonl")).size() > rows + 5; }));
  fleet.all[0]->send(SIGTERM);
  const auto first = fleet.all[0]->wait();
  EXPECT_EQ(first.code, 128 + SIGTERM) << first.err;
  for (program::Process* p : {fleet.all[1].get(), third}) {
    const auto r = p->wait();
    EXPECT_EQ(r.code, 0) << r.err;
  }
  EXPECT_FALSE(fs::exists(at / "run/roster"));
  const auto said = program::run_well({"replay", "run"}, at.path());
  EXPECT_TRUE(program::holds(said.out, "the same bits for all 6 agents")) << said.out;
}

const program::Words kShortOfPatience{"--set", kNever,
                                      "--set", "log_every=20",
                                      "--set", "checkpoint_every=100",
                                      "--set", "eval.every=100000000",
                                      "--set", "transport.patience=1"};

class ComesBack : public testing::TestWithParam<program::Words> {};
INSTANTIATE_TEST_SUITE_P(
    Exchanges, ComesBack,
    testing::Values(program::Words{},
                    program::Words{"--set", "exchange.topology=full", "--set", "compression.kind=top_k",
                                   "--set", "compression.gamma=0.05"},
                    program::Words{"--set", "exchange.topology=star", "--set", "compression.kind=top_k"},
                    program::Words{"--set", "exchange.topology=star", "--set", "server.secure=true"}));

TEST_P(ComesBack, AfterItWasKilledWithItsShard) {
  program::TempDir at;
  program::spill(at / "fleet.toml", kFleet);
  program::Words more = kShortOfPatience;
  more.insert(more.end(), GetParam().begin(), GetParam().end());
  const Launched fleet(at, "run", 3, more);
  const std::string run = at / "run";
  fleet.all[2]->send(SIGKILL);
  fleet.all[2]->wait();
  ASSERT_TRUE(program::wait_until([&] { return epochs(run).size() == 1; }));
  EXPECT_EQ(epochs(run)[0], (std::vector<int64_t>{0, 1, 2, 3}));
  const auto again = Launched::one(at, "run", 2, 3, more);
  ASSERT_TRUE(program::wait_until([&] { return epochs(run).size() == 2; }));
  EXPECT_EQ(epochs(run)[1], (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
  // It took up what it had saved, and not its beginning.
  Json shard;
  EXPECT_TRUE(program::wait_until([&] {
    for (const Json& line : read_roster(run))
      if (line.contains("with")) shard = line;
    return !shard.is_null();
  }));
  EXPECT_EQ(shard.value("with", ""), "file");
  EXPECT_GT(shard.value("of", 0), 0);
  expect_the_same_bits(at, fleet, again.get());
}

TEST_P(ComesBack, AfterItStoodStill) {
  program::TempDir at;
  program::spill(at / "fleet.toml", kFleet);
  program::Words more = kShortOfPatience;
  more.insert(more.end(), GetParam().begin(), GetParam().end());
  const Launched fleet(at, "run", 3, more);
  const std::string run = at / "run";
  fleet.all[2]->send(SIGSTOP);
  ASSERT_TRUE(program::wait_until([&] { return epochs(run).size() == 1; }));
  fleet.all[2]->send(SIGCONT);
  ASSERT_TRUE(program::wait_until([&] { return epochs(run).size() == 2; }));
  EXPECT_EQ(epochs(run)[1], (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
  expect_the_same_bits(at, fleet, fleet.all[2].get());
  // The first waited for the third as long as it is patient, and gave it up; for the second it did not. What
  // is waited at a row of the log, where all meet, is not noted: the third may have stopped there.
  bool at_row = false;
  std::map<int, double> longest, missing, letters;
  for (const Json& line : read_roster(run)) {
    if (line["process"] == 0 && line.contains("missing"))
      at_row = at_row || line["round"].get<int>() % 20 == 0;
    if (!line.contains("waits") || line["process"] != 0) continue;
    for (const Json& w : line["waits"]) {
      const int of = w["of"];
      longest[of] = std::max(longest[of], w["longest"].get<double>());
      missing[of] += w["missing"].get<double>(), letters[of] += w["letters"].get<double>();
      EXPECT_EQ(w["oldest"], 0);
      EXPECT_LE(w["longest"], w["seconds"]);
      EXPECT_GE(w["letters"].get<double>() + w["missing"].get<double>(), w["times"]);
    }
  }
  if (missing[2] > 0 && !at_row) {
    EXPECT_GE(longest[2], 0.9);
  }
  EXPECT_EQ(missing[1], 0);
  EXPECT_GT(letters[1], letters[2]);
}

TEST(Program, KilledAsAWholeIsGoneOnWithByAnotherNumber) {
  program::TempDir at;
  program::spill(at / "fleet.toml", kFleet);
  const program::Words longer{"--set", "rounds=1500", "--set", "log_every=10", "--set", "eval.every=1500"};
  {
    const Launched fleet(at, "run", 3, longer);
    for (const auto& p : fleet.all) p->send(SIGKILL);
  }
  EXPECT_FALSE(fs::exists(at / "run/checkpoint.safetensors"));
  program::run_well({"train", "--resume", "--out", "run", "--processes", "2"}, at.path());
  program::Words words{"train", "fleet.toml", "--out", "unbroken"};
  words.insert(words.end(), longer.begin(), longer.end());
  program::run_well(words, at.path());
  expect_same_run(at, "unbroken", "run");
}

// Agents of different processes bring the noise of the sum together, from the system; what is spent is
// counted over a kill, and nobody knows more shares than are allowed for.
TEST(Program, BringsTheNoiseOfASumTogether) {
  program::TempDir at;
  program::spill(at / "fleet.toml", kFleet);
  program::Words words{
      "--set", "exchange.topology=star", "--set", "exchange.payload=updates",  "--set", "server.secure=true",
      "--set", "privacy.unit=agent",     "--set", "privacy.where=distributed", "--set", "privacy.noise=9",
      "--set", "log_every=10",           "--set", "eval.every=100000000"};
  const auto train = [&](const program::Words& more) {
    program::Words all{"train", "fleet.toml"};
    all.insert(all.end(), words.begin(), words.end());
    all.insert(all.end(), more.begin(), more.end());
    return program::run(all, at.path());
  };
  const auto refused = train({"--processes", "3", "--out", "no"});
  program::expect_refusal(refused, {"2 agents' shares of the noise", "start 6 at least"});
  EXPECT_FALSE(fs::exists(at / "no"));

  const program::Words six{"--processes", "6", "--out", "run", "--set", "rounds=40"};
  const auto done = train(six);
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_TRUE(program::holds(done.err, "a share of it from each agent, drawn by the system")) << done.err;
  const Json summary = read_json(at / "run/summary.json");
  EXPECT_EQ(summary["privacy"]["steps"], 40);
  EXPECT_EQ(summary["privacy"]["protects"], true);
  const Spending spent{9, 1, 40};
  EXPECT_NEAR(summary["privacy"]["epsilon"].get<double>(), renyi_epsilon({&spent, 1}, 1e-5), 1e-9);
  // Another run has other noise, and is not played again.
  ASSERT_EQ(train({"--processes", "6", "--out", "other", "--set", "rounds=40"}).code, 0);
  EXPECT_NE(program::slurp(at / "run/checkpoint.safetensors"),
            program::slurp(at / "other/checkpoint.safetensors"));
  program::expect_refusal(program::run({"replay", "run"}, at.path()), {"drew its noise from the system"});

  // Rounds that are played again count again, and a budget is kept to by all alike.
  program::Words more = words;
  more.insert(more.end(), {"--set", kNever, "--set", "privacy.budget=40", "--set", "checkpoint_every=20"});
  {
    const Launched fleet(at, "killed", 6, more);
    for (const auto& p : fleet.all) p->send(SIGKILL);
  }
  const auto lines = program::lines(program::slurp(at / "killed/spent.txt"));
  ASSERT_EQ(lines.size(), 1u);
  const auto again = program::run({"train", "--resume", "--out", "killed", "--processes", "6"}, at.path());
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(program::lines(program::slurp(at / "killed/spent.txt")).size(), 2u);
  const Json after = read_json(at / "killed/summary.json");
  EXPECT_LE(after["privacy"]["epsilon"], 40);
  EXPECT_GT(after["privacy"]["epsilon"], 39);
  EXPECT_GE(after["privacy"]["steps"], after["rounds"]);
}

TEST(Program, RefusesMoreProcessesThanAgentsAndWhatTheyCannotDo) {
  program::TempDir at;
  program::spill(at / "fleet.toml", kFleet);
  const auto secure = [](const char* processes, const program::Words& more) {
    program::Words words{"--processes", processes,           "--set", "exchange.topology=star",
                         "--set",       "server.secure=true"};
    for (const auto& s : more) words.insert(words.end(), {"--set", s});
    return words;
  };
  for (const program::Words& more : {program::Words{"--processes", "7"},
                                     // One of two beside the server's own, whose row a sum would give away.
                                     secure("2", {"agents=4", "faults.lost=0.1"}),
                                     secure("2", {"server.share=0.5"}), secure("3", {"faults.agents=[5]"})}) {
    program::Words words{"train", "fleet.toml", "--out", "no"};
    words.insert(words.end(), more.begin(), more.end());
    const auto r = program::run(words, at.path());
    EXPECT_EQ(r.code, 2);
    EXPECT_EQ(program::lines(r.err).size(), 1u) << r.err;
    EXPECT_FALSE(fs::exists(at / "no"));
  }
}

}  // namespace
}  // namespace symma
