// Every pair is an edge with probability p. Erdos & Renyi 1959.
#include <fmt/format.h>

#include "symma/core/errors.h"
#include "symma/exchange/topology.h"

namespace symma {
namespace {

class Random : public Topology {
 public:
  struct Options {
    double p = 0.5;
    void fields(Fields& f) { f.add("p", p, "probability of an edge").above(0).at_most(1); }
  };
  explicit Random(const Options& o) : o_(o) {}

  // Draws graphs until one is connected: on a graph that is not, agents never agree.
  Graph build(int64_t agents, Rng rng) const override {
    for (int attempt = 0; attempt < 1000; ++attempt) {
      Draws draws(rng.split("attempt", attempt));
      Graph g{agents, {}, false};
      for (int64_t i = 0; i < agents; ++i) {
        for (int64_t j = i + 1; j < agents; ++j) {
          if (draws.uniform() < o_.p) g.edges.push_back({i, j});
        }
      }
      if (connected(g)) return g;
    }
    throw UserError("[exchange] p",
                    fmt::format("no connected graph of {} agents in 1000 draws with p = {}", agents, o_.p),
                    "raise p");
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Topology, "random", Random, "every pair is an edge with probability p, drawn until connected",
               "Erdos & Renyi 1959");

}  // namespace
}  // namespace symma
