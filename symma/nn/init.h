// Initial values of layers, drawn row by row: row i depends on its key alone.
#pragma once

#include "symma/nn/model.h"

namespace symma {

// Fills entry `name` of row `row` of theta [B, P] with U(-bound, bound).
void fill_uniform(Tensor& theta, const Layout&, const std::string& name, int64_t row, double bound, Rng);

}  // namespace symma
