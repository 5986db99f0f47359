// A perceptron's passes over many samples a row, for losses whose derivatives in the outputs the caller
// knows: gradients, and products with the Hessian and with the Gauss-Newton matrix, without an autograd
// graph.
//
// R{.} is the derivative in the direction v of the parameters (Pearlmutter 1994, "Fast exact multiplication
// by the Hessian"):
//
//   hessian:       R{dL/dtheta}, exact
//   gauss_newton:  J^T (d^2 L / dy^2) J v, with J = dy/dtheta: the outputs' own curvature is left out
//
// A row's samples are gone through in blocks; each stays in the cache from the first layer to the last and
// back. Rows run in parallel, and results do not depend on the number of threads.
#pragma once

#include <functional>
#include <memory>

#include "symma/core/tensor.h"
#include "symma/nn/kernels/plan.h"

namespace symma {

template <class T>
class MlpTape {
 public:
  // The outputs of samples [begin, end) of a row, [end - begin, ld], of which the network's are the first
  // columns. A head reads them, and writes derivatives in their place.
  struct Block {
    int64_t row, begin, end, ld;
    T* y;
  };
  using Head = std::function<void(const Block&)>;

  // Blocks are of `block` samples, but for the last. Throws c10::Error for shapes or types that do not fit.
  MlpTape(const Tensor& theta /*[B,>=P]*/, const Tensor& x /*[B,K,in]*/, const MlpShape&, int64_t block);

  // The head reads y. With `keep`, for gauss_newton.
  void forward(const Head& read, bool keep = false);
  // y becomes dL/dy: [B, P]. With `keep`, for both products.
  Tensor gradient(const Head&, bool keep = false);
  // R{y} becomes R{dL/dy}: [B, P].
  Tensor hessian(const Tensor& v /*[B,>=P]*/, const Head& r) const;
  Tensor gauss_newton(const Tensor& v /*[B,>=P]*/, const Head& r) const;

 private:
  const kernels::Plan& plan(int64_t block) const { return block + 1 < blocks_ ? *whole_ : *last_; }
  Tensor product(const Tensor& v, const Head& r, bool exact) const;
  template <class Work>
  void each_row(int64_t passes, const Work& work) const;

  Tensor x_, thetas_, transposes_;  // [B, K, in], [B, padded], [B, transposed weights]
  int64_t block_, blocks_;
  std::shared_ptr<const kernels::Plan> whole_, last_;
  Tensor acts_, deltas_, gys_;  // [B, blocks, ...] each, of what is kept
};

extern template class MlpTape<float>;
extern template class MlpTape<double>;

}  // namespace symma
