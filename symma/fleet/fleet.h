// A fleet whose loop is in the caller's hands: what an experiment file says, without its folder.
//
//   Fleet fleet({{"agents", 4}, {"task", {{"kind", "sinusoid"}}}, {"exchange", {{"topology", "ring"}}}});
//   for (int round = 0; round < 1000; ++round) {
//     fleet.step(fleet.sample());
//     fleet.exchange();
//   }
#pragma once

#include <initializer_list>
#include <memory>
#include <vector>

#include "symma/fleet/checkpoint.h"
#include "symma/fleet/experiment.h"
#include "symma/fleet/round.h"

namespace symma {

class Fleet {
 public:
  // Sections as those of an experiment file. Throws UserError.
  explicit Fleet(const Json& settings);

  // The tasks of this round, for all who take part in it.
  Drawn sample() const { return draw(experiment_, run_); }
  // One task of `split` for each agent.
  std::unique_ptr<TaskBatch> sample(Split split) const;
  // One update of those who have tasks. Returns what the learner tells, one number for each of them.
  Scores step(const Drawn& tasks);
  // Mixes the rows along the graph, once.
  void exchange() { communicate(experiment_, run_); }
  // Rows after each of `steps` (ascending) steps of adaptation, [B, P] each.
  std::vector<Tensor> adapt(const TaskBatch& tasks, std::initializer_list<int64_t> steps) const;

  const Experiment& experiment() const { return experiment_; }
  State& state() { return run_.learner; }

 private:
  Rng key(const char* name) const { return Rng(experiment_.fleet.seed).split(name, run_.round); }

  Experiment experiment_;
  RunState run_;
};

}  // namespace symma
