// Learners: how rows learn.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "symma/core/registry.h"
#include "symma/core/rng.h"
#include "symma/core/tensor.h"
#include "symma/nn/model.h"
#include "symma/tasks/task.h"

namespace symma {

// Everything that changes while a fleet learns. Every tensor's first dimension is the agent, so a slice of a
// State is the state of those agents alone, and a checkpoint of it is complete.
struct State {
  Tensor theta;    // [N, Q]: what agents share. Columns [0, P) are the model's parameters
  TensorDict own;  // [N, ...] each: what stays home (an optimiser's moments)
  int64_t step = 0;

  State agents(int64_t begin, int64_t end) const;  // a view
};

// A batch given to a learner has B = N T tasks, T for each agent, agent-major: task b belongs to agent b / T.
class Learner {
 public:
  virtual ~Learner() = default;
  virtual State init(int64_t agents, Rng) const = 0;
  // One local (meta-)update of every agent. Returns what to log, [N] each ("loss": the query loss after
  // adapting).
  virtual Scores step(State&, const TaskBatch&, Rng) const = 0;
  // The model's rows after each of `steps` (ascending) steps of adaptation, [B, P] each, without history.
  virtual std::vector<Tensor> adapt(const State&, const TaskBatch&, std::span<const int64_t> steps,
                                    Rng) const = 0;
};

// How a learner protects the units that its gradients are made of: each unit's gradient is clipped to the
// norm `clip`, and to the sum over an agent's units comes N(0, (noise clip)^2) in each coordinate (Abadi et
// al. 2016, arXiv:1607.00133, algorithm 1).
struct Guard {
  double clip = 0, noise = 0;  // clip = 0: nothing is protected
  bool examples = false;       // a unit is an example; else it is a task
  bool on() const { return clip > 0; }
};

// Optional: a learner that keeps to its setting's guard.
class Guarded {
 public:
  virtual ~Guarded() = default;
  virtual bool guards_examples() const = 0;  // as well as tasks
};

// What every learner is built on.
struct LearnerSetting {
  const Model& model;
  TaskSpec spec;
  Guard guard = {};
};

using LearnerRegistry = Registry<Learner, const LearnerSetting&>;

}  // namespace symma
