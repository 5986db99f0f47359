// Learning from scratch: no knowledge is shared between tasks. Each task is learned from its support set
// alone, from a random start. What every meta-learner must beat.
#include "symma/learners/descends.h"
#include "symma/learners/fused.h"
#include "symma/learners/needs.h"

namespace symma {
namespace {

class Scratch : public Learner, public Descends {
 public:
  struct Options {
    double inner_lr = 0.01, later_lr = 0;
    std::string inner_optimizer = "adam";
    void fields(Fields& f) {
      f.add("inner_lr", inner_lr, "step size on a task").above(0);
      f.add("later_lr", later_lr, "the same after the first step; 0: as the first").at_least(0);
      f.add("inner_optimizer", inner_optimizer, "on a task").one_of({"adam", "sgd"});
    }
  };

  Scratch(const Options& options, const LearnerSetting& setting) : o_(options), model_(setting.model) {
    need(setting, "scratch", {Need::kNoRunning});
  }

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    return State::of(model_.init(split_each(keys, "model")).to(type));
  }

  // There is nothing to carry from task to task; the loss logged is that of the random start.
  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    state.steps = state.steps + 1;
    const auto g = gather(state, batch, pieces_of(state, model_, batch.size()), rng,
                          [&](const Tensor& rows, const TaskBatch& tasks, Rng own) {
                            at::NoGradGuard no_grad;
                            return Gradients{rows, tasks.loss(rows, Stage::kQuery, own)};
                          });
    return {{"loss", g.loss}};
  }

  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng rng) const override {
    const Descent how{.inner_lr = o_.inner_lr, .later_lr = o_.later_lr, .adam = o_.inner_optimizer == "adam"};
    return descend(model_, hand_out(state.theta, batch.size()), batch, steps, how, rng);
  }

  std::optional<DescentRule> descent(const State& state, int64_t) const override {
    if (o_.inner_optimizer != "sgd") return std::nullopt;
    return DescentRule{at::full({1}, o_.inner_lr, state.theta.scalar_type()), o_.later_lr};
  }

 private:
  Options o_;
  const Model& model_;
};

SYMMA_REGISTER(Learner, "scratch", Scratch, "learns every task from a random start",
               "the baseline of every few-shot paper");

}  // namespace
}  // namespace symma
