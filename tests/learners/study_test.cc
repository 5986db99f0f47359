// Studies of a lesson: both ways against finite differences, and the kernel's against autograd's.
#include "symma/learners/policies/study.h"

#include <gtest/gtest.h>

#include "symma/core/parallel.h"
#include "symma/nn/kernels/mlp.h"

namespace symma {
namespace {

struct Case {
  const char* name;
  Json model, task;
  int64_t robots;
  double h = 1e-6;  // of finite differences: small beside the policy's deviation
};

// A lesson of two tasks, and rows beside those that played it, so that ratios of probabilities are not 1.
// With 30 episodes of 12 steps there are two blocks of samples, the second smaller.
struct Played {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<TaskBatch> batch;
  ControlBatch::Lesson lesson;
  Tensor rows, v;  // [2, P] double

  const ControlBatch& tasks() const { return dynamic_cast<const ControlBatch&>(*batch); }
};

Played played(const Case& c) {
  Played p;
  Json task{{"world", {{"kind", "navigation"}, {"robots", c.robots}, {"limit", 12}}},
            {"vary", {"goal_0_x", "goal_0_y"}},
            {"copies", 30},
            {"player_index", c.robots > 1},
            {"baseline", "linear"}};
  task.update(c.task);
  p.family = make<TaskFamilyRegistry>("control", task, int64_t{1});
  p.model = make<ModelRegistry>("gaussian", c.model, p.family->spec().shape);
  p.batch = p.family->sample(*p.model, asks_for(std::vector<int64_t>{0, 0}, Rng(3)), Split::kTrain);
  const Tensor theta = p.model->init(split_keys(Rng(4), "row", 2));
  p.lesson = p.tasks().play(theta, Stage::kSupport, Rng(5));
  p.rows = theta.to(at::kDouble) + 0.03 * normal(Rng(6), theta.sizes(), at::kDouble);
  p.v = normal(Rng(7), theta.sizes(), at::kDouble);
  return p;
}

double apart(const Tensor& a, const Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

class EveryStudy : public testing::TestWithParam<Case> {};

TEST_P(EveryStudy, TheKernelIsAutograd) {
  const Played p = played(GetParam());
  const auto slow = study_by_autograd(p.tasks(), p.rows, p.lesson, true);
  const auto fast = study_by_kernel(p.tasks(), p.rows, p.lesson, true);
  ASSERT_TRUE(fast);
  const Gradients a = slow->gradient(), b = fast->gradient();
  EXPECT_LE(apart(b.loss, a.loss), 1e-11);
  EXPECT_LE(apart(b.grad, a.grad), 1e-11);
  EXPECT_LE(apart(fast->outputs(), slow->outputs()), 1e-11);
  EXPECT_LE(apart(fast->hessian(p.v), slow->hessian(p.v)), 1e-10);
  EXPECT_LE(apart(fast->metric(p.v), slow->metric(p.v)), 1e-10);
  const Tensor before = p.tasks().outputs(p.rows - 0.1 * p.v, p.lesson);
  const auto x = slow->judge(before), y = fast->judge(before);
  EXPECT_LE(apart(y.surrogate, x.surrogate), 1e-11);
  EXPECT_LE(apart(y.apart, x.apart), 1e-11);
  // What was kept for one product does not change with another.
  EXPECT_TRUE(fast->hessian(p.v).equal(fast->hessian(p.v)));
  EXPECT_LE(apart(fast->hold(before), slow->hold(before)), 1e-11);
  // Ratios are beside 1 by so much that some are cut, and some are not; of a policy that hardly deviates all
  // are cut.
  const bool sharp = GetParam().h < 1e-6;
  const Tensor far = p.rows + (sharp ? 1e-6 : 0.05) * p.v;
  for (const double clip : {0.02, 0.3}) {
    const Gradients c = study_by_autograd(p.tasks(), far, p.lesson, false, clip)->gradient(),
                    d = study_by_kernel(p.tasks(), far, p.lesson, false, clip)->gradient(),
                    whole = study_by_autograd(p.tasks(), far, p.lesson, false, 1e9)->gradient();
    EXPECT_LE((d.loss - c.loss).abs().max().item<double>(), 1e-11 * (1 + c.loss.abs().max().item<double>()));
    EXPECT_LE((d.grad - c.grad).abs().max().item<double>(), 1e-10 * (1 + c.grad.abs().max().item<double>()));
    if (clip < 0.1) {
      EXPECT_GT(apart(c.grad, whole.grad), 1e-3);
    }
  }
}

TEST_P(EveryStudy, DerivativesAreThoseOfFiniteDifferences) {
  const Played p = played(GetParam());
  for (const auto way : {study_by_autograd, study_by_kernel}) {
    const auto here = way(p.tasks(), p.rows, p.lesson, true, 0);
    const Gradients g = here->gradient();
    const Tensor before = here->outputs(), hv = here->hessian(p.v), fv = here->metric(p.v);
    const double h = GetParam().h;
    const auto up = way(p.tasks(), p.rows + h * p.v, p.lesson, false, 0),
               down = way(p.tasks(), p.rows - h * p.v, p.lesson, false, 0);
    const Gradients gu = up->gradient(), gd = down->gradient();
    EXPECT_LE(apart((g.grad * p.v).sum(1), (gu.loss - gd.loss) / (2 * h)), 1e-5);
    EXPECT_LE(apart(hv, (gu.grad - gd.grad) / (2 * h)), 1e-4);
    // The divergence is v^T F v h^2 / 2 for small h.
    const double step = 1e-3;
    const Tensor near = way(p.tasks(), p.rows + step * p.v, p.lesson, false, 0)->judge(before).apart +
                        way(p.tasks(), p.rows - step * p.v, p.lesson, false, 0)->judge(before).apart;
    EXPECT_LE(apart((fv * p.v).sum(1), near / (step * step)), 2e-2);
    EXPECT_LE(here->judge(before).apart.abs().max().item<double>(), 1e-14);
    const Tensor other = p.tasks().outputs(p.rows - 0.1 * p.v, p.lesson);
    const Tensor pulled = (up->judge(other).apart - down->judge(other).apart) / (2 * h);
    EXPECT_LE(apart((here->hold(other) * p.v).sum(1), pulled), 1e-4);
  }
}

TEST_P(EveryStudy, ThreadsChangeNothing) {
  const Played p = played(GetParam());
  const auto run = [&](int threads) {
    set_threads(threads);
    const auto s = study_by_kernel(p.tasks(), p.rows, p.lesson, true);
    const Tensor g = s->gradient().grad;
    return at::cat({g, s->hessian(p.v), s->metric(p.v)});
  };
  const Tensor one = run(1), two = run(2);
  set_threads(0);
  EXPECT_TRUE(one.equal(two));
}

INSTANTIATE_TEST_SUITE_P(
    Policies, EveryStudy,
    testing::Values(
        Case{"relu", {{"hidden", {9, 8}}, {"std", 0.5}}, {{"surrogate", "low_variance"}}, 1},
        Case{"dice", {{"hidden", {9, 8}}, {"std", 0.5}}, {{"surrogate", "dice"}}, 1},
        Case{"tanh", {{"hidden", {7}}, {"activation", "tanh"}}, {{"surrogate", "low_variance"}}, 2},
        Case{"dice_of_two", {{"hidden", {7}}, {"activation", "gelu"}}, {{"surrogate", "dice"}}, 2},
        Case{"linear", {{"hidden", Json::array()}, {"learn_std", false}}, {{"surrogate", "dice"}}, 1},
        Case{
            "held_at_the_least", {{"hidden", {6}}, {"std", 1e-4}}, {{"surrogate", "low_variance"}}, 1, 1e-7}),
    [](const auto& info) { return info.param.name; });

TEST(Study, TheKernelIsForPoliciesThatItKnows) {
  const Played p = played({"", {{"hidden", {6}}}, {{"surrogate", "dice"}}, 2});
  EXPECT_TRUE(study_by_kernel(p.tasks(), p.rows, p.lesson, false));
  {
    CompositePath path;
    EXPECT_FALSE(study_by_kernel(p.tasks(), p.rows, p.lesson, false));
  }
  // A network for each of two robots.
  EXPECT_FALSE(study_by_kernel(p.tasks(), p.rows.repeat({1, 2}), p.lesson, false));
  EXPECT_TRUE(study(p.tasks(), p.rows.repeat({1, 2}), p.lesson, false));
}

}  // namespace
}  // namespace symma
