// Adam against its paper's algorithm 1, number by number, and against sharing memory with a copy of the
// state.
#include "symma/learners/outer.h"

#include <gtest/gtest.h>

#include "symma/core/parallel.h"

namespace symma {
namespace {

TEST(Adam, IsAlgorithmOne) {
  OuterOptions o;
  o.meta_lr = 0.01, o.beta1 = 0.8, o.beta2 = 0.95, o.eps = 1e-6;
  for (const auto type : {at::kFloat, at::kDouble}) {
    State s = State::of(normal(Rng(1), {3, 37}, type));
    outer_init(o, s);
    const Tensor start = s.theta.to(at::kDouble).clone();
    std::vector<double> theta(start.data_ptr<double>(), start.data_ptr<double>() + start.numel()),
        m(theta.size()), v(theta.size());
    for (int t = 1; t <= 5; ++t) {
      const Tensor g = normal(Rng(2).split("g", t), {3, 37}, type);
      outer_step(o, s, g);
      const Tensor exact = g.to(at::kDouble).contiguous();
      for (size_t i = 0; i < theta.size(); ++i) {
        const double gi = exact.data_ptr<double>()[i];
        m[i] = 0.8 * m[i] + 0.2 * gi;
        v[i] = 0.95 * v[i] + 0.05 * gi * gi;
        theta[i] -=
            0.01 * (m[i] / (1 - std::pow(0.8, t))) / (std::sqrt(v[i] / (1 - std::pow(0.95, t))) + 1e-6);
      }
    }
    const Tensor expected = at::tensor(theta, at::kDouble).view({3, 37});
    EXPECT_LT((s.theta.to(at::kDouble) - expected).abs().max().item<double>(),
              type == at::kFloat ? 1e-6 : 1e-14);
  }
}

TEST(Adam, NeverWritesWhereAnotherStateLooks) {
  const OuterOptions o;
  State s = State::of(normal(Rng(1), {4, 9}));
  outer_init(o, s);
  outer_step(o, s, normal(Rng(2), {4, 9}));  // moments that are not zero
  const State copy = s, part = s.rows(1, 2);
  const Tensor theta = s.theta.clone(), m = s.own.at("adam.m").clone(), v = s.own.at("adam.v").clone();
  for (int i = 0; i < 3; ++i) outer_step(o, s, normal(Rng(3).split("g", i), {4, 9}));
  EXPECT_TRUE(copy.theta.equal(theta) && copy.own.at("adam.m").equal(m) && copy.own.at("adam.v").equal(v));
  EXPECT_TRUE(part.theta.equal(theta.slice(0, 1, 2)) && part.own.at("adam.m").equal(m.slice(0, 1, 2)));
  // A part that steps leaves the whole alone.
  State whole = copy, one = whole.rows(0, 1);
  outer_step(o, one, normal(Rng(4), {1, 9}));
  EXPECT_TRUE(whole.theta.equal(theta) && whole.own.at("adam.v").equal(v));
}

TEST(Adam, SameBitsForOneAndTwoThreads) {
  const auto run = [](int threads) {
    set_threads(threads);
    const OuterOptions o;
    State s = State::of(normal(Rng(1), {11, 9001}));
    outer_init(o, s);
    for (int i = 0; i < 3; ++i) outer_step(o, s, normal(Rng(2).split("g", i), {11, 9001}));
    return s.theta;
  };
  const Tensor one = run(1), two = run(2);
  set_threads(0);
  EXPECT_TRUE(one.equal(two));
}

// One round whose gradient overflowed is a round without a step, where gradients are bounded: the agent goes
// on, and the other does not notice.
TEST(Outer, AGradientThatIsNotFiniteIsLeftOutWhereTheyAreBounded) {
  for (const double bad : {std::nan(""), static_cast<double>(INFINITY)}) {
    for (const char* optimizer : {"sgd", "adam"}) {
      OuterOptions o;
      o.optimizer = optimizer, o.meta_lr = 0.1, o.clip_norm = 1;
      State both = State::of(at::ones({2, 3}, at::kDouble));
      outer_init(o, both);
      State alone = both.rows(1, 2);
      Tensor grad = at::full({2, 3}, 0.25, at::kDouble);
      grad[0][1] = bad;
      outer_step(o, both, grad);
      outer_step(o, alone, grad.narrow(0, 1, 1));
      EXPECT_TRUE(both.theta[0].equal(at::ones({3}, at::kDouble))) << optimizer << both.theta;
      EXPECT_TRUE(both.theta[1].equal(alone.theta[0])) << optimizer;
      outer_step(o, both, at::full({2, 3}, 0.25, at::kDouble));
      EXPECT_TRUE(both.theta.isfinite().all().item<bool>() && (both.theta[0] < 1).all().item<bool>())
          << optimizer;
    }
  }
}

// Rows go to their places; what anybody else holds of the state stays as it was.
TEST(States, SomeAgentsRowsArePutBackAndCopiesAreLeftAlone) {
  for (const bool watched : {false, true}) {
    State all = State::of(normal(Rng(1), {6, 5}), {{"m", normal(Rng(2), {6, 2, 3}, at::kDouble)}});
    const Tensor theta = all.theta.clone(), m = all.own.at("m").clone();
    const State copy = watched ? all : State();
    const std::vector<int64_t> places{4, 1};
    State part = all.rows(places);
    part.theta = part.theta + 1, part.steps = part.steps + 3;
    part.own["m"] = (part.own.at("m") + 2).transpose(1, 2).contiguous().transpose(1, 2);
    part.own["late"] = at::ones({2, 1});  // began with these
    all.put(places, part);
    Tensor moved = at::zeros({6, 1});
    moved[4] = 1, moved[1] = 1;
    EXPECT_TRUE(all.theta.equal(theta + moved));
    EXPECT_TRUE(all.own.at("m").equal(m + 2 * moved.unsqueeze(2)));
    EXPECT_TRUE(all.own.at("late").equal(moved));
    EXPECT_TRUE(all.steps.equal((3 * moved).squeeze(1).to(at::kLong)));
    if (!watched) continue;
    EXPECT_TRUE(copy.theta.equal(theta));
    EXPECT_TRUE(copy.own.at("m").equal(m));
    EXPECT_EQ(copy.steps.sum().item<int64_t>(), 0);
  }
}

}  // namespace
}  // namespace symma
