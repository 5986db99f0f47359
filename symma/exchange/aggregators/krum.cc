// Krum: the row whose summed squared distance to its nearest others is least; and the mean of several such
// rows. Blanchard et al. 2017, "Machine learning with adversaries: Byzantine tolerant gradient descent",
// arXiv:1703.02757.
#include "symma/exchange/aggregator.h"
#include "symma/exchange/rows.h"
#include "symma/exchange/selection.h"

namespace symma {
namespace {

struct KrumOptions {
  std::string neighbours = "blanchard";
  void fields(Fields& f) {
    f.add("neighbours", neighbours, "how many nearest rows count: n-f-2 (blanchard) or n-f-1 (byzfl)")
        .one_of({"blanchard", "byzfl"});
  }
};

// The paper's proof needs n > 2f + 2; with n - f - 1 neighbours a majority of good rows is all that is asked.
int64_t bound(const KrumOptions& o, int64_t n) {
  return o.neighbours == "byzfl" ? minority(n) : std::max<int64_t>(0, (n - 3) / 2);
}

std::vector<int64_t> best_first(const KrumOptions& o, const Inputs& in) {
  const int64_t n = in.rows.size(0), near = n - in.bad - (o.neighbours == "byzfl" ? 1 : 2);
  const Tensor distances = squared_distances(in.rows);
  const std::vector<double> score = neighbour_scores(distances, std::max<int64_t>(1, near));
  // With one neighbour two rows tie, each the other's nearest: then the one nearer to all goes first.
  const std::vector<double> total = neighbour_scores(distances, n - 1);
  std::vector<int64_t> order = ascending(total);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return score[a] < score[b]; });
  return order;
}

class Krum final : public Aggregator {
 public:
  using Options = KrumOptions;
  explicit Krum(Options o) : o_(std::move(o)) {}
  Laws laws() const override { return {}; }
  int64_t most_bad(int64_t n) const override { return bound(o_, n); }
  Tensor combine(const Inputs& in, Rng) const override { return in.rows[best_first(o_, in)[0]].clone(); }

 private:
  Options o_;
};

class MultiKrum final : public Aggregator {
 public:
  struct Options : KrumOptions {
    int64_t keep = 0;
    void fields(Fields& f) {
      KrumOptions::fields(f);
      f.add("keep", keep, "how many rows to average; 0 for n-f").at_least(0);
    }
  };
  explicit MultiKrum(Options o) : o_(std::move(o)) {}
  Laws laws() const override { return {}; }
  int64_t most_bad(int64_t n) const override { return bound(o_, n); }
  Tensor combine(const Inputs& in, Rng) const override {
    std::vector<int64_t> order = best_first(o_, in);
    const int64_t good = in.rows.size(0) - in.bad;
    order.resize(o_.keep > 0 ? std::min(o_.keep, good) : good);
    return mean_of(in.rows, order);
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Aggregator, "krum", Krum, "the row nearest to its neighbours",
               "Blanchard et al. 2017, arXiv:1703.02757");
SYMMA_REGISTER(Aggregator, "multi_krum", MultiKrum, "the mean of the n-f rows nearest to their neighbours",
               "Blanchard et al. 2017, arXiv:1703.02757");

}  // namespace
}  // namespace symma
