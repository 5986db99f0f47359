// What statistics draws at random.
#include <algorithm>

#include "symma/core/rng.h"
#include "symma/eval/statistics.h"

namespace symma {

std::pair<double, double> interquartile_interval(const std::vector<std::vector<double>>& strata, Rng rng,
                                                 int draws) {
  std::vector<double> means;
  for (int i = 0; i < draws; ++i) {
    Draws d(rng.split("draw", i));
    std::vector<double> drawn;
    for (const auto& s : strata) {
      for (size_t k = 0; k < s.size(); ++k) drawn.push_back(s[d.below(static_cast<int64_t>(s.size()))]);
    }
    means.push_back(interquartile_mean(std::move(drawn)));
  }
  std::sort(means.begin(), means.end());
  return {quantile(means, 0.025), quantile(means, 0.975)};
}

std::pair<double, double> interquartile_interval(const std::vector<std::vector<double>>& strata, int draws) {
  return interquartile_interval(strata, Rng(0).split("bootstrap"), draws);
}

}  // namespace symma
