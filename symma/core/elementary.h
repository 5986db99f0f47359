// Logarithm, sine and cosine in double precision: without a branch or a call, so that loops over them become
// vectors, and the same on every machine, which the C library's are not.
//
// fdlibm's polynomials (Sun Microsystems 1993: e_log.c, k_sin.c, k_cos.c), within a few units in the last
// place. Products and sums are not fused. Bits are cast by the compiler's own word: std::bit_cast is not
// inlined in a function whose options are its own, and a call keeps its loop from being made of vectors.
#pragma once

#include <cstdint>
#include <numbers>

#include "symma/core/simd.h"

namespace symma {

// The natural logarithm of x in (0, 1], normal numbers.
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

// Those of x + near quarters of a turn, near a whole number and |x| at most an eighth.
SYMMA_INLINE inline Turn turn_from(double near, double x) {
  const double z = x * x;
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

// Cosine and sine of 2 pi v, v in [0, 1).
SYMMA_INLINE inline Turn turn_of(double v) {
  // The nearest quarter of a turn, and what is left of it: exact.
  const double near = (4 * v + 0x1.8p52) - 0x1.8p52;
  return turn_from(near, (4 * v - near) * (std::numbers::pi / 2));
}

// The sine of x radians, |x| below 10^6. A quarter of a turn is taken off in two parts, the first of 33 bits
// (e_rem_pio2.c).
SYMMA_INLINE inline double sine_of(double x) {
  const double near = (x * (2 / std::numbers::pi) + 0x1.8p52) - 0x1.8p52;
  return turn_from(near, (x - near * 1.57079632673412561417e+00) - near * 6.07710050650619224932e-11).sine;
}

}  // namespace symma
