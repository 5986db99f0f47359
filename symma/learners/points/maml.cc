// Model-agnostic meta-learning: learn a starting point from which a few gradient steps do well.
//
//   phi_0 = theta,  phi_{k+1} = phi_k - rate * grad L_support(phi_k),  meta-gradient = d L_query(phi_K) / d
//   theta
//
// Finn et al. 2017, arXiv:1703.03400. order = 1 leaves out the derivative of the inner gradients (FOMAML,
// section 5.2). learn_lr makes the rate a learned vector, one for each parameter (Meta-SGD, Li et al. 2017,
// arXiv:1707.09835), shared like the starting point: a row is then [theta, rates]. adapt = "head" moves the
// last layer alone in the inner loop (ANIL, Raghu et al. 2020, arXiv:1909.09157).
//
// A perceptron on labelled points takes one kernel for all of it (fused.h). Everything else goes through
// autograd; there, recompute = true goes back through the inner steps one at a time, with g_K = grad
// L_query(phi_K) and g_k = (d phi_{k+1} / d phi_k)^T g_{k+1}, so that the graph of one step is held and not
// that of all.
#include "symma/learners/descends.h"
#include "symma/learners/fused.h"
#include "symma/learners/outer.h"

namespace symma {
namespace {

class Maml : public Learner, public Guarded, public Descends {
 public:
  struct Options {
    int64_t order = 2, inner_steps = 1;
    double inner_lr = 0.01;
    bool learn_lr = false, recompute = false;
    std::string adapt = "all";
    OuterOptions outer;
    void fields(Fields& f) {
      f.add("order", order, "derivatives of the inner loop: 2 exact, 1 first-order").at_least(1).at_most(2);
      f.add("inner_steps", inner_steps, "gradient steps of the inner loop, while training").at_least(1);
      f.add("inner_lr", inner_lr, "step size of the inner loop").above(0);
      f.add("learn_lr", learn_lr, "learn a step size for each parameter (Meta-SGD)");
      f.add("adapt", adapt, "what the inner loop moves: all, or the head alone (ANIL)")
          .one_of({"all", "head"});
      f.add(
          "recompute", recompute,
          "keep only the rows of each inner step, and work the step out again on the way back: less memory, "
          "more work");
      outer.fields(f);
    }
  };

  Maml(const Options& options, const LearnerSetting& setting)
      : o_(options), model_(setting.model), guard_(setting.guard) {}

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    State state = State::of(model_.init(split_each(keys, "model")).to(type));
    if (o_.learn_lr) state.theta = at::cat({state.theta, at::full_like(state.theta, o_.inner_lr)}, 1);
    outer_init(o_.outer, state);
    return state;
  }

  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    return outer_update(
        o_.outer, model_, guard_, state, batch, rng,
        [&](const Tensor& rows, const TaskBatch& tasks, Rng own) { return meta_gradient(rows, tasks, own); });
  }

  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng rng) const override {
    const Tensor rows = hand_out(state.theta, batch.size());
    const Tensor each = o_.adapt == "all" ? kernel_rates(rows) : of_the_head(kernel_rates(rows));
    if (auto path = fused_descent(model_, params(rows), each, batch, steps)) return *path;
    return walk(params(rows), steps, [&](const Tensor& fast, int64_t k) {
      return inner_step(leaf(fast), rates(rows), batch, false, rng.split("inner", k)).detach();
    });
  }

  bool guards_examples() const override { return false; }

  std::optional<DescentRule> descent(const State& state, int64_t place) const override {
    const Tensor row = state.theta[place].detach().to(at::kCPU);
    const int64_t p = model_.layout().size();
    const Tensor each = o_.learn_lr ? row.narrow(0, p, p) : at::full({1}, o_.inner_lr, row.options());
    return DescentRule{o_.adapt == "head" ? of_the_head(each.unsqueeze(0)).squeeze(0) : each};
  }

 private:
  Gradients meta_gradient(const Tensor& rows, const TaskBatch& batch, Rng rng) const {
    const auto fused = fused_maml(model_, rows, kernel_rates(rows), batch,
                                  {.by = o_.adapt == "all" ? MetaGradient::kSteps : MetaGradient::kHead,
                                   .inner_steps = o_.inner_steps,
                                   .order = static_cast<int>(o_.order),
                                   .rate_gradient = o_.learn_lr,
                                   .recompute = o_.recompute});
    if (fused && !o_.learn_lr) return fused->start;
    if (fused) return {at::cat({params(fused->start.grad), fused->rates}, 1), fused->start.loss};
    return o_.recompute && o_.order == 2 ? step_by_step(rows, batch, rng) : through_all(rows, batch, rng);
  }

  // The meta-gradient through one graph of all inner steps.
  Gradients through_all(const Tensor& rows, const TaskBatch& batch, Rng rng) const {
    const Tensor start = leaf(rows);
    Tensor fast = params(start);
    if (o_.order == 1) fast = leaf(fast);
    const Tensor phi0 = fast;
    for (int64_t k = 0; k < o_.inner_steps; ++k) {
      fast = inner_step(fast, rates(start), batch, o_.order == 2, rng.split("inner", k));
    }
    const Tensor loss = batch.loss(fast, Stage::kQuery, rng.split("outer"));
    if (o_.order == 2) return {row_gradient(loss, start, false), loss.detach()};
    // First order: the inner gradients are constants. The rates' gradient stays exact to that order, for they
    // multiply them.
    const Tensor g = row_gradient(loss, phi0, o_.learn_lr);
    if (!o_.learn_lr) return {g, loss.detach()};
    return {at::cat({g.detach(), row_gradient(loss, start, false).narrow(1, g.size(1), g.size(1))}, 1),
            loss.detach()};
  }

  // The same of second order with the graph of one inner step at a time.
  Gradients step_by_step(const Tensor& rows, const TaskBatch& batch, Rng rng) const {
    const Tensor start = rows.detach();
    std::vector<Tensor> path{params(start)};
    for (int64_t k = 0; k < o_.inner_steps; ++k) {
      path.push_back(
          inner_step(leaf(path.back()), rates(start), batch, false, rng.split("inner", k)).detach());
    }
    const Tensor end = leaf(path.back());
    const Tensor loss = batch.loss(end, Stage::kQuery, rng.split("outer"));
    Tensor g = row_gradient(loss, end, false), of_rates = at::zeros_like(start);  // [b, P], [b, Q]
    for (int64_t k = o_.inner_steps; k-- > 0;) {
      const Tensor at = leaf(o_.learn_lr ? at::cat({path[k], rates(start)}, 1) : path[k]);
      const Tensor next = inner_step(params(at), rates(at), batch, true, rng.split("inner", k));
      const Tensor back = vector_jacobian(next, at, g);
      g = params(back);
      if (o_.learn_lr) of_rates = of_rates + back;
    }
    return {o_.learn_lr ? at::cat({g, rates(of_rates)}, 1) : g, loss.detach()};
  }

  Tensor inner_step(const Tensor& fast, const Tensor& rate, const TaskBatch& batch, bool create_graph,
                    Rng rng) const {
    const int64_t p = model_.layout().size(), body = model_.layout().at("head.weight").offset;
    const auto move = [&](const Tensor& from, const Tensor& grad, const Tensor& r) {
      return r.defined() ? from - r * grad : at::sub(from, grad, o_.inner_lr);
    };
    if (o_.adapt == "all") {
      return move(fast, row_gradient(batch.loss(fast, Stage::kSupport, rng), fast, create_graph), rate);
    }
    // Differentiating in the head alone keeps the backward pass out of the body.
    const Tensor still = fast.narrow(1, 0, body), head = fast.narrow(1, body, p - body);
    const Tensor grad =
        row_gradient(batch.loss(at::cat({still, head}, 1), Stage::kSupport, rng), head, create_graph);
    return at::cat({still, move(head, grad, rate.defined() ? rate.narrow(1, body, p - body) : rate)}, 1);
  }

  Tensor params(const Tensor& rows) const {
    return o_.learn_lr ? rows.narrow(1, 0, model_.layout().size()) : rows;
  }
  Tensor rates(const Tensor& rows) const {
    const int64_t p = model_.layout().size();
    return o_.learn_lr ? rows.narrow(1, p, p) : Tensor();
  }
  Tensor kernel_rates(const Tensor& rows) const {
    return o_.learn_lr ? rates(rows) : at::full({}, o_.inner_lr, at::kDouble);
  }

  // Rates [., 1 or P] as [., P], with 0 for what is not the head.
  Tensor of_the_head(const Tensor& each) const {
    const int64_t p = model_.layout().size();
    Tensor out = each.view({-1, each.dim() == 0 ? 1 : each.size(-1)}).expand({-1, p}).clone();
    out.narrow(1, 0, model_.layout().at("head.weight").offset).zero_();
    return out;
  }

  Options o_;
  const Model& model_;
  Guard guard_;
};

SYMMA_REGISTER(Learner, "maml", Maml,
               "learns a starting point for gradient descent; first or second order, Meta-SGD, ANIL",
               "Finn et al. 2017, arXiv:1703.03400; Li et al. 2017, arXiv:1707.09835; Raghu et al. 2020, "
               "arXiv:1909.09157");

}  // namespace
}  // namespace symma
