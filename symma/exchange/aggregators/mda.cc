// Minimum diameter averaging: the mean of the n-f rows whose largest mutual distance is least.
// El Mhamdi et al. 2018, "The hidden vulnerability of distributed learning in Byzantium", arXiv:1802.07927;
// exact, by vertex covers of size f rather than by trying all subsets.
#include "symma/exchange/aggregator.h"
#include "symma/exchange/rows.h"
#include "symma/exchange/selection.h"

namespace symma {
namespace {

class Mda final : public Aggregator {
 public:
  using Options = NoOptions;
  explicit Mda(Options) {}
  Laws laws() const override { return {}; }
  int64_t most_bad(int64_t n) const override { return minority(n); }
  Tensor combine(const Inputs& in, Rng) const override {
    return mean_of(in.rows, least_diameter(squared_distances(in.rows), in.rows.size(0) - in.bad));
  }
};

SYMMA_REGISTER(Aggregator, "mda", Mda, "the mean of the n-f rows of least diameter",
               "El Mhamdi et al. 2018, arXiv:1802.07927");

}  // namespace
}  // namespace symma
