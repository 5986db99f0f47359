#include "symma/learners/adam.h"

#include "symma/core/parallel.h"
#include "symma/core/simd.h"
#include "symma/learners/rows.h"

namespace symma {
namespace {

template <class T>
struct Constants {
  T beta1, beta2, eps, scale, unbias;  // scale = lr / (1 - beta1^t), unbias = 1 / (1 - beta2^t)
};

// One pass over memory; outputs may be the inputs.
template <class T>
[[gnu::always_inline]] inline void adam_run(Constants<T> a, int64_t n, const T* g, const T* m, const T* v,
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

SYMMA_CLONES __attribute__((optimize("no-math-errno"))) void adam_piece(Constants<float> a, int64_t n,
                                                                        const float* g, const float* m,
                                                                        const float* v, const float* theta,
                                                                        float* to_m, float* to_v,
                                                                        float* to_theta) {
  adam_run(a, n, g, m, v, theta, to_m, to_v, to_theta);
}
SYMMA_CLONES __attribute__((optimize("no-math-errno"))) void adam_piece(Constants<double> a, int64_t n,
                                                                        const double* g, const double* m,
                                                                        const double* v, const double* theta,
                                                                        double* to_m, double* to_v,
                                                                        double* to_theta) {
  adam_run(a, n, g, m, v, theta, to_m, to_v, to_theta);
}

// `t` itself where nobody else can see its memory, else new memory of its size. A fleet of ten thousand would
// hold its parameters and moments twice otherwise.
Tensor memory_of(const Tensor& t) {
  return sole_owner(t) ? t : at::empty(t.sizes(), t.options());
}

}  // namespace

void adam_step(const AdamOptions& o, Tensor& rows, Tensor& m, Tensor& v, const Tensor& grad,
               const std::vector<double>& lr, const Tensor& t) {
  at::NoGradGuard no_grad;
  const int64_t n = rows.size(0), q = rows.size(1);
  std::vector<double> scale(n), unbias(n);
  const std::vector<int64_t> clock = whole_numbers(t);
  double first = 0, second = 0;  // 1 - beta^t
  for (int64_t i = 0; i < n; ++i) {
    if (i == 0 || clock[i] != clock[i - 1]) {
      first = 1 - std::pow(o.beta1, static_cast<double>(clock[i]));
      second = 1 - std::pow(o.beta2, static_cast<double>(clock[i]));
    }
    scale[i] = lr[i] / first, unbias[i] = 1 / second;
  }
  if (!rows.is_cpu()) {
    const auto column = [&](const std::vector<double>& x) {
      return at::tensor(x, at::kDouble).unsqueeze(1).to(rows.options());
    };
    m = m * o.beta1 + grad * (1 - o.beta1);
    v = (v * o.beta2).addcmul_(grad, grad, 1 - o.beta2);
    rows = rows - column(scale) * m / (v * column(unbias)).sqrt_().add_(o.eps);
    return;
  }
  const Tensor new_m = memory_of(m), new_v = memory_of(v), new_rows = memory_of(rows);
  const Tensor g = grad.contiguous(), from_m = m.contiguous(), from_v = v.contiguous(),
               from = rows.contiguous();
  AT_DISPATCH_FLOATING_TYPES(from.scalar_type(), "adam", [&] {
    using T = scalar_t;
    const T *gp = g.data_ptr<T>(), *mp = from_m.data_ptr<T>(), *vp = from_v.data_ptr<T>(),
            *tp = from.data_ptr<T>();
    T *nm = new_m.data_ptr<T>(), *nv = new_v.data_ptr<T>(), *nt = new_rows.data_ptr<T>();
    parallel_for(n * q, 1 << 15, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end;) {
        const int64_t row = i / q, until = std::min(end, (row + 1) * q);
        const Constants<T> a{static_cast<T>(o.beta1), static_cast<T>(o.beta2), static_cast<T>(o.eps),
                             static_cast<T>(scale[row]), static_cast<T>(unbias[row])};
        adam_piece(a, until - i, gp + i, mp + i, vp + i, tp + i, nm + i, nv + i, nt + i);
        i = until;
      }
    });
  });
  m = new_m, v = new_v, rows = new_rows;
}

void adam_init(State& state) {
  state.own["adam.m"] = at::zeros_like(state.theta);
  state.own["adam.v"] = at::zeros_like(state.theta);
  state.own["adam.t"] = at::zeros({state.size()}, at::kLong);
}

void adam_step(State& state, const Tensor& grad, const std::vector<double>& lr, const AdamOptions& o) {
  Tensor& t = state.own.at("adam.t");
  t = t + 1;
  adam_step(o, state.theta, state.own.at("adam.m"), state.own.at("adam.v"), grad, lr, t.cpu());
}

Tensor Adam::step(const Tensor& rows, const Tensor& grad, double lr) {
  if (t_ == 0) m_ = at::zeros_like(grad), v_ = at::zeros_like(grad);
  const int64_t n = rows.size(0);
  Tensor out = rows;
  adam_step(o_, out, m_, v_, grad, std::vector<double>(n, lr), at::full({n}, ++t_, at::kLong));
  return out;
}

}  // namespace symma
