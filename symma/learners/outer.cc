#include "symma/learners/outer.h"

#include "symma/learners/adam.h"
#include "symma/learners/batch_norm.h"

namespace symma {
namespace {

// Each agent's step size, by its own clock.
std::vector<double> rates(const OuterOptions& o, const State& state) {
  std::vector<double> out(state.size(), o.meta_lr);
  if (o.halve_every == 0) return out;
  const std::vector<int64_t> steps = whole_numbers(state.steps);
  for (size_t i = 0; i < out.size(); ++i)
    out[i] *= std::exp2(-static_cast<double>(steps[i]) / static_cast<double>(o.halve_every));
  return out;
}

}  // namespace

void outer_init(const OuterOptions& o, State& state) {
  if (o.proximal > 0) state.own["anchor"] = state.theta;
  if (o.optimizer != "adam") return;
  state.own["adam.m"] = at::zeros_like(state.theta);
  state.own["adam.v"] = at::zeros_like(state.theta);
}

void outer_step(const OuterOptions& o, State& state, Tensor grad) {
  at::NoGradGuard no_grad;
  const std::vector<double> lr = rates(o, state);
  state.steps = state.steps + 1;
  if (o.clip_norm > 0) {
    const Tensor norm = grad.norm(2, 1, true);
    grad = at::where(norm.isfinite(), grad * (o.clip_norm / norm.clamp_min(o.clip_norm)),
                     at::zeros({}, grad.options()));
  }
  if (o.proximal > 0) grad = grad + o.proximal * (state.theta - state.own.at("anchor"));
  if (o.optimizer == "sgd") {
    state.theta = state.theta - at::tensor(lr, at::kDouble).unsqueeze(1).to(grad.options()) * grad;
    return;
  }
  adam_step({o.beta1, o.beta2, o.eps}, state.theta, state.own.at("adam.m"), state.own.at("adam.v"), grad, lr,
            state.steps);
}

Scores outer_update(const OuterOptions& o, const Model& model, const Guard& guard, State& state,
                    const TaskBatch& batch, Rng rng,
                    const std::function<Gradients(const Tensor&, const TaskBatch&, Rng)>& work) {
  const Gradients g = gather(state, batch, pieces_of(state, model, batch.size()), rng, work, guard);
  outer_step(o, state, g.grad);
  observe_statistics(model, state, batch);
  return {{"loss", g.loss}};
}

}  // namespace symma
