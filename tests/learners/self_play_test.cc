// The pool is an even sample of the past, and playing against it finds equilibria that playing against the
// present does not.
#include "symma/learners/teams/self_play.h"

#include <gtest/gtest.h>

namespace symma {
namespace {

TEST(Pool, IsAnEvenSampleOfAllRowsOffered) {
  const int64_t agents = 500, kept = 8, offers = 40;
  PoolOptions o;
  o.pool = kept, o.pool_every = 1;
  const Pool pool(o, 2, 1, true);
  State s = State::of(at::zeros({agents, 1}));
  pool.init(s, agents);
  for (int64_t k = 0; k < offers; ++k) {
    std::vector<Rng> keys;
    for (int64_t i = 0; i < agents; ++i) keys.push_back(Rng(k).split("agent", i));
    pool.offer(s, at::full({agents, 1}, static_cast<double>(k)), keys);
    s.steps = s.steps + 1;
  }
  const Tensor held = s.own.at("pool").flatten().to(at::kLong);
  const Tensor count = at::bincount(held, {}, offers).to(at::kDouble);
  EXPECT_EQ(count.sum().item<int64_t>(), agents * kept);
  // A row is in one pool of five: 100 of 500, with a deviation of 9.
  EXPECT_LE((count - 100).abs().max().item<double>(), 4 * 9);
  EXPECT_LE((count.narrow(0, 0, 20).mean() - 100).abs().item<double>(), 4 * 2);
}

TEST(Pool, OneSideLearnsAndTheOthersAreOfThePast) {
  PoolOptions o;
  o.pool = 4, o.pool_every = 1, o.past = 1, o.sides = {2, 1};
  const Pool pool(o, 3, 6, false);  // three networks of two parameters
  State s = State::of(at::zeros({1, 6}));
  pool.init(s, 1);
  const Tensor present = at::tensor({1., 2., 3., 4., 5., 6.}).view({1, 6}).to(at::kFloat);
  std::vector<Rng> keys;
  for (uint64_t k = 0; k < 50; ++k) keys.push_back(Rng(k));
  const Cast alone = pool.cast(s, present, keys);
  EXPECT_TRUE(alone.learns.all().item<bool>());  // no past yet
  pool.offer(s, -present, {Rng(1)});
  const Cast c = pool.cast(s, present, keys);
  int64_t first = 0;
  for (int64_t b = 0; b < 50; ++b) {
    const bool pair = c.learns[b][0].item<bool>();
    first += pair;
    for (int64_t p = 0; p < 3; ++p) {
      const bool learns = pair == (p < 2);
      EXPECT_EQ(c.learns[b][p].item<bool>(), learns);
      const Tensor network = present.narrow(1, 2 * p, 2)[0];
      EXPECT_TRUE(c.rows[b].narrow(0, 2 * p, 2).equal(learns ? network : -network));
    }
  }
  EXPECT_GT(first, 10);
  EXPECT_LT(first, 40);
}

TEST(Pool, SidesAreOfAllPlayers) {
  PoolOptions o;
  o.pool = 1, o.sides = {2, 2};
  EXPECT_THROW(Pool(o, 3, 6, true), UserError);
}

// Rock, paper, scissors.
const std::vector<double> kPayoff{0, -1, 1, 1, 0, -1, -1, 1, 0};

// What both players could gain by a best response to the other's: 0 at an equilibrium and nowhere else.
double exploitability(const Tensor& row /*[3]*/, const Tensor& column) {
  const Tensor a = at::tensor(kPayoff, at::kDouble).view({3, 3});
  return (a.mv(column).max() - a.t().mv(row).min()).item<double>();
}

// Strategies [K, 2, 3] of K rows.
Tensor strategies(const Model& model, const Tensor& rows) {
  const Tensor x = at::cat({at::zeros({2, 1}), at::eye(2)}, 1).expand({rows.size(0), 2, 3});
  return model.forward(rows, x.to(rows.scalar_type()), Mode::kEval).softmax(2).to(at::kDouble);
}

// Two players who start out with rock. What both could gain is 0 at the equilibrium, a third each, and
// nowhere else; at rock against rock it is 2.
TEST(SelfPlay, TheAverageOfThePastComesToTheEquilibriumWhereThePresentCircles) {
  const auto family = make<TaskFamilyRegistry>(
      "control",
      {{"world", {{"kind", "matrix_game"}, {"game", "rock_paper_scissors"}, {"limit", 1}}},
       {"own_reward", true},
       {"copies", 16}},
      int64_t{1});
  const auto model = make<ModelRegistry>("mlp", {{"hidden", {8}}}, family->spec().shape);
  const int64_t agents = 5, rounds = 1500;
  const auto train = [&](int64_t pool, std::vector<double>& present) {
    const auto learner = make<LearnerRegistry>("ippo",
                                               {{"pool", pool},
                                                {"pool_every", 1},
                                                {"past", 1.0},
                                                {"lr", 0.02},
                                                {"entropy", 0.2},
                                                {"n_step", 1},
                                                {"limit_ends", true},
                                                {"critic_hidden", {8}}},
                                               LearnerSetting{*model, family->spec()});
    State s = learner->init(split_keys(Rng(1), "agent", agents), at::kFloat);
    s.theta = s.theta.clone();
    for (const auto& e : model->layout().entries()) {
      if (e.name == "head.bias") s.theta.select(1, e.offset).add_(3);  // rock
    }
    const auto now = [&] { return strategies(*model, s.theta.narrow(1, 0, model->layout().size())); };
    for (int64_t i = 0; i < agents; ++i) EXPECT_GT(exploitability(now()[i][0], now()[i][1]), 1.5);
    const int64_t late = rounds - rounds / 2;
    for (int64_t k = 0; k < rounds; ++k) {
      const std::vector<int64_t> who{0, 0, 1, 1, 2, 2, 3, 3, 4, 4};
      learner->step(s, *family->sample(*model, asks_for(who, Rng(100 + k)), Split::kTrain), Rng(k));
      if (k < rounds / 2) continue;
      for (int64_t i = 0; i < agents; ++i)
        present[i] += exploitability(now()[i][0], now()[i][1]) / static_cast<double>(late);
    }
    return s;
  };
  std::vector<double> with_pool(agents), without(agents);
  const State s = train(300, with_pool);
  train(0, without);
  // The pool's average is of 300 rows of a noisy search: over 22 seeds of three agents it was .16 with a
  // deviation of .1, and one in eight was above .25. So the median of the agents is what is held against the
  // bound.
  std::vector<double> reached;
  for (int64_t i = 0; i < agents; ++i) {
    const Tensor average = strategies(*model, s.own.at("pool")[i]).mean(0);  // [2, 3]
    reached.push_back(exploitability(average[0], average[1]));
    EXPECT_LT(reached.back(), without[i]) << "agent " << i;
    EXPECT_GT(without[i], 0.5) << "agent " << i;
  }
  std::sort(reached.begin(), reached.end());
  EXPECT_LT(reached[agents / 2], 0.25);
}

}  // namespace
}  // namespace symma
