// The three parts of the field in one small program: a model, a meta-learner, and a multi-agent environment
// that hands out each task's training and test data.
#include <symma/symma.h>

#include <cstdio>

int main() {
  // Build from settings, as an experiment file would: four agents, each with its own slice of the tasks.
  const auto world = symma::make<symma::TaskFamilyRegistry>(
      "blobs", {{"ways", 3}, {"shots", 5}, {"noise", 0.3}}, /*agents=*/int64_t{4});
  const symma::TaskSpec spec = world->spec();
  const auto model = symma::make<symma::ModelRegistry>("mlp", {{"hidden", {32, 32}}}, spec.shape);
  const auto learner =
      symma::make<symma::LearnerRegistry>("maml", {{"inner_lr", 0.1}, {"inner_steps", 3}, {"meta_lr", 0.003}},
                                          symma::LearnerSetting{*model, spec});

  // Train for some epochs over the tasks; after each, the agents take the mean of what they have learned.
  const symma::Rng rng(1);
  symma::State state = learner->init(symma::split_keys(rng.split("init"), "agent", 4), at::kFloat);
  const std::vector<int64_t> agents{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
  for (int epoch = 0; epoch < 1000; ++epoch) {
    const symma::Rng round = rng.split("epoch", epoch);
    const auto tasks =
        world->sample(*model, symma::asks_for(agents, round.split("tasks")), symma::Split::kTrain);
    learner->step(state, *tasks, round.split("step"));
    state.theta = state.theta.mean(0, true).repeat({4, 1});
  }

  // Adapt each agent to a task it has not seen, and judge it on that task's test data.
  const std::vector<int64_t> everyone{0, 1, 2, 3}, steps{10};
  const auto tasks = world->sample(*model, symma::asks_for(everyone, rng.split("test")), symma::Split::kTest);
  const auto adapted = learner->adapt(state, *tasks, steps, rng.split("adapt"));
  const symma::Tensor accuracy = tasks->score(adapted[0], rng.split("score")).at("accuracy");
  for (int64_t t = 0; t < tasks->size(); ++t)
    std::printf("Task %ld: Accuracy = %.2f\n", static_cast<long>(t), accuracy[t].item<double>());
}
