// A personal model that is a mixture of one's own and the common one, in a share that is learned.
//
//   p = alpha v + (1 - alpha) w          predicts
//   w <- w - rate dL(w)                  is mixed with others'
//   v <- v - rate alpha dL(p),   alpha <- alpha - rate <v - w, dL(p)>, within [0, 1];   both stay home
//
// Deng et al. 2020, arXiv:2003.13461 (APFL), algorithm 1 and equation 10.
#include "symma/learners/batch_norm.h"
#include "symma/learners/fused.h"
#include "symma/learners/outer.h"
#include "symma/learners/personal.h"

namespace symma {
namespace {

class Apfl : public Learner, public Personal {
 public:
  struct Options {
    double share = 0.5, share_lr = 0.01, personal_lr = 0.05;
    OuterOptions outer;
    void fields(Fields& f) {
      f.add("share", share, "alpha: what of the personal model is one's own, where it begins")
          .at_least(0)
          .at_most(1);
      f.add("share_lr", share_lr, "step size of alpha; 0: it stays").at_least(0);
      f.add("personal_lr", personal_lr, "step size of one's own model, by gradient descent").above(0);
      outer.fields(f);
    }
  };

  Apfl(const Options& o, const LearnerSetting& setting) : o_(o), model_(setting.model) {}

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    const Tensor theta = model_.init(split_each(keys, "model")).to(type);
    State state = State::of(
        theta, {{"own", theta}, {"share", at::full({theta.size(0), 1}, o_.share, theta.options())}});
    outer_init(o_.outer, state);
    return state;
  }

  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    State home{state.id, predicts_by(state), state.steps, {}};
    const Gradients mixed = pooled_gradient(home, model_, batch, rng.split("personal"));
    const Gradients common = pooled_gradient(state, model_, batch, rng.split("common"));
    const Tensor v = state.own.at("own"), alpha = state.own.at("share");
    const Tensor slope = ((v - state.theta) * mixed.grad).sum(1, true);
    home.theta = v - o_.personal_lr * alpha * mixed.grad;
    observe_statistics(model_, home, batch);
    state.own["own"] = home.theta;
    state.own["share"] = (alpha - o_.share_lr * slope).clamp(0, 1);
    outer_step(o_.outer, state, common.grad);
    observe_statistics(model_, state, batch);
    return {{"loss", mixed.loss}, {"common_loss", common.loss}, {"share", alpha.squeeze(1)}};
  }

  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng rng) const override {
    return descend(model_, hand_out(predicts_by(state), batch.size()), batch, steps,
                   {.inner_lr = o_.personal_lr}, rng);
  }

  int64_t said() const override { return model_.layout().size(); }
  Tensor predicts_by(const State& state) const override {
    const Tensor& alpha = state.own.at("share");
    return alpha * state.own.at("own") + (1 - alpha) * state.theta;
  }

 private:
  Options o_;
  const Model& model_;
};

SYMMA_REGISTER(Learner, "apfl", Apfl, "personal models that are one's own and the common one, mixed",
               "Deng et al. 2020, arXiv:2003.13461");

}  // namespace
}  // namespace symma
