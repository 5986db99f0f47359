// Normal numbers straight into memory.
#pragma once

#include "symma/core/rng.h"

namespace symma {

// n normal numbers from number `first` on, which is even: those that `Draws` makes one by one, and many times
// faster.
void fill_normal(Rng, float* out, int64_t n, int64_t first = 0);
void fill_normal(Rng, double* out, int64_t n, int64_t first = 0);

// The same of 32 random bits each, faster again, and other numbers than those of `Draws`: for searches, which
// draw the most. The same with every instruction set. |x| is at most 6.56; beyond that lies one number in
// 10^10.
void fill_normal32(Rng, float* out, int64_t n, int64_t first = 0);

}  // namespace symma
