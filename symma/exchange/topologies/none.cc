// No edges: every agent learns alone.
#include "symma/exchange/topology.h"

namespace symma {
namespace {

class NoEdges : public Topology {
 public:
  using Options = NoOptions;
  explicit NoEdges(const Options&) {}
  Graph build(int64_t agents, Rng) const override { return {agents, {}, false}; }
};

SYMMA_REGISTER(Topology, "none", NoEdges, "no edges: every agent learns alone",
               "the non-cooperative rival, Kayaalp et al. 2022");

}  // namespace
}  // namespace symma
