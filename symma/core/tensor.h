// The tensor type, and the two autograd calls that learners are made of.
//
// A tensor is libtorch's: reference-counted, so a copy aliases. Nothing mutates a tensor in place unless
// it made it. Sizes stand beside declarations: `Tensor theta;  // [B, P]`.
#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <cstdint>
#include <map>
#include <string>

namespace symma {

using at::Tensor;
using TensorDict = std::map<std::string, Tensor>;

// One number a task, by the name of what it measures: "mse", "accuracy", "return". Each tensor is [B].
using Scores = std::map<std::string, Tensor>;

// The gradient of `loss`.sum() in `rows`. Row b of `loss` [B] depends on row b of `rows` [B, P] alone, so
// this is each row's own gradient, [B, P]. With `create_graph` the result can be differentiated again. Zero
// where the loss does not depend on the rows.
Tensor row_gradient(const Tensor& loss, const Tensor& rows, bool create_graph);

// v^T d(output)/d(rows), [B, P], for an output [B, P] that has a graph. The graph is kept, for another v.
Tensor vector_jacobian(const Tensor& output, const Tensor& rows, const Tensor& v);

// `t` without its history, ready to be differentiated in. Shares memory with `t`.
inline Tensor leaf(const Tensor& t) {
  return t.detach().requires_grad_(true);
}

// Whether nobody else can see the memory of `t`, which lies in one stretch: who holds it may write there.
inline bool sole_owner(const Tensor& t) {
  return t.is_contiguous() && t.use_count() == 1 && t.storage().use_count() == 1;
}

}  // namespace symma
