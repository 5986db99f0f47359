#include "symma/learners/personal.h"

#include "symma/learners/fused.h"

namespace symma {

Tensor said(const Learner& learner, const Tensor& theta) {
  const auto* personal = dynamic_cast<const Personal*>(&learner);
  return personal && personal->said() < theta.size(1) ? theta.narrow(1, 0, personal->said()) : theta;
}

Tensor with_said(const Tensor& theta, const Tensor& mixed) {
  const int64_t q = theta.size(1), s = mixed.size(1);
  return s == q ? mixed : at::cat({mixed, theta.narrow(1, s, q - s)}, 1);
}

Gradients local_gradient(const State& state, const Model& model, const TaskBatch& batch, Rng rng) {
  return gather(state, batch, pieces_of(state, model, batch.size()), rng,
                [&](const Tensor& rows, const TaskBatch& tasks, Rng own) {
                  return gradient_on_all(model, rows, tasks, own);
                });
}

}  // namespace symma
