// The plain mean. One bad row moves it anywhere; it is what the robust rules are measured against.
#include "symma/exchange/aggregator.h"
#include "symma/exchange/rows.h"

namespace symma {
namespace {

class Mean final : public Aggregator {
 public:
  using Options = NoOptions;
  explicit Mean(Options) {}
  Laws laws() const override { return {.robust = false, .needs_rows = false}; }
  int64_t most_bad(int64_t n) const override { return n - 1; }  // it makes no promise to break
  Tensor combine(const Inputs& in, Rng) const override {
    const int64_t n = in.rows.size(0);
    return weighted_sum(in.rows, std::vector<double>(n, 1.0 / static_cast<double>(n)));
  }
};

SYMMA_REGISTER(Aggregator, "mean", Mean, "the plain mean; not robust",
               "McMahan et al. 2017, arXiv:1602.05629");

}  // namespace
}  // namespace symma
