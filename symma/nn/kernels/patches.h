// The patches that a 3x3 convolution with stride 2 and padding 1 sees, as a matrix (im2col), channels last.
#pragma once

#include "symma/core/tensor.h"

namespace symma::kernels {

// x [N, H, W, C] -> [N, ceil(H/2), ceil(W/2), 9 C]; the last dimension runs over (row, column, channel) of
// the window, zero outside the image. Differentiable to any order: it is linear, and its adjoint's adjoint is
// itself.
Tensor patches(const Tensor& x);

}  // namespace symma::kernels
