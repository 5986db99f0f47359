// What every registered learner must keep to, on a family that all of them can learn.
#include <gtest/gtest.h>

#include "symma/core/parallel.h"
#include "symma/learners/learner.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

class EveryLearner : public testing::TestWithParam<std::string> {
 protected:
  EveryLearner()
      : family(make<TaskFamilyRegistry>("blobs", {}, int64_t{3})),
        model(make<ModelRegistry>("mlp", {{"hidden", {16}}}, family->spec().shape)),
        learner(make<LearnerRegistry>(GetParam(), {}, LearnerSetting{*model, family->spec()})) {}

  std::unique_ptr<TaskBatch> tasks(std::vector<int64_t> agents, uint64_t key,
                                   Split split = Split::kTrain) const {
    return family->sample(*model, asks_for(agents, Rng(key)), split);
  }

  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<Learner> learner;
};

TEST_P(EveryLearner, StateIsOneRowAnAgent) {
  State s = learner->init(split_keys(Rng(1), "agent", 3), at::kFloat);
  learner->step(s, *tasks({0, 0, 1, 1, 2, 2}, 2), Rng(3));
  EXPECT_EQ(s.theta.size(0), 3);
  EXPECT_GE(s.theta.size(1), model->layout().size());
  for (const auto& [name, t] : s.own) EXPECT_EQ(t.size(0), 3) << name;
  EXPECT_TRUE(s.steps.eq(1).all().item<bool>());
  EXPECT_TRUE(s.theta.isfinite().all().item<bool>());
}

// Batch norm's running statistics are what a test is judged by: who takes them has seen its tasks' inputs.
TEST_P(EveryLearner, RunningStatisticsAreObservedOrRefused) {
  const int64_t b = 2, k = 6;
  const auto conv = make<ModelRegistry>("conv", {{"channels", 4}, {"blocks", 1}, {"norm", "running"}},
                                        ModelShape{{4, 4, 1}, 3});
  TaskSpec spec = family->spec();
  spec.shape = {{4, 4, 1}, 3};
  std::unique_ptr<Learner> l;
  try {
    l = make<LearnerRegistry>(GetParam(), {}, LearnerSetting{*conv, spec});
  } catch (const UserError& e) {
    return;  // it says so
  }
  Episodes e;
  e.support_x = normal(Rng(1), {b, k, 4, 4, 1}), e.query_x = normal(Rng(2), {b, k, 4, 4, 1});
  e.support_y = e.query_y = at::arange(k, at::kLong).remainder(3).repeat({b, 1});
  e.support_class = e.query_class = e.support_y;
  const SupervisedBatch batch(*conv, Kind::kClassification, e, Mode::kTrain);
  State s = l->init(split_keys(Rng(1), "agent", 2), at::kFloat);
  l->step(s, batch, Rng(3));
  const Tensor now = conv->layout().view(s.theta.narrow(1, 0, conv->layout().size()), "block0.running_var");
  EXPECT_TRUE(now.gt(0).all().item<bool>());
  EXPECT_FALSE(now.eq(1).any().item<bool>());
  // And only that: what is judged by is the queries' own variance, to a tenth.
  EXPECT_LT((now - 1).abs().max().item<double>(), 0.5);
}

TEST_P(EveryLearner, IsAFunctionOfStateTasksAndKey) {
  const auto run = [&](int threads) {
    set_threads(threads);
    State s = learner->init(split_keys(Rng(1), "agent", 3), at::kFloat);
    for (int i = 0; i < 3; ++i) learner->step(s, *tasks({0, 0, 1, 1, 2, 2}, 10 + i), Rng(20 + i));
    return s;
  };
  const State a = run(1), b = run(2);
  set_threads(0);
  EXPECT_TRUE(a.theta.equal(b.theta));
  for (const auto& [name, t] : a.own) EXPECT_TRUE(t.equal(b.own.at(name))) << name;
}

TEST_P(EveryLearner, ACopyOfTheStateGoesOnTheSame) {
  State s = learner->init(split_keys(Rng(1), "agent", 2), at::kFloat);
  learner->step(s, *tasks({0, 1}, 2), Rng(3));
  State copy{s.id, s.theta.clone(), s.steps, {}};
  for (const auto& [name, t] : s.own) copy.own[name] = t.clone();
  learner->step(s, *tasks({0, 1}, 4), Rng(5));
  learner->step(copy, *tasks({0, 1}, 4), Rng(5));
  EXPECT_TRUE(s.theta.equal(copy.theta));
}

TEST_P(EveryLearner, AnAgentLearnsFromItsOwnTasksAlone) {
  const State both = learner->init(split_keys(Rng(1), "agent", 2), at::kFloat);
  const auto batch = tasks({0, 0, 1, 1}, 2);
  State together = both, alone = both.rows(1, 2);
  learner->step(together, *batch, Rng(3));
  learner->step(alone, *batch->slice(2, 4), Rng(3));
  EXPECT_LE((together.theta[1] - alone.theta[0]).abs().max().item<double>(), 1e-5);
}

TEST_P(EveryLearner, ZeroStepsChangeNothingAndStepsAreAPath) {
  const State s = learner->init(split_keys(Rng(1), "agent", 2), at::kFloat);
  const auto batch = tasks({0, 0, 1, 1}, 2, Split::kTest);
  const std::vector<int64_t> all{0, 1, 4}, last{4};
  const auto path = learner->adapt(s, *batch, all, Rng(3));
  ASSERT_EQ(path.size(), 3u);
  for (const Tensor& rows : path) {
    EXPECT_EQ(rows.sizes(), at::IntArrayRef({4, model->layout().size()}));
    EXPECT_FALSE(rows.requires_grad());
  }
  EXPECT_TRUE(path[0].equal(s.theta.slice(1, 0, model->layout().size()).repeat_interleave(2, 0)));
  EXPECT_TRUE(path[2].equal(learner->adapt(s, *batch, last, Rng(3))[0]));
  EXPECT_FALSE(path[1].equal(path[0]));
}

TEST_P(EveryLearner, BeatsChanceAfterLearning) {
  State s = learner->init(split_keys(Rng(1), "agent", 1), at::kFloat);
  for (int i = 0; i < 150; ++i) learner->step(s, *tasks(std::vector<int64_t>(8, 0), 100 + i), Rng(i));
  const auto batch = tasks(std::vector<int64_t>(50, kEveryone), 7, Split::kTest);
  const std::vector<int64_t> steps{20};
  const double accuracy =
      batch->score(learner->adapt(s, *batch, steps, Rng(3))[0], Rng(4)).at("accuracy").mean().item<double>();
  EXPECT_GT(accuracy, 0.45);  // three clusters: chance is 0.33
}

// Learners of worlds refuse this family, and have a suite of their own: teams_test.cc.
std::vector<std::string> learners_of_points() {
  const auto family = make<TaskFamilyRegistry>("blobs", {}, int64_t{3});
  const auto model = make<ModelRegistry>("mlp", {{"hidden", {16}}}, family->spec().shape);
  std::vector<std::string> out;
  for (const auto& name : LearnerRegistry::instance().names()) {
    try {
      make<LearnerRegistry>(name, {}, LearnerSetting{*model, family->spec()});
      out.push_back(name);
    } catch (const UserError&) {
    }
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryLearner, testing::ValuesIn(learners_of_points()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace symma
