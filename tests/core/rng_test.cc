#include "symma/core/rng.h"

#include <gtest/gtest.h>

#include <set>

namespace symma {
namespace {

// Known answers of Random123's kat_vectors, philox4x32 10 rounds.
TEST(Philox, AgreesWithRandom123) {
  const auto zero = philox({0, 0, 0, 0}, {0, 0});
  EXPECT_EQ(zero, (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const auto ones = philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u});
  EXPECT_EQ(ones, (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  const auto pi = philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0});
  EXPECT_EQ(pi, (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, SplitsAreRepeatableAndApart) {
  const Rng a(1);
  EXPECT_EQ(a.split("x", 3).key(), Rng(1).split("x", 3).key());
  std::set<uint64_t> keys;
  for (int i = 0; i < 100; ++i) {
    keys.insert(a.split("x", i).key());
    keys.insert(a.split("y", i).key());
    keys.insert(Rng(2).split("x", i).key());
  }
  EXPECT_EQ(keys.size(), 300u);
}

TEST(Rng, MomentsAreThoseOfTheDistributions) {
  const Tensor n = normal(Rng(5).split("n"), {100000}, at::kDouble);
  EXPECT_NEAR(n.mean().item<double>(), 0, 4 / std::sqrt(1e5));
  EXPECT_NEAR(n.pow(2).mean().item<double>(), 1, 4 * std::sqrt(2 / 1e5));
  EXPECT_NEAR(n.pow(4).mean().item<double>(), 3, 4 * std::sqrt(96 / 1e5));
  const Tensor u = uniform(Rng(5).split("u"), {100000}, -1, 3, at::kDouble);
  EXPECT_NEAR(u.mean().item<double>(), 1, 4 * std::sqrt(16 / 12. / 1e5));
  EXPECT_GE(u.min().item<double>(), -1);
  EXPECT_LT(u.max().item<double>(), 3);
}

// The vectorised numbers against the C library's, one by one; the tail of a piece, and past it.
TEST(Rng, NormalsAreThoseOfDraws) {
  for (const int64_t n : {1, 7, 128, 129, 20001}) {
    const Rng rng = Rng(11).split("n", n);
    const Tensor wide = normal(rng, {n}, at::kDouble), narrow = normal(rng, {n}, at::kFloat);
    Draws draws(rng);
    for (int64_t i = 0; i < n; ++i) {
      const double x = draws.normal();
      ASSERT_NEAR(wide.data_ptr<double>()[i], x, 4e-15 * (1 + std::abs(x))) << n << " " << i;
      ASSERT_NEAR(narrow.data_ptr<float>()[i], x, 1.2e-7 * (1 + std::abs(x)));
    }
  }
}

TEST(Draws, ChooseIsWithoutReplacementAndUniform) {
  std::array<int, 6> counts{};
  for (int i = 0; i < 6000; ++i) {
    Draws d(Rng(9).split("choose", i));
    const auto picked = d.choose(6, 2);
    ASSERT_NE(picked[0], picked[1]);
    for (auto p : picked) ++counts[p];
  }
  for (int c : counts) EXPECT_NEAR(c, 2000, 4 * std::sqrt(6000 * (1. / 3) * (2. / 3)));
}

}  // namespace
}  // namespace symma
