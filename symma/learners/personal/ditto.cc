// Personal models that are held near what all have in common.
//
//   w   learns on the agent's data and is mixed with others'
//   v   argmin L(v) + lambda/2 |v - w_t|^2, w_t the row after the last exchange; stays home, and predicts
//
// Li et al. 2021, arXiv:2012.04221 (Ditto), algorithm 1 with one step of each a round.
#include "symma/learners/batch_norm.h"
#include "symma/learners/fused.h"
#include "symma/learners/outer.h"
#include "symma/learners/personal.h"

namespace symma {
namespace {

class Ditto : public Learner, public Personal {
 public:
  struct Options {
    double pull = 0.1, personal_lr = 0.05;
    OuterOptions outer;
    void fields(Fields& f) {
      f.add("pull", pull, "lambda: how strongly a personal model is held to the row after the last exchange")
          .at_least(0);
      f.add("personal_lr", personal_lr, "step size of the personal model, by gradient descent").above(0);
      outer.fields(f);
    }
  };

  Ditto(const Options& o, const LearnerSetting& setting) : o_(o), model_(setting.model) {}

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    const Tensor theta = model_.init(split_each(keys, "model")).to(type);
    State state = State::of(theta, {{"personal", theta}, {"anchor", theta}});
    outer_init(o_.outer, state);
    return state;
  }

  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    State home{state.id, predicts_by(state), state.steps, {}};
    const Gradients own = pooled_gradient(home, model_, batch, rng.split("personal"));
    const Gradients common = pooled_gradient(state, model_, batch, rng.split("common"));
    const Tensor& v = home.theta;
    home.theta = v - o_.personal_lr * (own.grad + o_.pull * (v - state.own.at("anchor")));
    observe_statistics(model_, home, batch);
    outer_step(o_.outer, state, common.grad);
    observe_statistics(model_, state, batch);
    state.own["personal"] = home.theta;
    return {{"loss", own.loss}, {"common_loss", common.loss}};
  }

  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng rng) const override {
    return descend(model_, hand_out(predicts_by(state), batch.size()), batch, steps,
                   {.inner_lr = o_.personal_lr}, rng);
  }

  int64_t said() const override { return model_.layout().size(); }
  Tensor predicts_by(const State& state) const override { return state.own.at("personal"); }

 private:
  Options o_;
  const Model& model_;
};

SYMMA_REGISTER(Learner, "ditto", Ditto, "personal models held near a common one",
               "Li et al. 2021, arXiv:2012.04221");

}  // namespace
}  // namespace symma
