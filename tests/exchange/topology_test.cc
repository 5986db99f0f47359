#include "symma/exchange/topology.h"

#include <gtest/gtest.h>

#include "exchange/choco.h"

#include "symma/exchange/exchange.h"

namespace symma {
namespace {

Exchange on(const std::string& topology, const Json& settings, int64_t agents) {
  Exchange x;
  x.options.topology = topology;
  x.graph = make<TopologyRegistry>(topology, settings)->build(agents, Rng(1));
  if (!x.graph.server) x.weights = neighbours(x.graph);
  return x;
}

const Json kDifMaml = {{"edges", {{0, 2}, {1, 2}, {2, 3}, {2, 4}, {3, 4}, {4, 5}}}};

class EveryTopology : public testing::TestWithParam<std::string> {};

TEST_P(EveryTopology, HasDoublyStochasticSymmetricWeightsAlongItsEdges) {
  const Exchange x = on(GetParam(), GetParam() == "edges" ? kDifMaml : Json(), 6);
  if (!x.graph.server) {
    // Column by column, what mixing does to the unit vectors is W.
    EXPECT_TRUE(mix(x, at::eye(6, at::kDouble)).allclose(mixing_weights(x.graph), 1e-15, 1e-15));
  }
  const Tensor w = mix(x, at::eye(6, at::kDouble));
  EXPECT_TRUE(w.allclose(w.t()));
  EXPECT_TRUE(w.sum(0).allclose(at::ones({6}, at::kDouble)));
  EXPECT_GE(w.min().item<double>(), 0);
  for (auto [a, b] : x.graph.edges) EXPECT_LT(a, b);
  if (x.graph.server) return;
  const auto at = w.accessor<double, 2>();
  for (int64_t i = 0; i < 6; ++i) {
    for (int64_t j = i + 1; j < 6; ++j) {
      const bool edge = std::find(x.graph.edges.begin(), x.graph.edges.end(), std::array<int64_t, 2>{i, j}) !=
                        x.graph.edges.end();
      EXPECT_EQ(at[i][j] > 0, edge) << i << " " << j;
    }
  }
}

TEST_P(EveryTopology, WorksForOneAndTwoAgents) {
  for (int64_t n : {1, 2}) {
    const Json edges{{"edges", Json::array({Json::array({0, 1})})}};
    if (GetParam() == "edges" && n == 1) continue;
    const Exchange x = on(GetParam(), GetParam() == "edges" ? edges : Json(), n);
    EXPECT_TRUE(mix(x, at::eye(n, at::kDouble)).sum(0).allclose(at::ones({n}, at::kDouble)));
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryTopology, testing::ValuesIn(TopologyRegistry::instance().names()),
                         [](const auto& info) { return info.param; });

// The references' graph of Dif-MAML with Metropolis weights: .864.
TEST(Topology, SecondEigenvalueOfDifMamlsGraph) {
  EXPECT_NEAR(second_eigenvalue(on("edges", kDifMaml, 6).weights), 0.864, 5e-4);
}

TEST(Topology, KnownGraphs) {
  EXPECT_EQ(on("ring", {}, 5).graph.edges.size(), 5u);
  EXPECT_NEAR(on("ring", {}, 5).weights.at(0, 1), 1. / 3, 1e-15);
  // Eigenvalues of a ring with weights 1/3 are (1 + 2 cos(2 pi k / n)) / 3.
  for (const int64_t n : {5, 25, 60})
    EXPECT_NEAR(second_eigenvalue(on("ring", {}, n).weights),
                (1 + 2 * std::cos(2 * M_PI / static_cast<double>(n))) / 3, 1e-10);
  // A path of three has the eigenvalues 1, 2/3 and 0; two agents and a star of edges have negative ones or
  // none.
  EXPECT_NEAR(second_eigenvalue(on("edges", {{"edges", {{0, 1}, {1, 2}}}}, 3).weights), 2. / 3, 1e-12);
  for (const Json& edges :
       {Json{{0, 1}, {0, 2}, {0, 3}, {0, 4}}, Json{{0, 1}, {2, 3}, {0, 2}, {1, 3}, {0, 3}, {1, 2}, {3, 4}}}) {
    const Exchange x = on("edges", {{"edges", edges}}, 5);
    const Tensor all = std::get<0>(std::get<0>(at::linalg_eigh(mixing_weights(x.graph))).abs().sort(0, true));
    EXPECT_NEAR(second_eigenvalue(x.weights), all[1].item<double>(), 1e-10);
  }
  EXPECT_NEAR(second_eigenvalue(on("ring", {}, 10000).weights), 1, 1e-4);
  EXPECT_EQ(on("torus", {}, 12).graph.edges.size(), 24u);
  EXPECT_NEAR(second_eigenvalue(on("full", {}, 7).weights), 0, 1e-12);
  EXPECT_EQ(second_eigenvalue(on("none", {}, 3).weights), 1);
  EXPECT_FALSE(connected(on("none", {}, 3).graph));
  EXPECT_TRUE(connected(on("random", {{"p", 0.2}}, 20).graph));
}

TEST(Topology, BadSettingsAreRefused) {
  EXPECT_THROW(on("edges", {}, 3), UserError);
  EXPECT_THROW(on("edges", {{"edges", Json::array({Json::array({0, 3})})}}, 3), UserError);
  EXPECT_THROW(on("edges", {{"edges", Json::array({Json::array({1, 1})})}}, 3), UserError);
  EXPECT_THROW(on("torus", {{"rows", 4}}, 6), UserError);
  EXPECT_THROW(on("random", {{"p", 1e-9}}, 6), UserError);
}

TEST(Exchange, MixesAsTheMatrixProduct) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    Exchange x = on("edges", kDifMaml, 6);
    const Tensor theta = normal(Rng(3), {6, 2500}, type);
    ExchangeState s = exchange_start(x, theta);
    const Tensor out = exchange(x, s, theta, Rng(1));
    EXPECT_TRUE(out.to(at::kDouble).allclose(mixing_weights(x.graph).mm(theta.to(at::kDouble)), 1e-5, 1e-6));
    EXPECT_NEAR((out.mean(0) - theta.mean(0)).abs().max().item<double>(), 0, 1e-6);
  }
}

TEST(Exchange, DisagreementShrinksByTheSecondEigenvalue) {
  Exchange x = on("edges", kDifMaml, 6);
  Tensor theta = normal(Rng(3), {6, 50}, at::kDouble);
  ExchangeState s = exchange_start(x, theta);
  for (int i = 0; i < 60; ++i) theta = exchange(x, s, theta, Rng(1));
  const double before = disagreement(theta);
  const Tensor next = exchange(x, s, theta, Rng(1));
  EXPECT_NEAR(std::sqrt(disagreement(next) / before), second_eigenvalue(x.weights), 1e-3);
}

TEST(Exchange, LedgerCountsARowOverEachEdgeEachWay) {
  Exchange x = on("star", {}, 4);
  const Tensor theta = normal(Rng(3), {4, 10});
  ExchangeState s = exchange_start(x, theta);
  const Tensor out = exchange(x, s, theta, Rng(1));
  exchange(x, s, out, Rng(1));
  EXPECT_EQ(s.bits, std::vector<int64_t>(8, 2 * 10 * 32));
  EXPECT_EQ(s.total_bits(), 8 * 2 * 10 * 32);
  EXPECT_TRUE(out.allclose(theta.mean(0, true).expand({4, 10}), 1e-5, 1e-6));
}

TEST(Exchange, UpdatesFromACommonStartAreParametersMixed) {
  Exchange parameters = on("ring", {}, 5), updates = parameters;
  updates.options.payload = "updates";
  const Tensor start = normal(Rng(1), {1, 8}, at::kDouble).repeat({5, 1});
  const Tensor moved = start + normal(Rng(2), {5, 8}, at::kDouble);
  ExchangeState a = exchange_start(parameters, start), b = exchange_start(updates, start);
  EXPECT_TRUE(exchange(parameters, a, moved, Rng(1)).allclose(exchange(updates, b, moved, Rng(1))));
  EXPECT_TRUE(b.reference.allclose(exchange(parameters, a, moved, Rng(1))));
}

TEST(Exchange, IsDueEveryKRoundsAndNeverWithoutEdges) {
  Exchange x = on("full", {}, 3);
  x.options.every = 3;
  std::vector<int> due;
  for (int r = 0; r < 7; ++r) {
    if (x.due(r)) due.push_back(r);
  }
  EXPECT_EQ(due, (std::vector<int>{2, 5}));
  EXPECT_FALSE(on("none", {}, 3).due(0));
}

}  // namespace
}  // namespace symma
