// Convolution by 3x3 filters, stride 2, within a border of one zero: each row b with filters of its own.
#pragma once

#include "symma/core/tensor.h"

namespace symma::kernels {

// [B, K OH OW, F], with OH = (H + 1) / 2 and OW = (W + 1) / 2. A filter's weights run (row, column, channel).
// Rows run in parallel, and results do not depend on the number of threads. Differentiable to any order.
Tensor convolution(const Tensor& x /*[B K, H, W, C], channels last*/, const Tensor& weight /*[B, 9 C, F]*/);

}  // namespace symma::kernels
