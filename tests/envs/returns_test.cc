// What a random policy, and one that does nothing, earn in each variant: the table of published and measured
// returns that tells variants apart. Team returns (sum over agents; a common reward once).
#include <gtest/gtest.h>

#include <cmath>

#include "envs/worlds.h"

namespace symma {
namespace {

struct Estimate {
  double mean, ci95;
};

// Mean team return of whole episodes, `copies` at a time.
template <class Policy>
Estimate team_return(const std::string& world, const std::string& options, int64_t copies, int64_t batches,
                     Policy policy) {
  auto env = make_world(world, copies, options + "\nauto_reset = false");
  const EnvSpec& s = env->spec();
  Frame f;
  std::vector<Tensor> all;
  for (int64_t b = 0; b < batches; ++b) {
    env->reset(Rng(100).split("batch", b), f);
    Tensor sum = at::zeros({copies});
    for (int64_t t = 0; t < s.limit; ++t) {
      env->step(policy(s, Rng(200).split("batch", b).split("step", t)), f);
      sum += team_reward(s, f.reward);
    }
    EXPECT_TRUE((f.terminated | f.truncated).all().item<bool>());
    all.push_back(sum.to(at::kDouble));
  }
  const Tensor x = at::cat(all);
  return {x.mean().item<double>(), 1.96 * x.std().item<double>() / std::sqrt(static_cast<double>(x.numel()))};
}

Tensor by_chance(const EnvSpec& s, Rng rng) {
  return (uniform(rng, {s.copies, s.agents}, 0, 1) * s.actions).to(at::kLong).clamp_max_(s.actions - 1);
}
Tensor nothing(const EnvSpec& s, Rng) {
  return at::zeros({s.copies, s.agents}, at::kLong);
}

// Our interval and the reference's overlap.
void expect_near(Estimate ours, double reference, double interval) {
  EXPECT_NEAR(ours.mean, reference, interval + ours.ci95) << "our interval is " << ours.ci95;
}

void expect_exact(Estimate ours, double value) {
  EXPECT_NEAR(ours.mean, value, 2 * ours.ci95);
}

TEST(Returns, SpreadByOpenAI) {
  expect_near(team_return("simple_spread", "variant = \"openai\"", 1000, 10, by_chance), -230.8, 2.1);
  expect_near(team_return("simple_spread", "variant = \"openai\"", 1000, 10, nothing), -216.4, 2.1);
}

TEST(Returns, SpreadByMpe2) {
  expect_near(team_return("simple_spread", "", 1000, 10, by_chance), -79.3, 1.1);
  expect_near(team_return("simple_spread", "", 1000, 10, nothing), -71.8, 1.1);
}

TEST(Returns, Foraging) {
  // Intervals beyond the first are those of 1,000 episodes, as the first has.
  expect_near(team_return("foraging", "", 1000, 10, by_chance), 0.186, 0.009);
  expect_near(team_return("foraging", "rows = 10\ncolumns = 10\nagents = 3", 1000, 10, by_chance), 0.094,
              0.007);
  expect_near(team_return("foraging", "foods = 2\ncoop = true", 1000, 20, by_chance), 0.004, 0.003);
  expect_near(team_return("foraging", "rows = 15\ncolumns = 15\nagents = 3\nfoods = 5", 1000, 10, by_chance),
              0.041, 0.004);
}

// MPE2 1.1.1, 1,000 episodes, measured for this project.
TEST(Returns, TagByMpe2) {
  expect_near(team_return("simple_tag", "", 1000, 10, by_chance), -3.14, 1.96);
}

TEST(Returns, MatrixGames) {
  // 25 rounds: every cell as often as any other. The expectation is exact: four deviations are allowed.
  const auto chance = [](const std::string& game) {
    return team_return("matrix_game", "game = " + game, 1000, 4, by_chance);
  };
  expect_exact(chance("\"climbing\""), 25 * (11 - 30 - 30 + 7 + 6 + 5) / 9.0);
  expect_exact(chance("\"penalty\"\nk = 100"), 25 * (-200 + 2 + 20) / 9.0);
  expect_near(chance("\"rock_paper_scissors\""), 0, 1e-9);
  // Always the first action: the published optimum of climbing, and mutual cooperation.
  EXPECT_EQ(team_return("matrix_game", "game = \"climbing\"", 2, 1, nothing).mean, 275);
  EXPECT_EQ(team_return("matrix_game", "game = \"prisoners_dilemma\"", 2, 1, nothing).mean, -50);
  EXPECT_EQ(team_return("matrix_game", "game = \"prisoners_dilemma_mapg\"", 2, 1, nothing).mean, 25);
}

}  // namespace
}  // namespace symma
