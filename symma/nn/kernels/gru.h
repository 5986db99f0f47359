// The memory of a gated recurrent unit through many steps, as one differentiable operation. Cho et al. 2014,
// arXiv:1406.1078.
#pragma once

#include "symma/core/tensor.h"

namespace symma {

// The hidden state after each of T steps, [B, T, K, H]:
//
//   m = h V + b;   r = s(a_r + m_r), z = s(a_z + m_z), n = tanh(a_n + r m_n);   h' = n + z (h - n)
//
// where `input` holds what each step gives to the three gates, r, z, n side by side, and h begins as `first`.
// In float32 on the CPU the derivative is one pass over memory and two products a step; other types and
// devices, and derivatives of the derivative, are plain operations.
Tensor gru_states(const Tensor& input /*[B,T,K,3H]*/, const Tensor& weight /*[B,H,3H]*/,
                  const Tensor& bias /*[B,3H]*/, const Tensor& first /*[B,K,H]*/);

// The same from plain tensor operations: any order, any device.
Tensor gru_states_composite(const Tensor& input, const Tensor& weight, const Tensor& bias,
                            const Tensor& first);

}  // namespace symma
