// The gates of long short-term memory, as one differentiable operation. Hochreiter & Schmidhuber 1997.
#pragma once

#include "symma/core/tensor.h"

namespace symma {

// [h', c'] [G, 2 H, C], one below the other: c' = s(f) c + s(i) tanh(g), h' = s(o) tanh(c'), where z [G, 4 H,
// C] holds i, f, o and g, s is the logistic function and C memories stand last. Differentiable once; a second
// derivative is refused (c10::Error).
Tensor lstm_gates(const Tensor& z /*[G,4H,C]*/, const Tensor& c /*[G,H,C]*/);

// The same from plain tensor operations: any order, any device.
Tensor lstm_gates_composite(const Tensor& z, const Tensor& c);

}  // namespace symma
