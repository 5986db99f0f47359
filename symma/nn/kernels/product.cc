// Three forms that are closed under differentiation, with g of the size of a b:
//
//   M(a, b) = a b      to a: N(g, b)         to b: T(a, g)
//   N(g, b) = g b^T    for u like a          to g: M(u, b)    to b: T(u, g)
//   T(a, g) = a^T g    for u like b          to a: N(g, u)    to g: M(a, u)
#include "symma/nn/kernels/product.h"

namespace symma::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

Tensor by_transpose(const Tensor& g, const Tensor& b);
Tensor transpose_by(const Tensor& a, const Tensor& g);

struct ProductM : Function<ProductM> {
  static Tensor forward(AutogradContext* ctx, const Tensor& a, const Tensor& b) {
    ctx->save_for_backward({a, b});
    return at::bmm(a, b);
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor g = grads[0];
    return {ctx->needs_input_grad(0) ? by_transpose(g, saved[1]) : Tensor(),
            ctx->needs_input_grad(1) ? transpose_by(saved[0], g) : Tensor()};
  }
};

struct ProductN : Function<ProductN> {
  static Tensor forward(AutogradContext* ctx, const Tensor& g, const Tensor& b) {
    ctx->save_for_backward({g, b});
    return at::bmm(g, b.transpose(1, 2));
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor u = grads[0];
    return {ctx->needs_input_grad(0) ? product(u, saved[1]) : Tensor(),
            ctx->needs_input_grad(1) ? transpose_by(u, saved[0]) : Tensor()};
  }
};

struct ProductT : Function<ProductT> {
  static Tensor forward(AutogradContext* ctx, const Tensor& a, const Tensor& g) {
    ctx->save_for_backward({a, g});
    return at::bmm(a.transpose(1, 2), g);
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor u = grads[0];
    return {ctx->needs_input_grad(0) ? by_transpose(saved[1], u) : Tensor(),
            ctx->needs_input_grad(1) ? product(saved[0], u) : Tensor()};
  }
};

Tensor by_transpose(const Tensor& g, const Tensor& b) {
  return ProductN::apply(g, b);
}

Tensor transpose_by(const Tensor& a, const Tensor& g) {
  return ProductT::apply(a, g);
}

}  // namespace

Tensor product(const Tensor& a, const Tensor& b) {
  return ProductM::apply(a, b);
}

}  // namespace symma::kernels
