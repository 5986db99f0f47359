// Payloads: what is lifted is set down, what it earns by hand, and teams whose sums stay the same.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>

#include "envs/worlds.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

// The world's own numbers: middle, right, home; then x, y, load, limit, speed, said of all robots.
std::vector<double> saved(const Env& env, int64_t e, int64_t robots) {
  const Tensor s = dynamic_cast<const Restorable&>(env).save(e);
  const double* end = s.data_ptr<double>() + s.numel();
  return {end - 3 - 6 * robots, end};
}

TEST(Payloads, UnitsAreKeptAndPaidByHand) {
  auto env = make_world("payloads", 6, "auto_reset = false\n");
  Frame f;
  env->reset(Rng(2), f);
  std::vector<double> earned(6, 0), total(6, 0);
  for (int64_t e = 0; e < 6; ++e) {
    const auto s = saved(*env, e, 4);
    total[e] = s[0] + s[1];
  }
  for (int64_t t = 0; t < 70; ++t) {
    std::vector<std::vector<double>> before;
    for (int64_t e = 0; e < 6; ++e) before.push_back(saved(*env, e, 4));
    env->step(random_actions(env->spec(), f.mask, Rng(3), t), f);
    for (int64_t e = 0; e < 6; ++e) {
      const auto s = saved(*env, e, 4);
      double carried = 0;
      for (int64_t i = 0; i < 4; ++i) carried += s[3 + 8 + i];
      EXPECT_NEAR(s[0] + s[1] + s[2] + carried, total[e], 1e-9) << "no unit is lost";
      const double lifted = before[e][0] + before[e][1] - s[0] - s[1], home = s[2] - before[e][2];
      EXPECT_NEAR(f.reward[e][0].item<double>(), -0.1 + 0.025 * lifted + 0.075 * home, 1e-5);
    }
  }
}

TEST(Payloads, TheRuleBringsMostHomeAndChanceLittle) {
  auto env = make_world("payloads", 200, "auto_reset = false\n");
  std::map<std::string, double> home;
  for (const std::string kind : {"carry", "random"}) {
    const auto script = make_script(kind);
    Frame f;
    env->reset(Rng(1), f);
    for (int64_t t = 0; t < 70; ++t) env->step(script->act(*env, f, Rng(4).split("act", t)), f);
    for (int64_t e = 0; e < 200; ++e) home[kind] += dynamic_cast<const Judged&>(*env).scores(e)[0] / 200;
  }
  EXPECT_GT(home["carry"], 0.9);
  EXPECT_LT(home["random"], 0.3);
}

// What `carry` earns with 4,000 teams, by how many of the fastest go to the strip first.
Tensor earned(int64_t strip) {
  auto env = make_world("payloads", 4000, "auto_reset = false\n");
  Tensor team = at::zeros({4000, 5}, at::kDouble);
  const auto& p = dynamic_cast<HasTasks&>(*env).task_parameters();
  for (size_t k = 0; k < p.size(); ++k) team.select(1, static_cast<int64_t>(k)).fill_(p[k].value);
  team.select(1, 0).copy_(at::arange(100001, 104001));
  dynamic_cast<HasTasks&>(*env).set_tasks(team);
  const auto script = make_script("carry", fmt::format("strip = {}\n", strip));
  Frame f;
  env->reset(Rng(1), f);
  Tensor sum = at::zeros({4000}), going = at::ones({4000});
  for (int64_t t = 0; t < 70; ++t) {
    env->step(script->act(*env, f, Rng(4)), f);
    sum += going * f.reward.select(1, 0);
    going = going * f.terminated.logical_not();
  }
  return sum;
}

// To begin with the strip saves steps; to know who is fast adds little to that. A program of its own, with
// another way into the disc and 150 teams, has 8.34, 8.54 and 8.60, and .05 from the second to the third.
TEST(Payloads, ToKnowWhoIsFastIsWorthLittle) {
  const Tensor near = earned(0), all = earned(4), fast = earned(2);
  const auto expect_over = [](const Tensor& a, const Tensor& b, double low, double high) {
    const double mean = (a - b).mean().item<double>(),
                 half = (a - b).std().item<double>() * 1.96 / std::sqrt(4000.0);
    EXPECT_GT(mean - half, low);
    EXPECT_LT(mean + half, high);
  };
  EXPECT_NEAR(near.mean().item<double>(), 8.34, 0.1);
  expect_over(all, near, 0.12, 0.25);
  expect_over(fast, all, 0, 0.1);
}

TEST(Payloads, TeamsHaveTheSameSumsAndStayTheSame) {
  auto env = make_world("payloads", 2, "auto_reset = false\n");
  std::vector<double> first;
  for (double team : {1.0, 2.0, 77.0, 1.0}) {
    set_task(*env, {{"team", team}});
    Frame f;
    env->reset(Rng(static_cast<uint64_t>(team) + 5), f);
    const auto a = saved(*env, 0, 4), b = saved(*env, 1, 4);
    double limits = 0, speeds = 0;
    for (int64_t i = 0; i < 4; ++i) {
      limits += a[3 + 12 + i], speeds += a[3 + 16 + i];
      EXPECT_EQ(a[3 + 12 + i], b[3 + 12 + i]) << "a team is the same in every episode";
    }
    EXPECT_NEAR(limits, 40, 2.5) << "whole units";
    EXPECT_NEAR(speeds, 1.2, 1e-9);
    if (team == 1 && first.empty())
      first = {a.begin() + 15, a.begin() + 23};
    else
      EXPECT_EQ(first == std::vector<double>(a.begin() + 15, a.begin() + 23), team == 1);
  }
}

TEST(Payloads, WhoBreaksStandsStill) {
  auto env = make_world("payloads", 1, "auto_reset = false\n");
  set_task(*env, {{"breaks", 2}, {"breaks_at", 3}});
  Frame f;
  env->reset(Rng(1), f);
  for (int64_t t = 0; t < 20; ++t) {
    const auto before = saved(*env, 0, 4);
    env->step(at::full({1, 4}, t % 2 ? 3 : 4, at::kLong), f);
    const auto after = saved(*env, 0, 4);
    EXPECT_EQ(before[3 + 2] == after[3 + 2], t >= 3) << t;
  }
}

TEST(Payloads, BadInputIsOneClearLine) {
  auto env = make_world("payloads", 1);
  for (const auto& [name, value] : std::map<std::string, double>{
           {"team", -1}, {"middle", -5}, {"right", 1e9}, {"breaks", 4}, {"breaks_at", -1}}) {
    const std::string said = error_of([&, &name = name, &value = value] { set_task(*env, {{name, value}}); });
    EXPECT_NE(said.find(name), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace symma
