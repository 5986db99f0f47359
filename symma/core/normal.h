// Normal numbers straight into memory.
#pragma once

#include "symma/core/rng.h"

namespace symma {

// n normal numbers, as `Draws` makes them one by one, to within rounding; many times faster.
void fill_normal(Rng, float* out, int64_t n);
void fill_normal(Rng, double* out, int64_t n);

}  // namespace symma
