// Batch norm and ReLU over rows, as one differentiable operation.
#pragma once

#include <tuple>

#include "symma/core/tensor.h"

namespace symma {

// h = max(0, gamma (y - mean) / sqrt(var + eps) + beta), mean and (biased) variance over the n points of each
// row and channel. Ioffe & Szegedy 2015, arXiv:1502.03167. Differentiable twice; a third derivative is
// refused (c10::Error).
Tensor norm_relu(const Tensor& y /*[B,n,C]*/, const Tensor& gamma /*[B,C]*/, const Tensor& beta /*[B,C]*/,
                 double eps);

// The same from plain tensor operations: any order, any device.
Tensor norm_relu_composite(const Tensor& y, const Tensor& gamma, const Tensor& beta, double eps);

}  // namespace symma
