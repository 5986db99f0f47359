// Studies through autograd, for any policy.
#include "symma/learners/policies/study.h"

#include "symma/tasks/advantages.h"

namespace symma {
namespace {

class AutogradStudy : public Study {
 public:
  AutogradStudy(const ControlBatch& tasks, const Tensor& rows, ControlBatch::Lesson lesson, bool products)
      : tasks_(tasks), rows_(leaf(rows)), lesson_(std::move(lesson)), products_(products) {}

  Gradients gradient() override {
    const Tensor s = tasks_.surrogate(ControlBatch::log_p(said(), lesson_), lesson_);
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
    return {tasks_.surrogate(ControlBatch::log_p(said(), lesson_), lesson_), apart(before)};
  }

  Tensor outputs() override { return said().detach(); }

 private:
  const Tensor& said() {
    if (!said_.defined()) said_ = tasks_.outputs(rows_, lesson_);
    return said_;
  }
  Tensor apart(const Tensor& before) {
    return mean_over_steps(ControlBatch::apart(before, said(), lesson_),
                           lesson_.episodes.alive.to(said().scalar_type()));
  }

  const ControlBatch& tasks_;
  Tensor rows_;
  ControlBatch::Lesson lesson_;
  bool products_;
  Tensor said_, gradient_, slope_;  // with their graphs; slope_ is zero
};

}  // namespace

std::unique_ptr<Study> study_by_autograd(const ControlBatch& tasks, const Tensor& rows,
                                         const ControlBatch::Lesson& lesson, bool products) {
  return std::make_unique<AutogradStudy>(tasks, rows, lesson, products);
}

std::unique_ptr<Study> study(const ControlBatch& tasks, const Tensor& rows,
                             const ControlBatch::Lesson& lesson, bool products) {
  auto fast = study_by_kernel(tasks, rows, lesson, products);
  return fast ? std::move(fast) : study_by_autograd(tasks, rows, lesson, products);
}

}  // namespace symma
