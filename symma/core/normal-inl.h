// Normal numbers of 32 random bits each, in the vectors of one instruction set. Included by normal.cc inside
// a namespace of its own for each, with that set's options in force and VECTOR_BYTES (16, 32 or 64) defined.
//
// Blocks of the stream are taken sixteen at a time. Block 16 g + i holds four words a, b, c, d and makes four
// numbers, by the transform of Box & Muller 1958:
//
//   64 g + i:       r(a) cos 2 pi c      64 g + i + 16:  r(a) sin 2 pi c      r(a) = sqrt(-2 ln a)
//   64 g + i + 32:  r(b) cos 2 pi d      64 g + i + 48:  r(b) sin 2 pi d
//
// with a and b odd multiples of 2^-31 in (0, 1), c and d odd multiples of 2^-31 around the circle. So the
// greatest number is 6.56. Logarithm, sine and cosine are the polynomials of the Cephes library (Moshier
// 1992: logf.c, sinf.c); products and sums are not fused. All sets make the same numbers, bit for bit.

using Words = Vec<uint32_t, VECTOR_BYTES>;
using Ints = Vec<int32_t, VECTOR_BYTES>;
using Pairs = Vec<uint64_t, VECTOR_BYTES>;
using Floats = Vec<float, VECTOR_BYTES>;
using Loose = LooseVec<float, VECTOR_BYTES>;

// The products of the lower halves of the lanes, and the roots: what plain operators can't say.
SYMMA_INLINE inline Pairs product_of_lower(Pairs a, Pairs b) {
#if !defined(__x86_64__)
  return (a & 0xffffffffu) * (b & 0xffffffffu);
#elif VECTOR_BYTES == 64
  return (Pairs)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b);
#elif VECTOR_BYTES == 32
  return (Pairs)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#else
  return (Pairs)_mm_mul_epu32((__m128i)a, (__m128i)b);
#endif
}
SYMMA_INLINE inline Floats roots(Floats x) {
#if !defined(__x86_64__)
  for (unsigned i = 0; i < VECTOR_BYTES / sizeof(float); ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#elif VECTOR_BYTES == 64
  return _mm512_maskz_sqrt_ps(0xffff, x);
#elif VECTOR_BYTES == 32
  return _mm256_sqrt_ps(x);
#else
  return _mm_sqrt_ps(x);
#endif
}

// sqrt(-2 ln a) for a word.
SYMMA_INLINE inline Floats radius_of(Words word) {
  const Floats u = __builtin_convertvector((Ints)(word >> 1 | 1), Floats) * 0x1p-31f;
  // u = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2).
  const Words shifted = (Words)u + (0x3f800000u - 0x3f3504f3u);
  const Floats k = __builtin_convertvector((Ints)(shifted >> 23) - 127, Floats);
  const Floats f = (Floats)((shifted & 0x007fffffu) + 0x3f3504f3u) - 1, z = f * f;
  Floats p = f * 7.0376836292e-2f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  return roots((k * 0.69314718056f + (f * z * p - 0.5f * z + f)) * -2.0f);
}

// Radius times cosine and sine of the turn that a word is.
SYMMA_INLINE inline void write_turned(Floats radius, Words word, float* cosines, float* sines) {
  // The word is the nearest quarter of a turn, and what is left of it; in units of 2^-32 quarters that is a
  // signed word.
  const Floats x = __builtin_convertvector((Ints)(word << 2 | 2), Floats) * (0x1.921fb6p0f * 0x1p-32f);
  const Floats z = x * x;
  const Floats s = x + x * z * (z * (z * -1.9515295891e-4f + 8.3321608736e-3f) - 1.6666654611e-1f);
  const Floats c = 1 - 0.5f * z +
                   z * z * (z * (z * 2.443315711809948e-5f - 1.388731625493765e-3f) + 4.166664568298827e-2f);
  const Words quarter = word + 0x20000000u;  // in its upper two bits
  const Words other = ((Words)s ^ (Words)c) & (0 - (quarter >> 30 & 1));
  const Words flip_c = (quarter + 0x40000000u) & 0x80000000u, flip_s = quarter & 0x80000000u;
  *(Loose*)cosines = (Floats)((Words)(radius * (Floats)((Words)c ^ other)) ^ flip_c);
  *(Loose*)sines = (Floats)((Words)(radius * (Floats)((Words)s ^ other)) ^ flip_s);
}

// Numbers 64 first ... 64 (first + groups) - 1 of the stream under `key`.
inline void normal_groups(uint64_t key, uint64_t first, int64_t groups, float* out) {
  constexpr int64_t kWide = kLanes<float, VECTOR_BYTES>;
  uint64_t k0[10], k1[10];
  for (uint32_t round = 0; round < 10; ++round) {
    k0[round] = static_cast<uint32_t>(key) + round * 0x9E3779B9u;
    k1[round] = static_cast<uint32_t>(key >> 32) + round * 0xBB67AE85u;
  }
  Pairs even{};  // 0, 2, 4, ...
  for (int64_t i = 0; i < kWide / 2; ++i) even[i] = static_cast<uint64_t>(2 * i);
  for (int64_t at = 0; at < 16 * groups; at += kWide) {
    // Philox-4x32-10 of the blocks with even and with odd numbers; the upper halves of lanes hold no meaning.
    Pairs c[2][4];
    for (int odd = 0; odd < 2; ++odd) {
      Pairs c0 = even + (16 * first + static_cast<uint64_t>(at + odd)), c1 = c0 >> 32, c2{}, c3{};
#pragma GCC unroll 10
      for (int round = 0; round < 10; ++round) {
        const Pairs p0 = product_of_lower(c0, Pairs{} + 0xD2511F53u),
                    p1 = product_of_lower(c2, Pairs{} + 0xCD9E8D57u);
        c0 = (p1 >> 32) ^ c1 ^ k0[round], c1 = p1;
        c2 = (p0 >> 32) ^ c3 ^ k1[round], c3 = p0;
      }
      c[odd][0] = c0, c[odd][1] = c1, c[odd][2] = c2, c[odd][3] = c3;
    }
    const auto word = [&](int i) SYMMA_INLINE { return (Words)((c[0][i] & 0xffffffffu) | c[1][i] << 32); };
    float* to = out + at / 16 * 64 + at % 16;
    write_turned(radius_of(word(0)), word(2), to, to + 16);
    write_turned(radius_of(word(1)), word(3), to + 32, to + 48);
  }
}
