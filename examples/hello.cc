// The three parts of the field in one small program: a model, a meta-learner, and a multi-agent environment
// that hands out each task's training and test data. examples/article.py is the same in Python.
#include <symma/symma.h>

#include <cstdio>

int main() {
  // Four agents, each with its own slice of the tasks; after each epoch they take the mean of what they have
  // learned. The settings are those of an experiment file.
  symma::Fleet fleet(
      {{"agents", 4},
       {"task", {{"kind", "blobs"}, {"ways", 3}, {"shots", 5}, {"noise", 0.3}}},
       {"model", {{"kind", "mlp"}, {"hidden", {32, 32}}}},
       {"learner", {{"kind", "maml"}, {"inner_lr", 0.1}, {"inner_steps", 3}, {"meta_lr", 0.003}}},
       {"exchange", {{"topology", "full"}}}});
  for (int epoch = 0; epoch < 1000; ++epoch) {
    fleet.step(fleet.sample());
    fleet.exchange();
  }

  // Adapt each agent to a task it has not seen, and judge it on that task's test data.
  const auto tasks = fleet.sample(symma::Split::kTest);
  const auto rows = fleet.adapt(*tasks, {0, 10});
  const symma::Rng rng(1);
  const symma::Tensor before = tasks->score(rows[0], rng).at("accuracy"),
                      after = tasks->score(rows[1], rng).at("accuracy");
  for (int64_t t = 0; t < tasks->size(); ++t)
    std::printf("Task %ld: Accuracy = %.2f   (before adapting %.2f, by chance %.2f)\n", static_cast<long>(t),
                after[t].item<double>(), before[t].item<double>(), 1.0 / 3);
}
