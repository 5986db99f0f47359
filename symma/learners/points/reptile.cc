// Reptile: move the starting point toward where training on a task ends. Nichol et al. 2018,
// arXiv:1803.02999.
//
//   theta <- theta + meta_lr mean_over_tasks(phi - theta)         (algorithm 2)
//
// Inner steps take the support set and the query set in turn, so consecutive minibatches are different points
// of one task, which is what gives Reptile its second-order term (section 5.1). No derivative of a derivative
// is needed.
#include "symma/learners/descends.h"
#include "symma/learners/fused.h"
#include "symma/learners/outer.h"

namespace symma {
namespace {

class Reptile : public Learner, public Guarded, public Descends {
 public:
  struct Options {
    int64_t inner_steps = 5;
    double inner_lr = 0.02;
    OuterOptions outer{.optimizer = "sgd", .meta_lr = 0.1};
    void fields(Fields& f) {
      f.add("inner_steps", inner_steps, "gradient steps on each task, while training").at_least(2);
      f.add("inner_lr", inner_lr, "step size on a task").above(0);
      outer.fields(f);
    }
  };

  Reptile(const Options& options, const LearnerSetting& setting)
      : o_(options), model_(setting.model), guard_(setting.guard) {}

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    State state = State::of(model_.init(split_each(keys, "model")).to(type));
    outer_init(o_.outer, state);
    return state;
  }

  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    return outer_update(
        o_.outer, model_, guard_, state, batch, rng,
        [&](const Tensor& rows, const TaskBatch& tasks, Rng own) { return way(rows, tasks, own); });
  }

  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng rng) const override {
    return descend(model_, hand_out(state.theta, batch.size()), batch, steps, {.inner_lr = o_.inner_lr}, rng);
  }

  bool guards_examples() const override { return false; }

  std::optional<DescentRule> descent(const State& state, int64_t) const override {
    return DescentRule{at::full({1}, o_.inner_lr, state.theta.scalar_type())};
  }

 private:
  // theta - phi, and the loss that the last step went down from.
  Gradients way(const Tensor& rows, const TaskBatch& tasks, Rng rng) const {
    if (const auto fused = fused_maml(model_, rows, at::full({}, o_.inner_lr, at::kDouble), tasks,
                                      {.by = MetaGradient::kEnd, .inner_steps = o_.inner_steps}))
      return fused->start;
    Tensor phi = rows, loss;
    for (int64_t k = 0; k < o_.inner_steps; ++k) {
      const Tensor at = leaf(phi);
      loss = tasks.loss(at, k % 2 == 0 ? Stage::kSupport : Stage::kQuery, rng.split("inner", k));
      phi = at::sub(at.detach(), row_gradient(loss, at, false), o_.inner_lr);
      loss = loss.detach();
    }
    return {rows - phi, loss};
  }

  Options o_;
  const Model& model_;
  Guard guard_;
};

SYMMA_REGISTER(Learner, "reptile", Reptile,
               "moves the starting point toward where training on each task ends",
               "Nichol et al. 2018, arXiv:1803.02999");

}  // namespace
}  // namespace symma
