// Strategies on quadratics that differ from agent to agent, f_i(x) = (x - b_i)^T A_i (x - b_i) / 2, each
// agent stepping down its own with a constant step: where they end is known in closed form.
#include <gtest/gtest.h>

#include "exchange/choco.h"
#include "symma/exchange/exchange.h"

namespace symma {
namespace {

constexpr int64_t kAgents = 6, kDims = 4;
constexpr double kStep = 0.05;

struct Problem {
  Tensor a, b;  // [N, D, D], [N, D]
  Problem() {
    const Tensor r = normal(Rng(1), {kAgents, kDims, kDims}, at::kDouble);
    a = at::bmm(r, r.transpose(1, 2)) / 4 + at::eye(kDims, at::kDouble);
    b = 3 * normal(Rng(2), {kAgents, kDims}, at::kDouble);
  }
  Tensor gradient(const Tensor& x /*[N,D]*/) const { return at::bmm(a, (x - b).unsqueeze(2)).squeeze(2); }
  // Of the sum of all agents' losses: sum A x = sum A b.
  Tensor least() const { return at::linalg_solve(a.sum(0), at::bmm(a, b.unsqueeze(2)).sum(0)).squeeze(1); }
};

Exchange on_edges(const std::string& strategy) {
  Exchange x;
  x.options.strategy = strategy;
  const Json edges{{0, 2}, {1, 2}, {2, 3}, {2, 4}, {3, 4}, {4, 5}};  // Dif-MAML's
  x.graph = make<TopologyRegistry>("edges", {{"edges", edges}})->build(kAgents, Rng(1));
  x.weights = neighbours(x.graph);
  return x;
}

// Rows after so many rounds.
Tensor run(const Problem& p, const std::string& strategy, int rounds) {
  const Exchange x = on_edges(strategy);
  Tensor rows = at::zeros({kAgents, kDims}, at::kDouble);
  ExchangeState s = exchange_start(x, rows);
  for (int k = 0; k < rounds; ++k) rows = exchange(x, s, rows - kStep * p.gradient(rows), Rng(1));
  return rows;
}

// Adapt-then-combine ends where x = W (x - step A (x - b)), away from the least of the sum.
TEST(Strategies, PlainDiffusionStopsAtItsBias) {
  const Problem p;
  const Tensor w = mixing_weights(on_edges("adapt-then-combine").graph);
  const int64_t all = kAgents * kDims;
  Tensor curve = at::zeros({all, all}, at::kDouble);  // of all agents side by side
  for (int64_t i = 0; i < kAgents; ++i)
    curve.narrow(0, i * kDims, kDims).narrow(1, i * kDims, kDims).copy_(p.a[i]);
  const Tensor one = at::eye(all, at::kDouble), mixing = at::kron(w, at::eye(kDims, at::kDouble));
  const Tensor fixed = at::linalg_solve(one - mixing.mm(one - kStep * curve),
                                        kStep * mixing.mm(curve).mv(p.b.reshape({-1})).unsqueeze(1))
                           .view({kAgents, kDims});
  const Tensor reached = run(p, "adapt-then-combine", 3000);
  EXPECT_LE((reached - fixed).abs().max().item<double>(), 1e-9);
  EXPECT_GT((reached - p.least()).norm(2, 1).max().item<double>(), 0.05);
}

TEST(Strategies, TrackingAndExactDiffusionReachTheLeastOfTheSumAtALinearRate) {
  const Problem p;
  for (const char* strategy : {"gradient-tracking", "exact-diffusion"}) {
    const auto away = [&](int rounds) {
      return (run(p, strategy, rounds) - p.least()).norm().item<double>();
    };
    EXPECT_LE(away(3000), 1e-8) << strategy;
    // A linear rate: as many rounds shrink the distance by as much, late as early.
    const double first = std::log(away(100) / away(200)), second = std::log(away(200) / away(300));
    EXPECT_GT(first, 1) << strategy;
    EXPECT_NEAR(second / first, 1, 0.25) << strategy;
  }
}

TEST(Strategies, TrackingSendsTwoRows) {
  const Problem p;
  const Exchange x = on_edges("gradient-tracking"), plain = on_edges("exact-diffusion");
  const Tensor rows = at::zeros({kAgents, kDims}, at::kDouble);
  ExchangeState s = exchange_start(x, rows), t = exchange_start(plain, rows);
  exchange(x, s, rows + 1, Rng(1));
  exchange(plain, t, rows + 1, Rng(1));
  EXPECT_EQ(s.total_bits(), 2 * t.total_bits());
}

}  // namespace
}  // namespace symma
