#include "symma/core/tensor.h"

#include <torch/csrc/autograd/autograd.h>

namespace symma {

Tensor row_gradient(const Tensor& loss, const Tensor& rows, bool create_graph) {
  if (!loss.requires_grad()) return at::zeros_like(rows);
  auto grads = torch::autograd::grad({loss}, {rows}, {at::ones_like(loss)}, /*retain_graph=*/create_graph,
                                     create_graph, /*allow_unused=*/true);
  return grads[0].defined() ? grads[0] : at::zeros_like(rows);
}

Tensor vector_jacobian(const Tensor& output, const Tensor& rows, const Tensor& v) {
  if (!output.requires_grad()) return at::zeros_like(rows);
  auto grads = torch::autograd::grad({output}, {rows}, {v}, /*retain_graph=*/true, /*create_graph=*/false,
                                     /*allow_unused=*/true);
  return grads[0].defined() ? grads[0] : at::zeros_like(rows);
}

}  // namespace symma
