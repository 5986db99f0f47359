// Comparative gradient elimination: the mean of the n-f rows of least norm.
// Gupta and Vaidya 2020, "Resilience in collaborative optimization", arXiv:2006.00236.
#include "symma/exchange/aggregator.h"
#include "symma/exchange/rows.h"
#include "symma/exchange/selection.h"

namespace symma {
namespace {

class Cge final : public Aggregator {
 public:
  using Options = NoOptions;
  explicit Cge(Options) {}
  Laws laws() const override { return {.translation = false}; }  // norms are measured from zero
  int64_t most_bad(int64_t n) const override { return minority(n); }
  Tensor combine(const Inputs& in, Rng) const override {
    std::vector<int64_t> order = ascending(squared_distances_to(in.rows, {}));
    order.resize(in.rows.size(0) - in.bad);
    return mean_of(in.rows, order);
  }
};

SYMMA_REGISTER(Aggregator, "cge", Cge, "the mean of the n-f rows of least norm",
               "Gupta and Vaidya 2020, arXiv:2006.00236");

}  // namespace
}  // namespace symma
