// Who an agent is: what it becomes, and how it is judged, goes by its number, its tasks' keys and its own
// clock, and not by its place, by who else is there, or by how the work is cut.
#include <gtest/gtest.h>

#include <set>

#include "learners/every_setting.h"
#include "symma/learners/outer.h"
#include "symma/learners/rows.h"
#include "symma/learners/teams/replay.h"

namespace symma {
namespace {

constexpr int64_t kBlock = 2;

bool same(const Tensor& a, const Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         (a.equal(b) || a.allclose(b, 0, 0, /*equal_nan=*/true));
}

void expect_same(const State& a, const State& b, const std::string& what) {
  EXPECT_TRUE(same(a.id, b.id) && same(a.steps, b.steps)) << what;
  EXPECT_TRUE(same(a.theta, b.theta)) << what;
  ASSERT_EQ(a.own.size(), b.own.size()) << what;
  for (const auto& [name, t] : a.own) EXPECT_TRUE(same(t, b.own.at(name))) << what << ", " << name;
}

std::vector<State> blocks(const State& s) {
  std::vector<State> out;
  for (int64_t at = 0; at < s.size(); at += kBlock)
    out.push_back(s.rows(at, std::min(at + kBlock, s.size())));
  return out;
}

class EveryLearner : public testing::TestWithParam<std::string> {};

TEST_P(EveryLearner, AFleetInBlocksIsTheWhole) {
  const BlocksOf cut(kBlock);
  int met = 0;
  for (const Setting& setting : settings()) {
    const std::string what = GetParam() + " on " + setting.name;
    try {
      const Made m = make_in(setting, GetParam());
      State whole = start(m);
      std::vector<State> parts = blocks(whole);
      for (int64_t r = 0; r < 3; ++r) {
        const Scores told = m.round(whole, r);
        std::vector<Scores> of_parts;
        of_parts.reserve(parts.size());
        for (State& part : parts) of_parts.push_back(m.round(part, r));
        for (const auto& [name, score] : told) {
          std::vector<Tensor> joined;
          joined.reserve(of_parts.size());
          for (const Scores& one : of_parts) joined.push_back(one.at(name));
          EXPECT_TRUE(same(score, at::cat(joined))) << what << ", " << name << " in round " << r;
        }
      }
      expect_same(whole, State::join(parts), what);
      EXPECT_FALSE(GetParam() != "scratch" && GetParam() != "tuned" && whole.theta.equal(start(m).theta))
          << what << ": nothing was learned";
      ++met;
    } catch (const UserError&) {
      // Not for this learner, which says so.
    }
  }
  EXPECT_GT(met, 0) << GetParam() << " was met on no family";
}

TEST_P(EveryLearner, IsJudgedAlikeByAgentByBlockAndWhole) {
  const BlocksOf cut(kBlock);
  for (const Setting& setting : settings()) {
    try {
      const Made m = make_in(setting, GetParam());
      State whole = start(m);
      m.round(whole, 0);
      for (const bool own : {false, true}) {
        const auto judged = [&](const State& s) {
          const Subject subject{*m.learner, *m.model, *m.family, s};
          return evaluate(subject, Split::kTest, 3, {0, 2}, own, Rng(5)).scores();
        };
        const ScoreTable all = judged(whole);
        ScoreTable by_agent, by_block;
        for (int64_t i = 0; i < kAgents; ++i) by_agent.push_back(judged(whole.rows(i, i + 1))[0]);
        for (const State& block : blocks(whole)) {
          for (const auto& agent : judged(block)) by_block.push_back(agent);
        }
        EXPECT_EQ(by_agent, all) << GetParam() << " on " << setting.name << (own ? ", own slice" : "");
        EXPECT_EQ(by_block, all) << GetParam() << " on " << setting.name << (own ? ", own slice" : "");
      }
    } catch (const UserError&) {
    }
  }
}

// What lies behind an agent's row in memory is another's, or nobody's: numbers, clocks and counts of others
// are never read, though one row is seen by several tasks.
TEST_P(EveryLearner, IsJudgedByItsOwnClockAlone) {
  for (const Setting& setting : settings()) {
    try {
      const Made m = make_in(setting, GetParam());
      State whole = start(m);
      m.round(whole, 0);
      State odd = whole;
      const auto others = [](const Tensor& t) {
        Tensor out = t.clone();
        out.slice(0, 1).add_(1000);
        return out;
      };
      odd.id = others(odd.id), odd.steps = others(odd.steps);
      for (auto& [name, t] : odd.own)
        if (t.scalar_type() == at::kLong) t = others(t);
      const auto judged = [&](const State& s) {
        const Subject subject{*m.learner, *m.model, *m.family, s};
        return evaluate(subject, Split::kTest, 3, {0, 2}, false, Rng(5)).scores();
      };
      EXPECT_EQ(judged(odd.rows(0, 1)), judged(whole.rows(0, 1))) << GetParam() << " on " << setting.name;
    } catch (const UserError&) {
    }
  }
}

// Who takes part changes nothing for those who do: their tasks, their draws, their clocks.
TEST_P(EveryLearner, AgentsThatAreAwayChangeNothingForTheOthers) {
  const BlocksOf cut(1);  // or those of a block would meet in one operation, and round differently
  for (const Setting& setting : settings()) {
    if (setting.name == "games_among_agents") continue;  // whoever is there is met
    const std::string what = GetParam() + " on " + setting.name;
    try {
      const Made m = make_in(setting, GetParam());
      State whole = start(m), some = whole;
      for (int64_t r = 0; r < 4; ++r) {
        const std::vector<int64_t> who = r == 1 ? std::vector<int64_t>{0, 1, 3} : std::vector<int64_t>{1, 3};
        m.round(whole, r);
        State part = some.rows(who);
        m.round(part, r);
        some.put(who, part);
      }
      const std::vector<int64_t> always{1, 3};
      expect_same(whole.rows(always), some.rows(always), what);
      // One that comes in late is as one that begins late: its first step is a first step.
      State late = start(m).rows(0, 1);
      m.round(late, 1);
      expect_same(late, some.rows(0, 1), what);
    } catch (const UserError&) {
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryLearner, testing::ValuesIn(LearnerRegistry::instance().names()),
                         [](const auto& info) { return info.param; });

TEST(Identity, EqualKeysAreAnEqualStartAndARowGoesByItsKey) {
  for (const Setting& setting : settings()) {
    for (const auto& name : LearnerRegistry::instance().names()) {
      try {
        const Made m = make_in(setting, name);
        const std::vector<Rng> keys = split_keys(Rng(3), "agent", 3), same_start(3, keys[0]);
        const State a = m.learner->init(keys, at::kDouble), b = m.learner->init(same_start, at::kDouble);
        EXPECT_TRUE(same(b.theta[2], a.theta[0])) << name;
        for (const auto& [part, t] : b.own)
          EXPECT_TRUE(same(t[2], a.own.at(part)[0])) << name << ", " << part;
        EXPECT_EQ(a.theta.scalar_type(), at::kDouble) << name;
      } catch (const UserError&) {
      }
    }
  }
}

// One row that stands once in memory, seen by four tasks: they are one agent's, and one block.
TEST(Identity, ARowSeenByManyTasksIsOneAgents) {
  State s = State::of(at::zeros({3, 2}, at::kDouble));
  s.id = at::tensor({7, 100000, 200000}, at::kLong);
  State seen = s.rows(0, 1);
  seen.id = hand_out(seen.id, 4), seen.theta = hand_out(seen.theta, 4), seen.steps = hand_out(seen.steps, 4);
  const auto model = make<ModelRegistry>("point", Json::object(), ModelShape{{1}, 2});
  EXPECT_EQ(blocks_of(seen, *model).size(), 1u);
}

// Adam's first step is of its size, lr, whenever it comes; by the fleet's clock it would be half to three
// times that.
TEST(Identity, AnAgentThatFirstLearnsLateTakesAFirstStep) {
  OuterOptions o;
  o.meta_lr = 0.01;
  State s = State::of(at::zeros({2, 3}, at::kDouble));
  outer_init(o, s);
  for (int64_t r = 0; r < 6; ++r) {
    State part = s.rows(std::vector<int64_t>{0});
    outer_step(o, part, at::ones({1, 3}, at::kDouble));
    s.put({0}, part);
  }
  State late = s.rows(std::vector<int64_t>{1});
  outer_step(o, late, at::full({1, 3}, 5, at::kDouble));
  EXPECT_LE((late.theta + 0.01).abs().max().item<double>(), 1e-9);
}

}  // namespace
}  // namespace symma
