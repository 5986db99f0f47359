// A run played again from its roster: the same bits as by hand, with letters that did not come.
#include "symma/fleet/replay.h"

#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include <set>
#include <thread>

#include "cli/program.h"
#include "fleet/fleets.h"
#include "symma/fleet/blocks.h"
#include "symma/fleet/placement.h"
#include "symma/fleet/roster.h"
#include "symma/fleet/round.h"
#include "symma/transports/hall.h"

namespace symma {
namespace {

// Hears nobody.
struct Deaf final : Transport {
  Roster roster() override { return {}; }
  void send(Letter) override {}
  Post collect(Letter::Kind, int64_t, std::span<const int64_t> from) override {
    return {{}, {from.begin(), from.end()}};
  }
};

// The parts of a fleet, played by hand.
struct PlayedByHand {
  PlayedByHand(const Experiment& e, int64_t places) : e(e), shares(shares_of(e.fleet.agents, 1, places)) {
    const RunState start = start_run(e);
    for (const auto& share : shares) parts.push_back(part_of(e, start, share));
  }
  // All but those who are `gone`, until this round.
  void together(int64_t until, const std::set<size_t>& gone = {}) {
    Hall hall(shares, 60);
    for (const size_t p : gone) hall.leave(p);
    std::vector<std::thread> threads;
    for (size_t p = 0; p < parts.size(); ++p)
      if (!gone.contains(p))
        threads.emplace_back([&, p] {
          at::set_num_threads(1);
          const auto seat = hall.seat(p);
          while (parts[p].round < until) run_round(e, parts[p], seat.get());
        });
    for (auto& t : threads) t.join();
  }
  void alone(size_t p, int64_t until) {
    Deaf deaf;
    while (parts[p].round < until) run_round(e, parts[p], &deaf);
  }
  void let_in(size_t p, int64_t round) {
    enter(parts[p], {round, round, 0, {}, {}});
    welcome(parts[0]);
  }
  // That a roster with these lines is the same.
  void expect_again(const std::string& lines) {
    const RunState by_hand = join(e, parts);
    const program::TempDir at;
    const std::vector<int64_t> ends(parts.size(), 12);
    program::spill(at / "roster.jsonl",
                   fmt::format("{}\n{}{}\n", Json{{"round", 0}, {"shares", shares}, {"process", 0}}.dump(),
                               lines, Json{{"round", 12}, {"stands", ends}, {"process", 0}}.dump()));
    for (int k = 0; k < 20; ++k)
      EXPECT_TRUE(differing_agents(by_hand, replay(e, at.path().string())).empty()) << k;
  }
  const Experiment& e;
  const std::vector<std::vector<int64_t>> shares;
  std::vector<RunState> parts;
};

// Two parts, of which the second loses the first after round 3, goes on by itself to round 10, and is let in
// again after round 5, where the first is. On the old code it heard before that what it should after it, and
// the first what it said twice, now this and now that.
TEST(Replay, OfOneThatWentAheadAndCameBack) {
  const Experiment e = fleet({{"exchange", {{"topology", "star"}}}, {"rounds", 12}});
  PlayedByHand all(e, 2);
  all.together(3);
  all.alone(0, 5), all.alone(1, 10);
  all.let_in(1, 5);
  all.together(12);
  all.expect_again(R"({"process": 0, "round": 3, "exchange": 4, "kind": 1, "missing": [2, 3, 4]}
{"process": 1, "round": 3, "exchange": 4, "kind": 2, "missing": [5]}
{"process": 0, "round": 5, "comes": [1]}
{"process": 1, "round": 5, "exchange": 5, "with": "memory", "of": 10}
{"process": 0, "round": 5, "exchange": 6, "kind": 1, "missing": [], "lives": [[1, 1]]}
)");
}

// A third part is killed after round 3, and comes back after round 9 with what it had saved after round 2.
// What its neighbour, in another life by then, said while it was away was not said to it.
TEST(Replay, OfOneThatWasGoneWhileAnotherCameBack) {
  const Experiment e = fleet({{"exchange", {{"topology", "ring"}}}, {"rounds", 12}});
  PlayedByHand all(e, 3);
  all.together(2);
  const RunState saved = all.parts[2];
  all.together(3);
  all.alone(0, 5), all.alone(1, 10);
  all.let_in(1, 5);
  all.together(9, {2});
  all.parts[2] = saved;
  all.let_in(2, 9);
  all.together(12);
  all.expect_again(R"({"process": 0, "round": 3, "exchange": 4, "kind": 1, "missing": [1, 4]}
{"process": 1, "round": 3, "exchange": 4, "kind": 1, "missing": [0, 3]}
{"process": 0, "round": 5, "comes": [1]}
{"process": 1, "round": 5, "exchange": 5, "with": "memory", "of": 10}
{"process": 0, "round": 5, "exchange": 6, "kind": 1, "missing": [4], "lives": [[1, 1]]}
{"process": 1, "round": 5, "exchange": 6, "kind": 1, "missing": [3]}
{"process": 0, "round": 9, "comes": [2]}
{"process": 2, "round": 9, "exchange": 9, "with": "file", "of": 2}
{"process": 0, "round": 9, "exchange": 10, "kind": 1, "missing": [], "lives": [[1, 1], [2, 1]]}
{"process": 1, "round": 9, "exchange": 10, "kind": 1, "missing": [], "lives": [[2, 1]]}
{"process": 2, "round": 9, "exchange": 10, "kind": 1, "missing": [], "lives": [[1, 1]]}
)");
}

}  // namespace
}  // namespace symma
