#include "symma/eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace symma {

double interquartile_mean(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const double n = static_cast<double>(values.size()), low = n / 4, high = n - n / 4;
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    // Value i stands on [i, i + 1).
    const double from = std::max(low, static_cast<double>(i)),
                 to = std::min(high, static_cast<double>(i + 1));
    if (to > from) sum += (to - from) * values[i];
  }
  return sum / (high - low);
}

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

double quantile(const std::vector<double>& sorted, double p) {
  const double at = p * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  if (low + 1 >= sorted.size()) return sorted.back();
  const double part = at - static_cast<double>(low);
  return part == 0 ? sorted[low] : sorted[low] + part * (sorted[low + 1] - sorted[low]);
}

Summary summarise(std::vector<double> values, bool higher_is_better) {
  Summary s;
  if (values.empty()) return s;
  const double worst =
      higher_is_better ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  for (double& v : values) {
    if (std::isfinite(v)) continue;
    ++s.diverged;
    v = worst;
  }
  const auto n = static_cast<double>(values.size());
  double sum = 0;
  for (double v : values) sum += v;
  s.mean = sum / n;
  double squares = 0;
  for (double v : values) squares += (v - s.mean) * (v - s.mean);
  s.ci95 = values.size() < 2 ? 0 : 1.96 * std::sqrt(squares / (n - 1)) / std::sqrt(n);
  std::sort(values.begin(), values.end());
  s.q1 = quantile(values, 0.25);
  s.median = quantile(values, 0.5);
  s.q3 = quantile(values, 0.75);
  return s;
}

}  // namespace symma
