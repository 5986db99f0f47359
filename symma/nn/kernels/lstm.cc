// Forward by libtorch's own vector functions; backward in one pass over memory. With a cotangent u of h' and
// w of c':
//
//   to c':  n = w + u s(o) (1 - tanh^2 c')
//   to o:   u tanh(c') s(o) (1 - s(o)),   f: n c s(f) (1 - s(f)),   i: n tanh(g) s(i) (1 - s(i))
//   to g:   n s(i) (1 - tanh^2 g),   c: n s(f)
#include "symma/nn/kernels/lstm.h"

#include "symma/core/simd.h"

namespace symma {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

// One cell's row of `n` memories.
template <class T>
struct Cell {
  const T *i, *f, *o, *g, *c, *tanh_c, *u, *w;
  T *to_i, *to_f, *to_o, *to_g, *to_c;
};

template <class T>
[[gnu::always_inline]] inline void backward_run(Cell<T> a, int64_t n) {
#pragma GCC ivdep
  for (int64_t k = 0; k < n; ++k) {
    const T i = a.i[k], f = a.f[k], o = a.o[k], g = a.g[k], t = a.tanh_c[k], u = a.u[k];
    const T to_next = a.w[k] + u * o * (1 - t * t);
    a.to_o[k] = u * t * o * (1 - o);
    a.to_f[k] = to_next * a.c[k] * f * (1 - f);
    a.to_i[k] = to_next * g * i * (1 - i);
    a.to_g[k] = to_next * i * (1 - g * g);
    a.to_c[k] = to_next * f;
  }
}

SYMMA_CLONES void backward_row(Cell<float> a, int64_t n) {
  backward_run(a, n);
}
SYMMA_CLONES void backward_row(Cell<double> a, int64_t n) {
  backward_run(a, n);
}

struct Gates : Function<Gates> {
  static Tensor forward(AutogradContext* ctx, const Tensor& z, const Tensor& cell) {
    const Tensor c = cell.contiguous();
    const int64_t h = c.size(1);
    const Tensor open = at::empty_like(z, at::MemoryFormat::Contiguous);
    Tensor logistic = open.narrow(1, 0, 3 * h), fresh = open.narrow(1, 3 * h, h);
    at::sigmoid_out(logistic, z.narrow(1, 0, 3 * h));
    at::tanh_out(fresh, z.narrow(1, 3 * h, h));
    const Tensor out = at::empty({c.size(0), 2 * h, c.size(2)}, c.options());
    Tensor shown = out.narrow(1, 0, h), next = out.narrow(1, h, h);
    at::mul_out(next, open.narrow(1, h, h), c);
    next.addcmul_(open.narrow(1, 0, h), fresh);
    const Tensor tanh_c = next.tanh();
    at::mul_out(shown, open.narrow(1, 2 * h, h), tanh_c);
    ctx->save_for_backward({open, c, tanh_c});
    return out;
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "lstm_gates has no second derivative: use lstm_gates_composite");
    const auto saved = ctx->get_saved_variables();
    const Tensor &open = saved[0], &c = saved[1], tanh_c = saved[2].contiguous(), u = grads[0].contiguous();
    const Tensor to_z = at::empty_like(open), to_c = at::empty_like(c);
    const int64_t groups = c.size(0), h = c.size(1), n = c.size(2);
    AT_DISPATCH_FLOATING_TYPES(c.scalar_type(), "lstm gates", [&] {
      using T = scalar_t;
      const T *a = open.data_ptr<T>(), *cell = c.data_ptr<T>(), *t = tanh_c.data_ptr<T>(),
              *up = u.data_ptr<T>();
      T *z = to_z.data_ptr<T>(), *back = to_c.data_ptr<T>();
      const int64_t gate = h * n;
      for (int64_t r = 0; r < groups * h; ++r) {
        const int64_t g = r / h, k = (r % h) * n, at_z = g * 4 * gate + k, at_u = g * 2 * gate + k,
                      at_c = g * gate + k;
        backward_row(Cell<T>{a + at_z, a + at_z + gate, a + at_z + 2 * gate, a + at_z + 3 * gate, cell + at_c,
                             t + at_c, up + at_u, up + at_u + gate, z + at_z, z + at_z + gate,
                             z + at_z + 2 * gate, z + at_z + 3 * gate, back + at_c},
                     n);
      }
    });
    return {to_z, to_c};
  }
};

}  // namespace

Tensor lstm_gates_composite(const Tensor& z, const Tensor& c) {
  const int64_t h = c.size(1);
  const Tensor open = z.narrow(1, 0, 3 * h).sigmoid(), fresh = z.narrow(1, 3 * h, h).tanh();
  const Tensor next = open.narrow(1, h, h) * c + open.narrow(1, 0, h) * fresh;
  return at::cat({open.narrow(1, 2 * h, h) * next.tanh(), next}, 1);
}

Tensor lstm_gates(const Tensor& z, const Tensor& c) {
  TORCH_CHECK(z.dim() == 3 && c.dim() == 3 && z.size(1) == 4 * c.size(1), "four gates a cell: ", z.sizes(),
              c.sizes());
  const bool ours = z.is_cpu() && (z.scalar_type() == at::kFloat || z.scalar_type() == at::kDouble);
  return ours ? Gates::apply(z, c) : lstm_gates_composite(z, c);
}

}  // namespace symma
