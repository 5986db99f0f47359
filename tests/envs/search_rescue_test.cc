// Search and rescue against 120 steps of Jumanji 1.1.2, and the returns of rules measured on it.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "envs/worlds.h"
#include "symma/core/safetensors.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

constexpr int64_t kTargets = 40;

// The world's own part of a saved copy, from what a trace says.
struct World {
  Tensor saved;
  double* own;
  World(const Env& env, const Restorable& r)
      : saved(r.save(0)), own(saved.data_ptr<double>() + saved.numel() - r.world_size()) {}
  double* target(int64_t k) { return own + 8 + 5 * k; }
};

// Plays `golden` through the world. Targets' walk is given, not drawn: they are put where they go.
TEST(SearchRescue, AgreesStepByStepWithTheOriginal) {
  const Safetensors golden = read_safetensors(SYMMA_SOURCE_DIR "/tests/golden/search_rescue.safetensors");
  const auto at = [&](const char* name, int64_t t) { return golden.tensors.at(name)[t].data_ptr<float>(); };
  auto env = make_world("search_rescue", 1, "auto_reset = false\n");
  auto& r = dynamic_cast<Restorable&>(*env);
  Frame f;
  env->reset(Rng(0), f);
  // Without drift a target stays where it is put.
  dynamic_cast<HasTasks&>(*env).set_tasks(at::tensor({40.0, 0.0, 0.0, 0.1, 400.0}, at::kDouble).view({1, 5}));
  env->reset(Rng(0), f);
  World first(*env, r);
  std::copy_n(golden.tensors.at("first").data_ptr<float>(), 8, first.own);
  r.restore(0, first.saved, f);
  int64_t rays = 0;
  double earned = 0;
  for (int64_t t = 0; t < golden.tensors.at("action").size(0); ++t) {
    World before(*env, r);
    for (int64_t k = 0; k < kTargets; ++k) std::copy_n(at("targets", t) + 2 * k, 2, before.target(k));
    r.restore(0, before.saved, f);
    env->step(golden.tensors.at("action")[t].unsqueeze(0).contiguous(), f);
    const World after(*env, r);
    for (int64_t j = 0; j < 8; ++j) {
      // Angles meet at 0 and 2 pi, places at 0 and 1.
      EXPECT_NEAR(after.own[j], at("searchers", t)[j], j % 4 == 2 ? 2e-6 : 1e-6) << t << ", " << j;
    }
    for (int64_t i = 0; i < 2; ++i) {
      // The original divides by multiplying with the inverse.
      EXPECT_FLOAT_EQ(f.reward[0][i].item<float>(), at("reward", t)[i]) << t;
      earned += f.reward[0][i].item<double>();
    }
    for (int64_t k = 0; k < kTargets; ++k)
      EXPECT_EQ(after.own[8 + 5 * k + 4], golden.tensors.at("found")[t][k].item<int64_t>())
          << t << ", target " << k;
    const Tensor due = golden.tensors.at("view")[t].reshape({2, 384});
    const Tensor off = (f.obs[0].slice(1, 0, 384) - due).abs();
    rays += (due > -1).sum().item<int64_t>();
    // A ray at the very edge of a disc is on it or not by float32's last digit.
    EXPECT_LE((off > 1e-5).sum().item<int64_t>(), 0) << t;
  }
  EXPECT_GT(earned, 0.9);
  EXPECT_GT(rays, 1500);
}

struct Estimate {
  double mean, ci95;
};

Estimate played(const std::string& rule, const std::string& settings = "", double sign = 1,
                const std::string& world = "") {
  constexpr int64_t kCopies = 256;
  auto env = make_world("search_rescue", kCopies, "auto_reset = false\n" + world);
  const auto script = make_script(rule, settings);
  script->check(*env);
  Frame f;
  env->reset(Rng(1), f);
  Tensor sum = at::zeros({kCopies}, at::kDouble);
  for (int64_t t = 0; t < env->spec().limit; ++t) {
    Tensor a = scripted(*script, *env, f, Rng(2).split("step", t));
    a.select(2, 0).mul_(sign);
    env->step(a, f);
    sum += f.reward.sum(1);
  }
  EXPECT_TRUE(f.terminated.all().item<bool>()) << "the limit is an end, as in the original";
  return {sum.mean().item<double>(), 1.96 * sum.std().item<double>() / 16};
}

TEST(SearchRescue, ReturnsOfRulesAreThoseOfTheOriginal) {
  const auto near = [](Estimate ours, double sheet, double interval, const std::string& what) {
    std::cout << what
              << fmt::format(": {:.2f} +- {:.2f} (sheet {:.2f} +- {:.2f})\n", ours.mean, ours.ci95, sheet,
                             interval);
    EXPECT_NEAR(ours.mean, sheet, ours.ci95 + interval) << what;
  };
  near(played("random"), 5.51, .32, "random");
  near(played("straight"), 7.28, .31, "straight");
  near(played("straight", "push = -1\n"), 2.85, .25, "straight, slow");
  near(played("steer"), 12.32, .39, "steering");
  const Estimate wrong = played("steer", "", -1);
  EXPECT_LT(wrong.mean, 1.5) << "the wrong way around is worse than chance: .85";
  const Estimate centre = played("steer", "aim = \"centre\"\n");
  std::cout << "steering to the centre: " << centre.mean << "\n";
  EXPECT_GT(centre.mean, 24) << "a target's disc is wide when it is near: its edge is the wrong aim";
}

TEST(SearchRescue, TasksAreWhatTheySay) {
  auto env = make_world("search_rescue", 1, "auto_reset = false\nlimit = 50\n");
  auto& tasks = dynamic_cast<HasTasks&>(*env);
  auto& r = dynamic_cast<Restorable&>(*env);
  Tensor t = at::tensor({60.0, 2.0, 0.0, 0.05, 10.0}, at::kDouble).view({1, 5});
  tasks.set_tasks(t);
  Frame f;
  env->reset(Rng(4), f);
  Tensor push = at::ones({1, 2, 2});
  push.select(2, 0).fill_(0);
  const World before(*env, r);
  for (int64_t s = 0; s < 30; ++s) env->step(push, f);
  const World after(*env, r);
  EXPECT_DOUBLE_EQ(after.own[3], 0.005) << "the first searcher has failed";
  EXPECT_DOUBLE_EQ(after.own[7], 0.02);
  for (int64_t k = 0; k < 60; ++k) {
    EXPECT_EQ(after.own[8 + 5 * k], before.own[8 + 5 * k]) << "targets without drift stay";
    // Each is near the mean of its cluster, over the edge or not.
    double nearest = 1;
    for (int64_t j = k % 2; j < 60; j += 2) {
      if (j == k) continue;
      const double dx = after.own[8 + 5 * k] - after.own[8 + 5 * j],
                   dy = after.own[9 + 5 * k] - after.own[9 + 5 * j];
      nearest = std::min(nearest, std::hypot(dx - std::round(dx), dy - std::round(dy)));
    }
    EXPECT_LT(nearest, 0.2);
  }
  const auto with = [&](int64_t k, double x) {
    Tensor bad = t.clone();
    bad[0][k] = x;
    return error_of([&] { tasks.set_tasks(bad); });
  };
  EXPECT_NE(with(0, 0).find("targets"), std::string::npos);
  EXPECT_NE(with(0, 4.5).find("whole"), std::string::npos);
  EXPECT_NE(with(1, -1).find("clusters"), std::string::npos);
  EXPECT_NE(with(2, -1).find("drift"), std::string::npos);
  EXPECT_NE(with(3, 0.7).find("smoke"), std::string::npos);
  EXPECT_NE(with(4, -2).find("fails"), std::string::npos);
}

// Smoke and clusters change what a rule earns, in the way one expects.
TEST(SearchRescue, MoreSearchersFindMore) {
  const double two = played("steer").mean, four = played("steer", "", 1, "searchers = 4\n").mean;
  EXPECT_GT(four, two + 4);
}

}  // namespace
}  // namespace symma
