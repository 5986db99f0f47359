// A batch of matrix products whose derivatives of every order are laid out as their operands are.
//
// Autograd's own second derivative of at::bmm comes transposed, and adding to it or viewing it then walks
// against memory: a tenth of the time of second-order MAML on images.
#pragma once

#include "symma/core/tensor.h"

namespace symma::kernels {

// a b for each of the batch: [B,N,F], [B,F,C] -> [B,N,C]. Differentiable to any order, on any device.
Tensor product(const Tensor& a, const Tensor& b);

}  // namespace symma::kernels
