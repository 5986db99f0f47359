#include "symma/core/uniform.h"

#include "symma/core/blocks.h"
#include "symma/core/simd.h"

#include <algorithm>

namespace symma {

void uniforms(Rng rng, double* out, int64_t n) {
  constexpr int64_t kSome = 32;  // blocks, of two numbers each
  const uint64_t key = rng.key();
  widest([&]() SYMMA_INLINE {
    uint32_t w[4][kSome];
    double made[2 * kSome];
    for (int64_t at = 0; at < n; at += 2 * kSome) {
      stream_blocks(key, static_cast<uint64_t>(at) / 2, w);
      for (int64_t i = 0; i < kSome; ++i)
        made[2 * i] = unit_of_words(w[0][i], w[1][i]), made[2 * i + 1] = unit_of_words(w[2][i], w[3][i]);
      std::copy_n(made, std::min(2 * kSome, n - at), out + at);
    }
  });
}

Tensor uniform(Rng rng, at::IntArrayRef sizes, double low, double high, at::ScalarType type) {
  Tensor out = at::empty(sizes, at::kDouble);
  const int64_t n = out.numel();
  double* p = out.data_ptr<double>();
  uniforms(rng, p, n);
  for (int64_t i = 0; i < n; ++i) p[i] = low + (high - low) * p[i];
  return out.to(type);
}

}  // namespace symma
