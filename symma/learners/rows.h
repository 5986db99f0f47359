// From agents to tasks and back: rows are handed out to tasks, learned on in parallel pieces, and gathered
// again.
#pragma once

#include <functional>
#include <vector>

#include "symma/learners/learner.h"

namespace symma {

// Row b of the result is the row of the agent that task b belongs to: [N, Q] -> [B, Q].
Tensor hand_out(const Tensor& rows, int64_t tasks);

// How many tasks make a piece of parallel work. It depends on the model alone, never on the number of
// threads, so results don't either.
int64_t piece_size(const Model&);

struct Gradients {
  Tensor grad;  // [b, Q]
  Tensor loss;  // [b]
};

// Runs `work` on the pieces of a batch, each with its tasks' rows [b, Q], and returns each agent's mean: [N,
// Q] and [N]. With a guard, each task's gradient is clipped first and noise is added to each agent's sum.
Gradients gather(const State&, const TaskBatch&, int64_t piece, Rng,
                 const std::function<Gradients(const Tensor& rows, const TaskBatch&, Rng)>& work,
                 const Guard& guard = {});

// Plain gradient descent on the support set: rows after each of `steps` (ascending), [B, P] each. `rate` is a
// number, or [B, P].
struct Descent {
  double inner_lr = 0.01;
  double later_lr = 0;  // after the first step; 0: as the first
  bool adam = false;    // Adam's step in place of the plain one (Kingma & Ba 2015), moments starting at zero
};
std::vector<Tensor> descend(const Tensor& rows, const TaskBatch&, std::span<const int64_t> steps,
                            const Descent&, Rng);

}  // namespace symma
