// Centred clipping: v <- v + mean((x_i - v) min(1, tau / |x_i - v|)), from the last result on.
// Karimireddy et al. 2021, "Learning from history for Byzantine robust optimization", arXiv:2012.10333.
#include <cmath>

#include "symma/exchange/aggregator.h"
#include "symma/exchange/rows.h"
#include "symma/exchange/selection.h"
#include "symma/exchange/sorted_columns.h"

namespace symma {
namespace {

class CentredClipping final : public Aggregator {
 public:
  struct Options {
    double radius = 10;
    int64_t iterations = 3;
    void fields(Fields& f) {
      f.add("radius", radius, "tau: how far one row may pull").above(0);
      f.add("iterations", iterations, "rounds of clipping about the moving centre").at_least(1);
    }
  };
  explicit CentredClipping(Options o) : o_(o) {}
  Laws laws() const override { return {.scale = false}; }
  int64_t most_bad(int64_t n) const override { return minority(n); }
  // Without a centre to start from, the median of each coordinate is one that bad rows cannot choose.
  Tensor combine(const Inputs& in, Rng) const override {
    const int64_t n = in.rows.size(0);
    Tensor v = in.centre.defined() ? in.centre : mean_of_ranks(in.rows, (n - 1) / 2, n / 2 + 1);
    for (int64_t t = 0; t < o_.iterations; ++t) {
      std::vector<double> weights = squared_distances_to(in.rows, v);
      double sum = 0;
      for (double& w : weights) {
        w = w == 0 ? 1 : std::min(1.0, o_.radius / std::sqrt(w));  // 0 for a row that is not finite
        sum += w /= static_cast<double>(n);
      }
      v = weighted_sum(in.rows, weights, v, 1 - sum);
    }
    return v;
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Aggregator, "centred_clipping", CentredClipping,
               "steps from the centre towards the rows, each clipped",
               "Karimireddy et al. 2021, arXiv:2012.10333");

}  // namespace
}  // namespace symma
