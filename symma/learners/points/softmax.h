// Cross-entropy of one example by hand.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace symma {

// -log softmax(z)[label] of z [n], which become `scale` times its derivative.
template <class T>
T cross_entropy_slope(int64_t n, T* z, int64_t label, T scale) {
  const T top = *std::max_element(z, z + n), own = z[label] - top;
  T total = 0;
  for (int64_t j = 0; j < n; ++j) total += z[j] = std::exp(z[j] - top);
  for (int64_t j = 0; j < n; ++j) z[j] *= scale / total;
  z[label] -= scale;
  return std::log(total) - own;
}

}  // namespace symma
