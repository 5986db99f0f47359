// Golden values (from ByzFL's code), and one suite of laws for every rule in the registry.
#include "symma/exchange/aggregator.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/every_simd.h"
#include "exchange/build_part.h"
#include "symma/exchange/rows.h"
#include "symma/exchange/selection.h"
#include "symma/exchange/sorted_columns.h"

namespace symma {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

Tensor matrix(std::vector<std::vector<double>> v) {
  Tensor t = at::empty({static_cast<int64_t>(v.size()), static_cast<int64_t>(v[0].size())}, at::kDouble);
  for (size_t i = 0; i < v.size(); ++i)
    for (size_t j = 0; j < v[0].size(); ++j) t[i][j] = v[i][j];
  return t;
}

const std::vector<std::vector<double>> kGolden = {{1, 2, 3}, {2, 1, 4},  {0, 3, 2},  {3, 2, 2},
                                                  {1, 4, 3}, {9, -8, 7}, {-6, 5, 20}};

Tensor run(const std::string& name, const Tensor& rows, int64_t bad, const Tensor& centre = {},
           const Settings& s = {}) {
  return aggregate(*built<AggregatorRegistry>(name, s), {rows, bad, centre}, Rng(1));
}

void expect_near(const Tensor& a, const Tensor& b, double tolerance, const std::string& what = "") {
  ASSERT_EQ(a.sizes(), b.sizes()) << what;
  EXPECT_LE((a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>(), tolerance) << what << "\n"
                                                                                           << a << "\n"
                                                                                           << b;
}

void expect_values(const Tensor& a, std::vector<double> b, const std::string& what = "") {
  expect_near(a, matrix({b})[0], 1e-5, what);
}

class Golden : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  Tensor x() const { return matrix(kGolden).to(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Types, Golden, ::testing::Values(at::kFloat, at::kDouble));

TEST_P(Golden, Rules) {
  expect_values(run("mean", x(), 0), {10 / 7., 9 / 7., 41 / 7.}, "mean");
  expect_values(run("median", x(), 2), {1, 2, 3}, "median");
  expect_values(run("krum", x(), 2), {1, 2, 3}, "krum");
  expect_values(run("krum", x(), 2, {}, {{"neighbours", "byzfl"}}), {1, 2, 3}, "krum, byzfl");
  expect_values(run("trimmed_mean", x(), 2), {1.333333, 2.333333, 3.333333}, "trimmed mean");
  for (const char* name : {"multi_krum", "mda", "meamed"})
    expect_values(run(name, x(), 2), {1.4, 2.4, 2.8}, name);
  const Tensor zero = at::zeros({3}, x().options());
  expect_values(run("geometric_median", x(), 2, zero, {{"smoothing", .1}, {"iterations", int64_t{3}}}),
                {1.384797, 1.995608, 3.268355}, "geometric median, 3");
  expect_values(run("geometric_median", x(), 2, zero, {{"smoothing", .1}, {"iterations", int64_t{8}}}),
                {1.236039, 2.050518, 3.158179}, "geometric median, 8");
  expect_values(run("centred_clipping", x(), 2, zero, {{"radius", 1.}, {"iterations", int64_t{3}}}),
                {0.80287, 1.079282, 1.877697}, "centred clipping");
  // Norms^2 14 21 13 17 26 194 461: the first five stay.
  expect_values(run("cge", x(), 2), {1.4, 2.4, 2.8}, "cge");
}

TEST_P(Golden, BlanchardScores) {
  const std::vector<double> scores = neighbour_scores(squared_distances(x()), 3);
  const std::vector<double> truth = {10, 20, 16, 20, 16, 480, 1022};
  for (int i = 0; i < 7; ++i) EXPECT_NEAR(scores[i], truth[i], 1e-5 * truth[i]);
}

TEST_P(Golden, NearestNeighbourMixingThenTrimmedMean) {
  const Inputs mixed = prepare(*built<PreAggregatorRegistry>("nnm"), {x(), 2, {}}, Rng(1));
  expect_values(run("trimmed_mean", mixed.rows, mixed.bad), {1.4, 2.4, 2.8});
}

TEST_P(Golden, AdaptiveClippingByHand) {
  // floor(2 (2/7) 5) = 2 rows are clipped to the third largest norm, sqrt(26).
  const Inputs out = prepare(*built<PreAggregatorRegistry>("arc"), {x(), 2, {}}, Rng(1));
  expect_near(out.rows.narrow(0, 0, 5), x().narrow(0, 0, 5), 0);
  expect_near(out.rows[5], x()[5] * std::sqrt(26 / 194.), 1e-5);
  expect_near(out.rows[6], x()[6] * std::sqrt(26 / 461.), 1e-5);
}

TEST(Clipping, BoundsNormsAboutTheCentre) {
  const Tensor rows = matrix({{4, 5}, {1, 1.5}, {kNan, 0}});
  const Inputs out = prepare(*built<PreAggregatorRegistry>("clipping", {{"bound", 1.}}),
                             {rows, 1, matrix({{1, 1}})[0]}, Rng(1));
  expect_near(out.rows, matrix({{1.6, 1.8}, {1, 1.5}, {1, 1}}), 1e-12);
}

TEST(Bucketing, KeepsTheMeanAndTheNumberOfBadRows) {
  const Tensor rows = normal(Rng(3), {12, 5}, at::kDouble);
  const Inputs out =
      prepare(*built<PreAggregatorRegistry>("bucketing", {{"size", int64_t{3}}}), {rows, 1, {}}, Rng(4));
  EXPECT_EQ(out.rows.size(0), 4);
  EXPECT_EQ(out.bad, 1);
  expect_near(out.rows.mean(0), rows.mean(0), 1e-12);
  // One bad row spoils one bucket.
  Tensor spoilt = rows.clone();
  spoilt[7][2] = kNan;
  const Inputs bad =
      prepare(*built<PreAggregatorRegistry>("bucketing", {{"size", int64_t{3}}}), {spoilt, 1, {}}, Rng(4));
  EXPECT_EQ(bad.rows.isnan().any(1).sum().item<int64_t>(), 1);
}

// ---- Laws, for every rule in the registry.

class Rule : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Aggregator> rule = built<AggregatorRegistry>(GetParam());
  Tensor operator()(const Tensor& rows, int64_t bad, const Tensor& centre = {}) const {
    return aggregate(*rule, {rows, bad, centre}, Rng(1));
  }
  static Tensor rows(int64_t n, int64_t p, uint64_t seed) { return normal(Rng(seed), {n, p}, at::kDouble); }
};
INSTANTIATE_TEST_SUITE_P(Registry, Rule, ::testing::ValuesIn(AggregatorRegistry::instance().names()));
const int64_t kSizes[] = {1, 2, 3, 5, 8, 13, 30};

TEST_P(Rule, OrderOfRowsDoesNotMatter) {
  for (int64_t n : kSizes) {
    if (n == 2) continue;  // which of two rows is nearer to the other is for the order to say
    const Tensor x = rows(n, 70, n);
    const auto order = Draws(Rng(n)).permutation(n);
    const Tensor shuffled = x.index_select(0, at::tensor(order));
    for (int64_t f = 0; f <= std::min<int64_t>(rule->most_bad(n), 4); ++f) {
      if (rule->laws().permutation)
        expect_near((*this)(shuffled, f), (*this)(x, f), 1e-9, "f = " + std::to_string(f));
    }
  }
}

TEST_P(Rule, TranslatesAndScalesAsItSays) {
  for (int64_t n : kSizes) {
    const Tensor x = rows(n, 33, 10 + n), shift = 5 * normal(Rng(99), {33}, at::kDouble);
    for (int64_t f = 0; f <= std::min<int64_t>(rule->most_bad(n), 4); ++f) {
      const Tensor plain = (*this)(x, f);
      if (rule->laws().translation) expect_near((*this)(x + shift, f), plain + shift, 1e-9);
      if (rule->laws().scale) {
        for (double s : {3.0, -2.0})
          expect_near((*this)(s * x, f), s * plain, 1e-8, "scale " + std::to_string(s));
      }
    }
  }
}

TEST_P(Rule, SaysNoToLawsItBreaks) {
  // A rule that denies a law must break it somewhere, or the law should be tested.
  const Tensor x = rows(9, 33, 5), shift = 5 * normal(Rng(98), {33}, at::kDouble);
  const Tensor plain = (*this)(x, 2);
  const Tensor moved = (*this)(x + shift, 2) - plain - shift, larger = (*this)(50 * x, 2) - 50 * plain;
  EXPECT_EQ(rule->laws().translation, moved.abs().max().item<double>() < 1e-6);
  EXPECT_EQ(rule->laws().scale, larger.abs().max().item<double>() < 1e-6);
  if (!rule->laws().needs_rows) {
    // The sum is enough: other rows of the same sum give the same result.
    Tensor other = x.clone();
    other[0] += shift;
    other[1] -= shift;
    expect_near((*this)(other, 0), (*this)(x, 0), 1e-9);
  }
}

TEST_P(Rule, IsTheSameOnEveryInstructionSet) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (int64_t n : {5, 13, 30}) {
      const Tensor x = rows(n, 700, n).to(type);
      Tensor first;
      on_every_simd([&](Simd level) {
        const Tensor now = (*this)(x, std::min<int64_t>(rule->most_bad(n), 3));
        if (level == Simd::kBaseline) first = now;
        EXPECT_TRUE(now.equal(first)) << n << " rows, " << type;
      });
    }
  }
}

TEST_P(Rule, EqualRowsGiveThatRow) {
  for (auto type : {at::kFloat, at::kDouble})
    for (int64_t n : kSizes) {
      const Tensor row = (3 * normal(Rng(7), {50}, at::kDouble) + 1).to(type), x = row.expand({n, 50});
      for (int64_t f = 0; f <= std::min<int64_t>(rule->most_bad(n), 10); ++f)
        // Sums of n equal numbers round by at most half a unit in the last place at each step.
        expect_near((*this)(x, f), row,
                    n * (type == at::kFloat ? 6e-8 : 1.2e-16) * row.abs().max().item<double>());
    }
}

TEST_P(Rule, BadRowsDoNotPass) {
  if (!rule->laws().robust) GTEST_SKIP() << GetParam() << " promises nothing";
  for (auto type : {at::kFloat, at::kDouble})
    for (double poison : {kNan, kInf, -kInf, 1e30, -1e38, 1e300})
      for (int64_t n : {3, 5, 8, 13, 30}) {
        if (type == at::kFloat && std::isfinite(poison) && std::abs(poison) > 3e38) continue;
        const Tensor honest = rows(n, 40, 20 + n).to(type);
        const double norm = honest.norm(2, 1).max().item<double>(), size = honest.abs().max().item<double>();
        for (int64_t f = 0; f <= rule->most_bad(n); ++f)
          for (bool whole : {true, false}) {
            Tensor x = honest.clone();
            for (int64_t i = 0; i < f; ++i) {
              Tensor row = x[(3 * i + 1) % n];  // n = 3 has f = 1 at most
              if (n % 3 == 0) row = x[i];
              (whole ? row : row.narrow(0, 7, 1)).fill_(poison);
            }
            const Tensor out = (*this)(x, f);
            ASSERT_TRUE(out.isfinite().all().item<bool>())
                << poison << " n " << n << " f " << f << " " << whole;
            // Within a small factor of the honest rows, in any coordinate and in norm.
            ASSERT_LE(out.abs().max().item<double>(), 25 * size) << poison << " n " << n << " f " << f;
            ASSERT_LE(out.norm().item<double>(), 25 * norm) << poison << " n " << n << " f " << f;
          }
      }
}

TEST_P(Rule, TooManyBadRowsAreRefused) {
  for (int64_t n : kSizes) {
    const Tensor x = rows(n, 4, n);
    EXPECT_NO_THROW((*this)(x, rule->most_bad(n)));
    EXPECT_THROW((*this)(x, rule->most_bad(n) + 1), UserError);
    EXPECT_THROW((*this)(x, -1), UserError);
    EXPECT_LT(rule->most_bad(n), n);
    if (rule->laws().robust) {
      EXPECT_LT(2 * rule->most_bad(n), n);
    }
  }
  try {
    (*this)(rows(3, 4, 1), 3);
    FAIL();
  } catch (const UserError& e) {
    EXPECT_NE(std::string(e.what()).find("3 bad rows among 3"), std::string::npos) << e.what();
  }
}

TEST_P(Rule, InputsStayAsTheyWere) {
  const Tensor x = rows(9, 20, 3), before = x.clone(), centre = normal(Rng(2), {20}, at::kDouble),
               c = centre.clone();
  const Tensor out = (*this)(x, 2, centre);
  out.fill_(0);
  expect_near(x, before, 0);
  expect_near(centre, c, 0);
}

class PreRule : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Registry, PreRule, ::testing::ValuesIn(PreAggregatorRegistry::instance().names()));

TEST_P(PreRule, IsTheSameOnEveryInstructionSet) {
  const auto pre = built<PreAggregatorRegistry>(GetParam());
  for (const auto type : {at::kFloat, at::kDouble}) {
    const Tensor x = normal(Rng(4), {13, 700}, type);
    Tensor first;
    on_every_simd([&](Simd level) {
      const Tensor now = prepare(*pre, {x, 3, {}}, Rng(1)).rows;
      if (level == Simd::kBaseline) first = now;
      EXPECT_TRUE(now.equal(first)) << type;
    });
  }
}

TEST_P(PreRule, ThenMedianKeepsBadRowsOut) {
  const auto pre = built<PreAggregatorRegistry>(GetParam());
  for (double poison : {kNan, kInf, 1e30})
    for (int64_t n : {5, 12, 30})
      for (int64_t f = 0; f <= std::min(pre->most_bad(n), (n - 1) / 2); ++f) {
        Tensor x = normal(Rng(n), {n, 40}, at::kDouble);
        for (int64_t i = 0; i < f; ++i) x[n - 1 - i].fill_(poison);
        const Inputs ready = prepare(*pre, {x, f, {}}, Rng(f));
        const Tensor out = run("median", ready.rows, ready.bad);
        ASSERT_TRUE(out.isfinite().all().item<bool>()) << poison << " n " << n << " f " << f;
        ASSERT_LE(out.abs().max().item<double>(), 10) << poison << " n " << n << " f " << f;
      }
}

TEST_P(PreRule, EqualRowsStayAndTooManyBadAreRefused) {
  const auto pre = built<PreAggregatorRegistry>(
      GetParam(), GetParam() == "clipping" ? Settings{{"bound", 100.}} : Settings{});
  const Tensor row = normal(Rng(7), {50}, at::kDouble);
  for (int64_t n : kSizes) {
    const Inputs out = prepare(*pre, {row.expand({n, 50}), pre->most_bad(n), {}}, Rng(1));
    for (int64_t i = 0; i < out.rows.size(0); ++i) expect_near(out.rows[i], row, 1e-14);
    EXPECT_THROW(prepare(*pre, {row.expand({n, 50}), pre->most_bad(n) + 1, {}}, Rng(1)), UserError);
  }
}

// ---- The passes beneath.

TEST(Rows, DistancesAgreeWithDifferences) {
  for (auto type : {at::kFloat, at::kDouble})
    for (int64_t p : {1, 31, 2048, 5000, 300000}) {
      const Tensor x = normal(Rng(p), {9, p}, at::kDouble).to(type), y = x.to(at::kDouble);
      const Tensor truth = (y.unsqueeze(0) - y.unsqueeze(1)).pow(2).sum(2);
      const double tolerance = type == at::kFloat ? 1e-4 : 1e-12;
      EXPECT_LE(((squared_distances(x) - truth) / (truth + 1e-300)).abs().max().item<double>(), tolerance)
          << p;
      const std::vector<double> to = squared_distances_to(x, x[3]);
      for (int i = 0; i < 9; ++i) EXPECT_NEAR(to[i], truth[3][i].item<double>(), tolerance * p * 4);
    }
}

TEST(Rows, DistancesHoldFarFromZeroAndNearToEachOther) {
  // A cluster of size 1e-3 about a point of size 1e3, and three far rows among which the origin would be
  // sought.
  const int64_t p = 6000;
  Tensor x = 1e3 + 1e-3 * normal(Rng(1), {12, p}, at::kDouble);
  for (int64_t i : {0, 6, 11}) x[i] = 1e5 * normal(Rng(2 + i), {p}, at::kDouble);
  const Tensor truth = (x.unsqueeze(0) - x.unsqueeze(1)).pow(2).sum(2);
  EXPECT_LE(((squared_distances(x) - truth) / (truth + 1e-300)).abs().max().item<double>(), 1e-8);
  const Tensor f = x.to(at::kFloat), g = f.to(at::kDouble);
  const Tensor exact = (g.unsqueeze(0) - g.unsqueeze(1)).pow(2).sum(2);
  EXPECT_LE(((squared_distances(f) - exact) / (exact + 1e-300)).abs().max().item<double>(), 1e-4);
}

// Results may not depend on the processor: sums are taken in one order on all of them.
TEST(Rows, AreTheSameOnEveryInstructionSet) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (int64_t n : {1, 3, 8, 17, 40}) {
      for (int64_t p : {1, 31, 64, 700}) {
        const Tensor x = normal(Rng(n * 1000 + p), {n, p}, type), w = uniform(Rng(n), {n + 1, n}, 0, 1);
        const std::vector<double> weights(n, 0.3), scales(n, 0.7);
        std::vector<Tensor> first;
        on_every_simd([&](Simd) {
          std::vector<Tensor> now{mix_rows(x, w),
                                  squared_distances(x),
                                  weighted_sum(x, weights, x[0], 0.2),
                                  scale_rows(x, scales, x[0]),
                                  mean_of_ranks(x, n / 3, n / 2 + 1),
                                  mean_near_median(x, n / 2 + 1)};
          now.push_back(at::tensor(squared_distances_to(x, x[0])));
          if (first.empty()) first = now;
          for (size_t i = 0; i < now.size(); ++i)
            EXPECT_TRUE(now[i].equal(first[i])) << i << ": " << n << " rows of " << p << ", " << type;
        });
        expect_near(first[0], w.to(type).matmul(x), type == at::kFloat ? 1e-4 : 1e-12);
      }
    }
  }
}

TEST(SortedColumns, AgreeWithSorting) {
  for (int64_t n : {1, 2, 3, 7, 16, 33, 100})
    for (int64_t p : {1, 31, 32, 1000}) {
      const Tensor x = normal(Rng(n * 1000 + p), {n, p}, at::kDouble), sorted = std::get<0>(at::sort(x, 0));
      for (int64_t f = 0; 2 * f < n; f += 3)
        expect_near(mean_of_ranks(x, f, n - f), sorted.narrow(0, f, n - 2 * f).mean(0), 1e-12);
    }
}

// The zero-one principle: a network that sorts all sequences of zeros and ones sorts all (Knuth 5.3.4).
// Blocks up to 16 are checked by all of them. The mean of one rank leaves out most of the last merge.
TEST(SortedColumns, AllZerosAndOnesAreSorted) {
  for (int64_t n = 1; n <= 16; ++n) {
    const Tensor number = at::arange(int64_t{1} << n);
    std::vector<Tensor> rows;
    for (int64_t i = 0; i < n; ++i) rows.push_back(number.bitwise_right_shift(i).bitwise_and(1));
    const Tensor x = at::stack(rows).to(at::kFloat), ones = x.sum(0);
    for (int64_t r = 0; r < n; ++r)
      EXPECT_TRUE(mean_of_ranks(x, r, r + 1).equal((ones >= n - r).to(at::kFloat)));
  }
}

// Merges: what two sorted runs of zeros and ones can be is few, so all are checked here too; the rows beyond
// a power of two are absent.
TEST(SortedColumns, EveryRankOfManyRowsIsRight) {
  for (const auto type : {at::kFloat, at::kDouble})
    for (int64_t n : {17, 31, 32, 33, 47, 64, 65, 100, 128, 129, 200, 300}) {
      const Tensor thresholds = at::arange(n + 1).unsqueeze(0), places = at::arange(n).unsqueeze(1);
      const Tensor stairs = (places < thresholds).logical_xor(places % 2 == 0).to(type);
      const Tensor x = at::cat({stairs, normal(Rng(n), {n, 50}, type)}, 1),
                   sorted = std::get<0>(at::sort(x, 0));
      for (int64_t r = 0; r < n; ++r)
        ASSERT_TRUE(mean_of_ranks(x, r, r + 1).equal(sorted[r])) << n << " " << r;
      for (int64_t first : {int64_t{0}, n / 10, n / 3, (n - 1) / 2})
        for (int64_t last : {n / 2 + 1, n - n / 10, n})
          expect_near(mean_of_ranks(x, first, last), sorted.narrow(0, first, last - first).mean(0),
                      type == at::kFloat ? 1e-5 : 1e-12);
    }
}

TEST(SortedColumns, KeepSignsAndInfinities) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const Tensor x = at::tensor({-1.f, inf, -inf, 0.f, -1e-45f, 1e-45f, nan, -3e38f, 3e38f}).unsqueeze(1);
  const std::vector<float> expected{-inf, -3e38f, -1.f, -1e-45f, 0.f, 1e-45f, 3e38f, inf, inf};
  for (int64_t r = 0; r < 9; ++r) EXPECT_EQ(mean_of_ranks(x, r, r + 1).item<float>(), expected[r]) << r;
}

TEST(SortedColumns, NearMedianAgreesWithDefinition) {
  const int64_t n = 21, keep = 14;
  const Tensor x = normal(Rng(5), {n, 77}, at::kDouble), median = std::get<0>(at::sort(x, 0))[n / 2];
  const Tensor order = (x - median).abs().argsort(int64_t{0}).narrow(0, 0, keep);
  expect_near(mean_near_median(x, keep), x.gather(0, order).mean(0), 1e-12);
}

TEST(Selection, LeastDiameterAgreesWithAllSubsets) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const int64_t n = 9, keep = 5 + static_cast<int64_t>(seed % 4);
    const Tensor d = squared_distances(normal(Rng(seed), {n, 3}, at::kDouble));
    const auto diameter = [&](uint32_t set) {
      double far = 0;
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < i; ++j)
          if ((set >> i & 1) && (set >> j & 1)) far = std::max(far, d[i][j].item<double>());
      return far;
    };
    double least = kInf;
    for (uint32_t set = 0; set < 1u << n; ++set)
      if (std::popcount(set) == keep) least = std::min(least, diameter(set));
    uint32_t found = 0;
    for (int64_t i : least_diameter(d, keep)) found |= 1u << i;
    EXPECT_EQ(std::popcount(found), keep);
    EXPECT_EQ(diameter(found), least);
  }
}

}  // namespace
}  // namespace symma
