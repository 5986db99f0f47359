// Even numbers straight into memory.
#pragma once

#include "symma/core/rng.h"

namespace symma {

// n numbers of [0, 1): those that `Draws` makes one by one, and many times faster.
void uniforms(Rng, double* out, int64_t n);

}  // namespace symma
