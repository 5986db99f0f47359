// Agent i with i - 1 and i + 1, around. Three or more agents have two neighbours each, weights 1/3.
#include "symma/exchange/topology.h"

namespace symma {
namespace {

class Ring : public Topology {
 public:
  using Options = NoOptions;
  explicit Ring(const Options&) {}
  Graph build(int64_t agents, Rng) const override {
    Pairs edges;
    for (int64_t i = 0; i < agents && agents > 1; ++i) edges.push_back({i, (i + 1) % agents});
    return {agents, tidy_edges(edges, agents), false};
  }
};

SYMMA_REGISTER(Topology, "ring", Ring, "every agent talks to the one before and the one after",
               "cycle graph");

}  // namespace
}  // namespace symma
