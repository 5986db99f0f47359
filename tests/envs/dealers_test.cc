// Market making against the table of Avellaneda and Stoikov's rule, execution against Almgren and Chriss's
// closed form.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>

#include "envs/worlds.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

Tensor play(Env& env, const std::string& kind, int64_t seed = 3) {
  const auto script = make_script(kind);
  Frame f;
  env.reset(Rng(seed), f);
  Tensor sum = at::zeros_like(f.reward);
  for (int64_t t = 0; t < env.spec().limit; ++t) {
    env.step(scripted(*script, env, f, Rng(seed).split("act", t)), f);
    sum += f.reward;
  }
  return sum;
}

std::vector<double> column(const Env& env, size_t k) {
  std::vector<double> out;
  for (int64_t e = 0; e < env.spec().copies; ++e)
    out.push_back(dynamic_cast<const Judged&>(env).scores(e)[k]);
  return out;
}
double mean(const std::vector<double>& x) {
  double sum = 0;
  for (double v : x) sum += v / static_cast<double>(x.size());
  return sum;
}
double deviation(const std::vector<double>& x) {
  double sum = 0;
  for (double v : x) sum += (v - mean(x)) * (v - mean(x)) / static_cast<double>(x.size());
  return std::sqrt(sum);
}

TEST(MarketMaking, AvellanedaAndStoikovsTable) {
  struct Row {
    double risk, spread, pnl, sd;
  };
  for (const Row& r : {Row{.1, 1.492, 64.9, 6.5}, Row{.01, 1.349, 68.3, 8.9}, Row{.5, 2.1507, 0, 0}}) {
    auto env = make_world_of("market_making", "", {{"risk", r.risk}}, 2000);
    play(*env, "avellaneda_stoikov");
    const auto pnl = column(*env, 0);
    // The mean spread over time is risk sigma^2 / 2 + 2 / risk ln(1 + risk / depth), to the time grid.
    const double closed = r.risk * 4 / 2 + 2 / r.risk * std::log(1 + r.risk / 1.5);
    EXPECT_NEAR(mean(column(*env, 1)), closed + r.risk * 4 / 400, 1e-4) << r.risk;
    EXPECT_NEAR(mean(column(*env, 1)), r.spread, r.risk == .5 ? 6e-3 : 2e-3);
    if (r.pnl == 0) continue;
    EXPECT_NEAR(mean(pnl), r.pnl, 0.7) << r.risk;
    EXPECT_NEAR(deviation(pnl), r.sd, 0.4) << r.risk;
  }
}

TEST(Execution, AlmgrenAndChrissTable) {
  struct Row {
    double risk;
    std::vector<double> held;
    double cost, sd;
  };
  const std::vector<Row> table{{0, {800000, 600000, 400000, 200000, 0}, 662500, 1040672.86},
                               {.1, {757882.4, 544564.3, 351939.7, 172688.8, 0}, 670057.46, 961622.90},
                               {1, {541955.6, 289854.2, 147897.5, 62141.8, 0}, 911226.99, 603430.67},
                               {2, {428598.8, 182932.8, 76295.7, 27643.4, 0}, 1140715.17, 449367.65},
                               {10, {177868.3, 31636.2, 5621.6, 969.2, 0}, 1845211.26, 171712.41}};
  const auto script = make_script("almgren_chriss");
  for (const Row& r : table) {
    auto env = make_world_of("execution", "", {{"risk", r.risk}}, 1);
    Frame f;
    env->reset(Rng(0), f);
    double returned = 0;
    for (size_t j = 0; j < 5; ++j) {
      env->step(script->act(*env, f, Rng(0)), f);
      returned += f.reward.item<double>();
      // Actions are float32: a share of a million is a tenth of one.
      const double held = (j == 4 ? f.final_obs : f.obs)[0][0][1].item<double>() * 1e6;
      EXPECT_NEAR(held, r.held[j], 0.2) << r.risk << ", day " << j + 1;
    }
    const auto scores = dynamic_cast<const Judged&>(*env).scores(0);
    EXPECT_NEAR(scores[0], r.cost, 1);
    EXPECT_NEAR(scores[1], r.sd, 1);
    EXPECT_NEAR(-1e6 * returned, scores[2], 1) << "the return is E + lambda V";
    // No other way to sell is better: a few hundred at random.
    auto others = make_world_of("execution", "", {{"risk", r.risk}}, 300);
    play(*others, "random");
    for (double x : column(*others, 2)) EXPECT_GE(x, scores[2] - 1);
  }
}

TEST(Execution, NoiseMovesNoExpectationAndImpactAddsUp) {
  auto env = make_world_of("execution", "noise = true\n", {}, 4000);
  play(*env, "almgren_chriss");
  const auto cost = column(*env, 0);
  EXPECT_NEAR(mean(cost), 911226.99, 3 * deviation(cost) / std::sqrt(4000.0));
  EXPECT_NEAR(deviation(cost), 603430.67, 0.05 * 603430.67);
  auto two = make_world_of("execution", "sellers = 2\n", {}, 1);
  play(*two, "almgren_chriss");
  EXPECT_GT(column(*two, 0)[0], 1.5 * 911226.99) << "each pays for the other";
}

TEST(Dealers, BadInputIsOneClearLine) {
  for (const auto& [name, key, value] : {std::tuple("market_making", "volatility", -1.0),
                                         {"market_making", "depth", 0.0},
                                         {"market_making", "risk", 0.0},
                                         {"market_making", "arrivals", 1e9},
                                         {"execution", "risk", -1.0},
                                         {"execution", "eta", 0.1},
                                         {"execution", "sigma", 1e9},
                                         {"execution", "gamma", -2.0}}) {
    const std::string said = error_of([&name = name, &key = key, &value = value] {
      make_world_of(name, "", {{key, value}}, 1);
    });
    EXPECT_NE(said.find(key), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace symma
