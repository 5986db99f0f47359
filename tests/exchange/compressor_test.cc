// Each compressor in the registry: round trips, the laws it claims, the bytes it takes, and bytes that are
// not its own.
#include "symma/exchange/compressor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "core/every_simd.h"
#include "exchange/build_part.h"
#include "exchange/choco.h"
#include "symma/exchange/gossip.h"

namespace symma {
namespace {

std::unique_ptr<Compressor> make(const std::string& name, const Settings& s = {}) {
  return built<CompressorRegistry>(name, s);
}

Tensor through(const Compressor& c, const Tensor& x, Rng rng) {
  const Decoded d = c.decode(c.encode(x, rng), x.size(0));
  EXPECT_TRUE(d.ok()) << d.fault;
  return d.row;
}

double relative(const Tensor& a, const Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

Tensor row(int64_t size, uint64_t seed) {
  return normal(Rng(seed), {size}, at::kDouble);
}

class EachCompressor : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Compressor> c = make(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Registry, EachCompressor,
                         ::testing::ValuesIn(CompressorRegistry::instance().names()));
const int64_t kSizes[] = {1, 2, 7, 64, 1000, 4099};

TEST_P(EachCompressor, RowsComeBackWithTheirLengthAndZeroAsZero) {
  for (int64_t size : kSizes) {
    const Tensor out = through(*c, row(size, 1), Rng(2));
    EXPECT_EQ(out.numel(), size);
    EXPECT_TRUE(out.isfinite().all().item<bool>());
    EXPECT_EQ(through(*c, at::zeros({size}), Rng(2)).abs().max().item<double>(), 0);
  }
}

TEST_P(EachCompressor, IsRepeatable) {
  const Tensor x = row(500, 3);
  const auto said = c->encode(x, Rng(4));
  on_every_simd([&](Simd) { EXPECT_EQ(c->encode(x, Rng(4)), said); });
}

TEST_P(EachCompressor, ContractsAsItSays) {
  for (int64_t size : {2, 64, 1000}) {
    const double delta = c->contraction(size);
    double lost = 0;
    const int trials = 400;
    // A heavy-tailed row and a flat one.
    for (const Tensor& x : {row(size, 5).pow(3), row(size, 6).sign()}) {
      lost = 0;
      for (int t = 0; t < trials; ++t) lost += std::pow(relative(through(*c, x, Rng(t)), x), 2) / trials;
      if (delta > 0) {
        EXPECT_LE(lost, (1 - delta) * 1.1 + 1e-12) << size;
      }
    }
  }
}

TEST_P(EachCompressor, IsUnbiasedIfItSays) {
  const auto c = GetParam() == "qsgd" ? make("qsgd", {{"unbiased", true}}) : make(GetParam());
  if (!c->unbiased()) GTEST_SKIP() << GetParam() << " does not claim to be";
  const Tensor x = row(60, 7);
  Tensor sum = at::zeros({60}, at::kDouble), squares = sum.clone();
  const int trials = 20000;
  for (int t = 0; t < trials; ++t) {
    const Tensor y = through(*c, x, Rng(t));
    sum += y;
    squares += y * y;
  }
  const Tensor mean = sum / trials, error = ((squares / trials - mean * mean).clamp_min(0) / trials).sqrt();
  // 60 coordinates at 4.5 standard errors each, and the rounding of the norm to a float, which never shows in
  // a sample.
  EXPECT_LE(((mean - x).abs() - 4.5 * error).max().item<double>(), 1e-6);
}

TEST_P(EachCompressor, MalformedBytesAreAFaultOrARow) {
  for (int64_t size : {1, 50, 1000}) {
    const Bytes good = c->encode(row(size, 8), Rng(9));
    for (size_t n = 0; n < good.size(); n += 1 + good.size() / 97) {
      const Decoded d = c->decode({good.data(), n}, size);
      EXPECT_FALSE(d.ok()) << "cut to " << n;
      EXPECT_FALSE(d.row.defined());
    }
    Bytes longer = good;
    longer.push_back(0);
    EXPECT_FALSE(c->decode(longer, size).ok());
    // Noise and flipped bits: never a crash, a row of the right length or a fault that says something.
    Draws draws(Rng(10));
    for (int t = 0; t < 500; ++t) {
      Bytes bad = good;
      if (t % 2 == 0) {
        for (auto& b : bad) b = static_cast<uint8_t>(draws.word());
      } else {
        bad[draws.below(static_cast<int64_t>(bad.size()))] ^= static_cast<uint8_t>(1u << draws.below(8));
      }
      const Decoded d = c->decode(bad, size);
      if (d.ok()) {
        EXPECT_EQ(d.row.numel(), size);
      } else {
        EXPECT_GT(d.fault.size(), 10u);
      }
    }
  }
}

TEST_P(EachCompressor, RowsThatAreNotFiniteDoNotCrashIt) {
  for (double v :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), 1e300, 1e-300}) {
    Tensor x = row(100, 11);
    x[40] = v;
    const Bytes bytes = c->encode(x, Rng(1));
    EXPECT_EQ(c->decode(bytes, 100).row.numel(), 100);
    EXPECT_EQ(c->decode(c->encode(at::full({100}, v, at::kDouble), Rng(1)), 100).row.numel(), 100);
  }
}

TEST_P(EachCompressor, FeedbackKeepsWhatWasLeftOut) {
  // A constant row sent T times with feedback: the messages' mean tends to it as 1 / T, because the residual
  // is bounded.
  if (c->contraction(200) == 0) GTEST_SKIP() << GetParam() << " is no contraction by itself";
  const auto close = GetParam() == "random_k" || GetParam() == "top_k" ? make(GetParam(), {{"fraction", .1}})
                                                                       : make(GetParam());
  const Tensor x = row(200, 12);
  Tensor residual, memory, sum = at::zeros({200}, at::kDouble);
  const int rounds = 1500;
  for (int t = 0; t < rounds; ++t) {
    const Sent sent = send_with_feedback(*close, x, residual, memory, Rng(t));
    const Tensor wanted = residual.defined() ? x + residual : x;
    EXPECT_LE(relative(sent.row + sent.residual, wanted), 1e-14);
    residual = sent.residual;
    sum += sent.row;
  }
  EXPECT_LE(relative(sum / rounds, x), 0.1);
}

TEST(Bytes, AreWhatAWireWouldCarry) {
  const Tensor x = row(2000, 13);
  const auto bits = [&](const std::string& name, const Settings& s = {}) {
    return 8 * static_cast<double>(make(name, s)->encode(x, Rng(1)).size());
  };
  EXPECT_EQ(bits("none"), 64000);
  EXPECT_EQ(bits("half"), 32000);
  EXPECT_EQ(bits("int8"), 16000 + 2 * 32);  // two buckets, one scale each
  EXPECT_EQ(bits("sign"), 2032);
  EXPECT_NEAR(bits("qsgd", {{"levels", int64_t{256}}}), 18000, 360);
  EXPECT_NEAR(bits("top_k"), 20 * 32 + 20 * 8.5, 40);  // 11 bits a place without the code
  EXPECT_EQ(bits("random_k"), 20 * 32 + 32);
  EXPECT_EQ(bits("power_sgd"), 32 * 2 * (45 + 45));
}

TEST(Bits, ComeBack) {
  Draws d(Rng(14));
  for (uint64_t base : {2, 3, 5, 33, 255, 257, 513, 2097153}) {
    std::vector<uint32_t> digits(101), out(101);
    for (auto& x : digits) x = static_cast<uint32_t>(d.below(static_cast<int64_t>(base)));
    digits[7] = static_cast<uint32_t>(base - 1);
    BitWriter w;
    w.put(5, 3);
    w.put_radix(digits, base);
    w.put_rice(1234, 5);
    w.put_rice(3, 0);
    w.put(~uint64_t{0}, 64);
    const Bytes bytes = w.take();
    BitReader r(bytes);
    EXPECT_EQ(r.get(3), 5u);
    r.get_radix(out, base);
    EXPECT_EQ(out, digits);
    EXPECT_EQ(r.get_rice(5, 2000), 1234u);
    EXPECT_EQ(r.get_rice(0, 10), 3u);
    EXPECT_EQ(r.get(64), ~uint64_t{0});
    EXPECT_TRUE(r.finished());
  }
}

TEST(Qsgd, VarianceIsWithinThePapersBound) {
  const Tensor x = row(400, 15);
  for (int64_t s : {1, 4, 64}) {
    const auto c = make("qsgd", {{"levels", s}, {"unbiased", true}});
    double lost = 0;
    for (int t = 0; t < 300; ++t) lost += std::pow(relative(through(*c, x, Rng(t)), x), 2) / 300;
    EXPECT_LE(lost, std::min(400. / (s * s), 20. / s));
    EXPECT_GT(lost, 0);
  }
}

TEST(Qsgd, ContractsWithFewLevelsForItsLength) {
  const Tensor x = row(2000, 15);
  const auto contracting = make("qsgd"), unbiased = make("qsgd", {{"unbiased", true}});
  EXPECT_GT(relative(through(*unbiased, x, Rng(1)), x), 1);  // an error fed back through this grows
  EXPECT_EQ(unbiased->contraction(2000), 0);
  const double delta = contracting->contraction(2000);
  EXPECT_GT(delta, 0);
  double lost = 0;
  for (int t = 0; t < 100; ++t) lost += std::pow(relative(through(*contracting, x, Rng(t)), x), 2) / 100;
  EXPECT_LE(lost, 1 - delta);
}

TEST(TopK, KeepsTheLargest) {
  const Tensor x = at::tensor({.1, -5., 2., 0., 3., -.2, 1., .4}, at::kDouble);
  const Tensor out = through(*make("top_k", {{"fraction", .375}}), x, Rng(1));
  EXPECT_TRUE(at::equal(out, at::tensor({0., -5., 2., 0., 3., 0., 0., 0.}, at::kDouble)));
}

// Of equals the first are kept, what is no number counts as infinite, and signs don't matter.
TEST(TopK, IsASortByMagnitudeThenPlace) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN(),
                   kInf = std::numeric_limits<double>::infinity();
  Draws d(Rng(3));
  for (int64_t trial = 0; trial < 304; ++trial) {
    const int64_t n =
        trial < 300 ? 1 + d.below(60) : 70'000;  // few are put in order at once, many after a count
    Tensor x = at::empty({n}, at::kDouble);
    double* v = x.data_ptr<double>();
    const double few[] = {0, -0.0, 1, -1, 0.5, 1e-300, -1e-300, 3, -kInf, kInf, kNan, -kNan};
    for (int64_t i = 0; i < n; ++i) v[i] = trial % 2 ? few[d.below(12)] : d.normal();
    const double fraction = d.uniform(0.01, 1);
    const auto c = make("top_k", {{"fraction", fraction}});
    std::vector<int64_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      const auto m = [&](int64_t i) { return std::isnan(v[i]) ? kInf : std::abs(v[i]); };
      return m(a) > m(b);
    });
    const auto k = std::clamp<int64_t>(std::llround(fraction * static_cast<double>(n)), 1, n);
    const Tensor got = through(*c, x, Rng(1));
    std::vector<bool> kept(n);
    for (int64_t j = 0; j < k; ++j) kept[order[j]] = true;
    for (int64_t i = 0; i < n; ++i) {
      const auto due = kept[i] ? static_cast<double>(static_cast<float>(v[i])) : 0,
                 found = got[i].item<double>();
      EXPECT_TRUE(due == found || (std::isnan(due) && std::isnan(found))) << "trial " << trial << ", " << i;
    }
  }
}

TEST(PowerSgd, WarmStartFindsTheLeadingSpace) {
  // A matrix of rank 2 is sent exactly; from a warm start a slowly decaying one comes near its best rank-2
  // part.
  const Tensor low =
      at::matmul(normal(Rng(1), {20, 2}, at::kDouble), normal(Rng(2), {2, 15}, at::kDouble)).reshape({300});
  const auto c = make("power_sgd", {{"rank", int64_t{2}}, {"rows", int64_t{20}}});
  EXPECT_LE(relative(through(*c, low, Rng(3)), low), 1e-6);
  const Tensor full = low + normal(Rng(4), {300}, at::kDouble);
  const Tensor s = std::get<1>(at::svd(full.view({20, 15})));
  const double best = (s.narrow(0, 2, 13).norm() / s.norm()).item<double>();
  Tensor memory;
  double first = 0, last = 0;
  for (int t = 0; t < 30; ++t) {
    const Bytes bytes = encode(*c, full, memory, Rng(5));
    last = relative(decode_own(*c, bytes, 300), full);
    if (t == 0) first = last;
  }
  EXPECT_NEAR(last, best, 1e-4);
  EXPECT_GT(first, best * 1.01);
}

// ---- Gossip.

Tensor ring(int64_t n) {
  Tensor w = at::zeros({n, n}, at::kDouble);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t d : {int64_t{0}, int64_t{1}, n - 1}) w[i][(i + d) % n] = 1 / 3.;
  return w;
}

TEST(Choco, WithoutCompressionIsGossip) {
  const Tensor x = normal(Rng(1), {9, 30}).to(at::kDouble), w = ring(9);
  ChocoState state = choco_start(9, 30);
  const ChocoRound round = choco_round(*make("none"), x, w, 1, 0, state, Rng(2));
  EXPECT_LE(relative(round.rows, at::matmul(w, x)), 1e-14);
  EXPECT_EQ(round.sent[3].size(), 120u);
}

TEST(Choco, SilentNodesSendNothingAndTheMeanStays) {
  Tensor x = normal(Rng(1), {9, 30}, at::kDouble);
  const Tensor mean = x.mean(0);
  ChocoState state = choco_start(9, 30);
  int64_t silent = 0;
  for (int t = 0; t < 200; ++t) {
    const ChocoRound round = choco_round(*make("none"), x, ring(9), .5, .05, state, Rng(t));
    for (const Bytes& b : round.sent) silent += b.empty();
    x = round.rows;
  }
  EXPECT_GT(silent, 9 * 100);
  EXPECT_LE((x.mean(0) - mean).abs().max().item<double>(), 1e-14);
  EXPECT_LE(((x - mean).norm() / mean.norm()).item<double>(), .5);
}

TEST(Trigger, FiresOnlyWhenMoved) {
  const Tensor x = row(10, 1);
  EXPECT_TRUE(moved_enough(x, {}, .1));
  EXPECT_FALSE(moved_enough(x * 1.05, x, .1));
  EXPECT_TRUE(moved_enough(x * 1.2, x, .1));
  EXPECT_TRUE(moved_enough(x * NAN, x, .1));
  EXPECT_TRUE(moved_enough(x, x, 0));
}

}  // namespace
}  // namespace symma
