#include "symma/core/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <set>

#include "core/every_simd.h"
#include "symma/core/elementary.h"
#include "symma/core/normal.h"
#include "symma/core/uniform.h"

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
TEST(Rng, UniformsAreThoseOfDraws) {
  for (const int64_t n : {0, 1, 2, 63, 64, 65, 128, 1000}) {
    std::vector<double> all(n + 1, -1);
    uniforms(Rng(7).split("x", n), all.data(), n);
    Draws one(Rng(7).split("x", n));
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(all[i], one.uniform()) << i << " of " << n;
    EXPECT_EQ(all[n], -1) << "nothing is written past the end";
  }
}

TEST(Rng, NormalsAreThoseOfDraws) {
  for (const int64_t n : {1, 7, 128, 129, 20001}) {
    const Rng rng = Rng(11).split("n", n);
    const Tensor wide = normal(rng, {n}, at::kDouble), narrow = normal(rng, {n}, at::kFloat);
    Draws draws(rng);
    for (int64_t i = 0; i < n; ++i) {
      const double x = draws.normal();
      ASSERT_EQ(wide.data_ptr<double>()[i], x) << n << " " << i;
      ASSERT_EQ(narrow.data_ptr<float>()[i], static_cast<float>(x));
    }
  }
}

// Many at a time are the same as one by one, wherever in a block one stands, and so is what comes after.
TEST(Rng, ManyDrawsAreThoseOneByOne) {
  for (const bool normal : {false, true}) {
    for (int64_t words = 0; words < 6; ++words) {
      for (const bool spare : {false, true}) {
        for (const int64_t n : {0, 1, 2, 7, 8, 9, 14, 15, 16, 17, 64, 65, 66, 126, 127, 128, 129, 300}) {
          const Rng rng = Rng(9).split("x", n);
          Draws many(rng), one(rng);
          for (Draws* d : {&many, &one}) {
            for (int64_t k = 0; k < words; ++k) d->word();
            if (spare) d->normal();
          }
          std::vector<double> all(n + 1, -1);
          normal ? many.normals(all.data(), n) : many.uniforms(all.data(), n);
          for (int64_t i = 0; i < n; ++i)
            ASSERT_EQ(all[i], normal ? one.normal() : one.uniform()) << words << " " << spare << " " << n;
          ASSERT_EQ(all[n], -1) << "nothing is written past the end";
          ASSERT_EQ(many.normal(), one.normal());
          ASSERT_EQ(many.word(), one.word());
        }
      }
    }
  }
}

// Against the C library's.
TEST(Elementary, IsWithinAFewUnitsInTheLastPlace) {
  Draws d(Rng(10));
  for (int64_t i = 0; i < 100000; ++i) {
    const double u = 1 - d.uniform(), x = d.uniform(-20, 20), far = d.uniform(-1e5, 1e5);
    ASSERT_NEAR(log_of(u), std::log(u), 4e-16 * std::abs(std::log(u))) << u;
    ASSERT_NEAR(sine_of(x), std::sin(x), 4e-16) << x;
    ASSERT_NEAR(sine_of(far), std::sin(far), 4e-16) << far;
    ASSERT_NEAR(turn_of(u).cosine, std::cos(2 * std::numbers::pi * u), 1e-15);
    ASSERT_NEAR(turn_of(u).sine, std::sin(2 * std::numbers::pi * u), 1e-15);
  }
  EXPECT_EQ(sine_of(0), 0);
  EXPECT_EQ(log_of(1), 0);
  EXPECT_EQ(log_of(0x1p-53), std::log(0x1p-53));
}

// A piece that starts in the middle of a stream is that part of it.
TEST(Rng, NormalsFromTheMiddle) {
  const Rng rng(12);
  std::vector<double> all(1000), part(300);
  fill_normal(rng, all.data(), 1000);
  fill_normal(rng, part.data(), 300, 512);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin() + 512));
  std::vector<float> all32(1000), part32(300);
  fill_normal32(rng, all32.data(), 1000);
  fill_normal32(rng, part32.data(), 300, 576);
  EXPECT_TRUE(std::equal(part32.begin(), part32.end(), all32.begin() + 576));
}

// Every number of fill_normal32 against the definition in normal-inl.h, by the C library in float64: also
// blocks whose number has more than 32 bits.
TEST(Normal32, IsBoxMullerOfTheBlocks) {
  for (const int64_t first : {int64_t{0}, int64_t{64} << 29}) {
    const Rng rng = Rng(13).split("n", first);
    std::vector<float> x(64 * 500);
    fill_normal32(rng, x.data(), 64 * 500, first);
    for (int64_t b = 0; b < 16 * 500; ++b) {
      const auto w = rng.block(first / 4 + b);
      for (int half = 0; half < 2; ++half) {
        const double u = static_cast<double>(w[half] >> 1 | 1) * 0x1p-31;
        // The lower 30 bits are a signed part of a quarter turn.
        const uint32_t quarter = (w[2 + half] + (1u << 29)) >> 30;
        const double turn =
            quarter + static_cast<double>(static_cast<int32_t>(w[2 + half] << 2 | 2)) * 0x1p-32;
        const double r = std::sqrt(-2 * std::log(u)), angle = turn * std::numbers::pi / 2;
        const float* at = x.data() + b / 16 * 64 + b % 16 + 32 * half;
        // A float near one knows its logarithm to 2^-25 at best; its root knows less of a small radius.
        const double slack = 6e-7 * (1 + r) + 1.2e-7 / std::max(r, 1e-3);
        ASSERT_NEAR(at[0], r * std::cos(angle), slack) << b;
        ASSERT_NEAR(at[16], r * std::sin(angle), slack) << b;
      }
    }
  }
}

TEST(Normal32, IsTheSameOnEveryInstructionSet) {
  for (const int64_t n : {1, 63, 64, 1000, 64000}) {
    const Rng rng = Rng(14).split("n", n);
    std::vector<float> base(n), other(n);
    on_every_simd([&](Simd level) {
      fill_normal32(rng, other.data(), n, 128);
      if (level == Simd::kBaseline) base = other;
      EXPECT_EQ(std::memcmp(base.data(), other.data(), n * sizeof(float)), 0) << n;
    });
  }
}

// Four million numbers: moments, the distribution function at every number (Kolmogorov and Smirnov; 1.95 is
// passed once in a thousand), the tails, and independence of neighbours, of the two of a pair, and of
// streams.
TEST(Normal32, IsNormal) {
  const int64_t n = 1 << 22;
  const auto N = static_cast<double>(n);
  std::vector<float> x(n), y(n);
  fill_normal32(Rng(15).split("row", 0), x.data(), n);
  fill_normal32(Rng(15).split("row", 1), y.data(), n);
  double m[7] = {}, lag1 = 0, lag16 = 0, squares16 = 0, streams = 0;
  for (int64_t i = 0; i < n; ++i) {
    double power = 1;
    for (int k = 1; k <= 6; ++k) m[k] += power *= x[i];
    streams += x[i] * y[i];
    lag1 += x[i] * x[(i + 1) % n];
    lag16 += x[i] * x[(i + 16) % n];  // half of them are a cosine and its sine
    squares16 += (x[i] * x[i] - 1) * (x[(i + 16) % n] * x[(i + 16) % n] - 1);
  }
  const double moment[7] = {1, 0, 1, 0, 3, 0, 15}, variance[7] = {0, 1, 2, 15, 96, 945, 10170};
  for (int k = 1; k <= 6; ++k) EXPECT_NEAR(m[k] / N, moment[k], 4 * std::sqrt(variance[k] / N)) << k;
  EXPECT_NEAR(streams / N, 0, 4 / std::sqrt(N));
  EXPECT_NEAR(lag1 / N, 0, 4 / std::sqrt(N));
  EXPECT_NEAR(lag16 / N, 0, 4 / std::sqrt(N));
  EXPECT_NEAR(squares16 / N, 0, 4 * 2 / std::sqrt(N));
  std::sort(x.begin(), x.end());
  double apart = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double p = 0.5 * std::erfc(-static_cast<double>(x[i]) / std::numbers::sqrt2);
    apart = std::max({apart, p - static_cast<double>(i) / N, static_cast<double>(i + 1) / N - p});
  }
  EXPECT_LT(apart * std::sqrt(N), 1.95);
  for (const double t : {2.0, 3.0, 4.0, 4.5}) {
    const double p = 0.5 * std::erfc(t / std::numbers::sqrt2), bound = 4 * std::sqrt(p * N) + 1;
    const auto above =
        static_cast<double>(x.end() - std::upper_bound(x.begin(), x.end(), static_cast<float>(t)));
    const auto below =
        static_cast<double>(std::lower_bound(x.begin(), x.end(), static_cast<float>(-t)) - x.begin());
    EXPECT_NEAR(above, p * N, bound) << t;
    EXPECT_NEAR(below, p * N, bound) << t;
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
