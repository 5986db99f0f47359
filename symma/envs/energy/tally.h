// How a district did: the sums that its key figures are made of, hour by hour.
//
//   cost         sum of max(0, D) price, D the district's net: surplus of one home serves another
//   carbon       sum over homes of max(0, net) kg/kWh: it does not
//   ramping      sum of |D - D before|
//   load factor  mean over 730-hour windows of 1 - mean(D) / max(D); the last may be short
//   grid         mean of the two, each over its value without batteries
//   score        mean of cost, carbon and grid, each over its value without batteries
//
// CityLearn 1.3.6 (Vazquez-Canteli et al. 2020, arXiv:2012.10504), the challenge of 2022.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace symma {

struct Tally {
  static constexpr int64_t kWindow = 730, kNumbers = 17;
  double hours = 0, cost = 0, carbon = 0, ramping = 0, import = 0, peak = 0;
  double before = 0;                                                 // D of the last hour
  double factors = 0, windows = 0, window_sum = 0, window_most = 0;  // whole windows, and the one at hand
  double days = 0, day_peaks = 0, day_most = 0;
  double bill = 0, alone = 0, traded = 0;  // $ in all; $ without neighbours; kWh between them

  void add(const double* net, int64_t homes, double price, double carbon_of_kwh) {
    double d = 0, dirt = 0;
    for (int64_t i = 0; i < homes; ++i) d += net[i], dirt += std::max(0.0, net[i] * carbon_of_kwh);
    cost += std::max(0.0, d * price);
    carbon += dirt;
    if (hours > 0) ramping += std::abs(d - before);
    import += std::max(0.0, d);
    peak = hours > 0 ? std::max(peak, d) : d;
    const auto hour = static_cast<int64_t>(hours);
    window_most = hour % kWindow == 0 ? d : std::max(window_most, d);
    window_sum = hour % kWindow == 0 ? d : window_sum + d;
    day_most = hour % 24 == 0 ? d : std::max(day_most, d);
    before = d, hours += 1;
    if ((hour + 1) % kWindow == 0) factors += factor(window_sum, window_most, kWindow), windows += 1;
    if ((hour + 1) % 24 == 0) day_peaks += day_most, days += 1;
  }
  static double factor(double sum, double most, double n) { return most != 0 ? 1 - sum / n / most : 1; }
  static double windows_of(double hours) { return std::ceil(hours / kWindow); }
  // The windows' sum. Of so many hours in all, whole windows alone count until the last hour.
  double all_factors(double in_all) const {
    if (hours < in_all) return factors;
    const double rest = std::fmod(hours, kWindow);
    return factors + (rest > 0 ? factor(window_sum, window_most, rest) : 0);
  }
  double load_factor() const { return all_factors(hours) / windows_of(hours); }
  double daily_peak() const {
    return (day_peaks + (std::fmod(hours, 24) > 0 ? day_most : 0)) / std::ceil(hours / 24);
  }
};

// A figure beside its value without batteries; where that is 0, as it is.
inline double over(double value, double base) {
  return value / (base > 0 ? base : 1);
}

// The score, by what a unit of each figure adds to it: which is the same all through an episode.
class WindowScore {
 public:
  WindowScore() = default;
  // Beside the same hours without batteries.
  explicit WindowScore(const Tally& base)
      : hours_(base.hours),
        cost_(over(1, base.cost) / 3),
        carbon_(over(1, base.carbon) / 3),
        ramping_(over(1, base.ramping) / 6),
        factor_(over(1, base.load_factor()) / 6 / Tally::windows_of(base.hours)) {}
  // Of what was tallied so far: a sum that grows by each hour's part.
  double operator()(const Tally& t) const {
    return cost_ * t.cost + carbon_ * t.carbon + ramping_ * t.ramping + factor_ * t.all_factors(hours_);
  }

 private:
  double hours_ = 0, cost_ = 0, carbon_ = 0, ramping_ = 0, factor_ = 0;
};

}  // namespace symma
