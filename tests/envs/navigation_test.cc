// Point navigation: moves, pay and ends by hand, and what standing still earns.
#include <gtest/gtest.h>

#include <cmath>

#include "envs/worlds.h"

namespace symma {
namespace {

struct Played {
  std::unique_ptr<Env> env;
  Frame frame;

  Played(int64_t copies, const std::string& options, const std::vector<double>& goals)
      : env(make_world("navigation", copies, "auto_reset = false\n" + options)) {
    const auto k = static_cast<int64_t>(goals.size());
    dynamic_cast<HasTasks&>(*env).set_tasks(at::tensor(goals, at::kDouble).view({1, k}).repeat({copies, 1}));
    env->reset(Rng(1), frame);
  }
  void move(const std::vector<float>& by) { env->step(at::tensor(by).view({1, -1, 2}), frame); }
  double reward() const { return frame.reward[0][0].item<double>(); }
  bool over() const { return frame.terminated[0].item<bool>(); }
};

TEST(Navigation, MovesAreClippedAndPaidByTheDistanceAfterThem) {
  Played p(1, "", {0.3, 0.4});
  EXPECT_EQ(p.frame.obs.abs().sum().item<double>(), 0) << "the goal is not seen";
  p.move({5, -0.05F});
  EXPECT_NEAR(p.frame.obs[0][0][0].item<double>(), 0.1, 1e-7);
  EXPECT_NEAR(p.frame.obs[0][0][1].item<double>(), -0.05, 1e-7);
  EXPECT_NEAR(p.reward(), -std::hypot(0.2, 0.45), 1e-6);
  Played squared(1, "squared = true", {0.3, 0.4});
  squared.move({5, -0.05F});
  EXPECT_NEAR(squared.reward(), -(0.04 + 0.45 * 0.45), 1e-6);
}

TEST(Navigation, NormalisedActionsCountInLongestMoves) {
  Played p(1, "normalised = true", {0.3, 0.4});
  p.move({0.5F, -2});
  EXPECT_NEAR(p.frame.obs[0][0][0].item<double>(), 0.05, 1e-7);
  EXPECT_NEAR(p.frame.obs[0][0][1].item<double>(), -0.1, 1e-7);
}

TEST(Navigation, EndsWithinAHundredthOfTheGoal) {
  Played p(1, "", {0.1, 0.05});
  p.move({0.089F, 0.05F});
  EXPECT_FALSE(p.over());
  p.move({0.002F, 0.009F});
  EXPECT_TRUE(p.over());
  EXPECT_FALSE(p.frame.truncated[0].item<bool>());
}

TEST(Navigation, EveryRobotTakesAGoalOfItsOwn) {
  Played p(1, "robots = 2", {0.1, 0, 0.1, 0.2});
  p.move({0.1F, 0, 0, 0});  // the first stands on a goal; the other is left with the further one
  EXPECT_NEAR(p.reward(), -std::hypot(0.1, 0.2), 1e-6);
  EXPECT_FALSE(p.over());
  // Each is shown where the other is.
  EXPECT_NEAR(p.frame.obs[0][0][2].item<double>(), -0.1, 1e-7);
  EXPECT_NEAR(p.frame.obs[0][1][2].item<double>(), 0.1, 1e-7);
  p.move({0, 0.1F, 0.1F, 0});
  p.move({0, 0.1F, 0, 0});  // they have changed places
  EXPECT_TRUE(p.over());
  EXPECT_NEAR(p.reward(), 0, 1e-6);
  EXPECT_TRUE(p.frame.reward[0][0].equal(p.frame.reward[0][1]));
}

// The references' figures, 100 E|g| and 100 E|g|^2 for g in [-.5, .5]^2: (sqrt(2) + asinh(1)) / 6 = 0.38260
// and 1/6.
TEST(Navigation, StandingStillEarnsWhatItShould) {
  for (const bool squared : {false, true}) {
    constexpr int64_t kCopies = 20000;
    auto env = make_world("navigation", kCopies, squared ? "squared = true" : "");
    auto& tasks = dynamic_cast<HasTasks&>(*env);
    tasks.set_tasks(draw_tasks(tasks, kCopies, TaskRange::kTest, Rng(3)));
    Frame f;
    env->reset(Rng(4), f);
    env->step(at::zeros({kCopies, 1, 2}), f);
    const double expected = squared ? 1.0 / 6 : (std::sqrt(2) + std::asinh(1)) / 6;
    EXPECT_NEAR(-f.reward.mean().item<double>(), expected, 0.005);
  }
}

}  // namespace
}  // namespace symma
