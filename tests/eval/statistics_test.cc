#include "symma/eval/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace symma {
namespace {

TEST(Summarise, KnownNumbers) {
  const Summary s = summarise({4, 1, 3, 2, 10}, false);
  EXPECT_DOUBLE_EQ(s.mean, 4);
  EXPECT_NEAR(s.ci95, 1.96 * std::sqrt(12.5) / std::sqrt(5.0), 1e-12);
  EXPECT_DOUBLE_EQ(s.median, 3);
  EXPECT_DOUBLE_EQ(s.q1, 2);
  EXPECT_DOUBLE_EQ(s.q3, 4);
  EXPECT_EQ(s.diverged, 0);
}

TEST(Summarise, QuantilesAreThoseOfR) {
  // R: quantile(c(1, 2, 3, 4), c(.25, .5, .75)) is 1.75 2.5 3.25.
  const Summary s = summarise({1, 2, 3, 4}, false);
  EXPECT_DOUBLE_EQ(s.q1, 1.75);
  EXPECT_DOUBLE_EQ(s.median, 2.5);
  EXPECT_DOUBLE_EQ(s.q3, 3.25);
}

TEST(Summarise, DivergedTasksShowAndDoNotMoveTheMedian) {
  const double nan = std::nan("");
  const Summary s = summarise({1, 2, 3, 4, nan}, false);
  EXPECT_EQ(s.diverged, 1);
  EXPECT_FALSE(std::isfinite(s.mean));
  EXPECT_DOUBLE_EQ(s.median, 3);
  EXPECT_DOUBLE_EQ(summarise({1, 2, 3, 4, nan}, true).median, 2);
}

TEST(Summarise, OneNumberHasNoInterval) {
  EXPECT_EQ(summarise({2}, false).ci95, 0);
}

TEST(InterquartileMean, LeavesOutAQuarterOnEitherSide) {
  EXPECT_DOUBLE_EQ(interquartile_mean({100, 1, 2, -50}), 1.5);
  EXPECT_DOUBLE_EQ(interquartile_mean({7}), 7);
  // Of five, one and a quarter fall on either side: (0.75 * 2 + 3 + 0.75 * 9) / 2.5.
  EXPECT_DOUBLE_EQ(interquartile_mean({1, 2, 3, 9, 50}), 4.5);
}

// The bootstrap of six values has 46,656 equally likely draws, so its distribution is known.
TEST(InterquartileInterval, OfSixValuesIsThatOfAllTheirDraws) {
  const std::vector<double> x{0, 1, 2, 4, 7, 30};
  std::vector<double> all;
  for (int number = 0; number < 46656; ++number) {
    std::vector<double> drawn;
    for (int digits = number, k = 0; k < 6; ++k, digits /= 6) drawn.push_back(x[digits % 6]);
    all.push_back(interquartile_mean(drawn));
  }
  std::sort(all.begin(), all.end());
  const auto [low, high] = interquartile_interval({x}, Rng(1), 200000);
  EXPECT_DOUBLE_EQ(low, quantile(all, 0.025));
  EXPECT_DOUBLE_EQ(high, quantile(all, 0.975));
}

// Of n normal values the interquartile mean has the deviation 1.09 / sqrt(n), near enough: the asymptotic
// variance of a mean trimmed by a quarter on either side is 1.195 / n (Huber 1981, table of trimmed means).
TEST(InterquartileInterval, OfNormalValuesHasTheWidthOfTheory) {
  const int64_t n = 400;
  double width = 0;
  for (uint64_t k = 0; k < 10; ++k) {
    const Tensor t = normal(Rng(k), {n}, at::kDouble);
    const std::vector<double> x(t.data_ptr<double>(), t.data_ptr<double>() + n);
    const auto [low, high] = interquartile_interval({x}, Rng(k).split("b"), 1000);
    width += (high - low) / 10;
  }
  EXPECT_NEAR(width, 2 * 1.96 * std::sqrt(1.195 / n), 0.012);
}

TEST(InterquartileInterval, StrataAreDrawnApart) {
  // Every draw holds two of each stratum, so nothing varies.
  const auto [low, high] = interquartile_interval({{1, 1}, {5, 5}}, Rng(1), 100);
  EXPECT_DOUBLE_EQ(low, 3);
  EXPECT_DOUBLE_EQ(high, 3);
}

}  // namespace
}  // namespace symma
