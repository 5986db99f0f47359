// A lesson of a policy, studied from given rows: what its surrogate is there, the gradient, products with the
// surrogate's Hessian and with the policy's metric, and what holds the policy where it was. The outer loops
// of meta-learners of policies are made of these.
#pragma once

#include <memory>

#include "symma/learners/rows.h"
#include "symma/tasks/control.h"

namespace symma {

class Study {
 public:
  virtual ~Study() = default;
  // Of the surrogate in the rows [b, P], and its value [b].
  virtual Gradients gradient() = 0;
  virtual Tensor hessian(const Tensor& v /*[b,P]*/) = 0;  // of the surrogate, times v; after gradient()
  // The Hessian of the mean divergence over steps from what the rows say, at those rows, times v: the Fisher
  // matrix of the lesson's steps.
  virtual Tensor metric(const Tensor& v /*[b,P]*/) = 0;
  // The surrogate [b], and the mean divergence over steps [b] from outputs [b, E, T, A, out] of other rows.
  struct Verdict {
    Tensor surrogate, apart;
  };
  virtual Verdict judge(const Tensor& before) = 0;
  // The gradient of `apart` in the rows, [b, P]. The last to be asked: it may forget what hessian() needs.
  virtual Tensor hold(const Tensor& before) = 0;
  virtual Tensor outputs() = 0;  // [b, E, T, A, out]
};

// `clip` > 0: the surrogate is the clipped objective, and not the task's; it has no hessian(). `products`:
// hessian() or metric() will be called. By one kernel (nn/kernels/mlp_tape.h) where the policy is
// a perceptron over numbers, played by all alike, and through autograd otherwise; numbers agree within
// rounding. The lesson has advantages.
std::unique_ptr<Study> study(const ControlBatch&, const Tensor& rows /*[b,P]*/, const ControlBatch::Lesson&,
                             bool products, double clip = 0);

// The two ways. The kernel's gives nothing where it does not apply; never while a CompositePath lives.
std::unique_ptr<Study> study_by_autograd(const ControlBatch&, const Tensor& rows, const ControlBatch::Lesson&,
                                         bool products, double clip = 0);
std::unique_ptr<Study> study_by_kernel(const ControlBatch&, const Tensor& rows, const ControlBatch::Lesson&,
                                       bool products, double clip = 0);

}  // namespace symma
