// Clipping of norms, about the centre where there is one: to a fixed bound; or adaptively (ARC), where the
// floor(2 (f/n) (n-f)) largest norms become the next largest.
// Allouah et al. 2024, "Adaptive gradient clipping for robust federated learning", arXiv:2405.14432.
#include <cmath>

#include "symma/exchange/aggregator.h"
#include "symma/exchange/rows.h"
#include "symma/exchange/selection.h"

namespace symma {
namespace {

// Rows clipped to `bound`. A row that is not finite has no direction to keep and becomes the centre.
Tensor clipped(const Inputs& in, const std::vector<double>& squares, double bound) {
  std::vector<double> scales(squares.size());
  for (size_t i = 0; i < squares.size(); ++i) {
    const double norm = std::sqrt(squares[i]);
    scales[i] = norm <= bound ? 1 : std::isfinite(norm) ? bound / norm : 0;
  }
  return scale_rows(in.rows, scales, in.centre);
}

class Clipping final : public PreAggregator {
 public:
  struct Options {
    double bound = 10;
    void fields(Fields& f) { f.add("bound", bound, "the largest norm that passes unchanged").above(0); }
  };
  explicit Clipping(Options o) : o_(o) {}
  int64_t most_bad(int64_t n) const override { return n - 1; }
  Inputs prepare(const Inputs& in, Rng) const override {
    return {clipped(in, squared_distances_to(in.rows, in.centre), o_.bound), in.bad, in.centre};
  }

 private:
  Options o_;
};

class Arc final : public PreAggregator {
 public:
  using Options = NoOptions;
  explicit Arc(Options) {}
  int64_t most_bad(int64_t n) const override { return minority(n); }
  Inputs prepare(const Inputs& in, Rng) const override {
    const int64_t n = in.rows.size(0), largest = 2 * in.bad * (n - in.bad) / n;
    const std::vector<double> squares = squared_distances_to(in.rows, in.centre);
    const std::vector<int64_t> order = ascending(squares);
    // With f <= n / 2 bad rows at most 2f - 1 are clipped, so a finite norm is left to clip to unless more
    // are bad.
    const double bound = std::sqrt(squares[order[std::max<int64_t>(0, n - largest - 1)]]);
    return {clipped(in, squares, std::isfinite(bound) ? bound : 0), in.bad, in.centre};
  }
};

SYMMA_REGISTER(PreAggregator, "clipping", Clipping, "norms above a bound become the bound",
               "Sun et al. 2019, arXiv:1911.07963");
SYMMA_REGISTER(PreAggregator, "arc", Arc, "the floor(2 (f/n) (n-f)) largest norms become the next largest",
               "Allouah et al. 2024, arXiv:2405.14432");

}  // namespace
}  // namespace symma
