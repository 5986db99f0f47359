// One row of an MLP: forward, backward, and R{.} of both. See plan.h for the memory layout.

template <class T>
SYMMA_INLINE inline Product<T> forward_product(const Plan& plan, int64_t l, const T* a, const T* theta) {
  const LayerPlan& y = plan.layer[l];
  return {a, y.ld_in, 1, theta + y.weight, y.ld_out, y.in};
}

// What f(0) left where the sigmoid met padding.
template <class T>
SYMMA_INLINE inline void clear_padding(int64_t samples, int64_t out, int64_t ld, T* a) {
  for (int64_t k = 0; k < samples; ++k) {
    for (int64_t j = out; j < ld; ++j) a[k * ld + j] = 0;
  }
}

SYMMA_INLINE inline bool is_narrow(const Plan& plan, int64_t l) {
  return plan.narrow_head && l + 1 == plan.depth;
}

template <class T>
void pack(const Plan& plan, const T* __restrict row, T* __restrict padded) {
  for (int64_t l = 0; l < plan.depth; ++l) {
    const LayerPlan& y = plan.layer[l];
    if (is_narrow(plan, l)) {
      transpose(y.in, y.out, row + y.weight_at, y.out, padded + y.weight, y.ld_in);
      for (int64_t j = 0; j < y.out; ++j) padded[y.bias + j] = row[y.bias_at + j];
      continue;
    }
    for (int64_t i = 0; i <= y.in; ++i) {  // the bias is the last of in + 1 lines
      const T* from = row + y.weight_at + i * y.out;
      T* to = padded + y.weight + i * y.ld_out;
      for (int64_t j = 0; j < y.out; ++j) to[j] = from[j];
      for (int64_t j = y.out; j < y.ld_out; ++j) to[j] = 0;
    }
  }
}

template <class T>
void unpack(const Plan& plan, const T* __restrict padded, T* __restrict row) {
  for (int64_t l = 0; l < plan.depth; ++l) {
    const LayerPlan& y = plan.layer[l];
    if (is_narrow(plan, l)) {
      for (int64_t j = 0; j < y.out; ++j) {
        for (int64_t i = 0; i < y.in; ++i)
          row[y.weight_at + i * y.out + j] = padded[y.weight + j * y.ld_in + i];
        row[y.bias_at + j] = padded[y.bias + j];
      }
      continue;
    }
    for (int64_t i = 0; i <= y.in; ++i) {
      const T* from = padded + y.weight + i * y.ld_out;
      T* to = row + y.weight_at + i * y.out;
      for (int64_t j = 0; j < y.out; ++j) to[j] = from[j];
    }
  }
}

template <class T>
SYMMA_INLINE inline void transpose_layer(const Plan& plan, int64_t l, const T* theta, T* transposes) {
  if (is_narrow(plan, l)) return;
  const LayerPlan& y = plan.layer[l];
  const int64_t ld = (y.in + plan.unit - 1) / plan.unit * plan.unit;
  transpose(y.in, y.out, theta + y.weight, y.ld_out, transposes + y.transposed, ld);
}

template <class T>
void transpose_weights(const Plan& plan, const T* theta, bool first_too, T* transposes) {
  for (int64_t l = first_too ? 0 : 1; l < plan.depth; ++l) transpose_layer(plan, l, theta, transposes);
}

// All layers but the last. Returns what the last one reads, [K, ld_in].
template <class T>
SYMMA_INLINE inline const T* forward_body(const Plan& plan, const T* theta, const T* x, T* acts) {
  const T* a = x;
  for (int64_t l = 0; l + 1 < plan.depth; ++l) {
    const LayerPlan& y = plan.layer[l];
    T* z = acts + y.hidden;
    matmul(plan.samples, y.ld_out, forward_product(plan, l, a, theta), theta + y.bias, 0, z, y.ld_out);
    activate(plan.activation, plan.samples * y.ld_out, z, z + plan.slot, z + 2 * plan.slot);
    if (plan.activation == Activation::kSigmoid) clear_padding(plan.samples, y.out, y.ld_out, z);
    a = z;
  }
  return a;
}

// The last layer, of what it reads.
template <class T>
SYMMA_INLINE inline void forward_head(const Plan& plan, const T* theta, const T* a, T* out) {
  const int64_t l = plan.depth - 1;
  const LayerPlan& y = plan.layer[l];
  if (is_narrow(plan, l)) {
    const Product<T> p{a, y.ld_in, 1, theta + y.weight, y.ld_in, y.ld_in};
    dots(plan.samples, y.out, &p, 1, theta + y.bias, out);
    return;
  }
  matmul(plan.samples, y.ld_out, forward_product(plan, l, a, theta), theta + y.bias, 0, out, y.ld_out);
}

template <class T>
void forward(const Plan& plan, const T* theta, const T* x, T* acts, T* out) {
  forward_head(plan, theta, forward_body(plan, theta, x, acts), out);
}

// e [K, pad(in)] = sum over pairs of delta [K, ld_out] W^T, for one pair (count 1) or two.
template <class T>
SYMMA_INLINE inline void input_gradient(const Plan& plan, int64_t l, int count, const T* const* deltas,
                                        const T* const* thetas, const T* const* transposes, T* e) {
  const LayerPlan& y = plan.layer[l];
  const int64_t ld = (y.in + plan.unit - 1) / plan.unit * plan.unit;
  Product<T> p[2];
  for (int i = 0; i < count; ++i) {
    const T* w = is_narrow(plan, l) ? thetas[i] + y.weight : transposes[i] + y.transposed;
    p[i] = {deltas[i], y.ld_out, 1, w, ld, y.out};
  }
  matmul<T>(plan.samples, ld, p, count, nullptr, 0, e, ld);
}

// Gradients of layer l in the weight and the bias: sum over pairs of a^T delta; and the column sums of
// `bias_delta`.
template <class T>
SYMMA_INLINE inline void weight_gradient(const Plan& plan, int64_t l, int count, const T* const* as,
                                         const T* const* deltas, const T* bias_delta, T* gtheta) {
  const LayerPlan& y = plan.layer[l];
  const int64_t k = plan.samples;
  Product<T> p[2];
  if (is_narrow(plan, l)) {
    for (int i = 0; i < count; ++i) p[i] = {deltas[i], 1, y.out, as[i], y.ld_in, k};
    matmul<T>(y.out, y.ld_in, p, count, nullptr, 0, gtheta + y.weight, y.ld_in);
    for (int64_t j = 0; j < y.out; ++j) {
      T sum = 0;
      for (int64_t r = 0; bias_delta && r < k; ++r) sum += bias_delta[r * y.out + j];
      gtheta[y.bias + j] = sum;
    }
    return;
  }
  for (int i = 0; i < count; ++i) p[i] = {as[i], 1, y.ld_in, deltas[i], y.ld_out, k};
  matmul<T>(y.in, y.ld_out, p, count, nullptr, 0, gtheta + y.weight, y.ld_out);
  const T one = 1;
  const Product<T> ones{&one, 0, 0, bias_delta, y.ld_out, bias_delta ? k : 0};
  matmul<T>(1, y.ld_out, ones, nullptr, 0, gtheta + y.bias, y.ld_out);
}

// From layer `top` down, whose delta is given; the other layers' are written to `deltas`.
template <class T>
SYMMA_INLINE inline void backward_from(const Plan& plan, int64_t top, const T* theta, const T* transposes,
                                       const T* x, const T* acts, const T* delta, T* deltas, T* gtheta,
                                       T* gx) {
  for (int64_t l = top; l >= 0; --l) {
    const T* a = l == 0 ? x : acts + plan.layer[l - 1].hidden;
    if (gtheta) weight_gradient(plan, l, 1, &a, &delta, delta, gtheta);
    if (l == 0 && !gx) return;
    T* e = l == 0 ? gx : deltas + plan.layer[l - 1].hidden;
    input_gradient(plan, l, 1, &delta, &theta, &transposes, e);
    if (l > 0) {
      activate_backward(plan.activation, plan.samples * plan.layer[l].ld_in, a, a + plan.slot,
                        a + 2 * plan.slot, e, e + plan.slot);
    }
    delta = e;
  }
}

template <class T>
void backward(const Plan& plan, const T* theta, const T* transposes, const T* x, const T* acts, const T* gy,
              T* deltas, T* gtheta, T* gx) {
  backward_from(plan, plan.depth - 1, theta, transposes, x, acts, gy, deltas, gtheta, gx);
}

template <class T>
void forward_features(const Plan& plan, const T* theta, const T* x, T* acts) {
  forward_body(plan, theta, x, acts);
}

template <class T>
void backward_features(const Plan& plan, const T* theta, const T* transposes, const T* x, const T* acts,
                       T* deltas, T* gtheta) {
  const int64_t top = plan.depth - 2;
  const LayerPlan& y = plan.layer[top];
  const T* a = acts + y.hidden;
  T* e = deltas + y.hidden;
  activate_backward(plan.activation, plan.samples * y.ld_out, a, a + plan.slot, a + 2 * plan.slot, e,
                    e + plan.slot);
  backward_from<T>(plan, top, theta, transposes, x, acts, e, deltas, gtheta, nullptr);
}

template <class T>
void forward_r(const Plan& plan, const T* theta, const T* v, const T* x, const T* s, const T* acts, T* racts,
               T* ry) {
  const T* a = x;
  const T* ra = s;  // null: zero
  for (int64_t l = 0; l < plan.depth; ++l) {
    const LayerPlan& y = plan.layer[l];
    const bool last = l + 1 == plan.depth;
    const int count = ra ? 2 : 1;
    if (is_narrow(plan, l)) {
      const Product<T> p[2] = {{a, y.ld_in, 1, v + y.weight, y.ld_in, y.ld_in},
                               {ra, y.ld_in, 1, theta + y.weight, y.ld_in, y.ld_in}};
      dots(plan.samples, y.out, p, count, v + y.bias, ry);
      return;
    }
    Product<T> p[2] = {forward_product(plan, l, a, v), forward_product(plan, l, a, theta)};
    p[1].a = ra;
    T* rz = last ? ry : racts + y.hidden;
    matmul(plan.samples, y.ld_out, p, count, v + y.bias, 0, rz, y.ld_out);
    if (last) return;
    a = acts + y.hidden;
    activate_r(plan.activation, plan.samples * y.ld_out, a, a + plan.slot, rz, rz + plan.slot);
    ra = rz;
  }
}

template <class T>
void backward_r(const Plan& plan, const T* theta, const T* transposes, const T* v, const T* v_transposes,
                const T* x, const T* s, const T* acts, const T* deltas, const T* racts, const T* gy,
                const T* rgy, T* scratch, T* hv, T* hx) {
  T* spare = scratch + plan.widest;
  const T* rdelta = rgy;  // null: zero
  for (int64_t l = plan.depth - 1; l >= 0; --l) {
    const T* delta = l + 1 == plan.depth ? gy : deltas + plan.layer[l].hidden;
    const T* a = l == 0 ? x : acts + plan.layer[l - 1].hidden;
    const T* ra = l == 0 ? s : racts + plan.layer[l - 1].hidden;
    const T* as[2];
    const T* ds[2];
    int count = 0;
    if (rdelta) as[count] = a, ds[count++] = rdelta;
    if (ra) as[count] = ra, ds[count++] = delta;
    weight_gradient(plan, l, count, as, ds, rdelta, hv);
    if (l == 0 && !hx) return;
    const T* pair[2] = {delta, rdelta};
    const T* params[2] = {v, theta};
    const T* turned[2] = {v_transposes, transposes};
    T* e = l == 0 ? hx : scratch;
    input_gradient(plan, l, rdelta ? 2 : 1, pair, params, turned, e);
    if (l > 0) {
      const T* c = deltas + plan.layer[l - 1].hidden;
      activate_backward_r(plan.activation, plan.samples * plan.layer[l].ld_in, a, a + plan.slot, c,
                          c + plan.slot, ra + plan.slot, e);
      rdelta = e;
      T* next = spare;
      spare = scratch;
      scratch = next;
    }
  }
}
