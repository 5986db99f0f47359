#include "symma/eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

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

double quantile(const std::vector<double>& sorted, double p) {
  const double at = p * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  if (low + 1 >= sorted.size()) return sorted.back();
  const double part = at - static_cast<double>(low);
  return part == 0 ? sorted[low] : sorted[low] + part * (sorted[low + 1] - sorted[low]);
}

double student_t(int64_t freedom) {
  const auto nu = static_cast<double>(freedom);
  if (freedom > 200) {
    const double z = 1.959963984540054, z2 = z * z;
    return z + z * (z2 + 1) / (4 * nu) + z * ((5 * z2 + 16) * z2 + 3) / (96 * nu * nu) +
           z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / (384 * nu * nu * nu);
  }
  // The share of the distribution within sqrt(nu) tan(angle) of zero.
  const auto within = [&](double angle) {
    const double c = std::cos(angle), s = std::sin(angle);
    const bool odd = freedom % 2 == 1;
    double term = odd ? c : 1, sum = freedom == 1 ? 0 : term;
    for (int64_t k = odd ? 3 : 2; k <= freedom - 2; k += 2) {
      term *= c * c * static_cast<double>(k - 1) / static_cast<double>(k);
      sum += term;
    }
    return odd ? (angle + s * sum) * M_2_PI : s * sum;
  };
  double low = 0, high = M_PI_2;
  for (int i = 0; i < 80; ++i) {
    const double middle = (low + high) / 2;
    (within(middle) < 0.95 ? low : high) = middle;
  }
  return std::sqrt(nu) * std::tan((low + high) / 2);
}

static const std::string kBetweenNames = " | ";

Groups groups_of(const std::vector<std::string>& names) {
  Groups out;
  std::map<std::string, int64_t> number;
  bool any = false;
  for (const auto& cell : names) {
    out.of.emplace_back();
    any = any || !cell.empty();
    for (size_t from = 0; from <= cell.size();) {
      const size_t to = std::min(cell.find(kBetweenNames, from), cell.size());
      const auto it = number.emplace(cell.substr(from, to - from), static_cast<int64_t>(number.size())).first;
      auto& mine = out.of.back();
      if (std::find(mine.begin(), mine.end(), it->second) == mine.end()) mine.push_back(it->second);
      from = to + kBetweenNames.size();
    }
  }
  if (!any) return {};
  out.count = static_cast<int64_t>(number.size());
  return out;
}

Groups groups_together(const std::vector<std::vector<std::string>>& names) {
  if (names.empty()) return {};
  std::vector<std::string> cells = names[0];
  for (size_t t = 0; t < cells.size(); ++t) {
    for (const auto& of_agent : names) {
      if (of_agent[t] != names[0][t]) cells[t] += kBetweenNames + of_agent[t];
    }
  }
  return groups_of(cells);
}

namespace {

struct MeanOf {
  double mean, ci95;
};

// By Student's t; no interval of fewer than two.
MeanOf mean_alone(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (double v : values) sum += v;
  const double mean = sum / n;
  for (double v : values) squares += (v - mean) * (v - mean);
  if (values.size() < 2) return {mean, std::numeric_limits<double>::quiet_NaN()};
  const double error = std::sqrt(squares / (n - 1) / n);
  return {mean, student_t(static_cast<int64_t>(values.size()) - 1) * error};
}

MeanOf mean_of_groups(const std::vector<double>& values, const Groups& groups) {
  std::vector<double> sum(groups.count), members(groups.count);
  bool several = false;
  for (size_t t = 0; t < values.size(); ++t) {
    for (int64_t g : groups.of[t]) sum[g] += values[t], ++members[g];
    several = several || groups.of[t].size() != 1;
  }
  if (!several) {
    for (int64_t g = 0; g < groups.count; ++g) sum[g] /= members[g];
    return mean_alone(sum);
  }
  MeanOf alone = mean_alone(values);
  if (groups.count < 2) return {alone.mean, std::numeric_limits<double>::quiet_NaN()};
  std::vector<double> rest(groups.count);
  double memberships = 0, own = 0;  // each value's square was counted once for each of its groups
  for (size_t t = 0; t < values.size(); ++t) {
    const double e = values[t] - alone.mean;
    for (int64_t g : groups.of[t]) rest[g] += e;
    const auto mine = static_cast<double>(groups.of[t].size());
    memberships += mine, own += (mine - 1) * e * e;
  }
  double pairs = -own;
  for (double r : rest) pairs += r * r;
  const auto n = static_cast<double>(values.size()), count = static_cast<double>(groups.count);
  // A mean over values is drawn towards each group by the values that are of it, which hides a part of how
  // groups differ: with w groups a value, that part of each residual is (G - w) / (G - 1) of what it was.
  const double w = memberships / n;
  const double shown = w < count ? (count - w) / (count - 1) : 1 / (count - 1);
  const double error = std::sqrt(std::max(0.0, pairs) * count / (count - 1)) / n / shown;
  alone.ci95 = std::max(alone.ci95, student_t(groups.count - 1) * error);
  return alone;
}

}  // namespace

Summary summarise(std::vector<double> values, bool higher_is_better, const Groups& groups) {
  Summary s;
  if (values.empty()) return s;
  const double worst =
      higher_is_better ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  for (double& v : values) {
    if (std::isfinite(v)) continue;
    ++s.diverged;
    v = worst;
  }
  const MeanOf m = groups.of.size() == values.size() ? mean_of_groups(values, groups) : mean_alone(values);
  s.mean = m.mean, s.ci95 = m.ci95;
  std::sort(values.begin(), values.end());
  s.q1 = quantile(values, 0.25);
  s.median = quantile(values, 0.5);
  s.q3 = quantile(values, 0.75);
  return s;
}

}  // namespace symma
