// From agents to tasks and back: rows are handed out to tasks, learned on in parallel pieces, and gathered
// again.
#pragma once

#include <functional>
#include <vector>

#include "symma/learners/learner.h"

namespace symma {

// Row b of the result is the row of the agent that task b belongs to: [N, ...] -> [B, ...].
Tensor hand_out(const Tensor& rows, int64_t tasks);

// An agent's numbers, such as ids or clocks: [N], whatever lies between them in memory. What was handed out
// may stand there once for many tasks.
std::vector<int64_t> whole_numbers(const Tensor&);

// The mean over each agent's tasks: [B, ...] -> [N, ...].
Tensor by_agents(const Tensor& x, int64_t agents);

// Tasks [begin, end) of a batch.
struct Piece {
  int64_t begin, end;
};
// The places of a state, block by block (nn/model.h). Agents that are not there leave the others' blocks as
// they are. On a device the whole state is one block: no other process has a part of it.
std::vector<Piece> blocks_of(const State&, const Model&);
// The tasks of a batch in pieces of at most `most` (0: piece_size), cut inside blocks. They depend on neither
// the threads nor who else is there.
std::vector<Piece> pieces_of(const State&, const Model&, int64_t tasks, int64_t most = 0);

// What parts of a fleet told of their steps, as the whole would have: [N] each.
Scores join(const std::vector<Scores>& parts);

// work(agents, their tasks) on each block, its agents put back; "loss" and the other scores joined. For
// learners that take several agents through one operation.
Scores in_blocks(State&, const Model&, const TaskBatch&,
                 const std::function<Scores(State& block, const TaskBatch&)>& work);

struct Gradients {
  Tensor grad;  // [b, Q]
  Tensor loss;  // [b]
};

// Runs `work` on pieces of a batch, each with its tasks' rows [b, Q], and returns each agent's mean: [N, Q]
// and [N]. With a guard, each task's gradient is clipped first and noise is added to each agent's sum, drawn
// by its number.
Gradients gather(const State&, const TaskBatch&, const std::vector<Piece>&, Rng,
                 const std::function<Gradients(const Tensor& rows, const TaskBatch&, Rng)>& work,
                 const Guard& guard = {});

// The one walk of adaptation: rows after each of `steps` (ascending) applications of `step`, which is told
// how many went before.
std::vector<Tensor> walk(Tensor rows, std::span<const int64_t> steps,
                         const std::function<Tensor(const Tensor& rows, int64_t done)>& step);

// Plain gradient descent on the support set: rows after each of `steps` (ascending), [B, P] each.
struct Descent {
  double inner_lr = 0.01;
  double later_lr = 0;  // after the first step; 0: as the first
  bool adam = false;    // Adam's step in place of the plain one (Kingma & Ba 2015), moments starting at zero
};
std::vector<Tensor> descend(const Tensor& rows, const TaskBatch&, std::span<const int64_t> steps,
                            const Descent&, Rng);

}  // namespace symma
