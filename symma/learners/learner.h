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

// Everything that changes while agents learn. Every tensor's first dimension is the agent, so rows of a State
// are the state of those agents alone, and a checkpoint of it is complete. An agent is known by its number,
// `id`, and has its own clock: places change as soon as part of a fleet works alone.
struct State {
  Tensor id;  // [N] int64, on the CPU, ascending: the agent's number in the whole fleet; what its draws go by
  Tensor theta;    // [N, Q]: what agents share. Columns [0, P) are the model's parameters
  Tensor steps;    // [N] int64, on the CPU: updates that this agent has made
  TensorDict own;  // [N, ...] each: what stays home (an optimiser's moments)

  // Agents 0 ... N - 1 with these rows, who have made no update.
  static State of(Tensor theta, TensorDict own = {});

  int64_t size() const { return theta.size(0); }  // N
  // The only ways to take agents apart and put them together.
  State rows(int64_t begin, int64_t end) const;          // at places [begin, end): a view
  State rows(const std::vector<int64_t>& places) const;  // a copy
  void put(const std::vector<int64_t>& places, const State& part);
  static State join(const std::vector<State>& parts);
  // These agents on a device; numbers and clocks stay on the CPU.
  State on(at::Device) const;
};

// A batch given to a learner has B = N T tasks, T for each agent, agent-major: task b belongs to the agent at
// place b / T.
class Learner {
 public:
  virtual ~Learner() = default;
  // Row i is drawn from keys[i] alone, in numbers of the given type: equal keys are an equal start.
  virtual State init(std::span<const Rng> keys, at::ScalarType) const = 0;
  // One local (meta-)update of every agent. What an agent becomes depends on its state, its tasks and the
  // key, and not on who else is there. Returns what to log, [N] each ("loss": the query loss after adapting).
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
  bool seeded = false;         // noise follows from the step's key, and protects nothing
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
