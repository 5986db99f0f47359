// Nearest neighbour mixing: each row becomes the mean of its n-f nearest, itself among them.
// Allouah et al. 2023, "Fixing by mixing: a recipe for optimal Byzantine ML under heterogeneity",
// arXiv:2302.01772.
#include <cmath>

#include "symma/exchange/aggregator.h"
#include "symma/exchange/rows.h"
#include "symma/exchange/selection.h"

namespace symma {
namespace {

class NearestNeighbourMixing final : public PreAggregator {
 public:
  using Options = NoOptions;
  explicit NearestNeighbourMixing(Options) {}
  int64_t most_bad(int64_t n) const override { return minority(n); }
  // A row that is not finite has no neighbours: it becomes the mean of all finite ones.
  Inputs prepare(const Inputs& in, Rng) const override {
    const int64_t n = in.rows.size(0), keep = n - in.bad;
    const Tensor distances = squared_distances(in.rows);
    const double* d = distances.data_ptr<double>();
    Tensor weights = at::zeros({n, n}, at::kDouble);
    double* w = weights.data_ptr<double>();
    std::vector<int64_t> finite;
    for (int64_t i = 0; i < n; ++i)
      if (std::isfinite(d[i * n + i])) finite.push_back(i);
    for (int64_t i = 0; i < n; ++i) {
      std::vector<int64_t> near = finite;
      if (std::isfinite(d[i * n + i])) {
        near = ascending({d + i * n, static_cast<size_t>(n)});
        near.resize(keep);
        std::erase_if(near, [&](int64_t j) { return !std::isfinite(d[i * n + j]); });
      }
      for (int64_t j : near) w[i * n + j] = 1 / static_cast<double>(near.size());
    }
    return {mix_rows(in.rows, weights), in.bad, in.centre};
  }
};

SYMMA_REGISTER(PreAggregator, "nnm", NearestNeighbourMixing, "each row becomes the mean of its n-f nearest",
               "Allouah et al. 2023, arXiv:2302.01772");

}  // namespace
}  // namespace symma
