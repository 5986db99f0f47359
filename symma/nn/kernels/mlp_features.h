// A perceptron's features, what its last layer reads, for learners whose last layer is a formula: the
// gradient of a loss whose derivative in the features the learner knows, without an autograd graph.
#pragma once

#include <functional>

#include "symma/core/tensor.h"
#include "symma/nn/kernels/shape.h"

namespace symma {

template <class T>
struct FeatureRow {
  int64_t row;
  int64_t ld;   // of f and d: what a sample's features are apart
  const T* f;   // [K, ld], of which the features are the first columns
  T* d;         // [K, ld], zeros, which become dL/df
  T* gradient;  // [>= P], zeros: where the row's gradient stands. All columns but the body's are the head's
};

// The gradients of every row [B, >= P], as wide as theta. Without hidden layers the points are the features.
// Rows run in parallel, and results do not depend on the number of threads: `head` is called by any of them,
// once a row. Throws c10::Error for shapes or types that do not fit.
template <class T>
Tensor mlp_features_gradient(const Tensor& theta /*[B,>=P]*/, const Tensor& x /*[B,K,in]*/, const MlpShape&,
                             const std::function<void(const FeatureRow<T>&)>& head);

extern template Tensor mlp_features_gradient<float>(const Tensor&, const Tensor&, const MlpShape&,
                                                    const std::function<void(const FeatureRow<float>&)>&);
extern template Tensor mlp_features_gradient<double>(const Tensor&, const Tensor&, const MlpShape&,
                                                     const std::function<void(const FeatureRow<double>&)>&);

}  // namespace symma
