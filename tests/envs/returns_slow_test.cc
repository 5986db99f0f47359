// The warehouse's random policy: deliveries are rare, so many episodes of 500 steps are played.
#include <gtest/gtest.h>

#include <cmath>

#include "envs/worlds.h"
#include "symma/core/parallel.h"

namespace symma {
namespace {

struct Estimate {
  double mean, ci95;
};

Estimate by_chance(const std::string& options, int64_t copies) {
  auto env = make_world("warehouse", copies, options);
  const EnvSpec& s = env->spec();
  Frame f;
  env->reset(Rng(3), f);
  Tensor sum = at::zeros({copies});
  for (int64_t t = 0; t < s.limit; ++t) {
    env->step((uniform(Rng(4).split("step", t), {copies, s.agents}, 0, 1) * s.actions)
                  .to(at::kLong)
                  .clamp_max_(s.actions - 1),
              f);
    sum += team_reward(s, f.reward);
  }
  return {sum.mean().item<double>(),
          1.96 * sum.std().item<double>() / std::sqrt(static_cast<double>(copies))};
}

// rware 2.0.0, measured for this project: tiny .1385 +- .019 over 1,300 episodes (.15 in an earlier, shorter
// measurement), small .033 +- .020 over 300.
TEST(WarehouseReturns, RandomPolicy) {
  const Estimate tiny = by_chance("", 8000), small = by_chance("size = \"small\"", 8000);
  EXPECT_NEAR(tiny.mean, 0.1385, 0.019 + tiny.ci95) << tiny.ci95;
  EXPECT_NEAR(small.mean, 0.033, 0.020 + small.ci95) << small.ci95;
  RecordProperty("tiny", std::to_string(tiny.mean));
  RecordProperty("small", std::to_string(small.mean));
}

}  // namespace
}  // namespace symma
