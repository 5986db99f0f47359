#include "symma/tasks/advantages.h"

namespace symma {

Tensor linear_values(const Rollout& o, const Tensor& reward, int64_t seen, double gamma) {
  at::NoGradGuard no_grad;
  const int64_t r = reward.size(0), e = reward.size(1), t = reward.size(2);
  const auto real = at::TensorOptions().dtype(at::kDouble);
  const Tensor alive = o.alive.to(real);
  // Returns to go, from the end backwards.
  Tensor to_go = at::zeros({r, e, t}, real), sum = at::zeros({r, e}, real);
  const Tensor paid = reward.to(real) * alive;
  for (int64_t s = t; s-- > 0;) {
    sum = paid.select(2, s) + gamma * sum;
    to_go.select(2, s).copy_(sum);
  }
  const Tensor x = o.input.narrow(2, 0, t).narrow(4, 0, seen).reshape({r, e, t, -1}).to(real).clamp(-10, 10);
  const Tensor time = (0.01 * at::arange(t, real)).view({1, 1, t, 1}).expand({r, e, t, 1});
  const Tensor features =
      at::cat({x, x.square(), time, time.square(), time.pow(3), at::ones_like(time)}, 3) * alive.unsqueeze(3);
  const int64_t f = features.size(3);
  const Tensor points = features.view({r, e * t, f}), transposed = points.transpose(1, 2);
  const Tensor gram = at::bmm(transposed, points) + 1e-5 * at::eye(f, real);
  const Tensor weights = at::linalg_solve(gram, at::bmm(transposed, to_go.view({r, e * t, 1})));
  const Tensor value = at::bmm(points, weights).view({r, e, t});
  return at::constant_pad_nd(value, {0, 1}, 0).to(reward.scalar_type());
}

Tensor generalised_advantages(const Tensor& reward, const Tensor& alive, const Tensor& value, double gamma,
                              double lambda) {
  const int64_t t = reward.size(2);
  const Tensor delta = (reward + gamma * value.narrow(2, 1, t) - value.narrow(2, 0, t)) * alive;
  Tensor out = at::zeros_like(reward), sum = at::zeros_like(delta.select(2, 0));
  for (int64_t s = t; s-- > 0;) {
    sum = delta.select(2, s) + gamma * lambda * sum;
    out.select(2, s).copy_(sum);
  }
  return out;
}

Tensor standardised(const Tensor& advantage, const Tensor& alive) {
  const Tensor steps = alive.sum({1, 2}, true).clamp_min(1);
  const Tensor apart = (advantage - (advantage * alive).sum({1, 2}, true) / steps) * alive;
  return apart / ((apart.square().sum({1, 2}, true) / steps).sqrt() + 1e-8);
}

Tensor clipped_surrogate(const Tensor& log_p, const Tensor& drawn, const Tensor& advantage,
                         const Tensor& alive, double clip) {
  const auto type = log_p.scalar_type();
  const Tensor there = alive.to(type), a = advantage.to(type);
  const Tensor q = ((log_p - drawn.to(type)) * there).exp();
  return -mean_over_steps(at::minimum(q * a, q.clamp(1 - clip, 1 + clip) * a), there);
}

Tensor mean_over_steps(const Tensor& x, const Tensor& alive) {
  return (x * alive).sum({1, 2}) / alive.sum({1, 2}).clamp_min(1);
}

Tensor policy_surrogate(const Tensor& log_p, const Tensor& drawn, const Tensor& advantage,
                        const Tensor& alive, bool low_variance) {
  const Tensor l = (log_p - drawn) * alive;
  if (low_variance) return -mean_over_steps(l.exp() * advantage, alive);
  const Tensor sum = l.cumsum(2);
  return -mean_over_steps((sum.exp() - (sum - l).exp()) * advantage, alive);
}

}  // namespace symma
