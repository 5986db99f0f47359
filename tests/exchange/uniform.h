// How far numbers are from uniform.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace symma {

// Chi-squared of the highest byte of each number against uniform, whose mean is 255, in deviations of
// sqrt(510).
inline double chi_squared(const std::vector<uint64_t>& numbers, int bits) {
  std::vector<double> counts(256, 0);
  for (uint64_t x : numbers) ++counts[x >> (bits - 8)];
  const double expected = static_cast<double>(numbers.size()) / 256;
  double sum = 0;
  for (double c : counts) sum += (c - expected) * (c - expected) / expected;
  return (sum - 255) / std::sqrt(510.);
}

}  // namespace symma
