// The point whose summed distance to the rows is least, by the smoothed Weiszfeld iteration:
//   z <- sum(b_i x_i) / sum(b_i), b_i = 1 / max(nu, |x_i - z|).
// Pillutla et al. 2019, "Robust aggregation for federated learning" (RFA), arXiv:1912.13445.
#include <cmath>

#include "symma/exchange/aggregator.h"
#include "symma/exchange/rows.h"
#include "symma/exchange/selection.h"
#include "symma/exchange/sorted_columns.h"

namespace symma {
namespace {

class GeometricMedian final : public Aggregator {
 public:
  struct Options {
    double smoothing = 1e-6;
    int64_t iterations = 8;
    void fields(Fields& f) {
      f.add("smoothing", smoothing, "nu: distances below it count as it").above(0);
      f.add("iterations", iterations, "steps of Weiszfeld's iteration").at_least(1);
    }
  };
  explicit GeometricMedian(Options o) : o_(o) {}
  // Of scale too, as long as no distance is below nu.
  Laws laws() const override { return {}; }
  int64_t most_bad(int64_t n) const override { return minority(n); }
  Tensor combine(const Inputs& in, Rng) const override {
    const int64_t n = in.rows.size(0);
    Tensor z = in.centre.defined() ? in.centre : mean_of_ranks(in.rows, (n - 1) / 2, n / 2 + 1);
    for (int64_t t = 0; t < o_.iterations; ++t) {
      std::vector<double> weights = squared_distances_to(in.rows, z);
      double sum = 0;
      for (double& w : weights) {
        w = 1 / std::max(o_.smoothing, std::sqrt(w));  // 0 for a row that is not finite
        sum += w;
      }
      if (sum == 0) return z;
      for (double& w : weights) w /= sum;
      z = weighted_sum(in.rows, weights);
    }
    return z;
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Aggregator, "geometric_median", GeometricMedian,
               "the point of least summed distance to the rows", "Pillutla et al. 2019, arXiv:1912.13445");

}  // namespace
}  // namespace symma
