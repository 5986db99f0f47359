// Box pushing against the sheet's values by dynamic programming, and the world against its own table.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "envs/worlds.h"
#include "symma/envs/robots/box_pushing.h"

namespace symma {
namespace {

using box_pushing::kStates;
constexpr std::array<bool, 2> kEach{false, true};

// What an action pair is worth where `value` is to be had afterwards.
double worth(int64_t s, std::array<int64_t, 2> a, const std::vector<double>& value) {
  double out = box_pushing::reward(s, a);
  for (bool x : kEach)
    for (bool y : kEach) out += (x ? .9 : .1) * (y ? .9 : .1) * value[box_pushing::next(s, a, {x, y})];
  return out;
}

TEST(BoxPushing, ValuesAreThoseOfTheSheet) {
  const std::map<int, double> want{{2, 17.6},      {3, 66.81},     {4, 106.4306},   {5, 118.7720},
                                   {10, 244.8495}, {20, 511.1306}, {50, 1306.2443}, {100, 2628.1411}};
  std::vector<double> best(kStates, 0), random(kStates, 0);
  for (int h = 1; h <= 100; ++h) {
    std::vector<double> more(kStates, -1e9), by_chance(kStates, 0);
    for (int64_t s = 0; s < kStates; ++s) {
      for (int64_t k = 0; k < 16; ++k) {
        more[s] = std::max(more[s], worth(s, {k / 4, k % 4}, best));
        by_chance[s] += worth(s, {k / 4, k % 4}, random) / 16;
      }
    }
    best = more, random = by_chance;
    if (want.contains(h)) {
      EXPECT_NEAR(best[box_pushing::start()], want.at(h), 1e-4) << h;
    }
    if (h == 10) {
      EXPECT_NEAR(random[box_pushing::start()], -8.2941, 1e-4);
    }
  }
}

TEST(BoxPushing, PlacesAreThereAndBack) {
  for (int64_t s = 0; s < box_pushing::kLeft; ++s) {
    const auto p = box_pushing::pair_of(s);
    EXPECT_LT(p.cell[0], p.cell[1]);
    EXPECT_EQ(box_pushing::state_of(p), s);
  }
  // Rewards are of the attempt: a small push is worth 9.8, and 8.98 it would be of what works.
  const int64_t s = box_pushing::state_of({{0, 3}, {box_pushing::kNorth, box_pushing::kWest}});
  EXPECT_NEAR(box_pushing::reward(s, {box_pushing::kForward, box_pushing::kStay}), 9.8, 1e-12);
  EXPECT_EQ(box_pushing::next(s, {box_pushing::kForward, box_pushing::kForward}, {true, true}),
            box_pushing::kLeft);
  EXPECT_EQ(box_pushing::next(box_pushing::kLarge, {0, 0}, {true, true}), box_pushing::start());
}

// Random play of the world itself, by Monte Carlo: -8.2941 over 10 steps.
TEST(BoxPushing, TheWorldPlaysTheTable) {
  auto env = make_world("box_pushing", 20000, "auto_reset = false");
  Frame f;
  env->reset(Rng(1), f);
  Tensor sum = at::zeros({20000});
  for (int64_t t = 0; t < 10; ++t) {
    env->step((uniform(Rng(2).split("step", t), {20000, 2}, 0, 1) * 4).to(at::kLong).clamp_max_(3), f);
    sum += f.reward.select(1, 0);
  }
  EXPECT_NEAR(sum.mean().item<double>(), -8.2941, 3 * sum.std().item<double>() / std::sqrt(20000.0));
  EXPECT_NE(error_of([&] {
              auto& tasks = dynamic_cast<HasTasks&>(*env);
              tasks.set_tasks(at::full({20000, 1}, 1.5, at::kDouble));
            }).find("works"),
            std::string::npos);
}

}  // namespace
}  // namespace symma
