// A multilayer perceptron over rows, as one differentiable operation.
//
//   a_0 = x;  z_l = a_{l-1} W_l + b_l;  a_l = f(z_l) for hidden layers;  y = z_L        for every row b by
//   itself.
//
// A row holds, for each layer in turn, the weight [in, out] row-major and then the bias [out].
#pragma once

#include "symma/core/tensor.h"
#include "symma/nn/kernels/shape.h"

namespace symma {

// Optional: a model that is such a perceptron and nothing else, for kernels that do more than its forward
// pass.
class HasMlpShape {
 public:
  virtual ~HasMlpShape() = default;
  virtual const MlpShape& mlp_shape() const = 0;
};

// y [B, K, out]. float32 or float64; theta may have more columns than the network needs, whose gradient is
// zero. Differentiable twice, in theta and in x; a third derivative is refused (c10::Error) and needs
// `CompositePath`. Rows run in parallel, and results do not depend on the number of threads. Tensors on other
// devices or of other types take the composite path.
Tensor mlp_forward(const Tensor& theta /*[B,>=P]*/, const Tensor& x /*[B,K,in]*/, const MlpShape&);

// Throws c10::Error for shapes or types that do not fit each other.
void check_mlp(const Tensor& theta, const Tensor& x, const MlpShape&);

// The same for kernels over rows of T, which want a point at least.
template <class T>
void check_mlp_rows(const Tensor& theta, const Tensor& x, const MlpShape& shape) {
  check_mlp(theta, x, shape);
  TORCH_CHECK(x.size(1) > 0, "x is [B, K, in] with a point at least, found ", x.sizes());
  TORCH_CHECK(theta.scalar_type() == c10::CppTypeToScalarType<T>::value, "theta and x have type ",
              theta.scalar_type());
}

// mlp_forward from plain tensor operations: differentiable to any order, on any device.
Tensor mlp_forward_composite(const Tensor& theta /*[B,>=P]*/, const Tensor& x /*[B,K,in]*/, const MlpShape&);

// While one lives, this thread's mlp_forward takes the composite path.
class CompositePath {
 public:
  CompositePath();
  ~CompositePath();
  CompositePath(const CompositePath&) = delete;
  CompositePath& operator=(const CompositePath&) = delete;
  static bool active();
};

}  // namespace symma
