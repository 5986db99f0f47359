// The meta-gradient through inner steps that move the last layer alone (Raghu et al. 2020, arXiv:1909.09157).
//
// The body is gone through once, forth and back, with the points of support and query together, since no step
// moves it. With z what the head reads, W_k the head, G_k = dL/dy and R_k = d^2L/dy^2 (z v) for v = r * g,
//
//   g <- g - z^T R_k,      and to the body, of the support's z:  - G_k v^T - R_k W_k^T
//
// for k = S-1..0, where the last layer's bias is one more input, 1.
template <class T>
void through_heads(MamlRow<T>& row) {
  const Plan &s = *row.support.plan, &q = *row.query.plan, &both = *row.both.plan;
  const int64_t n = s.padded, steps = row.steps, top = s.depth - 1;
  const int64_t from = s.layer[top].weight, ld = s.layer[top].ld_in;
  const T* const z = forward_body(both, row.thetas, row.both.x, row.acts);
  const T* const of_query = z + s.samples * ld;
  // Of the rows of steps past the first, the head alone is there.
  for (int64_t k = 0; k < steps; ++k) {
    const T* theta = row.thetas + k * row.thetas_step;
    T* __restrict next = row.thetas + (k + 1) * row.thetas_step;
    T* gy = row.outputs + k * row.outputs_step;
    T* g = row.gradients + k * row.gradients_step;
    forward_head(s, theta, z, gy);
    const T loss = loss_head(row.support, row.loss, gy);
    if (k == 0) row.support_loss = loss;
    weight_gradient<T>(s, top, 1, &z, &gy, gy, g);
    times_rates(row, from, n, g, next);
    for (int64_t i = from; i < n; ++i) next[i] = theta[i] - next[i];
  }
  const T* last = row.thetas + steps * row.thetas_step;
  T* const gy_query = row.outputs + steps * row.outputs_step;
  forward_head(q, last, of_query, gy_query);
  row.query_loss = loss_head(row.query, row.loss, gy_query);
  T* __restrict meta = row.meta;
  weight_gradient<T>(q, top, 1, &of_query, &gy_query, gy_query, meta);

  // What comes to z, support above query.
  T* const to_z = top > 0 ? row.deltas + both.layer[top - 1].hidden : nullptr;
  T* const transposes = row.transposes;
  if (to_z) {
    for (int64_t i = 0; i < s.samples * ld; ++i) to_z[i] = 0;
    transpose_layer(q, top, last, transposes);
    const T *delta = gy_query, *turned = transposes;
    input_gradient<T>(q, top, 1, &delta, &last, &turned, to_z + s.samples * ld);
  }
  begin_rate_gradient(row, n);
  for (int64_t k = steps - 1; k >= 0; --k) {
    add_rate_gradient(row, k, from, n);
    if (row.order < 2) continue;
    const T* theta = row.thetas + k * row.thetas_step;
    const T *gy = row.outputs + k * row.outputs_step, *ry = row.routput, *v = row.direction;
    times_rates(row, from, n, meta, row.direction);
    forward_head(s, v, z, row.routput);
    loss_head_r(row.support, row.loss, gy, row.routput);
    weight_gradient<T>(s, top, 1, &z, &ry, ry, row.product);
    for (int64_t i = from; i < n; ++i) meta[i] -= row.product[i];
    if (!to_z) continue;
    transpose_layer(s, top, v, row.direction_transposes);
    transpose_layer(s, top, theta, transposes);
    const T *pair[2] = {gy, ry}, *params[2] = {v, theta};
    const T* turned[2] = {row.direction_transposes, transposes};
    input_gradient<T>(s, top, 2, pair, params, turned, row.scratch);
    for (int64_t i = 0; i < s.samples * ld; ++i) to_z[i] -= row.scratch[i];
  }
  if (!to_z) return;
  for (int64_t l = 1; l < top; ++l) transpose_layer(both, l, row.thetas, transposes);
  activate_backward(both.activation, both.samples * ld, z, z + both.slot, z + 2 * both.slot, to_z,
                    to_z + both.slot);
  backward_from<T>(both, top - 1, row.thetas, transposes, row.both.x, row.acts, to_z, row.deltas, meta,
                   nullptr);
}
