// A body that all share, and a head of each one's own: a round moves the head to where it does well on the
// body, then the body for that head. The head is the end of a row, and is never said.
//
// Collins et al. 2021, arXiv:2102.07078 (FedRep), algorithm 1. head_steps = 1 is near FedPer (Arivazhagan et
// al. 2019, arXiv:1912.00818), which moves both at once.
#include "symma/learners/batch_norm.h"
#include "symma/learners/fused.h"
#include "symma/learners/needs.h"
#include "symma/learners/outer.h"
#include "symma/learners/personal.h"

namespace symma {
namespace {

class FedRep : public Learner, public Personal {
 public:
  struct Options {
    int64_t head_steps = 5;
    double head_lr = 0.05;
    OuterOptions outer;
    void fields(Fields& f) {
      f.add("head_steps", head_steps, "steps of the head before each of the body").at_least(1);
      f.add("head_lr", head_lr, "step size of the head, by gradient descent").above(0);
      outer.fields(f);
    }
  };

  FedRep(const Options& o, const LearnerSetting& setting) : o_(o), model_(setting.model) {
    need(setting, "fedrep", {Need::kFeatures});
    if (said() == 0)
      throw UserError("[model]", "has no body that \"fedrep\" could share", "give it hidden layers");
  }

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    State state = State::of(model_.init(split_each(keys, "model")).to(type));
    outer_init(o_.outer, state);
    return state;
  }

  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    const int64_t body = said(), head = state.theta.size(1) - body;
    for (int64_t k = 0; k < o_.head_steps; ++k) {
      const Tensor g = pooled_gradient(state, model_, batch, rng.split("head", k)).grad;
      state.theta = at::cat({state.theta.narrow(1, 0, body),
                             state.theta.narrow(1, body, head) - o_.head_lr * g.narrow(1, body, head)},
                            1);
    }
    const Gradients g = pooled_gradient(state, model_, batch, rng.split("body"));
    const Tensor still = state.theta.narrow(1, body, head);
    outer_step(o_.outer, state, at::cat({g.grad.narrow(1, 0, body), at::zeros_like(still)}, 1));
    state.theta = at::cat({state.theta.narrow(1, 0, body), still}, 1);  // a proximal term moves it, too
    observe_statistics(model_, state, batch);
    return {{"loss", g.loss}};
  }

  // Somebody new learns a head alone.
  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng rng) const override {
    const int64_t body = said(), head = state.theta.size(1) - body;
    return walk(hand_out(state.theta, batch.size()), steps, [&](const Tensor& rows, int64_t k) {
      const Tensor still = rows.narrow(1, 0, body), at = leaf(rows.narrow(1, body, head));
      const Tensor loss = batch.loss(at::cat({still, at}, 1), Stage::kSupport, rng.split("inner", k));
      return at::cat({still, at.detach() - o_.head_lr * row_gradient(loss, at, false)}, 1);
    });
  }

  int64_t said() const override { return model_.layout().at("head.weight").offset; }
  Tensor predicts_by(const State& state) const override { return state.theta; }

 private:
  Options o_;
  const Model& model_;
};

SYMMA_REGISTER(Learner, "fedrep", FedRep, "a body that is shared, and a head of each one's own",
               "Collins et al. 2021, arXiv:2102.07078");

}  // namespace
}  // namespace symma
