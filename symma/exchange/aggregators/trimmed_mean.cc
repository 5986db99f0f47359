// The mean of each coordinate without its f smallest and f largest values.
#include "symma/exchange/aggregator.h"
#include "symma/exchange/selection.h"
#include "symma/exchange/sorted_columns.h"

namespace symma {
namespace {

class TrimmedMean final : public Aggregator {
 public:
  using Options = NoOptions;
  explicit TrimmedMean(Options) {}
  Laws laws() const override { return {}; }
  int64_t most_bad(int64_t n) const override { return minority(n); }
  Tensor combine(const Inputs& in, Rng) const override {
    return mean_of_ranks(in.rows, in.bad, in.rows.size(0) - in.bad);
  }
};

SYMMA_REGISTER(Aggregator, "trimmed_mean", TrimmedMean,
               "each coordinate's mean without its f smallest and f largest",
               "Yin et al. 2018, arXiv:1803.01498");

}  // namespace
}  // namespace symma
