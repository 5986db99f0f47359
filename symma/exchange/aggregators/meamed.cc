// The mean of the n-f values nearest to the median, in each coordinate.
// Xie et al. 2018, "Generalized Byzantine-tolerant SGD", arXiv:1802.10116.
#include "symma/exchange/aggregator.h"
#include "symma/exchange/selection.h"
#include "symma/exchange/sorted_columns.h"

namespace symma {
namespace {

class Meamed final : public Aggregator {
 public:
  using Options = NoOptions;
  explicit Meamed(Options) {}
  Laws laws() const override { return {}; }
  int64_t most_bad(int64_t n) const override { return minority(n); }
  Tensor combine(const Inputs& in, Rng) const override {
    return mean_near_median(in.rows, in.rows.size(0) - in.bad);
  }
};

SYMMA_REGISTER(Aggregator, "meamed", Meamed, "each coordinate's mean of the n-f values nearest to its median",
               "Xie et al. 2018, arXiv:1802.10116");

}  // namespace
}  // namespace symma
