// Self-play against one's own past: a row follows its gradient against the average of a pool of past rows,
// and the pool's average is what plays when judged.
//
// Brown 1951 (fictitious play); Heinrich, Lanctot, Silver 2015 (in games of turns, where the average is over
// sequences of a seat's own actions, so what a policy seldom comes to counts little there). Here a response
// is a gradient step away rather than best.
//
// The pool is an even sample of the past: every stride-th row; when it is full every other is let go, and the
// stride doubles.
#include "symma/learners/games/matches.h"
#include "symma/learners/needs.h"

namespace symma {
namespace {

class Fictitious : public Learner {
 public:
  struct Options {
    int64_t pool = 64;
    double entropy = 0.01;
    OuterOptions outer;
    void fields(Fields& f) {
      f.add("pool", pool, "past rows that are kept, an even sample; an even number").at_least(2);
      f.add("entropy", entropy, "bonus for the entropy of a policy, a mean over its states").at_least(0);
      outer.fields(f);
    }
  };

  Fictitious(const Options& o, const LearnerSetting& setting)
      : o_(o), model_(setting.model), states_(setting.spec.shape.in[0]) {
    need(setting, "fictitious", {Need::kMatches});
    if (model_.layout().entries().size() != 1)
      throw UserError("[model] kind", "\"fictitious\" plays as an average of tables, and this model is none",
                      "use \"tabular\"");
    if (o.pool % 2 != 0)
      throw UserError("[learner] pool", "is odd, and every other row is let go when it is full",
                      "set it to an even number");
  }

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    const Tensor theta = model_.init(split_each(keys, "model")).to(type);
    const int64_t n = theta.size(0);
    State state = State::of(theta, {{"pool", theta.unsqueeze(1).repeat({1, o_.pool, 1})},
                                    {"pooled", at::zeros({n}, at::kLong)},
                                    {"stride", at::ones({n}, at::kLong)}});
    outer_init(o_.outer, state);
    return state;
  }

  Scores step(State& state, const TaskBatch& batch, Rng) const override {
    const GameBatch& games = hands_of(batch);
    remember(state);
    return in_blocks(state, model_, batch, [&](State& block, const TaskBatch&) {
      Tensor rivals = at::empty({block.size(), states_, games.setup().actions()}, at::kDouble);
      for (int64_t i = 0; i < block.size(); ++i) rivals[i] = past(block, i, games);
      const Tensor at = leaf(block.theta);
      const Tensor own = games.policy(at), other = logits_of(rivals).to(own.options());
      const Tensor loss = -games.hand(own, other);
      const Tensor bonus = -(own.exp() * own).sum(2).mean(1);
      outer_step(o_.outer, block, row_gradient(loss - o_.entropy * bonus, at, false));
      return Scores{{"loss", loss.detach()}};
    });
  }

  // The average of the past, however many steps are asked for: it is not adapted to a rival.
  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng) const override {
    const GameBatch& games = hands_of(batch);
    std::vector<Tensor> rows;
    for (int64_t i = 0; i < state.size(); ++i) {
      const Tensor logits = logits_of(past(state, i, games));  // [S, n]
      const int64_t columns = state.theta.size(1) / states_, n = logits.size(1);
      // Where the last action has no parameter, its logit is 0.
      const Tensor free = columns == n ? logits : logits - logits.narrow(1, n - 1, 1);
      rows.push_back(free.narrow(1, 0, columns).flatten());
    }
    const Tensor all = hand_out(at::stack(rows).to(state.theta.options()), batch.size());
    return std::vector<Tensor>(steps.size(), all);
  }

 private:
  const GameBatch& hands_of(const TaskBatch& batch) const {
    const GameBatch& games = need<GameBatch>(batch, "fictitious");
    if (!games.setup().hands)
      throw UserError("[task] poker", "is \"none\", and \"fictitious\" plays games of cards",
                      "set it to \"kuhn\" or \"leduc\", or use \"naive\"");
    return games;
  }

  static Tensor logits_of(const Tensor& policy) { return policy.clamp_min(1e-12).log(); }

  // Puts rows whose turn it is into their pools.
  static void remember(State& state) {
    Tensor pool = state.own.at("pool").clone(), pooled = state.own.at("pooled").clone(),
           stride = state.own.at("stride").clone();
    int64_t *have = pooled.data_ptr<int64_t>(), *every = stride.data_ptr<int64_t>();
    const int64_t* steps = state.steps.data_ptr<int64_t>();
    const int64_t size = pool.size(1);
    for (int64_t i = 0; i < state.size(); ++i) {
      if (steps[i] % every[i] != 0) continue;
      if (have[i] == size) {
        pool[i].narrow(0, 0, size / 2).copy_(pool[i].slice(0, 0, size, 2).clone());
        have[i] = size / 2, every[i] *= 2;
        if (steps[i] % every[i] != 0) continue;
      }
      pool[i][have[i]++].copy_(state.theta[i]);
    }
    state.own["pool"] = pool, state.own["pooled"] = pooled, state.own["stride"] = stride;
  }

  // The average policy of the pool of the agent at a place, [S, n] float64; before the first step its row's.
  static Tensor past(const State& state, int64_t i, const GameBatch& games) {
    const int64_t have = std::max<int64_t>(1, state.own.at("pooled")[i].item<int64_t>());
    const Tensor rows = state.own.at("pool")[i].narrow(0, 0, have).to(at::kDouble).to(at::kCPU);
    return average_policy(*games.setup().hands, games.policy(rows).exp());
  }

  Options o_;
  const Model& model_;
  int64_t states_;
};

SYMMA_REGISTER(Learner, "fictitious", Fictitious, "plays against the average of its own past, and as it",
               "Brown 1951; Heinrich, Lanctot, Silver 2015");

}  // namespace
}  // namespace symma
