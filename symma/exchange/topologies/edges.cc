// The edges that the file lists.
#include "symma/core/errors.h"
#include "symma/exchange/topology.h"

namespace symma {
namespace {

class Edges : public Topology {
 public:
  struct Options {
    Pairs edges;
    void fields(Fields& f) { f.add("edges", edges, "pairs of agents that talk, such as [[0, 1], [1, 2]]"); }
  };
  explicit Edges(const Options& o) : o_(o) {}

  Graph build(int64_t agents, Rng) const override {
    if (o_.edges.empty())
      throw UserError("[exchange] edges", "is missing",
                      "list pairs such as [[0, 1], [1, 2]], or take another topology");
    return {agents, tidy_edges(o_.edges, agents), false};
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Topology, "edges", Edges, "the edges that the file lists",
               "Kayaalp et al. 2022, arXiv:2010.02870, for the graph in examples/points/collaborate.toml");

}  // namespace
}  // namespace symma
