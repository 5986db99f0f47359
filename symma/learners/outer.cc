#include "symma/learners/outer.h"

#include "symma/core/clones.h"
#include "symma/core/parallel.h"
#include "symma/learners/batch_norm.h"

namespace symma {
namespace {

template <class T>
struct Adam {
  T beta1, beta2, eps, scale, unbias;  // scale = lr / (1 - beta1^t), unbias = 1 / (1 - beta2^t)
};

// One pass over memory; outputs may be the inputs.
template <class T>
[[gnu::always_inline]] inline void adam_run(Adam<T> a, int64_t n, const T* g, const T* m, const T* v,
                                            const T* theta, T* to_m, T* to_v, T* to_theta) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const T mean = m[i] * a.beta1 + g[i] * (1 - a.beta1),
            square = v[i] * a.beta2 + g[i] * g[i] * (1 - a.beta2);
    to_m[i] = mean;
    to_v[i] = square;
    to_theta[i] = theta[i] - a.scale * mean / (root(square * a.unbias) + a.eps);
  }
}

SYMMA_CLONES __attribute__((optimize("no-math-errno"))) void adam_piece(Adam<float> a, int64_t n,
                                                                        const float* g, const float* m,
                                                                        const float* v, const float* theta,
                                                                        float* to_m, float* to_v,
                                                                        float* to_theta) {
  adam_run(a, n, g, m, v, theta, to_m, to_v, to_theta);
}
SYMMA_CLONES __attribute__((optimize("no-math-errno"))) void adam_piece(Adam<double> a, int64_t n,
                                                                        const double* g, const double* m,
                                                                        const double* v, const double* theta,
                                                                        double* to_m, double* to_v,
                                                                        double* to_theta) {
  adam_run(a, n, g, m, v, theta, to_m, to_v, to_theta);
}

// `t` itself where nobody else can see its memory, else new memory of its size. A fleet of ten thousand would
// hold its parameters and moments twice otherwise.
Tensor memory_of(const Tensor& t) {
  const bool alone = t.is_contiguous() && t.use_count() == 1 && t.storage().use_count() == 1;
  return alone ? t : at::empty(t.sizes(), t.options());
}

void adam(const OuterOptions& o, State& state, const Tensor& grad, double lr) {
  const double t = static_cast<double>(state.step);
  const double scale = lr / (1 - std::pow(o.beta1, t)), unbias = 1 / (1 - std::pow(o.beta2, t));
  Tensor &m = state.own.at("adam.m"), &v = state.own.at("adam.v");
  if (!state.theta.is_cpu()) {
    m = m * o.beta1 + grad * (1 - o.beta1);
    v = (v * o.beta2).addcmul_(grad, grad, 1 - o.beta2);
    state.theta = at::addcdiv(state.theta, m, (v * unbias).sqrt_().add_(o.eps), -scale);
    return;
  }
  const Tensor new_m = memory_of(m), new_v = memory_of(v), new_theta = memory_of(state.theta);
  const Tensor g = grad.contiguous(), from_m = m.contiguous(), from_v = v.contiguous(),
               from = state.theta.contiguous();
  AT_DISPATCH_FLOATING_TYPES(from.scalar_type(), "adam", [&] {
    using T = scalar_t;
    const Adam<T> a{static_cast<T>(o.beta1), static_cast<T>(o.beta2), static_cast<T>(o.eps),
                    static_cast<T>(scale), static_cast<T>(unbias)};
    const T *gp = g.data_ptr<T>(), *mp = from_m.data_ptr<T>(), *vp = from_v.data_ptr<T>(),
            *tp = from.data_ptr<T>();
    T *nm = new_m.data_ptr<T>(), *nv = new_v.data_ptr<T>(), *nt = new_theta.data_ptr<T>();
    parallel_for(from.numel(), 1 << 15, [&](int64_t i, int64_t end) {
      adam_piece(a, end - i, gp + i, mp + i, vp + i, tp + i, nm + i, nv + i, nt + i);
    });
  });
  m = new_m, v = new_v, state.theta = new_theta;
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
  adam(o, state, grad, lr);
}

Scores outer_update(const OuterOptions& o, const Model& model, const Guard& guard, State& state,
                    const TaskBatch& batch, Rng rng,
                    const std::function<Gradients(const Tensor&, const TaskBatch&, Rng)>& work) {
  const Gradients g = gather(state, batch, piece_size(model), rng, work, guard);
  outer_step(o, state, g.grad);
  observe_statistics(model, state, batch);
  return {{"loss", g.loss}};
}

}  // namespace symma
