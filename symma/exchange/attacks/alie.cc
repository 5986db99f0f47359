// A little is enough: the honest mean moved by tau standard deviations in each coordinate, which is near
// enough to stay. With tau = 0 the paper's own choice: the largest z at which more honest agents than are
// needed for a majority lie beyond. Baruch, Baruch, Goldberg 2019, arXiv:1902.06156.
#include <algorithm>
#include <cmath>

#include "symma/exchange/attack.h"

namespace symma {
namespace {

class Alie final : public Attack {
 public:
  struct Options {
    double tau = 1.5;
    bool down = false;
    void fields(Fields& f) {
      f.add("tau", tau, "standard deviations; 0 for the paper's choice from the numbers of agents")
          .at_least(0);
      f.add("down", down, "mu - tau sd in place of mu + tau sd");
    }
  };
  explicit Alie(Options o) : o_(o) {}

  Tensor send(const Scene& s, Rng) const override {
    const Tensor rows = seen(s), mean = rows.mean(0);
    if (rows.size(0) == 1) return mean;  // one row deviates from nothing
    const double tau = (o_.down ? -1 : 1) * (o_.tau > 0 ? o_.tau : choice(s.agents, s.bad));
    return mean + tau * rows.std(0, /*unbiased=*/true);
  }

 private:
  static double choice(int64_t n, int64_t f) {
    const int64_t honest = n - f, supporters = n / 2 + 1 - f;
    if (honest <= 0) return 0;
    const double share = static_cast<double>(honest - supporters) / static_cast<double>(honest);
    return normal_quantile(std::clamp(share, 1e-6, 1 - 1e-6));
  }
  Options o_;
};

SYMMA_REGISTER(Attack, "alie", Alie, "the honest mean moved by tau standard deviations",
               "Baruch et al. 2019, arXiv:1902.06156");

}  // namespace
}  // namespace symma
