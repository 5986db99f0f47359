// A part that is not in the tree: a library of its own, for `symma --load` and symma.load. Built with hidden
// visibility, where a registry of templates alone would be a second, empty one.
#include "symma/exchange/topology.h"
namespace {
class Line : public symma::Topology {
 public:
  using Options = symma::NoOptions;
  explicit Line(const Options&) {}
  symma::Graph build(int64_t agents, symma::Rng) const override {
    symma::Pairs edges;
    for (int64_t i = 0; i + 1 < agents; ++i) edges.push_back({i, i + 1});
    return {agents, symma::tidy_edges(edges, agents), false};
  }
};
}  // namespace
namespace symma {
SYMMA_REGISTER(Topology, "line_of_mine", Line, "agents in a row", "path graph");
}
