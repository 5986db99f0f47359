#include "symma/core/uniform.h"

#include "symma/core/blocks.h"
#include "symma/core/simd.h"

#include <algorithm>

namespace symma {

namespace {

// Those of `kBlocks` blocks of the stream under `key`, two of each.
template <int64_t kBlocks>
SYMMA_INLINE inline void numbers_of(uint64_t key, uint64_t first, double* out) {
  uint32_t w[4][kBlocks];
  stream_blocks(key, first, w);
  for (int64_t i = 0; i < kBlocks; ++i)
    out[2 * i] = unit_of_words(w[0][i], w[1][i]), out[2 * i + 1] = unit_of_words(w[2][i], w[3][i]);
}

void fill(Rng rng, uint64_t first, double* out, int64_t n) {
  constexpr int64_t kMany = 32, kFew = 16;
  const uint64_t key = rng.key();
  widest([&]() SYMMA_INLINE {
    const auto block = [&](int64_t at) SYMMA_INLINE { return first + static_cast<uint64_t>(at) / 2; };
    int64_t at = 0;
    for (; at + 2 * kMany <= n; at += 2 * kMany) numbers_of<kMany>(key, block(at), out + at);
    double made[2 * kFew];
    for (; at < n; at += 2 * kFew) {
      numbers_of<kFew>(key, block(at), made);
      std::copy_n(made, std::min(2 * kFew, n - at), out + at);
    }
  });
}

}  // namespace

void uniforms(Rng rng, double* out, int64_t n) {
  fill(rng, 0, out, n);
}

void Draws::uniforms(double* out, int64_t n) {
  if (n > 0 && at_ == 2) *out++ = uniform(), --n;
  // At a block's beginning; who stands at an odd word goes on one by one.
  constexpr int64_t kSome = 6;
  if (const int64_t pairs = n / 2; pairs >= kSome && at_ == 4) {
    fill(rng_, next_block_, out, 2 * pairs);
    next_block_ += static_cast<uint64_t>(pairs), out += 2 * pairs, n -= 2 * pairs;
  }
  while (n-- > 0) *out++ = uniform();
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
