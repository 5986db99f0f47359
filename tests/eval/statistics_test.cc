#include "symma/eval/statistics.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace symma
