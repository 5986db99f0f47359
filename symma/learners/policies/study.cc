// Studies through autograd, for any policy.
#include "symma/learners/policies/study.h"

#include "symma/tasks/advantages.h"

namespace symma {
namespace {

class AutogradStudy : public Study {
 public:
  AutogradStudy(const ControlBatch& tasks, const Tensor& rows, ControlBatch::Lesson lesson, bool products,
                double clip)
      : tasks_(tasks), rows_(leaf(rows)), lesson_(std::move(lesson)), products_(products), clip_(clip) {}

  Gradients gradient() override {
    const Tensor s = surrogate();
    // With products, the graph is kept: outputs are shared with the metric.
    gradient_ = products_ ? row_gradient(s, rows_, true) : vector_jacobian(s, rows_, at::ones_like(s));
    return {gradient_.detach(), s.detach()};
  }

  Tensor hessian(const Tensor& v) override { return vector_jacobian(gradient_, rows_, v); }

  Tensor metric(const Tensor& v) override {
    if (!slope_.defined()) slope_ = row_gradient(apart(said().detach()), rows_, true);
    return vector_jacobian(slope_, rows_, v);
  }

  Verdict judge(const Tensor& before) override {
    at::NoGradGuard no_grad;
    return {surrogate(), apart(before)};
  }

  Tensor hold(const Tensor& before) override {
    const Tensor a = apart(before);
    return vector_jacobian(a, rows_, at::ones_like(a));
  }

  Tensor outputs() override { return said().detach(); }

 private:
  const Tensor& said() {
    if (!said_.defined()) said_ = tasks_.outputs(rows_, lesson_);
    return said_;
  }
  Tensor surrogate() {
    const Tensor log_p = ControlBatch::log_p(said(), lesson_);
    return clip_ > 0
               ? clipped_surrogate(log_p, lesson_.drawn, lesson_.advantage, lesson_.episodes.alive, clip_)
               : tasks_.surrogate(log_p, lesson_);
  }
  Tensor apart(const Tensor& before) {
    return mean_over_steps(ControlBatch::apart(before, said(), lesson_),
                           lesson_.episodes.alive.to(said().scalar_type()));
  }

  const ControlBatch& tasks_;
  Tensor rows_;
  ControlBatch::Lesson lesson_;
  bool products_;
  double clip_;
  Tensor said_, gradient_, slope_;  // with their graphs; slope_ is zero
};

}  // namespace

std::unique_ptr<Study> study_by_autograd(const ControlBatch& tasks, const Tensor& rows,
                                         const ControlBatch::Lesson& lesson, bool products, double clip) {
  return std::make_unique<AutogradStudy>(tasks, rows, lesson, products, clip);
}

std::unique_ptr<Study> study(const ControlBatch& tasks, const Tensor& rows,
                             const ControlBatch::Lesson& lesson, bool products, double clip) {
  auto fast = study_by_kernel(tasks, rows, lesson, products, clip);
  return fast ? std::move(fast) : study_by_autograd(tasks, rows, lesson, products, clip);
}

}  // namespace symma
