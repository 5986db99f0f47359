#include "symma/core/rng.h"

namespace symma {

Tensor uniform(Rng rng, at::IntArrayRef sizes, double low, double high, at::ScalarType type) {
  Tensor out = at::empty(sizes, at::kDouble);
  Draws draws(rng);
  double* p = out.data_ptr<double>();
  for (int64_t i = 0, n = out.numel(); i < n; ++i) p[i] = draws.uniform(low, high);
  return out.to(type);
}

}  // namespace symma
