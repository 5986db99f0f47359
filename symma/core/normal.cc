// Normal numbers, many at a time: the Box-Muller transform (Box & Muller 1958) of the blocks of a stream, in
// loops that a compiler can turn into vectors. Block i makes numbers 2i and 2i + 1, as `Draws` does:
//
//   r = sqrt(-2 ln(1 - u)),  a = 2 pi v:   r cos a,  r sin a;    u, v of 53 bits
#include <algorithm>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "symma/core/normal.h"

#include "symma/core/blocks.h"
#include "symma/core/elementary.h"
#include "symma/core/processor.h"

namespace symma {
namespace {

// A piece: many blocks fit the first-level cache many times over, and few are for who wants few.
constexpr int64_t kMany = 64, kFew = 8;

// 2 n numbers of blocks `first` ... of the stream under `key`. `half`: those of words that begin in the
// middle of a block and end in the middle of the next; as many but two.
template <int64_t n>
SYMMA_INLINE inline void piece_of(uint64_t key, uint64_t first, bool half, double* out) {
  alignas(64) uint32_t w[4][n];
  stream_blocks(key, first, w);
  alignas(64) double u[n], v[n], cosines[n], sines[n];
  for (int64_t j = 0; j < n; ++j)
    u[j] = unit_of_words(w[0][j], w[1][j]), v[j] = unit_of_words(w[2][j], w[3][j]);
  const double *of_radius = half ? v : u, *of_turn = half ? u + 1 : v;
  const int64_t pairs = half ? n - 1 : n;
  for (int64_t j = 0; j < pairs; ++j) {
    const double radius = root(-2 * log_of(1 - of_radius[j]));
    const Turn turn = turn_of(of_turn[j]);
    cosines[j] = radius * turn.cosine, sines[j] = radius * turn.sine;
  }
  for (int64_t j = 0; j < pairs; ++j) out[2 * j] = cosines[j], out[2 * j + 1] = sines[j];
}

#define SYMMA_NORMAL SYMMA_CLONES __attribute__((optimize("O3", "no-math-errno", "fp-contract=off")))
SYMMA_NORMAL void many(uint64_t key, uint64_t first, bool half, double* out) {
  piece_of<kMany>(key, first, half, out);
}
SYMMA_NORMAL void few(uint64_t key, uint64_t first, bool half, double* out) {
  piece_of<kFew>(key, first, half, out);
}
#undef SYMMA_NORMAL

template <class T>
void fill(Rng rng, uint64_t block, bool half, T* out, int64_t n) {
  alignas(64) double numbers[2 * kMany];
  while (n > 0) {
    const bool wide = n > kMany;
    (wide ? many : few)(rng.key(), block, half, numbers);
    const int64_t pairs = (wide ? kMany : kFew) - (half ? 1 : 0), count = std::min(n, 2 * pairs);
    for (int64_t j = 0; j < count; ++j) out[j] = static_cast<T>(numbers[j]);
    block += static_cast<uint64_t>(pairs), out += count, n -= count;
  }
}

}  // namespace

void Draws::normals(double* out, int64_t n) {
  if (n > 0 && have_spare_) *out++ = normal(), --n;
  // At a block's beginning or in its middle; who stands at an odd word goes on one by one.
  constexpr int64_t kSome = 4;
  if (const int64_t pairs = n / 2; pairs >= kSome && at_ % 2 == 0) {
    const bool half = at_ == 2;
    fill(rng_, next_block_ - (half ? 1 : 0), half, out, 2 * pairs);
    next_block_ += static_cast<uint64_t>(pairs), out += 2 * pairs, n -= 2 * pairs;
    if (half) words_ = rng_.block(next_block_ - 1);
  }
  while (n-- > 0) *out++ = normal();
}

// 64-byte vectors are only passed to functions that are inlined.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"
namespace normal32::baseline {
#define VECTOR_BYTES 16
#include "symma/core/normal-inl.h"
#undef VECTOR_BYTES
}  // namespace normal32::baseline
#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx2")
namespace normal32::avx2 {
#define VECTOR_BYTES 32
#include "symma/core/normal-inl.h"
#undef VECTOR_BYTES
}  // namespace normal32::avx2
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f")
namespace normal32::avx512 {
#define VECTOR_BYTES 64
#include "symma/core/normal-inl.h"
#undef VECTOR_BYTES
}  // namespace normal32::avx512
#pragma GCC pop_options
#endif
#pragma GCC diagnostic pop

namespace {

using Groups = void (*)(uint64_t key, uint64_t first, int64_t groups, float* out);

Groups groups_of(Simd level) {
#if defined(__x86_64__)
  if (level == Simd::kAvx512) return normal32::avx512::normal_groups;
  if (level == Simd::kAvx2) return normal32::avx2::normal_groups;
#endif
  return normal32::baseline::normal_groups;
}

}  // namespace

void fill_normal(Rng rng, float* out, int64_t n, int64_t first) {
  TORCH_CHECK(first % 2 == 0, "fill_normal: begins at ", first, ", an odd number");
  fill(rng, static_cast<uint64_t>(first / 2), false, out, n);
}
void fill_normal(Rng rng, double* out, int64_t n, int64_t first) {
  TORCH_CHECK(first % 2 == 0, "fill_normal: begins at ", first, ", an odd number");
  fill(rng, static_cast<uint64_t>(first / 2), false, out, n);
}

void fill_normal32(Rng rng, float* out, int64_t n, int64_t first) {
  TORCH_CHECK(first % 64 == 0, "fill_normal32: begins at ", first, ", not at a multiple of 64");
  const Groups groups = groups_of(simd());
  const int64_t whole = n / 64;
  groups(rng.key(), static_cast<uint64_t>(first / 64), whole, out);
  if (n % 64 == 0) return;
  alignas(64) float rest[64];
  groups(rng.key(), static_cast<uint64_t>(first / 64 + whole), 1, rest);
  std::copy_n(rest, n % 64, out + 64 * whole);
}

Tensor normal(Rng rng, at::IntArrayRef sizes, at::ScalarType type) {
  Tensor out = at::empty(sizes, type == at::kFloat ? at::kFloat : at::kDouble);
  if (type == at::kFloat)
    fill_normal(rng, out.data_ptr<float>(), out.numel());
  else
    fill_normal(rng, out.data_ptr<double>(), out.numel());
  return out.to(type);
}

}  // namespace symma
