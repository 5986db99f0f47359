// A policy over numbers whose means are a perceptron's and whose deviations no input changes, for kernels
// that do more than its forward pass.
#pragma once

#include "symma/nn/kernels/mlp.h"

namespace symma {

struct GaussianShape {
  MlpShape means;
  int64_t learned;  // log deviations at the front of a row: one for each number, or none; the means' follow
  double log_std;   // what they are where none is learned
};

// Optional: a model that is such a policy.
class HasGaussianShape {
 public:
  virtual ~HasGaussianShape() = default;
  virtual GaussianShape gaussian_shape() const = 0;
};

}  // namespace symma
