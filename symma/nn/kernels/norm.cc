// Batch norm and ReLU, forward, backward, and the backward of the backward, each in two passes over memory.
//
// With x = (y - mean) r, r = (var + eps)^(-1/2), g the gradient that passes the ReLU, and means over the n
// points:
//
//   backward:  g0 = mean g, g1 = mean g x;  dy = gamma r (g - g0 - x g1), dgamma = n g1, dbeta = n g0
//   its own backward, for cotangents u of dy, a of dgamma, b of dbeta, with U0 = mean u, U1 = mean u x, M =
//   mean g u:
//     to g:      gamma r (u - U0 - x U1) + a x + b
//     to gamma:  n r (M - g0 U0 - g1 U1)
//     to y:      r (q - mean q - x mean(q x)) - gamma r^2 (M - g0 U0 - g1 U1) x,   q = a g - gamma r (U1 g +
//     g1 u)
//
// Loops run over channels inside, which stand side by side: a channel's sums are taken in the order of its
// points, so results do not depend on the vector length. Every number is loaded whether it is used or not,
// and results alias nothing, or the loops would not become vectors.
#include "symma/nn/kernels/norm.h"

#include "symma/core/parallel.h"
#include "symma/core/simd.h"
#include "symma/nn/kernels/mlp.h"

namespace symma {
namespace {

// Most channels that a piece of work holds sums for.
constexpr int64_t kBlock = 64;

template <class T>
struct Row {
  int64_t n, c;        // points, channels
  const T *y, *gamma;  // [n, c], [c]
  T *mean, *r;         // [c]
};

template <class T>
[[gnu::always_inline]] inline void forward_row(Row<T> s, const T* beta, T eps, T* __restrict h) {
  const T scale = T{1} / static_cast<T>(s.n);
  for (int64_t c0 = 0; c0 < s.c; c0 += kBlock) {
    const int64_t w = std::min(kBlock, s.c - c0);
    T sum[kBlock] = {}, square[kBlock] = {}, mul[kBlock];
    for (int64_t i = 0; i < s.n; ++i) {
      for (int64_t c = 0; c < w; ++c) sum[c] += s.y[i * s.c + c0 + c];
    }
    for (int64_t c = 0; c < w; ++c) sum[c] *= scale;
    for (int64_t i = 0; i < s.n; ++i) {
      for (int64_t c = 0; c < w; ++c) {
        const T d = s.y[i * s.c + c0 + c] - sum[c];
        square[c] += d * d;
      }
    }
    for (int64_t c = 0; c < w; ++c) {
      s.mean[c0 + c] = sum[c];
      s.r[c0 + c] = T{1} / std::sqrt(square[c] * scale + eps);
      mul[c] = s.gamma[c0 + c] * s.r[c0 + c];
    }
    for (int64_t i = 0; i < s.n; ++i) {
      for (int64_t c = 0; c < w; ++c) {
        const T z = (s.y[i * s.c + c0 + c] - sum[c]) * mul[c] + beta[c0 + c];
        // Written so that NaN stays NaN.
        h[i * s.c + c0 + c] = z <= 0 ? T{0} : z;
      }
    }
  }
}

template <class T>
[[gnu::always_inline]] inline void backward_row(Row<T> s, const T* h, const T* gh, T* __restrict gy,
                                                T* __restrict ggamma, T* __restrict gbeta) {
  const T n = static_cast<T>(s.n);
  for (int64_t c0 = 0; c0 < s.c; c0 += kBlock) {
    const int64_t w = std::min(kBlock, s.c - c0);
    T g0[kBlock] = {}, g1[kBlock] = {}, mul[kBlock];
    const T *mean = s.mean + c0, *r = s.r + c0;
    for (int64_t i = 0; i < s.n; ++i) {
      const int64_t at = i * s.c + c0;
      for (int64_t c = 0; c < w; ++c) {
        const T given = gh[at + c], g = h[at + c] > 0 ? given : T{0};
        g0[c] += g;
        g1[c] += g * ((s.y[at + c] - mean[c]) * r[c]);
      }
    }
    for (int64_t c = 0; c < w; ++c) {
      gbeta[c0 + c] = g0[c];
      ggamma[c0 + c] = g1[c];
      g0[c] /= n;
      g1[c] /= n;
      mul[c] = s.gamma[c0 + c] * r[c];
    }
    for (int64_t i = 0; i < s.n; ++i) {
      const int64_t at = i * s.c + c0;
      for (int64_t c = 0; c < w; ++c) {
        const T given = gh[at + c], g = h[at + c] > 0 ? given : T{0};
        gy[at + c] = mul[c] * (g - g0[c] - (s.y[at + c] - mean[c]) * r[c] * g1[c]);
      }
    }
  }
}

template <class T>
[[gnu::always_inline]] inline void second_row(Row<T> s, const T* h, const T* gh, const T* u, const T* a,
                                              const T* b, T* __restrict to_gh, T* __restrict to_y,
                                              T* __restrict to_gamma) {
  const T n = static_cast<T>(s.n);
  for (int64_t c0 = 0; c0 < s.c; c0 += kBlock) {
    const int64_t w = std::min(kBlock, s.c - c0);
    T g0[kBlock] = {}, g1[kBlock] = {}, u0[kBlock] = {}, u1[kBlock] = {}, m[kBlock] = {}, ux[kBlock],
      q0[kBlock], q1[kBlock], gu[kBlock];
    const T *mean = s.mean + c0, *r = s.r + c0, *gamma = s.gamma + c0;
    a += c0, b += c0;
    for (int64_t i = 0; i < s.n; ++i) {
      const int64_t at = i * s.c + c0;
      for (int64_t c = 0; c < w; ++c) {
        const T given = gh[at + c], g = h[at + c] > 0 ? given : T{0};
        const T x = (s.y[at + c] - mean[c]) * r[c], v = u[at + c];
        g0[c] += g;
        g1[c] += g * x;
        u0[c] += v;
        u1[c] += v * x;
        m[c] += g * v;
      }
    }
    for (int64_t c = 0; c < w; ++c) {
      g0[c] /= n, g1[c] /= n, u0[c] /= n, u1[c] /= n, m[c] /= n;
      const T k = gamma[c] * r[c], rest = m[c] - g0[c] * u0[c] - g1[c] * u1[c];
      to_gamma[c0 + c] = n * r[c] * rest;
      ux[c] = k * u1[c];
      gu[c] = k * g1[c];
      // Means of q and of q x, from sums already taken.
      q0[c] = a[c] * g0[c] - k * (u1[c] * g0[c] + g1[c] * u0[c]);
      q1[c] = a[c] * g1[c] - k * (u1[c] * g1[c] + g1[c] * u1[c]);
      m[c] = k * r[c] * rest;
    }
    for (int64_t i = 0; i < s.n; ++i) {
      const int64_t at = i * s.c + c0;
      for (int64_t c = 0; c < w; ++c) {
        const bool on = h[at + c] > 0;
        const T given = gh[at + c], g = on ? given : T{0};
        const T x = (s.y[at + c] - mean[c]) * r[c], v = u[at + c];
        const T passed = gamma[c] * r[c] * (v - u0[c]) - ux[c] * x + a[c] * x + b[c];
        to_gh[at + c] = on ? passed : T{0};
        const T q = a[c] * g - ux[c] * g - gu[c] * v;
        to_y[at + c] = r[c] * (q - q0[c] - x * q1[c]) - m[c] * x;
      }
    }
    a -= c0, b -= c0;
  }
}

// Clones of the rows for each instruction set; a template cannot have them.
SYMMA_CLONES void forward(Row<float> s, const float* beta, float eps, float* h) {
  forward_row(s, beta, eps, h);
}
SYMMA_CLONES void forward(Row<double> s, const double* beta, double eps, double* h) {
  forward_row(s, beta, eps, h);
}
SYMMA_CLONES void backward(Row<float> s, const float* h, const float* gh, float* gy, float* gg, float* gb) {
  backward_row(s, h, gh, gy, gg, gb);
}
SYMMA_CLONES void backward(Row<double> s, const double* h, const double* gh, double* gy, double* gg,
                           double* gb) {
  backward_row(s, h, gh, gy, gg, gb);
}
SYMMA_CLONES void second(Row<float> s, const float* h, const float* gh, const float* u, const float* a,
                         const float* b, float* tg, float* ty, float* tk) {
  second_row(s, h, gh, u, a, b, tg, ty, tk);
}
SYMMA_CLONES void second(Row<double> s, const double* h, const double* gh, const double* u, const double* a,
                         const double* b, double* tg, double* ty, double* tk) {
  second_row(s, h, gh, u, a, b, tg, ty, tk);
}

template <class T>
T* at(const Tensor& t, int64_t row) {
  return t.data_ptr<T>() + row * t.stride(0);
}

template <class T>
Row<T> row_of(const Tensor& y, const Tensor& gamma, const Tensor& mean, const Tensor& r, int64_t i) {
  return {y.size(1), y.size(2), at<T>(y, i), at<T>(gamma, i), at<T>(mean, i), at<T>(r, i)};
}

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

struct NormReluBackward : torch::autograd::Function<NormReluBackward> {
  static tensor_list forward(AutogradContext* ctx, const Tensor& gh_in, const Tensor& y, const Tensor& gamma,
                             const Tensor& mean, const Tensor& r, const Tensor& h) {
    const Tensor gh = gh_in.contiguous();
    Tensor gy = at::empty_like(y), ggamma = at::empty_like(gamma), gbeta = at::empty_like(gamma);
    AT_DISPATCH_FLOATING_TYPES(y.scalar_type(), "norm_relu backward", [&] {
      parallel_for(y.size(0), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          symma::backward(row_of<scalar_t>(y, gamma, mean, r, i), at<scalar_t>(h, i), at<scalar_t>(gh, i),
                          at<scalar_t>(gy, i), at<scalar_t>(ggamma, i), at<scalar_t>(gbeta, i));
        }
      });
    });
    ctx->save_for_backward({gh, y, gamma, mean, r, h});
    return {gy, ggamma, gbeta};
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "norm_relu: third derivatives need the composite path (CompositePath)");
    const auto saved = ctx->get_saved_variables();
    const Tensor &gh = saved[0], &y = saved[1], &gamma = saved[2], &mean = saved[3], &r = saved[4],
                 &h = saved[5];
    const auto given = [](const Tensor& t, const Tensor& like) {
      return t.defined() ? t.contiguous() : at::zeros_like(like);
    };
    const Tensor u = given(grads[0], y), a = given(grads[1], gamma), b = given(grads[2], gamma);
    Tensor to_gh = at::empty_like(y), to_y = at::empty_like(y), to_gamma = at::empty_like(gamma);
    AT_DISPATCH_FLOATING_TYPES(y.scalar_type(), "norm_relu second", [&] {
      parallel_for(y.size(0), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          second(row_of<scalar_t>(y, gamma, mean, r, i), at<scalar_t>(h, i), at<scalar_t>(gh, i),
                 at<scalar_t>(u, i), at<scalar_t>(a, i), at<scalar_t>(b, i), at<scalar_t>(to_gh, i),
                 at<scalar_t>(to_y, i), at<scalar_t>(to_gamma, i));
        }
      });
    });
    return {to_gh, to_y, to_gamma, Tensor(), Tensor(), Tensor()};
  }
};

struct NormRelu : torch::autograd::Function<NormRelu> {
  static Tensor forward(AutogradContext* ctx, const Tensor& y_in, const Tensor& gamma_in,
                        const Tensor& beta_in, double eps) {
    const Tensor y = y_in.contiguous(), gamma = gamma_in.contiguous(), beta = beta_in.contiguous();
    Tensor h = at::empty_like(y), mean = at::empty_like(gamma), r = at::empty_like(gamma);
    AT_DISPATCH_FLOATING_TYPES(y.scalar_type(), "norm_relu", [&] {
      parallel_for(y.size(0), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          symma::forward(row_of<scalar_t>(y, gamma, mean, r, i), at<scalar_t>(beta, i),
                         static_cast<scalar_t>(eps), at<scalar_t>(h, i));
        }
      });
    });
    // The inputs are saved as they came, with their history, which a second derivative follows.
    ctx->save_for_backward({y_in, gamma_in, mean, r, h.detach()});
    return h;
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    auto out = NormReluBackward::apply(grads[0], saved[0].contiguous(), saved[1].contiguous(), saved[2],
                                       saved[3], saved[4]);
    return {out[0], out[1], out[2], Tensor()};
  }
};

}  // namespace

Tensor norm_relu_composite(const Tensor& y, const Tensor& gamma, const Tensor& beta, double eps) {
  const Tensor mean = y.mean(1, true), centred = y - mean;
  const Tensor scale = gamma.unsqueeze(1) * (centred.square().mean(1, true) + eps).rsqrt();
  return at::addcmul(beta.unsqueeze(1), centred, scale).relu();
}

Tensor norm_relu(const Tensor& y, const Tensor& gamma, const Tensor& beta, double eps) {
  TORCH_CHECK(y.dim() == 3 && gamma.sizes() == at::IntArrayRef({y.size(0), y.size(2)}) &&
                  beta.sizes() == gamma.sizes(),
              "norm_relu: y ", y.sizes(), ", gamma ", gamma.sizes(), ", beta ", beta.sizes());
  const bool fused = y.is_cpu() && (y.scalar_type() == at::kFloat || y.scalar_type() == at::kDouble) &&
                     !CompositePath::active();
  return fused ? NormRelu::apply(y, gamma, beta, eps) : norm_relu_composite(y, gamma, beta, eps);
}

}  // namespace symma
