// CHOCO-gossip on a ring of 25, W = 1/3, d = 2000, N(0,1): relative consensus error against the measured
// table, within 20%; and the mean, which must not drift. Prints the table.
#include <gtest/gtest.h>

#include "exchange/choco.h"

#include <cstdio>
#include <map>

#include "exchange/build_part.h"

namespace symma {
namespace {

// The sum of |x_i - mean|^2 relative to that at the start.
double spread(const Tensor& x) {
  return (x - x.mean(0)).pow(2).sum().item<double>();
}

void expect_table(const std::string& name, const Settings& settings, double gamma, double bits,
                  const std::map<int, double>& truth, double tolerance = 0.2) {
  const int64_t n = 25, size = 2000;
  Tensor w = at::zeros({n, n}, at::kDouble);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t d : {int64_t{0}, int64_t{1}, n - 1}) w[i][(i + d) % n] = 1 / 3.;
  const auto compressor = built<CompressorRegistry>(name, settings);
  Tensor x = normal(Rng(1).split("rows"), {n, size}, at::kDouble);
  const Tensor mean = x.mean(0);
  const double start = spread(x);
  ChocoState state = choco_start(n, size);
  double sent = 0;
  const int rounds = truth.rbegin()->first;
  for (int t = 1; t <= rounds; ++t) {
    const ChocoRound round = choco_round(*compressor, x, w, gamma, 0, state, Rng(2).split("round", t));
    for (const Bytes& b : round.sent) sent += 8. * static_cast<double>(b.size()) / n / rounds;
    x = round.rows;
    const auto at = truth.find(t);
    if (at == truth.end()) continue;
    const double error = spread(x) / start;
    std::printf("%-9s gamma %-5g round %6d  error %.3e (table %.1e)\n", name.c_str(), gamma, t, error,
                at->second);
    EXPECT_NEAR(error, at->second, tolerance * at->second) << name << " " << t;
  }
  const double drift = (x.mean(0) - mean).abs().max().item<double>();
  std::printf("%-9s bits a message %.0f (table %.0f), drift of the mean %.1e\n", name.c_str(), sent, bits,
              drift);
  EXPECT_LT(drift, 1e-13);
  EXPECT_LE(sent, 1.2 * bits);
}

TEST(ChocoTable, Exact) {
  expect_table("none", {}, 1, 64000, {{100, 1.2e-3}, {500, 5.3e-11}});
}
TEST(ChocoTable, Qsgd256) {
  expect_table("qsgd", {{"levels", int64_t{256}}}, 1, 18000, {{100, 1.2e-3}, {500, 5.3e-11}});
}
TEST(ChocoTable, TopOnePercent) {
  expect_table("top_k", {}, .046, 860, {{1000, 1.3e-2}, {4000, 3.5e-5}});
}
TEST(ChocoTable, RandomOnePercent) {
  expect_table("random_k", {}, .011, 640, {{4000, 1.4e-2}, {20000, 6.9e-6}});
}

}  // namespace
}  // namespace symma
