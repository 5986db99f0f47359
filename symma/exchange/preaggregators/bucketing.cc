// Bucketing: rows in random order, averaged in buckets of s. A bad row spoils one bucket.
// Karimireddy et al. 2022, "Byzantine-robust learning on heterogeneous datasets via bucketing",
// arXiv:2006.09365.
#include "symma/exchange/aggregator.h"
#include "symma/exchange/rows.h"
#include "symma/exchange/selection.h"

namespace symma {
namespace {

class Bucketing final : public PreAggregator {
 public:
  struct Options {
    int64_t size = 2;
    void fields(Fields& f) { f.add("size", size, "rows in a bucket").at_least(1); }
  };
  explicit Bucketing(Options o) : o_(o) {}
  int64_t buckets(int64_t n) const { return (n + o_.size - 1) / o_.size; }
  // The bad buckets must be a minority of the buckets.
  int64_t most_bad(int64_t n) const override { return minority(buckets(n)); }
  Inputs prepare(const Inputs& in, Rng rng) const override {
    const int64_t n = in.rows.size(0);
    const std::vector<int64_t> order = Draws(rng.split("buckets")).permutation(n);
    std::vector<Tensor> means;
    for (int64_t b = 0; b < buckets(n); ++b) {
      const int64_t begin = b * o_.size, end = std::min(n, begin + o_.size);
      means.push_back(mean_of(in.rows, {order.data() + begin, static_cast<size_t>(end - begin)}));
    }
    return {at::stack(means), in.bad, in.centre};
  }

 private:
  Options o_;
};

SYMMA_REGISTER(PreAggregator, "bucketing", Bucketing, "rows in random order, averaged in buckets",
               "Karimireddy et al. 2022, arXiv:2006.09365");

}  // namespace
}  // namespace symma
