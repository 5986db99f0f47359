// A server in the middle: it gathers from all agents and hands the mean back. McMahan et al. 2017,
// arXiv:1602.05629.
#include "symma/exchange/topology.h"

namespace symma {
namespace {

class Star : public Topology {
 public:
  using Options = NoOptions;
  explicit Star(const Options&) {}
  Graph build(int64_t agents, Rng) const override {
    Graph g{agents, {}, true};
    for (int64_t i = 0; i < agents; ++i) g.edges.push_back({i, agents});
    return g;
  }
};

SYMMA_REGISTER(Topology, "star", Star, "a server gathers from all agents and hands the mean back",
               "McMahan et al. 2017, arXiv:1602.05629");

}  // namespace
}  // namespace symma
