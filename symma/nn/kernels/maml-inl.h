// Losses on an MLP's output, inner steps, and the meta-gradient through them. See maml_mlp.h for the
// algorithm.

// y [K, ld] becomes dL/dy; returns L.
template <class T>
T squared_error(const Plan& plan, T* y, const T* target) {
  const int64_t out = plan.layer[plan.depth - 1].out, ld = plan.ld_y();
  const T scale = 1 / static_cast<T>(plan.samples * out);
  T sum = 0;
  for (int64_t k = 0; k < plan.samples; ++k) {
    for (int64_t j = 0; j < out; ++j) {
      const T d = y[k * ld + j] - target[k * out + j];
      sum += d * d;
      y[k * ld + j] = 2 * scale * d;
    }
  }
  return sum * scale;
}

template <class T>
T cross_entropy(const Plan& plan, T* y, const int64_t* label) {
  const int64_t out = plan.layer[plan.depth - 1].out, ld = plan.ld_y();
  const T scale = 1 / static_cast<T>(plan.samples);
  T sum = 0;
  for (int64_t k = 0; k < plan.samples; ++k) {
    T* z = y + k * ld;
    T top = z[0];
    for (int64_t j = 1; j < out; ++j) top = z[j] > top ? z[j] : top;
    const T own = z[label[k]] - top;
    T total = 0;
    for (int64_t j = 0; j < out; ++j) total += z[j] = exp_of(z[j] - top);
    sum += (sizeof(T) == 4 ? __builtin_logf(total) : __builtin_log(total)) - own;
    const T over = scale / total;
    for (int64_t j = 0; j < out; ++j) z[j] *= over;
    z[label[k]] -= scale;
  }
  return sum * scale;
}

template <class T>
SYMMA_INLINE inline T loss_head(const Plan& plan, HeadLoss loss, T* y, const void* target) {
  if (loss == HeadLoss::kSquaredError) return squared_error(plan, y, static_cast<const T*>(target));
  return cross_entropy(plan, y, static_cast<const int64_t*>(target));
}

// R{y} becomes R{dL/dy}: the loss's own Hessian times it. Softmax p is had back from dL/dy = (p - [label]) /
// K.
template <class T>
void loss_head_r(const Plan& plan, HeadLoss loss, const T* gy, const void* target, T* ry) {
  const int64_t out = plan.layer[plan.depth - 1].out, ld = plan.ld_y(), samples = plan.samples;
  if (loss == HeadLoss::kSquaredError) {
    const T scale = 2 / static_cast<T>(samples * out);
    for (int64_t i = 0; i < samples * ld; ++i) ry[i] *= scale;
    return;
  }
  const int64_t* label = static_cast<const int64_t*>(target);
  const T scale = 1 / static_cast<T>(samples);
  for (int64_t k = 0; k < samples; ++k) {
    const T* g = gy + k * ld;
    T* r = ry + k * ld;
    T mean = r[label[k]] * scale;  // p . r / K
    for (int64_t j = 0; j < out; ++j) mean += g[j] * r[j];
    mean /= scale;
    for (int64_t j = 0; j < out; ++j) r[j] = (g[j] + (j == label[k] ? scale : 0)) * (r[j] - mean);
  }
}

// Forward, loss and deltas at theta; the gradient where it is wanted. Returns the loss.
template <class T>
SYMMA_INLINE inline T learn(const Plan& plan, HeadLoss loss, const T* theta, const T* x, const void* target,
                            T* transposes, T* acts, T* deltas, T* y, T* gradient) {
  transpose_weights(plan, theta, false, transposes);
  forward(plan, theta, x, acts, y);
  const T value = loss_head(plan, loss, y, target);
  backward<T>(plan, theta, transposes, x, acts, y, deltas, gradient, nullptr);
  return value;
}

template <class T>
SYMMA_INLINE inline void step_down(const MamlRow<T>& row, const T* theta, const T* g, T* next) {
  const int64_t n = row.support.plan->padded;
  const T* rates = row.rates;
  const T rate = row.rate, pull = row.pull;
  // `next` may be `theta`.
  if (rates) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) next[i] = theta[i] - rates[i] * g[i];
  } else if (pull != 0) {
    const T* start = row.start;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) next[i] = theta[i] - rate * (g[i] + pull * (theta[i] - start[i]));
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) next[i] = theta[i] - rate * g[i];
  }
}

template <class T>
void adapt(MamlRow<T>& row) {
  for (int64_t k = 0; k < row.steps; ++k) {
    const Points<T>& points = row.in_turn && k % 2 != 0 ? row.query : row.support;
    const T* theta = row.thetas + k * row.thetas_step;
    T* g = row.gradients + k * row.gradients_step;
    const T loss = learn<T>(*points.plan, row.loss, theta, points.x, points.y,
                            row.transposes + k * row.transposes_step, row.acts + k * row.acts_step,
                            row.deltas + k * row.deltas_step, row.outputs + k * row.outputs_step, g);
    if (k == 0) row.support_loss = loss;
    if (row.in_turn) row.query_loss = loss;
    step_down(row, theta, g, row.thetas + (k + 1) * row.thetas_step);
  }
}

// The Hessian of the support loss at theta, times `direction`: to `product`. Buffers are those of `learn`.
template <class T>
SYMMA_INLINE inline void hessian_product(const MamlRow<T>& row, const T* theta, const T* transposes,
                                         const T* acts, const T* deltas, const T* gy) {
  const Plan& plan = *row.support.plan;
  const T* v = row.direction;
  transpose_weights<T>(plan, v, false, row.direction_transposes);
  forward_r<T>(plan, theta, v, row.support.x, nullptr, acts, row.racts, row.routput);
  loss_head_r(plan, row.loss, gy, row.support.y, row.routput);
  backward_r<T>(plan, theta, transposes, v, row.direction_transposes, row.support.x, nullptr, acts, deltas,
                row.racts, gy, row.routput, row.scratch, row.product, nullptr);
}

template <class T>
SYMMA_INLINE inline void times_rates(const MamlRow<T>& row, int64_t from, int64_t to, const T* __restrict g,
                                     T* __restrict out) {
  if (row.rates) {
    for (int64_t i = from; i < to; ++i) out[i] = row.rates[i] * g[i];
  } else {
    for (int64_t i = from; i < to; ++i) out[i] = row.rate * g[i];
  }
}

// The gradient in the rates, where it is asked for: on the way back, step k adds what it moved times `meta`.
template <class T>
SYMMA_INLINE inline void begin_rate_gradient(const MamlRow<T>& row, int64_t n) {
  if (!row.rate_gradient) return;
  for (int64_t i = 0; i < n; ++i) row.rate_gradient[i] = 0;
}

template <class T>
SYMMA_INLINE inline void add_rate_gradient(const MamlRow<T>& row, int64_t k, int64_t from, int64_t to) {
  T* __restrict rg = row.rate_gradient;
  if (!rg) return;
  const T *meta = row.meta, *g = row.gradients + k * row.gradients_step;
  for (int64_t i = from; i < to; ++i) rg[i] -= meta[i] * g[i];
}

template <class T>
void through_steps(MamlRow<T>& row) {
  const Plan& plan = *row.support.plan;
  const int64_t n = plan.padded, steps = row.steps;
  adapt(row);
  if (steps == 0) {
    forward(plan, row.thetas, row.support.x, row.acts, row.outputs);
    row.support_loss = loss_head(plan, row.loss, row.outputs, row.support.y);
  }
  // The query's buffers are the step after the last; with recompute they are the only ones.
  row.query_loss =
      learn<T>(*row.query.plan, row.loss, row.thetas + steps * row.thetas_step, row.query.x, row.query.y,
               row.transposes + steps * row.transposes_step, row.acts + steps * row.acts_step,
               row.deltas + steps * row.deltas_step, row.outputs + steps * row.outputs_step, row.meta);
  T* __restrict meta = row.meta;
  begin_rate_gradient(row, n);
  for (int64_t k = steps - 1; k >= 0; --k) {
    add_rate_gradient(row, k, 0, n);
    if (row.order < 2) continue;
    times_rates(row, 0, n, meta, row.direction);
    const T* theta = row.thetas + k * row.thetas_step;
    T* transposes = row.transposes + k * row.transposes_step;
    T* acts = row.acts + k * row.acts_step;
    T* deltas = row.deltas + k * row.deltas_step;
    T* gy = row.outputs + k * row.outputs_step;
    if (row.recompute) {
      learn<T>(plan, row.loss, theta, row.support.x, row.support.y, transposes, acts, deltas, gy, nullptr);
    }
    hessian_product(row, theta, transposes, acts, deltas, gy);
    const T* __restrict h = row.product;
    for (int64_t i = 0; i < n; ++i) meta[i] -= h[i];
  }
}

// Where the steps end, in place of a gradient.
template <class T>
void to_the_end(MamlRow<T>& row) {
  adapt(row);
  const int64_t n = row.support.plan->padded;
  for (int64_t i = 0; i < n; ++i) row.meta[i] = row.start[i] - row.thetas[i];
}
