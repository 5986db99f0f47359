// The meta-gradient from the solution of the inner problem (Rajeswaran et al. 2019, arXiv:1909.04630): x with
// (I + H / pull) x = grad L_q, by conjugate gradients.

template <class T>
SYMMA_INLINE inline T dot(int64_t n, const T* a, const T* b) {
  using V = Vec<T, 32>;
  constexpr int64_t kLane = 32 / sizeof(T);
  V sum[4]{};
  int64_t i = 0;
  for (; i + 4 * kLane <= n; i += 4 * kLane) {
#pragma GCC unroll 4
    for (int64_t j = 0; j < 4; ++j)
      sum[j] = fma(load<T, 32>(a + i + j * kLane), load<T, 32>(b + i + j * kLane), sum[j]);
  }
  T rest = 0;
  for (; i < n; ++i) rest += a[i] * b[i];
  return sum_lanes((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest;
}

template <class T>
void from_solution(MamlRow<T>& row) {
  adapt(row);
  const Plan& plan = *row.support.plan;
  const int64_t n = plan.padded;
  const T* theta = row.thetas;
  const T over = 1 / row.pull;
  T *x = row.meta, *p = row.direction, *r = row.residual, *ap = row.product;
  row.query_loss = learn<T>(row.query, row.loss, theta, row.transposes, row.acts, row.deltas, row.outputs, x);
  learn<T>(row.support, row.loss, theta, row.transposes, row.acts, row.deltas, row.outputs, nullptr);
  const auto product = [&]() SYMMA_INLINE {
    hessian_product<T>(row, theta, row.transposes, row.acts, row.deltas, row.outputs);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) ap[i] = p[i] + ap[i] * over;
  };
  // It begins with x = b, the gradient itself.
  for (int64_t i = 0; i < n; ++i) p[i] = x[i];
  product();
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) p[i] = r[i] = x[i] - ap[i];
  T rr = dot(n, r, r);
  for (int64_t k = 0; k < row.cg_steps; ++k) {
    product();
    // A row that has converged has r = 0: its step is 0, not 0/0.
    const T curvature = dot(n, p, ap), alpha = curvature > 0 || curvature < 0 ? rr / curvature : 0;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) x[i] += alpha * p[i], r[i] -= alpha * ap[i];
    const T next = dot(n, r, r), beta = rr > 0 ? next / rr : 0;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) p[i] = r[i] + beta * p[i];
    rr = next;
  }
}
