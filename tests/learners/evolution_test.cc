// Evolution strategies on functions whose minimum is known, and their constants against the tutorial's.
#include <gtest/gtest.h>

#include "symma/core/normal.h"
#include "symma/core/parallel.h"
#include "symma/learners/evolution/cma.h"
#include "symma/learners/evolution/functions.h"
#include "symma/tasks/task.h"

namespace symma {
namespace {

// Evaluations until the best candidate so far is at most `target`, for each of `searches`: the median.
double evaluations(const std::string& name, const Json& settings, Tensor (*f)(const Tensor&), double start,
                   int64_t dims, double target, int64_t most, int64_t searches = 9) {
  const auto es = make<StrategyRegistry>(name, settings);
  State search = es->start(at::full({searches, dims}, start, at::kDouble));
  Tensor best = at::full({searches}, INFINITY, at::kDouble),
         when = at::full({searches}, INFINITY, at::kDouble);
  for (int64_t spent = 0; spent < most;) {
    const Tensor x = es->ask(search, Rng(7).split("ask", search.steps[0].item<int64_t>()));
    const Tensor loss = f(x);
    es->tell(search, x, loss);
    spent += x.size(1);
    best = at::minimum(best, loss.amin(1));
    when = at::where(best.le(target).logical_and(when.isinf()),
                     at::full_like(when, static_cast<double>(spent)), when);
    if (when.isfinite().all().item<bool>()) break;
  }
  return when.median().item<double>();
}

class EveryStrategy : public testing::TestWithParam<std::string> {};

TEST_P(EveryStrategy, SearchesAreIndependentRows) {
  const auto es = make<StrategyRegistry>(GetParam(), Json::object());
  const Tensor start = at::tensor({1.0, -2.0, 3.0, 0.5}, at::kDouble).view({2, 2});
  State both = es->start(start), one = es->start(start.narrow(0, 0, 1));
  for (int i = 0; i < 5; ++i) {
    const Tensor x = es->ask(both, Rng(3).split("ask", i));
    ASSERT_EQ(x.dim(), 3);
    es->tell(both, x, sphere(x));
    es->tell(one, x.narrow(0, 0, 1), sphere(x.narrow(0, 0, 1)));
  }
  EXPECT_TRUE(at::allclose(both.theta.narrow(0, 0, 1), one.theta, 1e-12, 1e-12));
  EXPECT_TRUE(both.steps.eq(5).all().item<bool>());
}

// Adding to losses, or scaling them, changes nothing that ranks decide; and a NaN is the worst, not the end.
TEST_P(EveryStrategy, OnlyRanksMatterAndNanIsTheWorst) {
  const auto es = make<StrategyRegistry>(GetParam(), Json::object());
  State a = es->start(at::ones({1, 6}, at::kDouble)), b = a, c = a;
  const Tensor x = es->ask(a, Rng(4));
  Tensor loss = sphere(x), broken = loss.clone();
  const int64_t worst = loss.argmax(1).item<int64_t>();
  broken[0][worst] = NAN;
  es->tell(a, x, loss);
  es->tell(b, x, 3 * loss - 100);
  es->tell(c, x, broken);
  EXPECT_TRUE(at::allclose(a.theta, b.theta, 1e-12, 1e-12));
  EXPECT_TRUE(at::allclose(a.theta, c.theta, 1e-12, 1e-12));
}

// By value too, where losses are not ranked.
TEST(OpenaiEs, WhatIsNotFiniteCostsAsTheDearest) {
  const auto es = make<StrategyRegistry>("openai_es", {{"rank_shaped", false}});
  State a = es->start(at::ones({2, 6}, at::kDouble)), b = a;
  const Tensor x = es->ask(a, Rng(4));
  Tensor loss = sphere(x), broken = loss.clone();
  loss[0][3] = loss[0].max(), loss[0][5] = loss[0].max();
  broken[0][3] = NAN, broken[0][5] = INFINITY;
  es->tell(a, x, loss);
  es->tell(b, x, broken);
  EXPECT_TRUE(at::allclose(a.theta, b.theta, 1e-12, 1e-12));
  broken.fill_(NAN);  // nothing is known, and nothing moves
  es->tell(b, x, broken);
  EXPECT_TRUE(b.theta.isfinite().all().item<bool>());
}

TEST_P(EveryStrategy, DescendsTheSphere) {
  const auto es = make<StrategyRegistry>(GetParam(), Json::object());
  State s = es->start(at::full({3, 5}, 2.0, at::kDouble));
  for (int i = 0; i < 400; ++i) {
    const Tensor x = es->ask(s, Rng(5).split("ask", i));
    es->tell(s, x, sphere(x));
  }
  EXPECT_LT(sphere(s.theta).max().item<double>(), 0.02);
}

// What a search keeps may come from a file, or have diverged: it is the others' loss in no way.
TEST_P(EveryStrategy, ASearchThatHasDivergedIsNoOthersEnd) {
  const auto es = make<StrategyRegistry>(GetParam(), Json::object());
  for (const double wild : {static_cast<double>(NAN), static_cast<double>(INFINITY), 1e200, -1e200}) {
    State sound = es->start(at::full({2, 4}, 2.0, at::kDouble));
    const auto play = [&](State& s, int first, int last) {
      for (int i = first; i < last; ++i) {
        const Tensor x = es->ask(s, Rng(6).split("ask", i));
        es->tell(s, x, sphere(x));
      }
    };
    play(sound, 0, 3);
    State broken = sound;
    for (auto& [name, t] : broken.own) {
      if (!t.is_floating_point()) continue;
      t = t.clone();
      t[0].fill_(wild);
    }
    play(sound, 3, 20);
    ASSERT_NO_THROW(play(broken, 3, 20)) << wild;
    EXPECT_TRUE(at::equal(broken.theta[1], sound.theta[1])) << wild;
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryStrategy, testing::ValuesIn(StrategyRegistry::instance().names()),
                         [](const auto& info) { return info.param; });

// Candidates are the mean and sigma times directions, and the same on any number of threads, where numbers
// are drawn in pieces that begin and end within rows; the second half of an odd number of them is one short.
TEST(Sample, IsTheMeanAndSigmaTimesDirections) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (const int64_t d : {1, 3, 100, 1500}) {
      const State search = State::of(normal(Rng(8), {3, d}, type));
      const Tensor sigma = uniform(Rng(9), {3, d}, 0.5, 2, type), mean = search.theta.unsqueeze(1);
      const Tensor z = directions(search, 4, Rng(10)), away = sigma.unsqueeze(1) * z;
      set_threads(1);
      const Tensor free = sample(search, 4, false, sigma, Rng(10)),
                   pairs = sample(search, 7, true, sigma, Rng(10));
      EXPECT_TRUE(at::equal(free, mean + away)) << d;
      EXPECT_TRUE(at::equal(pairs.narrow(1, 0, 4), mean + away)) << d;
      EXPECT_TRUE(at::equal(pairs.narrow(1, 4, 3), mean - away.narrow(1, 0, 3))) << d;
      const Tensor many = sample(search, 200, true, sigma, Rng(11));
      set_threads(3);
      EXPECT_TRUE(at::equal(many, sample(search, 200, true, sigma, Rng(11)))) << d;
      // A search's numbers are one run of its stream.
      const Tensor drawn = directions(search, 200, Rng(11)), run = at::empty({200, d}, type);
      for (int64_t i = 0; i < 3; ++i) {
        const Rng own = Rng(11).split("search", i);
        if (type == at::kFloat)
          fill_normal32(own, run.data_ptr<float>(), 200 * d);
        else
          fill_normal(own, run.data_ptr<double>(), 200 * d);
        EXPECT_TRUE(at::equal(drawn[i], run)) << d << " " << i;
      }
    }
  }
}

TEST(Ranks, EqualLossesKeepTheirOrderAndNanIsLast) {
  const Tensor loss =
      at::tensor({2.0, NAN, 1.0, 2.0, NAN, -INFINITY, INFINITY, 1.0}, at::kDouble).unsqueeze(0);
  const Tensor expected = at::tensor({3, 6, 1, 4, 7, 0, 5, 2}, at::kLong).unsqueeze(0);
  EXPECT_TRUE(at::equal(ranks(loss), expected));
}

TEST(Cma, ConstantsOfTheTutorial) {
  // pycma 3.3's CMAAdaptSigmaCSA and RecombinationWeights for ten dimensions.
  const CmaConstants c(10, 0, 1, true);
  EXPECT_EQ(c.population, 10);
  EXPECT_EQ(c.parents, 5);
  EXPECT_NEAR(c.weights[0].item<double>(), 0.45627264690340597, 1e-12);
  EXPECT_NEAR(c.mu_eff, 3.1672992814107006, 1e-9);
  EXPECT_NEAR(c.weights.narrow(0, 0, 5).sum().item<double>(), 1, 1e-12);
  EXPECT_LT(c.weights[9].item<double>(), c.weights[6].item<double>());
}

TEST(Cma, LearnsAnIllConditionedEllipsoid) {
  EXPECT_LT(evaluations("cma_es", {{"sigma", 0.5}}, ellipsoid, 1, 10, 1e-10, 20000), 8000);
  EXPECT_LT(evaluations("sep_cma_es", {{"sigma", 0.5}}, ellipsoid, 1, 10, 1e-10, 20000), 8000);
}

}  // namespace
}  // namespace symma
