// A grid whose ends meet, as near to square as the number of agents allows: four neighbours each.
#include <fmt/format.h>

#include "symma/core/errors.h"
#include "symma/exchange/topology.h"

namespace symma {
namespace {

class Torus : public Topology {
 public:
  struct Options {
    int64_t rows = 0;
    void fields(Fields& f) {
      f.add("rows", rows, "rows of the grid; 0: the divisor of agents nearest below its square root")
          .at_least(0);
    }
  };
  explicit Torus(const Options& o) : o_(o) {}

  Graph build(int64_t agents, Rng) const override {
    int64_t rows = o_.rows;
    if (rows == 0) {
      for (int64_t r = 1; r * r <= agents; ++r) {
        if (agents % r == 0) rows = r;
      }
    }
    if (agents % rows != 0)
      throw UserError("[exchange] rows", fmt::format("{} rows do not divide {} agents", rows, agents),
                      "choose a divisor");
    const int64_t columns = agents / rows;
    Pairs edges;
    for (int64_t i = 0; i < agents; ++i) {
      const int64_t right = i / columns * columns + (i + 1) % columns, down = (i + columns) % agents;
      if (right != i) edges.push_back({i, right});
      if (down != i) edges.push_back({i, down});
    }
    return {agents, tidy_edges(edges, agents), false};
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Topology, "torus", Torus, "a grid whose ends meet: four neighbours each",
               "two-dimensional torus");

}  // namespace
}  // namespace symma
