// MAML for policies, with a trust region outside: the meta-gradient's direction in the metric of how far
// adapted policies move, as long as `max_kl` allows. Finn et al. 2017, arXiv:1703.03400, algorithm 3;
// Schulman et al. 2015, arXiv:1502.05477, appendix C.
//
//   g = mean over tasks of J^T grad S(phi),   F v = mean over tasks of J^T (Hessian of KL at phi) J v,
//   theta <- theta - c sqrt(2 max_kl / x^T F x) x,   F x = g by conjugate gradients, c by a line search
//
// J = d phi / d theta is a product of I - inner_lr H_k, with H_k the Hessian of an inner surrogate. Those are
// symmetric, so J v and J^T v are the same products in opposite orders, and no third derivative is needed.
// The line search adapts again from each candidate, by the same episodes. F may be estimated from a share of
// them: it says how long a step may be, and the gradient where to; the line search measures what came of it
// by all episodes.
#include <cmath>

#include "symma/learners/policies/meta_policy.h"
#include "symma/learners/rows.h"

namespace symma {
namespace {

class MamlTrpo : public MetaPolicy {
 public:
  struct Options {
    InnerPolicyOptions inner;
    double max_kl = 0.01, damping = 1e-5, shrink = 0.8, metric_share = 1;
    int64_t cg_steps = 10, backtracks = 15;
    void fields(Fields& f) {
      inner.fields(f);
      f.add("max_kl", max_kl, "how far adapted policies may move in a step, on average").above(0);
      f.add("cg_steps", cg_steps, "steps of conjugate gradients").at_least(1);
      f.add("metric_share", metric_share, "of a task's episodes, that the metric is estimated from")
          .above(0)
          .at_most(1);
      f.add("damping", damping, "added to the metric's diagonal").at_least(0);
      f.add("backtracks", backtracks, "lengths that the line search tries").at_least(1);
      f.add("shrink", shrink, "one length over the last, where it moved little enough and gained nothing")
          .above(0)
          .below(1);
    }
  };

  MamlTrpo(const Options& o, const LearnerSetting& setting)
      : MetaPolicy(o.inner, setting, "maml_trpo"), o_(o) {}

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    return State::of(model().init(split_each(keys, "model")).to(type));
  }

  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    return in_blocks(state, model(), batch,
                     [&](State& block, const TaskBatch& tasks) { return update(block, tasks, rng); });
  }

 private:
  Scores update(State& state, const TaskBatch& batch, Rng rng) const {
    const int64_t n = state.size(), b = batch.size(), p = state.theta.size(1);
    std::vector<Journey> journeys = travel(state, batch, true, rng);
    std::vector<Local> locals(journeys.size());
    const auto local = [&](const Journey& j) -> Local& { return locals[&j - journeys.data()]; };
    Tensor grad = at::empty({b, p}, state.theta.options()), loss = at::empty({b}, state.theta.options());
    visit(journeys, [&](Journey& j, int64_t begin, int64_t end) {
      Local& l = local(j);
      auto query = study(j.tasks(), j.rows.back(), j.query, metric_episodes(j) == j.query.drawn.size(1));
      const Gradients down = query->gradient();
      l.before = query->outputs();
      grad.slice(0, begin, end).copy_(back(j.studies, down.grad));
      loss.slice(0, begin, end).copy_(down.loss);
      prepare_metric(j, l, std::move(query));
    });
    const Tensor g = by_agents(grad, n), old = by_agents(loss, n);
    const auto metric = [&](const Tensor& v /*[N,P]*/) {
      const Tensor handed = hand_out(v, b), out = at::empty_like(grad);
      visit(journeys, [&](Journey& j, int64_t begin, int64_t end) {
        const Local& l = local(j);
        const Tensor mine = handed.slice(0, begin, end);
        out.slice(0, begin, end).copy_(back(l.way, l.query->metric(forth(l.way, mine))));
      });
      return by_agents(out, n) + o_.damping * v;
    };
    const Tensor full = longest(g, metric);

    // The line search, each agent's own.
    Tensor taken = at::zeros({n}, at::kBool), theta = state.theta, moved = at::zeros_like(old);
    Tensor length = at::ones({n, 1}, state.theta.options()), tried = at::zeros_like(old);
    for (int64_t k = 0; k < o_.backtracks && !taken.all().item<bool>(); ++k) {
      const Tensor candidate = state.theta - length * full;
      const Tensor rows = hand_out(candidate, b), far = at::empty_like(loss);
      visit(journeys, [&](Journey& j, int64_t begin, int64_t end) {
        const Tensor phi = again(j, rows.slice(0, begin, end));
        const auto verdict = study(j.tasks(), phi, j.query, false)->judge(local(j).before);
        far.slice(0, begin, end).copy_(verdict.apart);
        loss.slice(0, begin, end).copy_(verdict.surrogate);
      });
      const Tensor kl = by_agents(far, n);
      tried = tried + taken.logical_not();
      const Tensor good =
          (by_agents(loss, n) < old).logical_and(kl <= o_.max_kl).logical_and(taken.logical_not());
      theta = at::where(good.unsqueeze(1), candidate, theta);
      moved = at::where(good, kl, moved);
      taken = taken.logical_or(good);
      // The divergence grows with the square of the length, so one that was too long says which would fit.
      const Tensor fits = 0.98 * (o_.max_kl / kl).sqrt();
      length = length * at::where(kl > o_.max_kl, fits, at::full_like(fits, o_.shrink)).unsqueeze(1);
    }
    state.theta = theta;
    state.steps = state.steps + 1;
    Scores out = returns(journeys, n);
    out["kl"] = moved;
    out["tried"] = tried;  // lengths, by the line search
    return out;
  }

  struct Local {
    Tensor before;                 // what phi_K says, at every step of the query episodes
    Way way;                       // the journey's, by the episodes that the metric is estimated from
    std::unique_ptr<Study> query;  // the same, at phi_K
  };

  int64_t metric_episodes(const Journey& j) const {
    return static_cast<int64_t>(std::ceil(static_cast<double>(j.query.drawn.size(1)) * o_.metric_share));
  }

  void prepare_metric(Journey& j, Local& l, std::unique_ptr<Study> query) const {
    const int64_t all = j.query.drawn.size(1), some = metric_episodes(j);
    l.query = some < all ? study(j.tasks(), j.rows.back(), part_of(j.query, some), true) : std::move(query);
    if (some == all) {
      l.way = std::move(j.studies);
      return;
    }
    for (size_t k = 0; k < j.support.size(); ++k) {
      l.way.push_back(study(j.tasks(), j.rows[k], part_of(j.support[k], some), true));
      l.way.back()->gradient();
    }
  }

  // The first `some` episodes of each task.
  static ControlBatch::Lesson part_of(ControlBatch::Lesson l, int64_t some) {
    const auto shorten = [&](Tensor* t) {
      if (t->defined()) *t = t->narrow(1, 0, some);
    };
    for (Tensor* t : every_tensor(l.episodes)) shorten(t);
    for (Tensor* t : {&l.drawn, &l.reward, &l.advantage}) shorten(t);
    return l;
  }

  // J v and J^T v.
  Tensor forth(const Way& way, Tensor v /*[b,P]*/) const {
    for (const auto& s : way) v = v - inner_lr() * s->hessian(v);
    return v;
  }
  Tensor back(const Way& way, Tensor v /*[b,P]*/) const {
    for (size_t k = way.size(); k-- > 0;) v = v - inner_lr() * way[k]->hessian(v);
    return v;
  }

  // The step of length max_kl: x with F x = g, scaled. Every agent's conjugate gradients run side by side.
  Tensor longest(const Tensor& g, const std::function<Tensor(const Tensor&)>& metric) const {
    const auto dot = [](const Tensor& a, const Tensor& c) { return (a * c).sum(1, true); };
    Tensor x = at::zeros_like(g), r = g, d = g, rr = dot(g, g);
    for (int64_t i = 0; i < o_.cg_steps; ++i) {
      const Tensor z = metric(d), curve = dot(d, z);
      // Where the residual is gone, or the metric is flat along d, an agent is done.
      const Tensor go = (curve > 0).logical_and(rr > 1e-10).to(g.scalar_type());
      const Tensor alpha = go * rr / curve.masked_fill(curve == 0, 1);
      x = x + alpha * d;
      r = r - alpha * z;
      const Tensor next = dot(r, r);
      d = r + next / rr.clamp_min(1e-30) * d;
      rr = next;
    }
    const Tensor length = dot(x, g - r).clamp_min(1e-20);  // x^T F x
    return x * (2 * o_.max_kl / length).sqrt();
  }

  Options o_;
};

SYMMA_REGISTER(Learner, "maml_trpo", MamlTrpo, "MAML for policies in worlds, with a trust region outside",
               "Finn et al. 2017, arXiv:1703.03400; Schulman et al. 2015, arXiv:1502.05477");

}  // namespace
}  // namespace symma
