// Mixing by lists of neighbours against the matrix of weights.
#include "symma/exchange/neighbours.h"

#include <gtest/gtest.h>

#include "exchange/choco.h"

#include "symma/core/parallel.h"
#include "symma/exchange/exchange.h"

namespace symma {
namespace {

Graph graph(const std::string& topology, const Json& settings, int64_t agents) {
  return make<TopologyRegistry>(topology, settings)->build(agents, Rng(3));
}

TEST(Neighbours, MixToTheBitsOfTheMatrix) {
  const std::vector<Graph> graphs{graph("ring", {}, 7),
                                  graph("full", {}, 5),
                                  graph("torus", {}, 12),
                                  graph("none", {}, 3),
                                  {6, {{0, 5}, {1, 2}, {1, 5}}, false}};
  for (const Graph& g : graphs) {
    for (const auto type : {at::kFloat, at::kDouble}) {
      const Tensor rows = normal(Rng(4), {g.agents, 4100}, type);  // more columns than a block
      for (const int threads : {1, 2}) {
        set_threads(threads);
        const Tensor expected = mixing_weights(g).mm(rows.to(at::kDouble));
        EXPECT_TRUE(mix(neighbours(g), rows)
                        .to(at::kDouble)
                        .allclose(expected, type == at::kFloat ? 1e-5 : 1e-13, 1e-6))
            << g.agents << type;
      }
    }
  }
  set_threads(0);
}

TEST(Neighbours, AServerIsRefused) {
  EXPECT_THROW(neighbours(graph("star", {}, 4)), c10::Error);
}

}  // namespace
}  // namespace symma
