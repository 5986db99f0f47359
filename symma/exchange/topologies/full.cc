// Every agent with every other; its Metropolis weights are 1/N.
#include "symma/exchange/topology.h"

namespace symma {
namespace {

class Full : public Topology {
 public:
  using Options = NoOptions;
  explicit Full(const Options&) {}
  Graph build(int64_t agents, Rng) const override {
    Graph g{agents, {}, false};
    for (int64_t i = 0; i < agents; ++i) {
      for (int64_t j = i + 1; j < agents; ++j) g.edges.push_back({i, j});
    }
    return g;
  }
};

SYMMA_REGISTER(Topology, "full", Full, "every agent talks to every other", "complete graph");

}  // namespace
}  // namespace symma
