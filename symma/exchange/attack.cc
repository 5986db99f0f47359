#include "symma/exchange/attack.h"

#include <cmath>

namespace symma {

Tensor seen(const Scene& scene) {
  const Tensor own = scene.own.detach();
  if (!scene.honest.defined() || scene.honest.size(0) == 0) return own.unsqueeze(0);
  TORCH_CHECK(scene.honest.dim() == 2 && scene.honest.size(1) == own.size(0), "honest rows ",
              scene.honest.sizes(), " beside a row of ", own.size(0));
  return scene.honest.detach();
}

double normal_quantile(double p) {
  TORCH_CHECK(p > 0 && p < 1, "a chance of ", p);
  double low = -40, high = 40;
  while (high - low > 1e-12) {
    const double mid = (low + high) / 2;
    (0.5 * std::erfc(-mid / std::sqrt(2.0)) < p ? low : high) = mid;
  }
  return (low + high) / 2;
}

}  // namespace symma
