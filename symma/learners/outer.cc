#include "symma/learners/outer.h"

namespace symma {

void outer_init(const OuterOptions& o, State& state) {
  if (o.proximal > 0) state.own["anchor"] = state.theta;
  if (o.optimizer != "adam") return;
  state.own["adam.m"] = at::zeros_like(state.theta);
  state.own["adam.v"] = at::zeros_like(state.theta);
}

void outer_step(const OuterOptions& o, State& state, Tensor grad) {
  at::NoGradGuard no_grad;
  const double lr =
      o.meta_lr * (o.halve_every > 0
                       ? std::exp2(-static_cast<double>(state.step) / static_cast<double>(o.halve_every))
                       : 1.0);
  ++state.step;
  if (o.clip_norm > 0) grad = grad * (o.clip_norm / grad.norm(2, 1, true).clamp_min(o.clip_norm));
  if (o.proximal > 0) grad = grad + o.proximal * (state.theta - state.own.at("anchor"));
  if (o.optimizer == "sgd") {
    state.theta = state.theta - lr * grad;
    return;
  }
  const double t = static_cast<double>(state.step);
  Tensor &m = state.own.at("adam.m"), &v = state.own.at("adam.v");
  m = m * o.beta1 + grad * (1 - o.beta1);
  v = (v * o.beta2).addcmul_(grad, grad, 1 - o.beta2);
  const double scale = lr / (1 - std::pow(o.beta1, t));
  state.theta = at::addcdiv(state.theta, m, (v / (1 - std::pow(o.beta2, t))).sqrt_().add_(o.eps), -scale);
}

}  // namespace symma
