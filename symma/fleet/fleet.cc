#include "symma/fleet/fleet.h"

namespace symma {

Fleet::Fleet(const Json& settings)
    : experiment_(Experiment::build(Config::of(settings, "fleet"))), run_(start_run(experiment_)) {}

std::unique_ptr<TaskBatch> Fleet::sample(Split split) const {
  std::vector<int64_t> agents(experiment_.fleet.agents);
  for (size_t a = 0; a < agents.size(); ++a) agents[a] = static_cast<int64_t>(a);
  return experiment_.family->sample(*experiment_.model, asks_for(agents, key("sample")), split);
}

Scores Fleet::step(const Drawn& tasks) {
  Scores told = learn(experiment_, run_, tasks);
  ++run_.round;
  return told;
}

std::vector<Tensor> Fleet::adapt(const TaskBatch& tasks, std::initializer_list<int64_t> steps) const {
  return experiment_.learner->adapt(run_.learner, tasks, std::span(steps.begin(), steps.size()),
                                    key("adapt"));
}

}  // namespace symma
