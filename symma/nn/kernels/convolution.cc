// Convolution as gathered products. With K the linear map y = K_w x:
//
//   M(x, w) = K_w x       to x: N(g, w)    to w: T(x, g)
//   N(g, w) = K_w^T g     for u like x     to g: M(u, w)    to w: T(u, g)
//   T(x, g) = d <g, K_w x> / d w           for u like w     to x: N(g, u)    to g: M(x, u)
//
// These three are closed under differentiation. M adds up, for each place of the result, the products of the
// nine pixels under its window with the nine taps, matrices [C, F]; N does the same from places to pixels,
// whose one, two or four taps depend on whether row and column are even. Places that take the same taps go
// together, so the border costs nothing and no matrix of patches is made. The places do not depend on the
// row, so a plan is made once for all rows.
//
// Where channels do not fill whole vectors, and off the CPU, it is im2col and one batched product.
#include "symma/nn/kernels/convolution.h"

#include <array>
#include <limits>
#include <vector>

#include "symma/core/parallel.h"
#include "symma/core/processor.h"
#include "symma/nn/kernels/patches.h"
#include "symma/nn/kernels/plan.h"
#include "symma/nn/kernels/product.h"
#include "symma/nn/kernels/taps.h"

namespace symma::kernels {
namespace {

constexpr int kWindow = 3;

struct Geometry {
  int64_t images, h, w, c, f;  // of one row
  int64_t oh() const { return (h + 1) / 2; }
  int64_t ow() const { return (w + 1) / 2; }
  int64_t x_size() const { return images * h * w * c; }
  int64_t y_size() const { return images * oh() * ow() * f; }
  int64_t w_size() const { return kTaps * c * f; }
};

// Window row r of output o covers input 2 o - 1 + r. The rows of a window that lie inside the image, as bits.
std::vector<int> taps_of_outputs(int64_t n) {
  std::vector<int> masks((n + 1) / 2);
  for (int64_t o = 0; o < static_cast<int64_t>(masks.size()); ++o)
    for (int r = 0; r < kWindow; ++r)
      if (2 * o - 1 + r >= 0 && 2 * o - 1 + r < n) masks[o] |= 1 << r;
  return masks;
}

// The same seen from an input: the window rows r for which some output covers it.
std::vector<int> taps_of_inputs(int64_t n) {
  std::vector<int> masks(n);
  for (int64_t o = 0; o < (n + 1) / 2; ++o)
    for (int r = 0; r < kWindow; ++r)
      if (2 * o - 1 + r >= 0 && 2 * o - 1 + r < n) masks[2 * o - 1 + r] |= 1 << r;
  return masks;
}

// The places of one direction, from outputs to the pixels that they take or the other way, grouped by their
// taps.
class Groups {
 public:
  // `in(image, i, j)` and `out(image, i, j)` give a row's places, `tap(r, s)` what a tap adds to the first.
  template <class In, class Out, class At>
  Groups(int64_t images, const std::vector<int>& rows, const std::vector<int>& columns, In in, Out out,
         At tap) {
    const size_t places = images * rows.size() * columns.size();
    in_.reserve(places), out_.reserve(places);
    taps_.reserve(49 * kTaps), groups_.reserve(49);
    for (int y = 1; y < 8; ++y) {
      for (int x = 1; x < 8; ++x) {
        TapGroup g{taps_.data() + taps_.size(), 0, in_.data() + in_.size(), out_.data() + out_.size(), 0};
        for (int64_t n = 0; n < images; ++n) {
          for (size_t i = 0; i < rows.size(); ++i) {
            if (rows[i] != y) continue;
            for (size_t j = 0; j < columns.size(); ++j) {
              if (columns[j] != x) continue;
              in_.push_back(static_cast<int32_t>(in(n, static_cast<int64_t>(i), static_cast<int64_t>(j))));
              out_.push_back(static_cast<int32_t>(out(n, static_cast<int64_t>(i), static_cast<int64_t>(j))));
              ++g.rows;
            }
          }
        }
        if (g.rows == 0) continue;
        for (int r = 0; r < kWindow; ++r) {
          for (int s = 0; s < kWindow; ++s) {
            if ((y >> r & 1) == 0 || (x >> s & 1) == 0) continue;
            taps_.push_back({r * kWindow + s, static_cast<int32_t>(tap(r, s))});
            ++g.n_taps;
          }
        }
        groups_.push_back(g);
      }
    }
  }
  Groups(const Groups&) = delete;
  Groups& operator=(const Groups&) = delete;
  const std::vector<TapGroup>& all() const { return groups_; }

 private:
  std::vector<Tap> taps_;
  std::vector<int32_t> in_, out_;
  std::vector<TapGroup> groups_;
};

Groups to_outputs(const Geometry& q) {
  return {q.images,
          taps_of_outputs(q.h),
          taps_of_outputs(q.w),
          [&](int64_t n, int64_t i, int64_t j) { return ((n * q.h + 2 * i - 1) * q.w + 2 * j - 1) * q.c; },
          [&](int64_t n, int64_t i, int64_t j) { return ((n * q.oh() + i) * q.ow() + j) * q.f; },
          [&](int64_t r, int64_t s) { return (r * q.w + s) * q.c; }};
}

Groups to_inputs(const Geometry& q) {
  // Input i lies under row 1 of output i / 2, or under row 0 of output (i + 1) / 2 and row 2 of the one
  // before.
  return {q.images,
          taps_of_inputs(q.h),
          taps_of_inputs(q.w),
          [&](int64_t n, int64_t i, int64_t j) {
            return ((n * q.oh() + (i + 1) / 2) * q.ow() + (j + 1) / 2) * q.f;
          },
          [&](int64_t n, int64_t i, int64_t j) { return ((n * q.h + i) * q.w + j) * q.c; },
          [&](int64_t r, int64_t s) { return -(r / 2 * q.ow() + s / 2) * q.f; }};
}

// For each tap, the pixels and outputs that it joins.
class Pairs {
 public:
  explicit Pairs(const Geometry& q) {
    const std::vector<int> rows = taps_of_outputs(q.h), columns = taps_of_outputs(q.w);
    const size_t places = q.images * rows.size() * columns.size();
    x_.reserve(kTaps * places), g_.reserve(kTaps * places);
    for (int64_t t = 0; t < kTaps; ++t) {
      const int64_t r = t / kWindow, s = t % kWindow;
      all_[t] = {x_.data() + x_.size(), g_.data() + g_.size(), 0};
      for (int64_t n = 0; n < q.images; ++n) {
        for (int64_t i = 0; i < q.oh(); ++i) {
          if ((rows[i] >> r & 1) == 0) continue;
          for (int64_t j = 0; j < q.ow(); ++j) {
            if ((columns[j] >> s & 1) == 0) continue;
            x_.push_back(static_cast<int32_t>(((n * q.h + 2 * i - 1 + r) * q.w + 2 * j - 1 + s) * q.c));
            g_.push_back(static_cast<int32_t>(((n * q.oh() + i) * q.ow() + j) * q.f));
            ++all_[t].count;
          }
        }
      }
    }
  }
  Pairs(const Pairs&) = delete;
  Pairs& operator=(const Pairs&) = delete;
  const TapPairs* all() const { return all_.data(); }

 private:
  std::vector<int32_t> x_, g_;
  std::array<TapPairs, kTaps> all_;
};

Geometry geometry(at::IntArrayRef x, int64_t rows, int64_t f) {
  return {x[0] / rows, x[1], x[2], x[3], f};
}

// Rows may stand apart or be one, but each lies whole.
Tensor whole_rows(const Tensor& t) {
  return t.stride(2) == 1 && t.stride(1) == t.size(2) ? t : t.contiguous();
}

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

Tensor to_pixels(const Tensor& g, const Tensor& w, at::IntArrayRef x_sizes);
Tensor to_weights(const Tensor& x, const Tensor& g);

struct M : Function<M> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x_in, const Tensor& w_in) {
    const Tensor x = x_in.contiguous(), w = whole_rows(w_in);
    const int64_t rows = w.size(0);
    const Geometry q = geometry(x.sizes(), rows, w.size(2));
    const Groups groups = to_outputs(q);
    Tensor y = at::empty({rows, q.images * q.oh() * q.ow(), q.f}, x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "convolution", [&] {
      const scalar_t *from = x.data_ptr<scalar_t>(), *filters = w.data_ptr<scalar_t>();
      scalar_t* to = y.data_ptr<scalar_t>();
      parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
          convolution_kernels<scalar_t>().gather(
              groups.all().data(), static_cast<int64_t>(groups.all().size()), from + b * q.x_size(),
              filters + b * w.stride(0), q.c, q.f, to + b * q.y_size());
        }
      });
    });
    // The inputs are saved as they came, with their history, which a second derivative follows.
    ctx->save_for_backward({x_in, w_in});
    return y;
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    return {ctx->needs_input_grad(0) ? to_pixels(grads[0], saved[1], saved[0].sizes()) : Tensor(),
            ctx->needs_input_grad(1) ? to_weights(saved[0], grads[0]) : Tensor()};
  }
};

struct N : Function<N> {
  static Tensor forward(AutogradContext* ctx, const Tensor& g_in, const Tensor& w_in,
                        at::IntArrayRef x_sizes) {
    const Tensor g = g_in.contiguous(), w = whole_rows(w_in);
    const int64_t rows = w.size(0);
    const Geometry q = geometry(x_sizes, rows, w.size(2));
    const Groups groups = to_inputs(q);
    Tensor x = at::empty(x_sizes, g.options());
    AT_DISPATCH_FLOATING_TYPES(g.scalar_type(), "convolution to pixels", [&] {
      const scalar_t *from = g.data_ptr<scalar_t>(), *filters = w.data_ptr<scalar_t>();
      scalar_t* to = x.data_ptr<scalar_t>();
      parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
        const auto& kernels = convolution_kernels<scalar_t>();
        auto* turned =
            static_cast<scalar_t*>(thread_memory(q.w_size() * static_cast<int64_t>(sizeof(scalar_t))));
        for (int64_t b = begin; b < end; ++b) {
          kernels.turn(filters + b * w.stride(0), q.c, q.f, turned);
          kernels.gather(groups.all().data(), static_cast<int64_t>(groups.all().size()),
                         from + b * q.y_size(), turned, q.f, q.c, to + b * q.x_size());
        }
      });
    });
    ctx->save_for_backward({g_in, w_in});
    return x;
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    return {ctx->needs_input_grad(0) ? convolution(grads[0], saved[1]) : Tensor(),
            ctx->needs_input_grad(1) ? to_weights(grads[0], saved[0]) : Tensor(), Tensor()};
  }
};

struct T : Function<T> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x_in, const Tensor& g_in) {
    const Tensor x = x_in.contiguous(), g = g_in.contiguous();
    const int64_t rows = g.size(0);
    const Geometry q = geometry(x.sizes(), rows, g.size(2));
    const Pairs pairs(q);
    Tensor w = at::empty({rows, kTaps * q.c, q.f}, x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "convolution to weights", [&] {
      const scalar_t *pixels = x.data_ptr<scalar_t>(), *from = g.data_ptr<scalar_t>();
      scalar_t* to = w.data_ptr<scalar_t>();
      parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
          convolution_kernels<scalar_t>().weights(pairs.all(), pixels + b * q.x_size(), from + b * q.y_size(),
                                                  q.c, q.f, to + b * q.w_size());
        }
      });
    });
    ctx->save_for_backward({x_in, g_in});
    return w;
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    return {ctx->needs_input_grad(0) ? to_pixels(saved[1], grads[0], saved[0].sizes()) : Tensor(),
            ctx->needs_input_grad(1) ? convolution(saved[0], grads[0]) : Tensor()};
  }
};

Tensor to_pixels(const Tensor& g, const Tensor& w, at::IntArrayRef x_sizes) {
  return N::apply(g, w, x_sizes);
}

Tensor to_weights(const Tensor& x, const Tensor& g) {
  return T::apply(x, g);
}

// Whether channels fill whole vectors of 64 bytes: those of x too where its gradient may be asked for.
bool fits(const Tensor& x, const Tensor& w) {
  if (!x.is_cpu() || (x.scalar_type() != at::kFloat && x.scalar_type() != at::kDouble)) return false;
  const int64_t lanes = 64 / x.element_size(), most = std::numeric_limits<int32_t>::max() / 4;
  return w.size(2) % lanes == 0 && (x.size(3) % lanes == 0 || !x.requires_grad()) &&
         x.numel() / w.size(0) < most && x.numel() / x.size(3) / w.size(0) * w.size(2) < most;
}

}  // namespace

template <class T>
const ConvolutionKernels<T>& convolution_kernels() {
#if defined(__x86_64__)
  if (simd() == Simd::kAvx512) return avx512::convolution_table<T>();
  if (simd() == Simd::kAvx2) return avx2::convolution_table<T>();
#endif
  return baseline::convolution_table<T>();
}
template const ConvolutionKernels<float>& convolution_kernels<float>();
template const ConvolutionKernels<double>& convolution_kernels<double>();

Tensor convolution(const Tensor& x, const Tensor& weight) {
  TORCH_CHECK(x.dim() == 4 && weight.dim() == 3 && weight.size(1) == kTaps * x.size(3) &&
                  weight.size(0) > 0 && x.size(0) % weight.size(0) == 0 &&
                  x.scalar_type() == weight.scalar_type(),
              "convolution: x ", x.sizes(), ", weight ", weight.sizes());
  if (fits(x, weight)) return M::apply(x, weight);
  const Tensor p = patches(x);
  return product(p.reshape({weight.size(0), x.size(0) / weight.size(0) * p.size(1) * p.size(2), p.size(3)}),
                 weight);
}

}  // namespace symma::kernels
