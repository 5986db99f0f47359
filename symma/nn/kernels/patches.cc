// im2col for channels-last images. A window's row is 3 C contiguous numbers of the image, so a patch is three
// copies.
#include "symma/nn/kernels/patches.h"

#include <cstring>

namespace symma::kernels {
namespace {

constexpr int64_t kAcross = 3, kStride = 2, kPad = 1;

struct Windows {
  int64_t n, h, w, c, oh, ow;
};

Windows windows_of(at::IntArrayRef s) {
  return {s[0], s[1], s[2], s[3], (s[1] + 1) / kStride, (s[2] + 1) / kStride};
}

// Calls body(patch offset, image offset, length) for every run of numbers that a patch shares with its image.
template <class Body>
void runs(const Windows& g, Body body) {
  const int64_t patch = kAcross * kAcross * g.c;
  for (int64_t i = 0; i < g.n; ++i) {
    for (int64_t oy = 0; oy < g.oh; ++oy) {
      for (int64_t ox = 0; ox < g.ow; ++ox) {
        const int64_t at = ((i * g.oh + oy) * g.ow + ox) * patch;
        const int64_t x0 = ox * kStride - kPad;
        const int64_t left = std::max<int64_t>(x0, 0), right = std::min(x0 + kAcross, g.w);
        for (int64_t r = 0; r < kAcross; ++r) {
          const int64_t y = oy * kStride - kPad + r;
          if (y < 0 || y >= g.h) continue;
          body(at + (r * kAcross + left - x0) * g.c, ((i * g.h + y) * g.w + left) * g.c,
               (right - left) * g.c);
        }
      }
    }
  }
}

// Writes every number of `out`: what no run covers lies beyond the border, and is zero.
template <class T>
void gather(const Windows& g, const T* image, T* out) {
  int64_t done = 0;
  const auto zero_until = [&](int64_t p) {
    if (p > done) std::memset(out + done, 0, (p - done) * sizeof(T));
  };
  runs(g, [&](int64_t p, int64_t x, int64_t n) {
    zero_until(p);
    std::memcpy(out + p, image + x, n * sizeof(T));
    done = p + n;
  });
  zero_until(g.n * g.oh * g.ow * kAcross * kAcross * g.c);
}

template <class T>
void scatter(const Windows& g, const T* in, T* image) {
  runs(g, [&](int64_t p, int64_t x, int64_t n) {
    for (int64_t k = 0; k < n; ++k) image[x + k] += in[p + k];
  });
}

Tensor spread(const Tensor& x);
Tensor fold(const Tensor& p, at::IntArrayRef image);

struct Spread : torch::autograd::Function<Spread> {
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x) {
    ctx->saved_data["sizes"] = x.sizes().vec();
    const Windows g = windows_of(x.sizes());
    const Tensor image = x.contiguous();
    Tensor out = at::empty({g.n, g.oh, g.ow, kAcross * kAcross * g.c}, x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "patches",
                               [&] { gather(g, image.data_ptr<scalar_t>(), out.data_ptr<scalar_t>()); });
    return out;
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* ctx,
                                               torch::autograd::tensor_list grads) {
    return {fold(grads[0], ctx->saved_data["sizes"].toIntVector())};
  }
};

struct Fold : torch::autograd::Function<Fold> {
  static Tensor forward(torch::autograd::AutogradContext*, const Tensor& p, at::IntArrayRef sizes) {
    const Windows g = windows_of(sizes);
    const Tensor in = p.contiguous();
    Tensor image = at::zeros(sizes, p.options());
    AT_DISPATCH_FLOATING_TYPES(p.scalar_type(), "fold",
                               [&] { scatter(g, in.data_ptr<scalar_t>(), image.data_ptr<scalar_t>()); });
    return image;
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext*,
                                               torch::autograd::tensor_list grads) {
    return {spread(grads[0]), Tensor()};
  }
};

Tensor spread(const Tensor& x) {
  return Spread::apply(x);
}
Tensor fold(const Tensor& p, at::IntArrayRef image) {
  return Fold::apply(p, image);
}

}  // namespace

Tensor patches(const Tensor& x) {
  TORCH_CHECK(x.dim() == 4, "patches: expected [N, H, W, C], found ", x.sizes());
  if (!x.is_cpu()) {
    // unfold gives (channel, row, column); the rows here are (row, column, channel).
    const Windows g = windows_of(x.sizes());
    const Tensor columns =
        at::im2col(x.permute({0, 3, 1, 2}), {kAcross, kAcross}, {1, 1}, {kPad, kPad}, {kStride, kStride});
    return columns.reshape({g.n, g.c, kAcross * kAcross, g.oh, g.ow})
        .permute({0, 3, 4, 2, 1})
        .reshape({g.n, g.oh, g.ow, kAcross * kAcross * g.c});
  }
  return spread(x);
}

}  // namespace symma::kernels
