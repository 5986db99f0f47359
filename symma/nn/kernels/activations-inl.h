// Activations f, and what the derivatives need of them, over n contiguous elements.
//
// Kept by the forward pass: a = f(z); for gelu also f1 = f'(z) and f2 = f''(z). The others have their
// derivatives from a: relu f' = [a > 0]; tanh f' = 1 - a^2, f'' = -2 a f'; sigmoid f' = a (1 - a), f'' = (1 -
// 2 a) f'.

template <class T>
void activate(Activation f, int64_t n, T* __restrict a, T* __restrict f1, T* __restrict f2) {
  switch (f) {
    case Activation::kIdentity:
      return;
    case Activation::kRelu:
      for (int64_t i = 0; i < n; ++i) a[i] = a[i] > 0 ? a[i] : 0;
      return;
    case Activation::kTanh:
      for (int64_t i = 0; i < n; ++i) a[i] = tanh_of(a[i]);
      return;
    case Activation::kSigmoid:
      for (int64_t i = 0; i < n; ++i) a[i] = logistic_of(a[i]);
      return;
    case Activation::kGelu:
      for (int64_t i = 0; i < n; ++i) {
        const T z = a[i];
        const Normal<T> at = normal_of(z);
        a[i] = z * at.below;
        f1[i] = at.below + z * at.density;
        f2[i] = at.density * (2 - z * z);
      }
      return;
  }
}

// e = dL/da becomes delta = dL/dz; for gelu, c = f'' dL/da.
template <class T>
void activate_backward(Activation f, int64_t n, const T* __restrict a, const T* __restrict f1,
                       const T* __restrict f2, T* __restrict e, T* __restrict c) {
  switch (f) {
    case Activation::kIdentity:
      return;
    case Activation::kRelu:
      for (int64_t i = 0; i < n; ++i) e[i] = a[i] > 0 ? e[i] : 0;
      return;
    case Activation::kTanh:
      for (int64_t i = 0; i < n; ++i) e[i] *= 1 - a[i] * a[i];
      return;
    case Activation::kSigmoid:
      for (int64_t i = 0; i < n; ++i) e[i] *= a[i] * (1 - a[i]);
      return;
    case Activation::kGelu:
      for (int64_t i = 0; i < n; ++i) c[i] = e[i] * f2[i], e[i] *= f1[i];
      return;
  }
}

// R{z} becomes R{a} = f' R{z}; for curved activations R{z} is kept in rz.
template <class T>
void activate_r(Activation f, int64_t n, const T* __restrict a, const T* __restrict f1, T* __restrict ra,
                T* __restrict rz) {
  switch (f) {
    case Activation::kIdentity:
      return;
    case Activation::kRelu:
      for (int64_t i = 0; i < n; ++i) ra[i] = a[i] > 0 ? ra[i] : 0;
      return;
    case Activation::kTanh:
      for (int64_t i = 0; i < n; ++i) rz[i] = ra[i], ra[i] *= 1 - a[i] * a[i];
      return;
    case Activation::kSigmoid:
      for (int64_t i = 0; i < n; ++i) rz[i] = ra[i], ra[i] *= a[i] * (1 - a[i]);
      return;
    case Activation::kGelu:
      for (int64_t i = 0; i < n; ++i) rz[i] = ra[i], ra[i] *= f1[i];
      return;
  }
}

// e = R{dL/da} becomes R{delta} = f' e + f'' dL/da R{z}.
template <class T>
void activate_backward_r(Activation f, int64_t n, const T* __restrict a, const T* __restrict f1,
                         const T* __restrict delta, const T* __restrict c, const T* __restrict rz,
                         T* __restrict e) {
  switch (f) {
    case Activation::kIdentity:
      return;
    case Activation::kRelu:
      for (int64_t i = 0; i < n; ++i) e[i] = a[i] > 0 ? e[i] : 0;
      return;
    case Activation::kTanh:
      for (int64_t i = 0; i < n; ++i) e[i] = e[i] * (1 - a[i] * a[i]) - 2 * a[i] * delta[i] * rz[i];
      return;
    case Activation::kSigmoid:
      for (int64_t i = 0; i < n; ++i) e[i] = e[i] * a[i] * (1 - a[i]) + (1 - 2 * a[i]) * delta[i] * rz[i];
      return;
    case Activation::kGelu:
      for (int64_t i = 0; i < n; ++i) e[i] = e[i] * f1[i] + c[i] * rz[i];
      return;
  }
}
