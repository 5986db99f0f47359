#include "symma/core/uniform.h"

#include "symma/core/simd.h"

#include <algorithm>

namespace symma {
namespace {

// Blocks `first` to `first` + kTogether of a stream, by `philox`, in loops that a compiler can turn into
// vectors.
constexpr int64_t kTogether = 32;
SYMMA_INLINE inline void blocks(uint64_t key, uint64_t first, uint32_t (*words)[kTogether]) {
  uint32_t a[kTogether], b[kTogether], c[kTogether], d[kTogether];
  for (int64_t i = 0; i < kTogether; ++i) {
    const uint64_t block = first + static_cast<uint64_t>(i);
    a[i] = static_cast<uint32_t>(block), b[i] = static_cast<uint32_t>(block >> 32), c[i] = d[i] = 0;
  }
  auto k = static_cast<uint32_t>(key), l = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int64_t i = 0; i < kTogether; ++i) {
      const uint64_t p = uint64_t{0xD2511F53} * a[i], q = uint64_t{0xCD9E8D57} * c[i];
      a[i] = static_cast<uint32_t>(q >> 32) ^ b[i] ^ k, b[i] = static_cast<uint32_t>(q);
      c[i] = static_cast<uint32_t>(p >> 32) ^ d[i] ^ l, d[i] = static_cast<uint32_t>(p);
    }
    k += 0x9E3779B9, l += 0xBB67AE85;
  }
  std::copy_n(a, kTogether, words[0]), std::copy_n(b, kTogether, words[1]);
  std::copy_n(c, kTogether, words[2]), std::copy_n(d, kTogether, words[3]);
}

SYMMA_INLINE inline double number(uint32_t high, uint32_t low) {
  return static_cast<double>(static_cast<int64_t>(uint64_t{high >> 5} << 26 | low >> 6)) * 0x1p-53;
}

}  // namespace

void uniforms(Rng rng, double* out, int64_t n) {
  constexpr int64_t kEach = 2 * kTogether;
  const uint64_t key = rng.key();
  widest([&]() SYMMA_INLINE {
    uint32_t w[4][kTogether];
    double made[kEach];
    for (int64_t at = 0; at < n; at += kEach) {
      blocks(key, static_cast<uint64_t>(at) / 2, w);
      for (int64_t i = 0; i < kTogether; ++i)
        made[2 * i] = number(w[0][i], w[1][i]), made[2 * i + 1] = number(w[2][i], w[3][i]);
      std::copy_n(made, std::min(kEach, n - at), out + at);
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
