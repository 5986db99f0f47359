// ProMP: MAML for policies with a low-variance inner gradient and a clipped objective outside, descended
// several times by the same episodes. Rothfuss et al. 2019, arXiv:1810.06784, algorithm 1.
//
//   J(theta) = E[min(q A, clip(q, 1 - c, 1 + c) A)] - kl_weight mean_k KL(pi_k before || pi_k),   q =
//   pi_phi(a) / pi_before(a)
//
// where phi is adapted from theta by the inner episodes of the first pass, and pi_k are the policies on the
// way. The inner surrogate is the task's: [task] surrogate = "low_variance".
#include "symma/learners/adam.h"
#include "symma/learners/policies/meta_policy.h"
#include "symma/learners/rows.h"
#include "symma/learners/teams/teams.h"
#include "symma/tasks/advantages.h"

namespace symma {
namespace {

class Promp : public MetaPolicy {
 public:
  struct Options {
    InnerPolicyOptions inner;
    int64_t epochs = 5;
    double clip = 0.3, kl_weight = 5e-4, meta_lr = 1e-3, clip_norm = 0;
    void fields(Fields& f) {
      inner.fields(f);
      f.add("epochs", epochs, "outer steps from each batch of episodes").at_least(1);
      f.add("clip", clip, "how far the ratio of new to old probabilities counts").above(0).below(1);
      f.add("kl_weight", kl_weight, "how much policies before adapting are held where they were").at_least(0);
      f.add("meta_lr", meta_lr, "step size of the outer loop's Adam").at_least(0);
      f.add("clip_norm", clip_norm, "longest gradient of an agent; 0: no limit").at_least(0);
    }
  };

  Promp(const Options& o, const LearnerSetting& setting) : MetaPolicy(o.inner, setting, "promp"), o_(o) {}

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    State s = State::of(model().init(split_each(keys, "model")).to(type));
    adam_init(s);
    return s;
  }

  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    return in_blocks(state, model(), batch,
                     [&](State& block, const TaskBatch& tasks) { return update(block, tasks, rng); });
  }

 private:
  Scores update(State& state, const TaskBatch& batch, Rng rng) const {
    const int64_t n = state.size(), b = batch.size();
    std::vector<Journey> journeys = travel(state, batch, false, rng);
    std::vector<std::vector<Tensor>> before(journeys.size());  // outputs on the way, when they were played
    const Tensor grad = at::empty({b, state.theta.size(1)}, state.theta.options());
    for (int64_t epoch = 0; epoch < o_.epochs; ++epoch) {
      const Tensor rows = hand_out(state.theta, b);
      visit(journeys, [&](Journey& j, int64_t begin, int64_t end) {
        const Tensor start = leaf(rows.slice(0, begin, end));
        std::vector<Tensor> said;
        const Tensor phi = again_with_graph(j, start, said);
        const Tensor log_p = ControlBatch::log_p(j.tasks().outputs(phi, j.query), j.query);
        auto& old = before[&j - journeys.data()];
        if (epoch == 0) {
          for (const Tensor& s : said) old.push_back(s.detach());
        }
        const Tensor loss = clipped(log_p, j.query) + o_.kl_weight * held(j, old, said);
        grad.slice(0, begin, end).copy_(row_gradient(loss, start, false));
      });
      adam_step(state, clip_gradients(by_agents(grad, n), o_.clip_norm), std::vector<double>(n, o_.meta_lr));
    }
    state.steps = state.steps + 1;
    return returns(journeys, n);
  }

  Tensor clipped(const Tensor& log_p /*[b,E,T]*/, const ControlBatch::Lesson& l) const {
    const auto type = log_p.scalar_type();
    const Tensor alive = l.episodes.alive.to(type), a = l.advantage.to(type);
    const Tensor q = ((log_p - l.drawn.to(type)) * alive).exp();
    return -mean_over_steps(at::minimum(q * a, q.clamp(1 - o_.clip, 1 + o_.clip) * a), alive);
  }

  static Tensor held(const Journey& j, const std::vector<Tensor>& before, const std::vector<Tensor>& said) {
    Tensor sum;  // [b]
    for (size_t k = 0; k < said.size(); ++k) {
      const Tensor kl = mean_over_steps(ControlBatch::apart(before[k], said[k], j.support[k]),
                                        j.support[k].episodes.alive.to(said[k].scalar_type()));
      sum = k == 0 ? kl : sum + kl;
    }
    return sum / static_cast<double>(said.size());
  }

  Options o_;
};

SYMMA_REGISTER(Learner, "promp", Promp, "MAML for policies in worlds, with a clipped objective outside",
               "Rothfuss et al. 2019, arXiv:1810.06784");

}  // namespace
}  // namespace symma
