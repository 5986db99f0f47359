// Cross-entropy of one example by hand.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "symma/core/tensor.h"

namespace symma {

// Throws c10::Error where a label, int64 and contiguous, is not in 0..n-1: loops over memory rely on it.
inline void check_labels(const Tensor& labels, int64_t n) {
  const auto* at = labels.data_ptr<int64_t>();
  TORCH_CHECK(std::all_of(at, at + labels.numel(), [n](int64_t y) { return y >= 0 && y < n; }),
              "labels are in 0..", n - 1);
}

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
