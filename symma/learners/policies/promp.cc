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
    std::vector<Journey> journeys = travel(state, batch, true, rng);
    std::vector<std::vector<Tensor>> before(journeys.size());  // outputs on the way, when they were played
    const Tensor grad = at::empty({b, state.theta.size(1)}, state.theta.options());
    for (int64_t epoch = 0; epoch < o_.epochs; ++epoch) {
      const Tensor rows = hand_out(state.theta, b);
      visit(journeys, [&](Journey& j, int64_t begin, int64_t end) {
        auto& old = before[&j - journeys.data()];
        const bool first = epoch == 0;  // as it was travelled
        if (first) {
          for (const auto& s : j.studies) old.push_back(s->outputs());
        }
        Tensor phi = rows.slice(0, begin, end);
        const Way way = first ? std::move(j.studies) : walked(j, phi);
        if (first) phi = j.rows.back();
        Tensor v = study(j.tasks(), phi, j.query, false, o_.clip)->gradient().grad;
        for (size_t k = way.size(); k-- > 0;) {
          v = v - inner_lr() * way[k]->hessian(v);
          // Where they were played policies have not moved.
          if (!first && o_.kl_weight > 0)
            v = v + o_.kl_weight / static_cast<double>(way.size()) * way[k]->hold(old[k]);
        }
        grad.slice(0, begin, end).copy_(v);
      });
      adam_step(state, clip_gradients(by_agents(grad, n), o_.clip_norm), std::vector<double>(n, o_.meta_lr));
    }
    state.steps = state.steps + 1;
    return returns(journeys, n);
  }

  // The journey from other rows by the same episodes; phi becomes where it ends.
  Way walked(const Journey& j, Tensor& phi) const {
    Way way;
    for (const auto& lesson : j.support) {
      way.push_back(study(j.tasks(), phi, lesson, true));
      phi = phi - inner_lr() * way.back()->gradient().grad;
    }
    return way;
  }

  Options o_;
};

SYMMA_REGISTER(Learner, "promp", Promp, "MAML for policies in worlds, with a clipped objective outside",
               "Rothfuss et al. 2019, arXiv:1810.06784");

}  // namespace
}  // namespace symma
