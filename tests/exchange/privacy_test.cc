// The accountant against the published table, numerical quadrature and closed forms; clipping and noise.
#include "symma/exchange/privacy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "exchange/certain.h"
#include "symma/core/errors.h"

namespace symma {
namespace {

// The figures of Opacus's accountant (opacus.accountants.analysis.rdp) at these orders.
TEST(Renyi, AgreesWithTheTable) {
  const std::vector<std::pair<Spending, double>> table = {{{1.1, 256. / 60000, 14062}, 2.596556},
                                                          {{1.3, 256. / 60000, 3515}, .954430},
                                                          {{0.7, 256. / 60000, 10546}, 6.318101},
                                                          {{1.5, .04, 2250}, 7.329111},
                                                          {{1, 1, 1}, 4.728507}};
  for (const auto& [s, epsilon] : table) EXPECT_NEAR(renyi_epsilon({&s, 1}, 1e-5), epsilon, 1e-6) << s.sigma;
}

// log E over N(0, sigma^2) of (1 - q + q exp((2x-1) / (2 sigma^2)))^order, by the trapezoid rule, which
// converges exponentially here.
double quadrature(double sigma, double q, double order) {
  const double low = -14 * sigma, high = order + 14 * sigma;
  const int64_t n = 20000 + static_cast<int64_t>(64 * (high - low) / std::min(sigma, sigma * sigma));
  const double h = (high - low) / static_cast<double>(n);
  std::vector<double> logs(n + 1);
  double top = -INFINITY;
  for (int64_t i = 0; i <= n; ++i) {
    const double x = low + h * static_cast<double>(i), shifted = (2 * x - 1) / (2 * sigma * sigma);
    const double a = std::log1p(-q), b = std::log(q) + shifted, m = std::max(a, b);
    logs[i] = -x * x / (2 * sigma * sigma) + order * (m + std::log(std::exp(a - m) + std::exp(b - m)));
    top = std::max(top, logs[i]);
  }
  double sum = 0;
  for (double l : logs) sum += std::exp(l - top);
  return (top + std::log(sum * h / (sigma * std::sqrt(2 * M_PI)))) / (order - 1);
}

TEST(Renyi, AgreesWithQuadratureOnRandomSettings) {
  for (uint64_t seed = 0; seed < 15; ++seed) {
    Draws d(Rng(seed).split("setting"));
    const Spending s{std::exp(d.uniform(std::log(.4), std::log(6.))),
                     std::exp(d.uniform(std::log(1e-4), std::log(.6))), 1 + d.below(20000)};
    std::vector<double> spent;
    for (double order : renyi_orders())
      spent.push_back(static_cast<double>(s.steps) * quadrature(s.sigma, s.q, order));
    const double truth = epsilon_of(spent, 1e-5);
    EXPECT_NEAR(renyi_epsilon({&s, 1}, 1e-5), truth, 1e-6 * std::max(1.0, truth))
        << s.sigma << " " << s.q << " " << s.steps;
  }
}

TEST(Renyi, AgreesWithQuadratureWhereSamplingIsLarge) {
  // The series of the low, fractional orders falls off slowest about q = 1/2.
  for (const double q : {0.2, 0.4, 0.5, 0.6, 0.9}) {
    for (const double sigma : {0.7, 1.0, 1.5, 4.0}) {
      for (const double order : {1.1, 1.5, 2.7, 10.9, 12.0})
        EXPECT_NEAR(renyi(sigma, q, order), quadrature(sigma, q, order), 1e-8)
            << q << " " << sigma << " " << order;
    }
  }
}

TEST(Renyi, SpendingsAddAndNothingCostsNothing) {
  const Spending half{1.2, .01, 500}, whole{1.2, .01, 1000};
  const std::vector<Spending> twice = {half, half};
  EXPECT_NEAR(renyi_epsilon(twice, 1e-5), renyi_epsilon({&whole, 1}, 1e-5), 1e-12);
  const Spending none{1.2, .01, 0};
  EXPECT_EQ(renyi_epsilon({&none, 1}, 1e-5), 0);
}

// Balle and Wang 2018: delta of one Gaussian of noise sigma / sqrt(steps), exactly.
double gaussian_delta(double sigma, double e) {
  const auto cdf = [](double x) { return .5 * std::erfc(-x / std::sqrt(2.)); };
  return cdf(1 / (2 * sigma) - e * sigma) - std::exp(e) * cdf(-1 / (2 * sigma) - e * sigma);
}

TEST(Composition, IsExactForTheGaussian) {
  for (const auto& [sigma, steps] :
       std::vector<std::pair<double, int64_t>>{{1, 1}, {2, 1}, {5, 40}, {30, 1000}}) {
    double low = 0, high = 100;
    while (high - low > 1e-10) {
      const double mid = (low + high) / 2;
      (gaussian_delta(sigma / std::sqrt(static_cast<double>(steps)), mid) > 1e-5 ? low : high) = mid;
    }
    const Spending s{sigma, 1, steps};
    const Epsilon e = composed_epsilon({&s, 1}, 1e-5);
    EXPECT_NEAR(e.estimate, high, 2e-3) << sigma;
    EXPECT_GE(e.upper, high);
    EXPECT_LE(e.upper, high + 6e-3);
  }
}

TEST(Composition, OfManyStepsIsThatOfEach) {
  const Composition all(1.3, .02, 3000, 1e-5);
  for (int64_t n : {1, 10, 1000, 3000}) {
    const Spending s{1.3, .02, n};
    const Epsilon one = composed_epsilon({&s, 1}, 1e-5), here = all.at(n);
    EXPECT_NEAR(here.estimate, one.estimate, 2e-3) << n;
    EXPECT_GE(here.upper, one.estimate);
    EXPECT_LE(here.upper, one.estimate + 6e-3);
  }
  EXPECT_EQ(all.at(0).upper, 0);
}

TEST(Gaussian, IsTheExactFigure) {
  for (double mu : {1e-3, .05, .7, 1., 4., 60.}) {
    const double e = gaussian_epsilon(mu, 1e-5);
    if (e > 0 && mu < 30) {
      EXPECT_NEAR(gaussian_delta(1 / mu, e), 1e-5, 1e-12) << mu;
    }
    EXPECT_LE(e, mu * mu / 2 + mu * std::sqrt(2 * std::log(1e5)));
  }
  EXPECT_EQ(gaussian_epsilon(1e-8, 1e-5), 0);
  EXPECT_NEAR(gaussian_epsilon(1, 1e-5), 4.377178, 1e-5);
  EXPECT_GT(gaussian_epsilon(1e9, 1e-5), 4.9e17);
}

// ---- Trees. The sums' noise as a matrix: B [T, nodes], sums S + B z.

TEST(Tree, NoiseIsThatOfTheSumOfAllSoFar) {
  const Noise nodes = Noise::of_seed(Rng(3));
  Tensor sum = at::zeros({20000}, at::kDouble);
  for (int64_t t = 0; t < 21; ++t) {
    sum += tree_step(nodes, t, 0, 20000);
    const double bits = __builtin_popcountll(static_cast<uint64_t>(t + 1));
    EXPECT_NEAR(sum.square().mean().item<double>(), bits, 4 * bits * std::sqrt(2 / 20000.)) << t;
  }
  // Trees that begin anew add up.
  sum.zero_();
  for (int64_t t = 0; t < 8; ++t) sum += tree_step(nodes, t, 4, 20000);
  EXPECT_NEAR(sum.square().mean().item<double>(), 2, 0.1);
}

TEST(Tree, WhatAUnitMovesIsThatOfTheMatrix) {
  // The sums' noise covariance K = B B' over rounds, from the tree itself; a unit's updates x moves the sums
  // by A x, so the distance is x' A' K^-1 A x, without a word about nodes.
  for (const auto& [rounds, restart, turns] : std::vector<std::array<int64_t, 3>>{
           {1, 0, 1}, {7, 0, 1}, {16, 0, 1}, {21, 0, 5}, {24, 8, 3}, {23, 5, 4}}) {
    const Tensor a = at::tril(at::ones({rounds, rounds}, at::kDouble)), k = tree_covariance(rounds, restart);
    for (int64_t offset = 0; offset < std::min(turns, rounds); ++offset) {
      Tensor x = at::zeros({rounds, 1}, at::kDouble);
      for (int64_t r = offset; r < rounds; r += turns) x[r] = 1;
      const Tensor moved = a.mm(x);
      const double square = moved.t().mm(at::inverse(k)).mm(moved).item<double>();
      EXPECT_NEAR(tree_square(rounds, restart, turns, offset), square, 1e-8)
          << rounds << " " << restart << " " << turns << " " << offset;
    }
  }
}

TEST(Composition, IsExactForOneSampledStep) {
  // delta of one step, removed: sum over both parts of the mixture above the cut, in closed form.
  const double sigma = .8, q = .1, e = 1.5;
  const auto cdf = [](double x) { return .5 * std::erfc(-x / std::sqrt(2.)); };
  const double cut = sigma * sigma * std::log((std::exp(e) - 1 + q) / q) + .5;
  const double delta = (1 - q - std::exp(e)) * cdf(-cut / sigma) + q * cdf((1 - cut) / sigma);
  const Spending s{sigma, q, 1};
  EXPECT_NEAR(composed_epsilon({&s, 1}, delta).estimate, e, 2e-3);
}

TEST(Composition, IsTighterThanRenyi) {
  for (const Spending& s : {Spending{1.1, 256. / 60000, 14062},
                            {1.3, 256. / 60000, 3515},
                            {0.7, 256. / 60000, 10546},
                            {1.5, .04, 2250}}) {
    const Epsilon e = composed_epsilon({&s, 1}, 1e-5);
    const double renyi = renyi_epsilon({&s, 1}, 1e-5);
    std::printf("sigma %.1f q %.5f steps %5ld: Renyi %.4f, composed %.4f, at most %.4f\n", s.sigma, s.q,
                s.steps, renyi, e.estimate, e.upper);
    EXPECT_LT(e.upper, renyi);
    EXPECT_GT(e.estimate, .7 * renyi);
  }
}

TEST(Composition, TakesRoundsOfSeveralKinds) {
  const Spending a{2, .05, 300}, b{2, .05, 100};
  const std::vector<Spending> parts = {{2, .05, 200}, b, {2, .05, 100}};
  const Spending whole{2, .05, 400};
  EXPECT_NEAR(composed_epsilon(parts, 1e-5).estimate, composed_epsilon({&whole, 1}, 1e-5).estimate, 1e-5);
  EXPECT_LT(composed_epsilon({&a, 1}, 1e-5).upper, composed_epsilon({&whole, 1}, 1e-5).estimate);
}

TEST(Composition, IsNotBelowWhatIsCertain) {
  for (const Spending& s : {Spending{1.1, .02, 500}, {2, .3, 60}, {.8, .1, 5}, {5, .9, 200}}) {
    const double certain =
        certain_epsilon({{{1 - s.q, 0.}, {s.q, 1 / s.sigma}}}, {{{1., 0.}}}, true, s.steps, 1e-5);
    const Epsilon e = composed_epsilon({&s, 1}, 1e-5);
    EXPECT_GE(e.upper, certain) << s.sigma;
    EXPECT_LE(e.estimate, certain + 0.06) << s.sigma;  // and the bound from below is tight
  }
}

TEST(Calibration, GivesTheLeastNoise) {
  const double sigma = calibrate_sigma(2, 1e-5, .02, 1000, "test");
  const Spending at{sigma, .02, 1000}, below{sigma * .999, .02, 1000};
  EXPECT_LE(renyi_epsilon({&at, 1}, 1e-5), 2);
  EXPECT_GT(renyi_epsilon({&below, 1}, 1e-5), 2);
  EXPECT_THROW(calibrate_sigma(1e-9, 1e-5, 1, 1000000, "test"), UserError);
}

TEST(Clipping, BoundsEachRowAndDropsNoneButBrokenOnes) {
  Tensor rows = at::tensor({3., 4., .3, .4, 0., 0., 1., 0.}, at::kDouble).view({4, 2});
  rows[3][1] = NAN;
  const Clipped out = clip_rows(rows, 1);
  EXPECT_EQ(out.whole, 2);
  EXPECT_LE((out.rows - at::tensor({.6, .8, .3, .4, 0., 0., 0., 0.}, at::kDouble).view({4, 2}))
                .abs()
                .max()
                .item<double>(),
            1e-15);
}

TEST(Noise, HasTheDeviationThatIsAccounted) {
  const Tensor rows = normal(Rng(1), {8, 50000}, at::kDouble);
  const Tensor noise = private_sum(rows, 2, 1.5, Noise::of_seed(Rng(2))) - clip_rows(rows, 2).rows.sum(0);
  EXPECT_NEAR(noise.std().item<double>(), 3, 3 * 4 / std::sqrt(1e5));
  EXPECT_NEAR(noise.mean().item<double>(), 0, 3 * 4 / std::sqrt(5e4));
}

TEST(Sampling, IsACoinForEach) {
  double sum = 0, squares = 0;
  for (int t = 0; t < 4000; ++t) {
    const auto n = static_cast<double>(poisson_sample(50, .3, Noise::of_seed(Rng(t))).size());
    sum += n / 4000;
    squares += n * n / 4000;
  }
  EXPECT_NEAR(sum, 15, 4 * std::sqrt(10.5 / 4000));
  EXPECT_NEAR(squares - sum * sum, 10.5, 1);  // the variance n q (1 - q), not 0 as for a fixed size
}

TEST(AdaptiveClipping, FindsTheQuantileAndSplitsTheBudget) {
  const AdaptiveClipping a{.quantile = .7, .rate = .2, .count_sigma = 5};
  const Tensor norms = normal(Rng(3), {400, 1}, at::kDouble).abs() * 4 + 1;
  double bound = .1;
  for (int t = 0; t < 200; ++t)
    bound = a.next(bound, clip_rows(norms, bound).whole, 400, 400, Noise::of_seed(Rng(t)));
  EXPECT_NEAR(clip_rows(norms, bound).whole / 400., .7, .03);
  // Two Gaussians of sensitivity 1 and 1/2 spend together what one of sigma spends: 1/s^2 = 1/z^2 + 1/(2
  // c)^2.
  const double z = a.sum_sigma(1.1, "test");
  EXPECT_NEAR(1 / (z * z) + 1 / 100., 1 / 1.21, 1e-12);
  EXPECT_THROW(a.sum_sigma(10, "test"), UserError);
}

TEST(AdaptiveClipping, OneRowMovesTheCountByAHalf) {
  // With equal noise, as the next bound shows it; expected for 20 rows. The old code moved it by 1 where a
  // row within the bound came.
  const AdaptiveClipping a{.quantile = .5, .rate = 1, .count_sigma = 3};
  const Noise noise = Noise::of_seed(Rng(1));
  const auto log_bound = [&](int64_t whole, int64_t counted) {
    return std::log(a.next(1, whole, counted, 20, noise));
  };
  for (int64_t whole : {0, 7, 12}) {
    EXPECT_NEAR(20 * (log_bound(whole, 12) - log_bound(whole + 1, 13)), .5, 1e-12);
    EXPECT_NEAR(20 * (log_bound(whole, 12) - log_bound(whole, 13)), -.5, 1e-12);
  }
}

TEST(Statement, NamesTheUnitAndWhatIsToldApart) {
  EXPECT_EQ(privacy_statement(Unit::kAgent, 2.3141, 1e-5, "add-remove"),
            "epsilon 2.315 at delta 1e-05 for one agent (add or remove one)");
  EXPECT_EQ(privacy_statement(Unit::kTask, 2, 1e-5, "replace"),
            "epsilon 2 at delta 1e-05 for one task (replace one)");
  EXPECT_EQ(privacy_statement(Unit::kTask, 2, 1e-5, "zero-out"),
            "epsilon 2 at delta 1e-05 for one task (zero out one)");
}

TEST(Statement, IsNeverRoundedDown) {
  Draws d(Rng(5));
  for (int i = 0; i < 10000; ++i) {
    const double x = std::exp(d.uniform(-12, 12));
    for (int digits : {3, 4}) {
      char text[32];
      std::snprintf(text, sizeof text, "%.*g", digits, rounded_up(x, digits));
      EXPECT_GE(std::stod(text), x * (1 - 1e-11));
      EXPECT_LE(std::stod(text), x * 1.01);
    }
  }
}

}  // namespace
}  // namespace symma
