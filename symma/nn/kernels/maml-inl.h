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
T weighted_squared_error(const Plan& plan, T* y, const T* target, const T* weight) {
  const int64_t out = plan.layer[plan.depth - 1].out, ld = plan.ld_y();
  T sum = 0;
  for (int64_t k = 0; k < plan.samples; ++k) {
    const T scale = weight[k] / static_cast<T>(out);
    for (int64_t j = 0; j < out; ++j) {
      const T d = y[k * ld + j] - target[k * out + j];
      sum += scale * d * d;
      y[k * ld + j] = 2 * scale * d;
    }
  }
  return sum;
}

template <class T>
T cross_entropy(const Points<T>& points, T* y) {
  const Plan& plan = *points.plan;
  const int64_t* label = static_cast<const int64_t*>(points.y);
  const int64_t out = plan.layer[plan.depth - 1].out, ld = plan.ld_y();
  const T alike = 1 / static_cast<T>(plan.samples);
  T sum = 0;
  for (int64_t k = 0; k < plan.samples; ++k) {
    const T scale = points.weight ? points.weight[k] : alike;
    T* z = y + k * ld;
    T top = z[0];
    for (int64_t j = 1; j < out; ++j) top = z[j] > top ? z[j] : top;
    const T own = z[label[k]] - top;
    T total = 0;
    for (int64_t j = 0; j < out; ++j) total += z[j] = exp_of(z[j] - top);
    const T loss = (sizeof(T) == 4 ? __builtin_logf(total) : __builtin_log(total)) - own;
    sum += points.weight ? scale * loss : loss;
    const T over = scale / total;
    for (int64_t j = 0; j < out; ++j) z[j] *= over;
    z[label[k]] -= scale;
  }
  return points.weight ? sum : sum * alike;
}

template <class T>
SYMMA_INLINE inline T loss_head(const Points<T>& points, HeadLoss loss, T* y) {
  if (loss == HeadLoss::kCrossEntropy) return cross_entropy(points, y);
  const T* target = static_cast<const T*>(points.y);
  return points.weight ? weighted_squared_error(*points.plan, y, target, points.weight)
                       : squared_error(*points.plan, y, target);
}

// R{y} becomes R{dL/dy}: the loss's own Hessian times it. Softmax p is had back from dL/dy = w (p - [label]),
// w a point's share of the loss.
template <class T>
void loss_head_r(const Points<T>& points, HeadLoss loss, const T* gy, T* ry) {
  const Plan& plan = *points.plan;
  const int64_t out = plan.layer[plan.depth - 1].out, ld = plan.ld_y(), samples = plan.samples;
  if (loss == HeadLoss::kSquaredError && !points.weight) {
    const T scale = 2 / static_cast<T>(samples * out);
    for (int64_t i = 0; i < samples * ld; ++i) ry[i] *= scale;
    return;
  }
  if (loss == HeadLoss::kSquaredError) {
    for (int64_t k = 0; k < samples; ++k) {
      const T scale = 2 * points.weight[k] / static_cast<T>(out);
      for (int64_t j = 0; j < ld; ++j) ry[k * ld + j] *= scale;
    }
    return;
  }
  const int64_t* label = static_cast<const int64_t*>(points.y);
  const T alike = 1 / static_cast<T>(samples);
  for (int64_t k = 0; k < samples; ++k) {
    const T scale = points.weight ? points.weight[k] : alike;
    const T* g = gy + k * ld;
    T* r = ry + k * ld;
    T mean = r[label[k]] * scale;  // w p . r
    for (int64_t j = 0; j < out; ++j) mean += g[j] * r[j];
    if (scale > 0) mean /= scale;  // a point that counts nothing has no derivatives
    for (int64_t j = 0; j < out; ++j) r[j] = (g[j] + (j == label[k] ? scale : 0)) * (r[j] - mean);
  }
}

// Forward, loss and deltas at theta; the gradient where it is wanted. Returns the loss.
template <class T>
SYMMA_INLINE inline T learn(const Points<T>& points, HeadLoss loss, const T* theta, T* transposes, T* acts,
                            T* deltas, T* y, T* gradient) {
  const Plan& plan = *points.plan;
  transpose_weights(plan, theta, false, transposes);
  forward(plan, theta, points.x, acts, y);
  const T value = loss_head(points, loss, y);
  backward<T>(plan, theta, transposes, points.x, acts, y, deltas, gradient, nullptr);
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
    const T loss = learn<T>(points, row.loss, theta, row.transposes + k * row.transposes_step,
                            row.acts + k * row.acts_step, row.deltas + k * row.deltas_step,
                            row.outputs + k * row.outputs_step, g);
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
  loss_head_r(row.support, row.loss, gy, row.routput);
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
    row.support_loss = loss_head(row.support, row.loss, row.outputs);
  }
  // The query's buffers are the step after the last; with recompute they are the only ones.
  row.query_loss =
      learn<T>(row.query, row.loss, row.thetas + steps * row.thetas_step,
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
      learn<T>(row.support, row.loss, theta, transposes, acts, deltas, gy, nullptr);
    }
    hessian_product(row, theta, transposes, acts, deltas, gy);
    const T* __restrict h = row.product;
    for (int64_t i = 0; i < n; ++i) meta[i] -= h[i];
  }
}

// No steps: the mean of both losses, and its gradient.
template <class T>
void pooled(MamlRow<T>& row) {
  const auto of = [&](const Points<T>& points, T* gradient) {
    return learn<T>(points, row.loss, row.thetas, row.transposes, row.acts, row.deltas, row.outputs,
                    gradient);
  };
  // An example that is a task of its own is support and query at once.
  if (row.query.x == row.support.x && row.query.y == row.support.y && !row.query.weight &&
      !row.support.weight) {
    row.query_loss = row.support_loss = of(row.query, row.meta);
    return;
  }
  row.support_loss = of(row.support, row.product);
  row.query_loss = (row.support_loss + of(row.query, row.meta)) / 2;
  const int64_t n = row.support.plan->padded;
  const T* __restrict g = row.product;
  T* __restrict meta = row.meta;
  for (int64_t i = 0; i < n; ++i) meta[i] = (g[i] + meta[i]) / 2;
}

// Where the steps end, in place of a gradient.
template <class T>
void to_the_end(MamlRow<T>& row) {
  adapt(row);
  const int64_t n = row.support.plan->padded;
  for (int64_t i = 0; i < n; ++i) row.meta[i] = row.start[i] - row.thetas[i];
}
