// Self-play of poker by magnetic mirror descent: in every information state at once, against itself as it is,
//
//   log pi <- (log pi + eta q) / (1 + eta alpha) + constant,
//
// q what each action is worth there (tasks/hands.h), eta the step, alpha the pull towards even play. With
// alpha that stays it comes to a quantal response equilibrium, pi = softmax(q / alpha); with alpha and eta
// that fall as 1 / sqrt(step) the policy itself, not an average of its past, comes to a solution. Sokota et
// al. 2023, arXiv:2206.05825.
#include <algorithm>
#include <cmath>

#include "symma/core/errors.h"
#include "symma/learners/needs.h"
#include "symma/learners/rows.h"
#include "symma/tasks/games.h"

namespace symma {
namespace {

class MirrorDescent : public Learner {
 public:
  struct Options {
    double step_size = 0.5, magnet = 1;
    bool anneal = true;
    void fields(Fields& f) {
      f.add("step_size", step_size, "eta, in the units of what is won").above(0);
      f.add("magnet", magnet, "alpha, how strongly play is drawn to even play, in units of what is won")
          .above(0);
      f.add("anneal", anneal,
            "step t has alpha = magnet / sqrt(t), and eta = 1 / (magnet sqrt(t)) where that is below "
            "step_size");
    }
  };

  MirrorDescent(const Options& o, const LearnerSetting& setting)
      : o_(o), model_(setting.model), states_(setting.spec.shape.in[0]) {
    need(setting, "mirror_descent", {Need::kMatches, Need::kHands});
    columns_ = model_.layout().size() / states_;
    const int64_t n = setting.spec.shape.out;
    if (model_.layout().entries().size() != 1 || (columns_ != n && columns_ != n - 1))
      throw UserError("[model] kind", "\"mirror_descent\" moves a table of policies, and this model is none",
                      "use \"tabular\"");
  }

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    return State::of(model_.init(split_each(keys, "model")).to(type));
  }

  // "loss" is NashConv, before the step.
  Scores step(State& state, const TaskBatch& batch, Rng) const override {
    const GameBatch& games = games_of(batch);
    const Hands& hands = *games.setup().hands;
    const Tensor log_policy = games.policy(state.theta).to(at::kDouble).to(at::kCPU);
    Tensor rows = at::empty(state.theta.sizes(), at::kDouble), open = at::empty({state.size()}, at::kDouble);
    for (int64_t i = 0; i < state.size(); ++i) {
      const double root = std::sqrt(static_cast<double>(1 + state.steps[i].item<int64_t>()));
      const double alpha = o_.anneal ? o_.magnet / root : o_.magnet;
      const double eta = o_.anneal ? std::min(o_.step_size, 1 / (o_.magnet * root)) : o_.step_size;
      const Tensor pi = log_policy[i].exp();
      rows[i] = table((log_policy[i] + eta * action_values(hands, pi)) / (1 + eta * alpha), hands.legal);
      open[i] = nash_conv(hands, pi);
    }
    state.theta = rows.to(state.theta.options());
    state.steps = state.steps + 1;
    return {{"loss", open}};
  }

  // The policy as it is, however many steps are asked for: it is not adapted to a rival.
  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng) const override {
    const Tensor rows = games_of(batch).matches(hand_out(state.theta, batch.size()));
    return std::vector<Tensor>(steps.size(), rows);
  }

 private:
  static const GameBatch& games_of(const TaskBatch& batch) {
    return need<GameBatch>(batch, "mirror_descent");
  }

  // The row of the model that plays by these logits [S, n]. Where the last action has no parameter its logit
  // is 0.
  Tensor table(const Tensor& logits, const Tensor& legal) const {
    const int64_t n = logits.size(1);
    const Tensor known = at::log_softmax(logits.masked_fill(legal.logical_not(), -1e9), 1);
    const Tensor last = known.narrow(1, n - 1, 1);
    const Tensor zero = legal.narrow(1, n - 1, 1).to(at::kDouble) * last;
    const Tensor free = at::where(legal, columns_ == n ? known : known - zero, at::zeros({}, at::kDouble));
    return free.narrow(1, 0, columns_).flatten();
  }

  Options o_;
  const Model& model_;
  int64_t states_, columns_;
};

SYMMA_REGISTER(Learner, "mirror_descent", MirrorDescent,
               "poker against itself, drawn to even play less and less",
               "Sokota et al. 2023, arXiv:2206.05825");

}  // namespace
}  // namespace symma
