// What gradient-based meta-learners of policies share: the inner loop, whose episodes are kept, so that the
// outer loop can go the same way again from another starting point.
//
//   phi_0 = theta,  phi_{k+1} = phi_k - inner_lr * grad S_k(phi_k)
//
// with S_k the policy's surrogate loss on episodes that phi_k played.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "symma/learners/learner.h"
#include "symma/learners/policies/study.h"
#include "symma/tasks/control.h"

namespace symma {

struct InnerPolicyOptions {
  int64_t inner_steps = 1;
  double inner_lr = 0.1, later_lr = 0;
  void fields(Fields& f) {
    f.add("inner_steps", inner_steps, "policy gradient steps of the inner loop, while training").at_least(1);
    f.add("inner_lr", inner_lr, "step size of the inner loop").above(0);
    f.add("later_lr", later_lr, "the same after the first step, when judged; 0: as the first").at_least(0);
  }
};

// Some of a batch's tasks, and what was played on the way down.
struct Journey {
  std::unique_ptr<TaskBatch> batch;
  std::vector<ControlBatch::Lesson> support;  // one for each inner step
  ControlBatch::Lesson query;                 // played where the way ended
  std::vector<Tensor> rows;                   // [b, P] each: phi_0 ... phi_K
  std::vector<std::unique_ptr<Study>>
      studies;  // of the support lessons at phi_0 ... phi_{K-1}, where asked for

  const ControlBatch& tasks() const { return dynamic_cast<const ControlBatch&>(*batch); }
};

class MetaPolicy : public Learner {
 public:
  // Throws UserError that names the learner where the task is no world.
  MetaPolicy(const InnerPolicyOptions&, const LearnerSetting&, const std::string& name);

  std::vector<Tensor> adapt(const State&, const TaskBatch&, std::span<const int64_t> steps,
                            Rng) const override;

 protected:
  // Adapts each task's row, and plays with what it became. With `studies`, those are kept, for products with
  // their Hessians.
  std::vector<Journey> travel(const State&, const TaskBatch&, bool studies, Rng) const;
  // Calls work(journey, begin, end) for the tasks [begin, end) of each, on all threads.
  static void visit(std::vector<Journey>&,
                    const std::function<void(Journey&, int64_t begin, int64_t end)>& work);
  // phi_K from other rows by the same episodes, whose weights are the ratios of probabilities.
  Tensor again(const Journey&, const Tensor& rows /*[b,P]*/) const;
  using Way = std::vector<std::unique_ptr<Study>>;  // of the support lessons, one for each inner step
  // "loss" (minus the return after adapting), "return" after and "return_before" adapting.
  static Scores returns(const std::vector<Journey>&, int64_t agents);

  const Model& model() const { return model_; }
  double inner_lr() const { return o_.inner_lr; }

 private:
  InnerPolicyOptions o_;
  const Model& model_;
  std::string name_;
};

}  // namespace symma
