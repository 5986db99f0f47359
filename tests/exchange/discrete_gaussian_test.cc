// Discrete Gaussian noise: its frequencies beside the exact ones, its moments where it is wide.
#include "symma/exchange/discrete_gaussian.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace symma {
namespace {

secure::Key key_of(uint64_t n) {
  secure::Key k{};
  for (int i = 0; i < 8; ++i) k[i] = static_cast<uint8_t>(n >> 8 * i);
  return secure::derive(k, "test");
}

// Pearson's statistic of draws beside exp(-x^2 / (2 sigma^2)) / sum, cells of 10 expected draws at least.
TEST(DiscreteGaussian, HasItsFrequencies) {
  for (const int64_t sigma : {1, 3, 20}) {
    constexpr int64_t kDraws = 200000;
    std::map<int64_t, int64_t> seen;
    for (const int64_t x : discrete_gaussian(key_of(sigma), kDraws, sigma)) ++seen[x];
    const auto weight = [&](int64_t x) {
      const auto z = static_cast<double>(x) / static_cast<double>(sigma);
      return std::exp(-z * z / 2);
    };
    double all = 0;
    for (int64_t x = -40 * sigma; x <= 40 * sigma; ++x) all += weight(x);
    double statistic = 0, expected = 0, counted = 0;
    int64_t cells = 0, drawn = 0;
    for (int64_t x = -40 * sigma; x <= 40 * sigma; ++x) {
      expected += kDraws * weight(x) / all;
      counted += static_cast<double>(seen[x]), drawn += seen[x];
      if (expected < 10) continue;
      statistic += (counted - expected) * (counted - expected) / expected;
      ++cells;
      expected = counted = 0;
    }
    EXPECT_EQ(drawn, kDraws);
    // Five deviations of a chi-square with so many degrees.
    const auto degrees = static_cast<double>(cells - 1);
    EXPECT_LT(statistic, degrees + 5 * std::sqrt(2 * degrees)) << "sigma " << sigma;
    EXPECT_GT(statistic, degrees - 5 * std::sqrt(2 * degrees)) << "sigma " << sigma;
  }
}

TEST(DiscreteGaussian, HasItsMomentsWhereItIsWide) {
  for (const int64_t sigma : {int64_t{1} << 12, kMostDiscreteSigma}) {
    constexpr int64_t kDraws = 40000;
    double mean = 0, square = 0, fourth = 0;
    int64_t odd = 0;
    for (const int64_t x : discrete_gaussian(key_of(7 + sigma), kDraws, sigma)) {
      const double z = static_cast<double>(x) / static_cast<double>(sigma);
      mean += z / kDraws, square += z * z / kDraws, fourth += z * z * z * z / kDraws, odd += x & 1;
    }
    EXPECT_NEAR(mean, 0, 5 / std::sqrt(kDraws));
    EXPECT_NEAR(square, 1, 5 * std::sqrt(2. / kDraws));
    EXPECT_NEAR(fourth, 3, 5 * std::sqrt(96. / kDraws));
    // Down to the last bit.
    EXPECT_NEAR(static_cast<double>(odd) / kDraws, .5, 5 * .5 / std::sqrt(kDraws));
  }
}

TEST(DiscreteGaussian, FollowsFromItsKeyAlone) {
  const auto a = discrete_gaussian(key_of(1), 600, 100), b = discrete_gaussian(key_of(1), 900, 100),
             c = discrete_gaussian(key_of(2), 600, 100);
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin()));
  EXPECT_NE(a, c);
}

// Of n agents two thirds are there, and as many may help the server as the protocol bears.
TEST(DiscreteGaussian, SharesMakeUpTheNoiseWithoutThoseWhoKnowTheirs) {
  for (int64_t n = 3; n < 200; ++n) {
    const int64_t there = secure::Setting::two_thirds(n), help = secure::Setting::helpers(n);
    EXPECT_GE(help, 0);
    EXPECT_LT(help, 2 * there - n);
    const double each = static_cast<double>(share_of_noise(1000, n));
    EXPECT_GE(each * std::sqrt(static_cast<double>(there - help)), 1000) << n;
    EXPECT_LT((each - 1) * std::sqrt(static_cast<double>(there - help)), 1000) << n;
  }
  EXPECT_EQ(share_of_noise(1000, 6), 578);  // 4 are there, one of them helps: 1000 / sqrt(3)
}

}  // namespace
}  // namespace symma
