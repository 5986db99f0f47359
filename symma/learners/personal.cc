#include "symma/learners/personal.h"

namespace symma {

Tensor said(const Learner& learner, const Tensor& theta) {
  const auto* personal = dynamic_cast<const Personal*>(&learner);
  return personal && personal->said() < theta.size(1) ? theta.narrow(1, 0, personal->said()) : theta;
}

Tensor with_said(const Tensor& theta, const Tensor& mixed) {
  const int64_t q = theta.size(1), s = mixed.size(1);
  return s == q ? mixed : at::cat({mixed, theta.narrow(1, s, q - s)}, 1);
}

}  // namespace symma
