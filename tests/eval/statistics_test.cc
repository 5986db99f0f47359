#include "symma/eval/statistics.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "symma/core/rng.h"

namespace symma {
namespace {

TEST(Summarise, KnownNumbers) {
  const Summary s = summarise({4, 1, 3, 2, 10}, false);
  EXPECT_DOUBLE_EQ(s.mean, 4);
  EXPECT_NEAR(s.ci95, 2.7764451051977987 * std::sqrt(12.5) / std::sqrt(5.0), 1e-9);
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
  EXPECT_TRUE(std::isnan(summarise({2}, false).ci95));
}

// Tables of Student's t; past 30 degrees by quadrature of its density.
TEST(StudentT, IsThatOfTables) {
  const std::vector<std::pair<int, double>> table{
      {1, 12.7062047361747},   {2, 4.30265272974946},   {3, 3.18244630528371},  {4, 2.77644510519779},
      {5, 2.57058183563631},   {9, 2.26215716279820},   {30, 2.04227245630129}, {199, 1.97195654425187},
      {200, 1.97189622363385}, {201, 1.97183650678008}, {599, 1.96393224894364}};
  for (const auto& [freedom, t] : table) EXPECT_NEAR(student_t(freedom), t, 1e-7 * t) << freedom;
  for (int n = 1; n < 300; ++n) EXPECT_LT(student_t(n + 1), student_t(n)) << n;
}

double coverage(int n,
                const std::function<std::pair<double, double>(const std::vector<double>&, Rng)>& interval,
                int times = 4000) {
  int held = 0;
  for (int k = 0; k < times; ++k) {
    const Rng rng = Rng(7).split("sample", k);
    const Tensor t = normal(rng, {n}, at::kDouble);
    const auto [low, high] = interval({t.data_ptr<double>(), t.data_ptr<double>() + n}, rng);
    held += low <= 0 && 0 <= high;
  }
  return static_cast<double>(held) / times;
}

// What is called a 95 % interval holds the truth in 95 samples of 100, however few seeds there are. The old
// ones, 1.96 standard errors and the bootstrap of the interquartile mean, held it in .70 and .50 at two
// seeds.
TEST(Summarise, IntervalsOfFewSeedsCover) {
  for (const int n : {2, 3, 4, 5, 10}) {
    const double by_t = coverage(n, [](const std::vector<double>& x, Rng) {
      const Summary s = summarise(x, false);
      return std::pair(s.mean - s.ci95, s.mean + s.ci95);
    });
    EXPECT_NEAR(by_t, 0.95, 0.011) << n;  // three standard errors of 4,000 samples
    const double by_normal = coverage(n, [](const std::vector<double>& x, Rng) {
      const Summary s = summarise(x, false);
      const double half = s.ci95 * 1.96 / student_t(static_cast<int64_t>(x.size()) - 1);
      return std::pair(s.mean - half, s.mean + half);
    });
    const double by_bootstrap = coverage(
        n, [](const std::vector<double>& x, Rng rng) { return interquartile_interval({x}, rng, 200); }, 1000);
    RecordProperty("coverage_" + std::to_string(n),
                   fmt::format("t {:.3f}, 1.96 {:.3f}, bootstrap {:.3f}", by_t, by_normal, by_bootstrap));
    std::printf("n = %d: t %.3f, 1.96 %.3f, bootstrap %.3f\n", n, by_t, by_normal, by_bootstrap);
    if (n == 2) {
      EXPECT_LT(by_normal, 0.75);
      EXPECT_LT(by_bootstrap, 0.6);
    }
  }
}

TEST(Groups, AreReadFromCells) {
  const Groups g = groups_of({"a", "b | a", "b", "a | a"});
  EXPECT_EQ(g.count, 2);
  EXPECT_EQ(g.of, (std::vector<std::vector<int64_t>>{{0}, {1, 0}, {1}, {0}}));
  EXPECT_EQ(groups_of({"", ""}).count, 0);
}

TEST(Groups, EachCountsOnceAndIsTheSample) {
  // Group means 2, 6 and 10: mean 6, deviation 4, and two degrees of freedom.
  const Summary s = summarise({1, 3, 2, 2, 6, 9, 11}, false, groups_of({"a", "a", "a", "a", "b", "c", "c"}));
  EXPECT_DOUBLE_EQ(s.mean, 6);
  EXPECT_NEAR(s.ci95, 4.30265272974946 * 4 / std::sqrt(3), 1e-9);
  EXPECT_DOUBLE_EQ(s.median, 3);
  EXPECT_TRUE(std::isnan(summarise({1, 2, 3}, false, groups_of({"a", "a", "a"})).ci95));
  // Groups of one task each are tasks.
  EXPECT_DOUBLE_EQ(summarise({1, 2, 4}, false, groups_of({"a", "b", "c"})).ci95,
                   summarise({1, 2, 4}, false).ci95);
}

// Seven homes of unequal difficulty, 600 tasks drawn of them: what is uncertain is what other homes are like.
// Alone the tasks claim to know the mean of all homes within a tenth of that.
TEST(Groups, IntervalsOfTasksThatShareThemCover) {
  const int times = 1500, homes = 7, tasks = 120;
  int held = 0, alone_held = 0;
  for (int k = 0; k < times; ++k) {
    Draws d(Rng(11).split("sample", k));
    std::vector<double> level(homes), values;
    std::vector<std::string> names;
    for (double& x : level) x = d.normal();
    for (int t = 0; t < tasks; ++t) {
      const auto h = d.below(homes);
      names.push_back(std::to_string(h));
      values.push_back(level[h] + 0.5 * d.normal());
    }
    const Summary s = summarise(values, false, groups_of(names)), alone = summarise(values, false);
    held += std::abs(s.mean) <= s.ci95;
    alone_held += std::abs(alone.mean) <= alone.ci95;
  }
  EXPECT_NEAR(static_cast<double>(held) / times, 0.95, 0.018);
  EXPECT_LT(static_cast<double>(alone_held) / times, 0.45);
}

// Tasks of five classes out of twenty: no two have the same five, and most share some.
TEST(Groups, IntervalsOfTasksThatShareSomeCover) {
  const int times = 1500, classes = 20, tasks = 200, ways = 5;
  int held = 0, alone_held = 0;
  for (int k = 0; k < times; ++k) {
    Draws d(Rng(12).split("sample", k));
    std::vector<double> level(classes), values;
    std::vector<std::string> names;
    for (double& x : level) x = d.normal();
    for (int t = 0; t < tasks; ++t) {
      std::string name;
      double sum = 0;
      for (int64_t c : d.choose(classes, ways)) {
        name += (name.empty() ? "" : " | ") + std::to_string(c);
        sum += level[c] / ways;
      }
      names.push_back(name);
      values.push_back(sum + 0.5 * d.normal());
    }
    const Summary s = summarise(values, false, groups_of(names)), alone = summarise(values, false);
    held += std::abs(s.mean) <= s.ci95;
    alone_held += std::abs(alone.mean) <= alone.ci95;
  }
  EXPECT_GT(static_cast<double>(held) / times, 0.915);
  EXPECT_LT(static_cast<double>(held) / times, 0.975);
  EXPECT_LT(static_cast<double>(alone_held) / times, 0.6);
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
