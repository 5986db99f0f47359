// The median of each coordinate; of an even number, the mean of the middle two.
#include "symma/exchange/aggregator.h"
#include "symma/exchange/selection.h"
#include "symma/exchange/sorted_columns.h"

namespace symma {
namespace {

class Median final : public Aggregator {
 public:
  using Options = NoOptions;
  explicit Median(Options) {}
  Laws laws() const override { return {}; }
  int64_t most_bad(int64_t n) const override { return minority(n); }
  Tensor combine(const Inputs& in, Rng) const override {
    const int64_t n = in.rows.size(0);
    return mean_of_ranks(in.rows, (n - 1) / 2, n / 2 + 1);
  }
};

SYMMA_REGISTER(Aggregator, "median", Median, "the median of each coordinate",
               "Yin et al. 2018, arXiv:1803.01498");

}  // namespace
}  // namespace symma
