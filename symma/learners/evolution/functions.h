// Functions with a known minimum, to try searches on: points [..., D] to values [...]. Hansen et al. 2009,
// "Real-parameter black-box optimization benchmarking: noiseless functions definitions", without rotations.
#pragma once

#include <cmath>
#include <map>
#include <string>

#include "symma/core/tensor.h"

namespace symma {

// 0 at 0.
inline Tensor sphere(const Tensor& x) {
  return x.square().sum(-1);
}

// 0 at 0; a million times steeper along the last coordinate than along the first.
inline Tensor ellipsoid(const Tensor& x) {
  return (x.square() * at::logspace(0, 6, x.size(-1), 10, x.options())).sum(-1);
}

// 0 at 1: a bent valley, no coordinate of which can be moved alone.
inline Tensor rosenbrock(const Tensor& x) {
  const int64_t d = x.size(-1);
  const Tensor a = x.narrow(-1, 0, d - 1), b = x.narrow(-1, 1, d - 1);
  return (100 * (b - a.square()).square() + (1 - a).square()).sum(-1);
}

// 0 at 0, and a local minimum near every other point of whole numbers.
inline Tensor rastrigin(const Tensor& x) {
  return 10.0 * static_cast<double>(x.size(-1)) + (x.square() - 10 * (2 * M_PI * x).cos()).sum(-1);
}

inline const std::map<std::string, Tensor (*)(const Tensor&)>& test_functions() {
  static const std::map<std::string, Tensor (*)(const Tensor&)> all{
      {"sphere", sphere}, {"ellipsoid", ellipsoid}, {"rosenbrock", rosenbrock}, {"rastrigin", rastrigin}};
  return all;
}

}  // namespace symma
