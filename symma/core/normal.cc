// Normal numbers, many at a time: the Box-Muller transform (Box & Muller 1958) of the blocks of a stream, in
// loops that a compiler can turn into vectors. Block i makes numbers 2i and 2i + 1, as `Draws` does:
//
//   r = sqrt(-2 ln(1 - u)),  a = 2 pi v:   r cos a,  r sin a;    u, v of 53 bits
//
// Logarithm, sine and cosine are fdlibm's polynomials (Sun Microsystems 1993: e_log.c, k_sin.c, k_cos.c),
// within a few units in the last place. Products and sums are not fused, so every machine makes the same
// numbers. Bits are cast by the compiler's own word: std::bit_cast is not inlined in a function whose options
// are its own, and a call keeps its loop from being made of vectors.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "symma/core/normal.h"

#include "symma/core/blocks.h"
#include "symma/core/simd.h"

namespace symma {
namespace {

constexpr int64_t kBlocks = 64;  // a piece: what fits the first-level cache many times over

// Of x in (0, 1].
SYMMA_INLINE inline double log_of(double x) {
  const auto bits = __builtin_bit_cast(uint64_t, x);
  // x = 2^k m with m between sqrt(1/2) and sqrt(2).
  const uint64_t shifted = bits + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu);
  const double k = __builtin_bit_cast(double, (shifted >> 52) | 0x4330000000000000u) - (0x1p52 + 1023);
  const double m = __builtin_bit_cast(double, (shifted & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu);
  const double f = m - 1, s = f / (2 + f), z = s * s, half = 0.5 * f * f;
  const double r =
      z * (6.666666666666735130e-01 +
           z * (3.999999999940941908e-01 +
                z * (2.857142874366239149e-01 +
                     z * (2.222219843214978396e-01 +
                          z * (1.818357216161805012e-01 +
                               z * (1.531383769920937332e-01 + z * 1.479819860511658591e-01))))));
  return k * 6.93147180369123816490e-01 - ((half - (s * (half + r) + k * 1.90821492927058770002e-10)) - f);
}

struct Turn {
  double cosine, sine;
};

// Cosine and sine of 2 pi v, v in [0, 1).
SYMMA_INLINE inline Turn turn_of(double v) {
  // The nearest quarter of a turn, and what is left of it: exact.
  const double near = (4 * v + 0x1.8p52) - 0x1.8p52, x = (4 * v - near) * (std::numbers::pi / 2), z = x * x;
  const double sine =
      x + x * z *
              (-1.66666666666666324348e-01 +
               z * (8.33333333332248946124e-03 +
                    z * (-1.98412698298579493134e-04 +
                         z * (2.75573137070700676789e-06 +
                              z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)))));
  const double cosine =
      1 -
      (0.5 * z - z * z *
                     (4.16666666666666019037e-02 +
                      z * (-1.38888888888741095749e-03 +
                           z * (2.48015872894767294178e-05 +
                                z * (-2.75573143513906633035e-07 +
                                     z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11))))));
  const auto quarter = __builtin_bit_cast(uint64_t, near + 0x1.8p52);
  const bool odd = (quarter & 1) != 0;
  const double c = odd ? sine : cosine, s = odd ? cosine : sine;
  const uint64_t flip_c = ((quarter + 1) & 2) << 62, flip_s = (quarter & 2) << 62;
  return {__builtin_bit_cast(double, __builtin_bit_cast(uint64_t, c) ^ flip_c),
          __builtin_bit_cast(double, __builtin_bit_cast(uint64_t, s) ^ flip_s)};
}

// Blocks first .. first + kBlocks - 1 of the stream under `key`, two numbers each.
SYMMA_CLONES __attribute__((optimize("O3", "no-math-errno", "fp-contract=off"))) void piece(uint64_t key,
                                                                                            uint64_t first,
                                                                                            double* out) {
  alignas(64) uint32_t w[4][kBlocks];
  stream_blocks(key, first, w);
  alignas(64) double cosines[kBlocks], sines[kBlocks];
  for (int64_t j = 0; j < kBlocks; ++j) {
    const double radius = root(-2 * log_of(1 - unit_of_words(w[0][j], w[1][j])));
    const Turn turn = turn_of(unit_of_words(w[2][j], w[3][j]));
    cosines[j] = radius * turn.cosine, sines[j] = radius * turn.sine;
  }
  for (int64_t j = 0; j < kBlocks; ++j) out[2 * j] = cosines[j], out[2 * j + 1] = sines[j];
}

template <class T>
void fill(Rng rng, T* out, int64_t n, int64_t first) {
  TORCH_CHECK(first % (2 * kBlocks) == 0, "fill_normal: begins at ", first, ", not at a multiple of 128");
  alignas(64) double numbers[2 * kBlocks];
  for (int64_t i = 0; i < n; i += 2 * kBlocks) {
    piece(rng.key(), static_cast<uint64_t>((first + i) / 2), numbers);
    const int64_t count = std::min(n - i, 2 * kBlocks);
    for (int64_t j = 0; j < count; ++j) out[i + j] = static_cast<T>(numbers[j]);
  }
}

}  // namespace

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

// The widest that the processor has, or the one that is named; null where it has not got that.
Groups groups_of(const char* set) {
  const auto wanted = [&](const char* name) { return !set || std::strcmp(set, name) == 0; };
#if defined(__x86_64__)
  if (wanted("avx512") && __builtin_cpu_supports("avx512f")) return normal32::avx512::normal_groups;
  if (wanted("avx2") && __builtin_cpu_supports("avx2")) return normal32::avx2::normal_groups;
#endif
  return wanted("baseline") ? normal32::baseline::normal_groups : nullptr;
}

void fill32(Groups groups, Rng rng, float* out, int64_t n, int64_t first) {
  TORCH_CHECK(first % 64 == 0, "fill_normal32: begins at ", first, ", not at a multiple of 64");
  const int64_t whole = n / 64;
  groups(rng.key(), static_cast<uint64_t>(first / 64), whole, out);
  if (n % 64 == 0) return;
  alignas(64) float rest[64];
  groups(rng.key(), static_cast<uint64_t>(first / 64 + whole), 1, rest);
  std::copy_n(rest, n % 64, out + 64 * whole);
}

}  // namespace

void fill_normal(Rng rng, float* out, int64_t n, int64_t first) {
  fill(rng, out, n, first);
}
void fill_normal(Rng rng, double* out, int64_t n, int64_t first) {
  fill(rng, out, n, first);
}

void fill_normal32(Rng rng, float* out, int64_t n, int64_t first) {
  static const Groups widest = groups_of(nullptr);
  fill32(widest, rng, out, n, first);
}

bool fill_normal32_by(const char* set, Rng rng, float* out, int64_t n, int64_t first) {
  const Groups groups = groups_of(set);
  if (groups) fill32(groups, rng, out, n, first);
  return groups != nullptr;
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
