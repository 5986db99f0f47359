// The ring: uniform flow by its closed form, human traffic and rules against the sheet's measured speeds.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>

#include "envs/worlds.h"
#include "symma/envs/roads/ring.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

struct Measured {
  std::map<std::string, double> mean, deviation;  // over copies
  double returned = 0;
};

Measured drive(const std::string& options, const std::string& script, const std::string& settings,
               double length, int64_t limit = 3000, int64_t copies = 32) {
  auto env = make_world("ring", copies, fmt::format("auto_reset = false\nlimit = {}\n{}", limit, options));
  auto& tasks = dynamic_cast<HasTasks&>(*env);
  Tensor t = at::zeros({copies, 3}, at::kDouble);
  t.select(1, 0).fill_(length), t.select(1, 1).fill_(1), t.select(1, 2).fill_(.2);
  tasks.set_tasks(t);
  const auto rival = make_script(script, settings);
  Frame f;
  env->reset(Rng(3), f);
  Measured out;
  for (int64_t s = 0; s < env->spec().limit; ++s) {
    env->step(rival->act(*env, f, Rng(s)), f);
    out.returned += f.reward.select(1, 0).mean().item<double>();
  }
  const auto& judge = dynamic_cast<const Judged&>(*env);
  for (size_t k = 0; k < judge.score_names().size(); ++k) {
    double sum = 0, square = 0;
    for (int64_t e = 0; e < copies; ++e) {
      const double x = judge.scores(e)[k];
      sum += x, square += x * x;
    }
    const auto n = static_cast<double>(copies);
    out.mean[judge.score_names()[k].name] = sum / n;
    out.deviation[judge.score_names()[k].name] = std::sqrt(std::max(0.0, square / n - sum * sum / n / n) / n);
  }
  return out;
}

struct Row {
  double length, even, most, speed, last, spread, returned;
};
const std::vector<Row> kSheet{{220, 3.000, 3.238, 2.106, 2.102, 2.677, 1264},
                              {230, 3.454, 3.714, 2.406, 2.401, 2.923, 1444},
                              {240, 3.908, 4.189, 2.712, 2.701, 3.151, 1627},
                              {250, 4.362, 4.665, 3.032, 3.000, 3.365, 1819},
                              {260, 4.816, 5.140, 3.374, 3.298, 3.565, 2024}};

TEST(Ring, UniformFlowIsTheClosedForm) {
  for (const Row& r : kSheet) {
    const double v = uniform_speed(r.length, 22, 1, 22);
    EXPECT_NEAR(v, r.even, 6e-4);
    EXPECT_NEAR(uniform_speed(r.length, 22, 1, 21), r.most, 6e-4);
    // At this speed nobody speeds up or brakes.
    EXPECT_NEAR(1 - std::pow(v / 30, 4) - std::pow((2 + v) / ((r.length - 110) / 22), 2), 0, 1e-9);
  }
  EXPECT_EQ(uniform_speed(120, 22, 1, 22), 0);
}

TEST(Ring, HumanTrafficHasTheSheetsWave) {
  for (const Row& r : kSheet) {
    const Measured m = drive("hands_off = true", "idle", "", r.length);
    // Both are means of 32 seeds: the sheet's interval, as far as it gives one, and ours.
    EXPECT_NEAR(m.mean.at("mean_speed"), r.speed, .004 + 3 * m.deviation.at("mean_speed")) << r.length;
    EXPECT_NEAR(m.mean.at("last_speed"), r.last, .005 + 4 * m.deviation.at("last_speed")) << r.length;
    EXPECT_NEAR(m.mean.at("spread"), r.spread, .03 + 4 * m.deviation.at("spread")) << r.length;
    EXPECT_NEAR(m.returned, r.returned, 4 + 600 * 3 * m.deviation.at("mean_speed")) << r.length;
    EXPECT_EQ(m.mean.at("collisions"), 0);
    EXPECT_NEAR(m.mean.at("wave_energy"), r.spread * r.spread / 2, .15);
  }
}

TEST(Ring, FollowerStopperDissolvesTheWaveWhereTheSheetSaysSo) {
  const std::string strong = "brake = 6\npush = 1.5\n";
  const Measured good = drive(strong, "follower_stopper", "set = 0.95", 230, 6000, 4);
  EXPECT_NEAR(good.mean.at("last_speed"), 3.281, .02);
  EXPECT_LT(good.mean.at("spread"), .1);
  EXPECT_LT(drive(strong, "follower_stopper", "set = 1.0", 230, 6000, 4).mean.at("last_speed"), 3)
      << "too fast keeps the wave";
  const Measured weak = drive("", "follower_stopper", "set = 1.0", 260, 6000, 4);
  EXPECT_NEAR(weak.mean.at("last_speed"), 4.816, .02);
  EXPECT_NEAR(drive("", "follower_stopper", "set = 0.95", 260, 6000, 4).mean.at("last_speed"), 4.575, .02);
  EXPECT_LT(drive("", "follower_stopper", "set = 0.95", 230, 6000, 4).mean.at("last_speed"), 2.8);
}

TEST(Ring, WhoFloorsItRunsIntoTheCarAhead) {
  auto env = make_world("ring", 1, "auto_reset = false");
  Frame f;
  env->reset(Rng(1), f);
  for (int64_t t = 0; t < 3000 && !f.terminated.item<bool>(); ++t) env->step(at::ones({1, 1, 1}), f);
  EXPECT_TRUE(f.terminated.item<bool>());
  EXPECT_EQ(dynamic_cast<const Judged&>(*env).scores(0)[5], 1);
}

TEST(Ring, NumbersThatAreHeldAreTheSameAsThoseThatAreRepeated) {
  const std::string noiseless = "auto_reset = false\nlimit = 100\n";
  auto fine = make_world("ring", 1, noiseless), coarse = make_world("ring", 1, noiseless + "every = 10\n");
  EXPECT_EQ(coarse->spec().limit, 10);
  const Tensor t = at::tensor({230., 1., 0.}, at::kDouble).view({1, 3});
  dynamic_cast<HasTasks&>(*fine).set_tasks(t), dynamic_cast<HasTasks&>(*coarse).set_tasks(t);
  Frame f, g;
  fine->reset(Rng(1), f), coarse->reset(Rng(1), g);
  for (int64_t k = 0; k < 10; ++k) {
    const Tensor a = at::full({1, 1, 1}, .1 * std::sin(static_cast<double>(k)));
    double sum = 0;
    for (int j = 0; j < 10; ++j) fine->step(a, f), sum += f.reward.item<double>();
    coarse->step(a, g);
    EXPECT_TRUE(at::equal(f.obs, g.obs)) << k;
    EXPECT_NEAR(g.reward.item<double>(), sum, 1e-4);
  }
}

TEST(Ring, ImpossibleRingsAreOneClearLine) {
  const std::string many = error_of([] { make_world("ring", 1, "cars = 3\nautomated = 4"); });
  EXPECT_NE(many.find("automated"), std::string::npos) << many;
  auto env = make_world("ring", 1);
  const std::string tight = error_of([&] {
    dynamic_cast<HasTasks&>(*env).set_tasks(at::tensor({150., 1., .2}, at::kDouble).view({1, 3}));
  });
  EXPECT_NE(tight.find("length: is 150; more than 160 m"), std::string::npos) << tight;
}

}  // namespace
}  // namespace symma
