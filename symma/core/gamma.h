// Gamma variates, of which a Dirichlet distribution's shares are made.
#pragma once

#include <cmath>

#include "symma/core/rng.h"

namespace symma {

// Log of a Gamma(a, 1) variate (Marsaglia and Tsang 2000); below 1, as gamma(a) = gamma(a + 1) u^(1/a). In
// logarithms, so that small `a` do not vanish.
inline double log_gamma_variate(Draws& d, double a) {
  double boost = 0;
  if (a < 1) {
    boost = std::log(1 - d.uniform()) / a;
    a += 1;
  }
  const double third = a - 1.0 / 3, c = 1 / std::sqrt(9 * third);
  while (true) {
    const double x = d.normal(), root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (std::log(1 - d.uniform()) < 0.5 * x * x + third * (1 - v + std::log(v)))
      return std::log(third * v) + boost;
  }
}

}  // namespace symma
