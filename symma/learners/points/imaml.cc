// Implicit MAML: the inner problem has a proximal term and is solved well; the meta-gradient comes from its
// solution, not from the path to it. Rajeswaran et al. 2019, arXiv:1909.04630.
//
//   phi = argmin L_support(phi) + lambda/2 |phi - theta|^2
//   meta-gradient g solves (I + H / lambda) g = grad L_query(phi),  H the Hessian of L_support at phi
//   (equation 6)
//
// by conjugate gradients, one system for each row, all rows at once. A perceptron on labelled points takes
// one kernel for all of it (fused.h).
//
// With learn_lambda every parameter has a weight of its own, L its diagonal, learned with the start: phi is
// then the most probable one under a normal prior with mean theta and precisions L, and what is learned is
// that prior (MAML as hierarchical Bayes: Grant et al. 2018, arXiv:1801.08930). g solves (I + H L^-1) g =
// grad L_query(phi), and the gradient in log L is -g (phi - theta), element by element. Since H is symmetric,
// g = L^1/2 y with (I + L^-1/2 H L^-1/2) y = L^-1/2 grad L_query(phi). A row is [model, log L].
//
// inner_solver = "newton" is for models of a few numbers, whose parameters move the loss by powers of ten
// more or less than each other: the most probable person of a few rates is then found in ten steps, and g by
// the same Hessian, without conjugate gradients. Where the loss curves down, a step goes as far along as it
// would go back (Dauphin et al. 2014, arXiv:1406.2572), and is halved until the inner problem's loss falls.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "symma/core/errors.h"
#include "symma/learners/fused.h"
#include "symma/learners/outer.h"

namespace symma {
namespace {

class Imaml : public Learner, public Guarded {
 public:
  struct Options {
    int64_t inner_steps = 16, cg_steps = 5;
    double inner_lr = 0.01, lambda = 2.0;
    bool learn_lambda = false;
    std::string inner_solver = "gradient";
    OuterOptions outer;
    void fields(Fields& f) {
      f.add("inner_steps", inner_steps, "steps on the inner problem").at_least(1);
      f.add("inner_lr", inner_lr, "step size of gradient steps on it; the paper has 0.1 on images").above(0);
      f.add("inner_solver", inner_solver,
            "how the inner problem is solved: by gradient steps, or for models of a few numbers by Newton's")
          .one_of({"gradient", "newton"});
      f.add("lambda", lambda, "weight of the proximal term").above(0);
      f.add("learn_lambda", learn_lambda,
            "learn a weight for each parameter: how far it may differ from task to task");
      f.add("cg_steps", cg_steps, "steps of conjugate gradients, with gradient steps").at_least(1);
      outer.fields(f);
    }
  };

  Imaml(const Options& options, const LearnerSetting& setting)
      : o_(options), model_(setting.model), guard_(setting.guard) {
    constexpr int64_t kMost = 128;  // a Hessian takes as many products
    if (newton() && model_.layout().size() > kMost)
      throw UserError("[learner] inner_solver",
                      fmt::format("\"newton\" solves for up to {} parameters, and this model has {}", kMost,
                                  model_.layout().size()),
                      "use \"gradient\", or a smaller [model]");
  }

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    State state = State::of(model_.init(split_each(keys, "model")).to(type));
    if (o_.learn_lambda)
      state.theta = at::cat({state.theta, at::full_like(state.theta, std::log(o_.lambda))}, 1);
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
    const Tensor rows = hand_out(state.theta, batch.size()), start = model_part(rows);
    if (!o_.learn_lambda && !newton()) {
      if (auto path =
              fused_descent(model_, start, at::full({}, o_.inner_lr, at::kDouble), batch, steps, o_.lambda))
        return *path;
    }
    const Tensor pull = pulls(rows);
    return walk(start, steps, [&](const Tensor& phi, int64_t k) {
      return inner_step(phi, start, pull, batch, rng.split("inner", k));
    });
  }

  bool guards_examples() const override { return false; }

 private:
  Tensor model_part(const Tensor& rows) const { return rows.narrow(1, 0, model_.layout().size()); }
  // The weights of the proximal term: [b, P], or one number.
  Tensor pulls(const Tensor& rows) const {
    const int64_t p = model_.layout().size();
    return o_.learn_lambda ? rows.narrow(1, p, p).exp() : at::full({1, 1}, o_.lambda, rows.options());
  }

  bool newton() const { return o_.inner_solver == "newton"; }

  Tensor inner_step(const Tensor& phi, const Tensor& start, const Tensor& pull, const TaskBatch& batch,
                    Rng rng) const {
    if (newton()) return newton_step(phi, start, pull, batch, rng);
    const Tensor at = leaf(phi);
    const Tensor grad = row_gradient(batch.loss(at, Stage::kSupport, rng), at, false);
    return phi - o_.inner_lr * (grad + pull * (phi - start));
  }

  // The Hessian of the inner problem at `at`, a leaf, as its eigenvalues [b, P], without their signs, and
  // vectors [b, P, P]. A row that is not finite has ones.
  std::pair<Tensor, Tensor> spectrum(const Tensor& grad, const Tensor& at, const Tensor& pull) const {
    const int64_t p = at.size(1);
    std::vector<Tensor> columns;
    for (int64_t k = 0; k < p; ++k) {
      Tensor unit = at::zeros_like(grad, at::MemoryFormat::Contiguous).detach();
      unit.select(1, k).fill_(1);
      columns.push_back(vector_jacobian(grad, at, unit));
    }
    Tensor h = at::stack(columns, 2) + at::diag_embed(pull.expand_as(at));
    h = at::where(h.isfinite().flatten(1).all(1).view({-1, 1, 1}), h, at::eye(p, at.options()));
    const auto [values, vectors] = at::linalg_eigh(h);
    return {values.abs().clamp_min(1e-6), vectors};
  }

  // x of H x = v, by what `spectrum` gives.
  static Tensor solved(const std::pair<Tensor, Tensor>& h, const Tensor& v) {
    const auto& [values, vectors] = h;
    return at::bmm(vectors, at::bmm(vectors.mT(), v.unsqueeze(2)) / values.unsqueeze(2)).squeeze(2);
  }

  Tensor newton_step(const Tensor& phi, const Tensor& start, const Tensor& pull, const TaskBatch& batch,
                     Rng rng) const {
    constexpr int kHalvings = 12;
    const auto total = [&](const Tensor& rows, const Tensor& loss) {
      return loss.detach() + (pull * (rows - start).square()).sum(1) / 2;
    };
    const Tensor at = leaf(phi), loss = batch.loss(at, Stage::kSupport, rng);
    const Tensor grad = row_gradient(loss, at, true);
    const Tensor step = solved(spectrum(grad, at, pull), grad.detach() + pull * (phi - start));
    // The last steps change the loss by less than it is rounded by.
    const double eps = phi.scalar_type() == at::kFloat ? std::numeric_limits<float>::epsilon()
                                                       : std::numeric_limits<double>::epsilon();
    Tensor before = total(phi, loss);
    before = before + 4 * eps * before.abs();
    Tensor out = phi, open = at::ones_like(before).to(at::kBool);
    for (int k = 0; k < kHalvings; ++k) {
      const Tensor there = phi - step / (1 << k);
      const Tensor lower = open & (total(there, batch.loss(there, Stage::kSupport, rng)) <= before);
      out = at::where(lower.unsqueeze(1), there, out);
      open = open & ~lower;
      if (!open.any().item<bool>()) break;
    }
    return out;
  }

  Gradients meta_gradient(const Tensor& rows, const TaskBatch& batch, Rng rng) const {
    if (!o_.learn_lambda && !newton()) {
      if (const auto fused = fused_maml(model_, rows, at::full({}, o_.inner_lr, at::kDouble), batch,
                                        {.by = MetaGradient::kSolution,
                                         .inner_steps = o_.inner_steps,
                                         .pull = o_.lambda,
                                         .cg_steps = o_.cg_steps}))
        return fused->start;
    }
    const Tensor start = model_part(rows), pull = pulls(rows);
    Tensor phi = start;
    for (int64_t k = 0; k < o_.inner_steps; ++k)
      phi = inner_step(phi, start, pull, batch, rng.split("inner", k));
    const Tensor at = leaf(phi);
    const Tensor loss = batch.loss(at, Stage::kQuery, rng.split("outer"));
    const Tensor wanted = row_gradient(loss, at, false);
    // The support gradient's graph, kept for one Hessian-vector product after another.
    const Tensor grad = row_gradient(batch.loss(at, Stage::kSupport, rng.split("hessian")), at, true);
    const Tensor g =
        newton() ? pull * solved(spectrum(grad, at, pull), wanted) : conjugate(grad, at, pull, wanted);
    return {o_.learn_lambda ? at::cat({g, -g * (phi - start)}, 1) : g, loss.detach()};
  }

  // g of (I + H L^-1) g = wanted, by conjugate gradients.
  Tensor conjugate(const Tensor& grad, const Tensor& at, const Tensor& pull, const Tensor& wanted) const {
    const Tensor root = pull.sqrt();
    const auto product = [&](const Tensor& v) { return v + vector_jacobian(grad, at, v / root) / root; };
    const auto dot = [](const Tensor& x, const Tensor& y) { return (x * y).sum(1, true); };
    Tensor x = wanted / root, r = x - product(x), p = r, rr = dot(r, r);
    for (int64_t k = 0; k < o_.cg_steps; ++k) {
      const Tensor ap = product(p);
      // A row that has converged has r = 0: its step is 0, not 0/0.
      const Tensor curvature = dot(p, ap);
      const Tensor alpha = at::where(curvature.abs() > 0, rr / curvature, at::zeros_like(rr));
      x = x + alpha * p;
      r = r - alpha * ap;
      const Tensor next = dot(r, r);
      p = r + at::where(rr > 0, next / rr, at::zeros_like(rr)) * p;
      rr = next;
    }
    return root * x;
  }

  Options o_;
  const Model& model_;
  Guard guard_;
};

SYMMA_REGISTER(Learner, "imaml", Imaml, "meta-gradients from the solution of a proximal inner problem",
               "Rajeswaran et al. 2019, arXiv:1909.04630");

}  // namespace
}  // namespace symma
