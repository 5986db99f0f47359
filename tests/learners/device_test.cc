// A fleet on a device: what learns on the processor learns the same there, up to the order of sums.
#include <gtest/gtest.h>

#include "learners/every_setting.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

// In double, so that three rounds leave nothing of a rounding that would hide a fault.
void expect_near(const Tensor& here, const Tensor& there, const std::string& what) {
  ASSERT_EQ(here.sizes(), there.sizes()) << what;
  ASSERT_EQ(here.scalar_type(), there.scalar_type()) << what;
  const Tensor a = here.cpu().to(at::kDouble), b = there.cpu().to(at::kDouble);
  EXPECT_TRUE(a.allclose(b, 1e-6, 1e-8, /*equal_nan=*/true))
      << what << ": by " << (a - b).abs().max().item<double>() << " of " << a.abs().max().item<double>();
}

class EveryLearner : public testing::TestWithParam<std::string> {};

TEST_P(EveryLearner, LearnsOnADeviceAsOnTheProcessor) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device here";
  // Of a covariance with equal eigenvalues any basis is right, and a rounding decides which is found and
  // sampled by.
  const bool arbitrary = GetParam() == "cma_es";
  const int64_t rounds = arbitrary ? 1 : 3;
  int met = 0;
  for (const Setting& setting : settings()) {
    const std::string what = GetParam() + " on " + setting.name;
    Made m;
    State here;
    Scores told;
    try {
      m = make_in(setting, GetParam());
      const Kind kind = m.family->spec().kind;
      if (kind == Kind::kControl || kind == Kind::kGame) continue;  // played on the processor
      here = start(m, at::kDouble);
      for (int64_t r = 0; r < rounds; ++r) told = m.round(here, r);
    } catch (const UserError&) {
      continue;  // not for this learner, which says so
    }
    ++met;
    try {
      State there = start(m, at::kDouble).on(at::kCUDA);
      Scores told_there;
      for (int64_t r = 0; r < rounds; ++r) told_there = m.round(there, r);
      EXPECT_TRUE(there.theta.is_cuda()) << what;
      expect_near(here.theta, there.theta, what);
      EXPECT_TRUE(here.steps.equal(there.steps)) << what;
      ASSERT_EQ(here.own.size(), there.own.size()) << what;
      for (const auto& [name, t] : here.own)
        if (name != "basis") expect_near(t, there.own.at(name), what + ", " + name);
      for (const auto& [name, t] : told) expect_near(t, told_there.at(name), what + ", told " + name);
      if (arbitrary) continue;
      const auto judged = [&](const State& s) {
        const Subject subject{*m.learner, *m.model, *m.family, s};
        return evaluate(subject, Split::kTest, 3, {0, 2}, /*own_slice=*/false, Rng(5)).scores();
      };
      const ScoreTable on_processor = judged(here), on_device = judged(there);
      for (size_t i = 0; i < on_processor.size(); ++i)
        for (size_t j = 0; j < on_processor[i].size(); ++j)
          for (size_t k = 0; k < on_processor[i][j].size(); ++k)
            EXPECT_NEAR(on_processor[i][j][k], on_device[i][j][k],
                        1e-6 * (1 + std::abs(on_processor[i][j][k])))
                << what << ", judged";
    } catch (const std::exception& e) {
      ADD_FAILURE() << what << ": " << e.what();
    }
  }
  if (met == 0) GTEST_SKIP() << "learns from worlds or games alone, which are played on the processor";
}

TEST(Device, TheConvolutionalNetLearnsThereToo) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device here";
  constexpr int64_t kImages = 6, kSide = 11;
  const TaskSpec spec{.shape = {{kSide, kSide, 1}, 3}, .kind = Kind::kClassification, .metric = "accuracy"};
  for (const std::string learner : {"maml", "imaml", "reptile", "protonet", "r2d2", "scratch"}) {
    try {
      const auto model = make<ModelRegistry>("conv", {{"channels", 16}, {"blocks", 2}}, spec.shape);
      const std::vector<int64_t> sizes{kAgents * kTasks, kImages, kSide, kSide, 1};
      Episodes e;
      e.support_x = uniform(Rng(1), sizes, 0, 1), e.query_x = uniform(Rng(2), sizes, 0, 1);
      e.support_y = e.query_y = at::arange(kImages, at::kLong).remainder(3).repeat({kAgents * kTasks, 1});
      const SupervisedBatch here(*model, spec.kind, e, Mode::kTrain);
      const auto there = here.on(at::kCUDA);
      const auto learns = make<LearnerRegistry>(learner, Json::object(), LearnerSetting{*model, spec});
      State a = learns->init(split_keys(Rng(3), "agent", kAgents), at::kDouble), b = a.on(at::kCUDA);
      for (uint64_t r = 0; r < 3; ++r) learns->step(a, here, Rng(r)), learns->step(b, *there, Rng(r));
      expect_near(a.theta, b.theta, learner);
    } catch (const std::exception& problem) {
      ADD_FAILURE() << learner << ": " << problem.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryLearner, testing::ValuesIn(LearnerRegistry::instance().names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace symma
