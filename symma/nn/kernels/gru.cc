// Forward, a step is a product and one pass over it. Backward, with g = what comes to h' from above and from
// the step after:
//
//   to n's sum:  p = g (1 - z) (1 - n^2)        to a: (p m_n r (1 - r), g (h - n) z (1 - z), p)
//   to m: (the same, the same, p r)             to h: g z + (to m) V^T
//
// and V's and b's derivatives are one product and one sum over all steps at the end.
#include "symma/nn/kernels/gru.h"

#include <torch/csrc/autograd/autograd.h>

#include "symma/core/simd.h"

namespace symma {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

// Within two units in the last place, from the Cephes library's polynomial (Moshier 1992, expf.c).
[[gnu::always_inline]] inline float exp_of(float x) {
  x = x < -87.0f ? -87.0f : (x > 87.0f ? 87.0f : x);
  const float shifted = x * 1.44269504f + 0x1.8p23f, k = shifted - 0x1.8p23f;
  const float f = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  const float y = p * f * f + f + 1;
  const uint32_t power = __builtin_bit_cast(uint32_t, shifted) << 23;  // k, times two to the 23
  return __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, y) + power);
}
[[gnu::always_inline]] inline float logistic_of(float x) {
  return 1 / (1 + exp_of(-x));
}
[[gnu::always_inline]] inline float tanh_of(float x) {
  return 1 - 2 / (1 + exp_of(2 * x));
}

// One sequence's step. m is turned into (r, z, m_n).
SYMMA_CLONES void forth(int64_t h, const float* a, float* m, const float* before, float* fresh,
                        float* after) {
#pragma GCC ivdep
  for (int64_t k = 0; k < h; ++k) {
    const float r = logistic_of(a[k] + m[k]), z = logistic_of(a[h + k] + m[h + k]),
                n = tanh_of(a[2 * h + k] + r * m[2 * h + k]);
    m[k] = r, m[h + k] = z, fresh[k] = n;
    after[k] = n + z * (before[k] - n);
  }
}

// g comes to h'; `to_h` gets what goes straight to h.
SYMMA_CLONES void back(int64_t h, const float* g, const float* m, const float* before, const float* fresh,
                       float* to_a, float* to_m, float* to_h) {
#pragma GCC ivdep
  for (int64_t k = 0; k < h; ++k) {
    const float r = m[k], z = m[h + k], n = fresh[k];
    const float p = g[k] * (1 - z) * (1 - n * n);
    const float to_r = p * m[2 * h + k] * r * (1 - r), to_z = g[k] * (before[k] - n) * z * (1 - z);
    to_a[k] = to_r, to_m[k] = to_r;
    to_a[h + k] = to_z, to_m[h + k] = to_z;
    to_a[2 * h + k] = p, to_m[2 * h + k] = p * r;
    to_h[k] = g[k] * z;
  }
}

struct States : Function<States> {
  static Tensor forward(AutogradContext* ctx, const Tensor& given, const Tensor& weight, const Tensor& bias,
                        const Tensor& start) {
    const Tensor input = given.contiguous(), first = start.contiguous();
    const int64_t b = input.size(0), t = input.size(1), k = input.size(2), h = first.size(2);
    Tensor gates = at::empty_like(input), fresh = at::empty({b, t, k, h}, input.options()),
           out = at::empty({b, t, k, h}, input.options());
    const Tensor all = bias.unsqueeze(1);
    for (int64_t s = 0; s < t; ++s) {
      Tensor m = gates.select(1, s);
      at::baddbmm_out(m, all, s == 0 ? first : out.select(1, s - 1), weight);
      for (int64_t i = 0; i < b; ++i) {
        const int64_t at = (i * t + s) * k;
        const float* before =
            s == 0 ? first.data_ptr<float>() + i * k * h : out.data_ptr<float>() + (at - k) * h;
        for (int64_t j = 0; j < k; ++j)
          forth(h, input.data_ptr<float>() + (at + j) * 3 * h, gates.data_ptr<float>() + (at + j) * 3 * h,
                before + j * h, fresh.data_ptr<float>() + (at + j) * h, out.data_ptr<float>() + (at + j) * h);
      }
    }
    ctx->save_for_backward({given, weight, bias, start, gates, fresh, out});
    return out;
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &weight = saved[1], &gates = saved[4], &fresh = saved[5], &out = saved[6];
    if (at::GradMode::is_enabled()) return again(saved, grads[0]);
    const Tensor first = saved[3].contiguous(), u = grads[0].contiguous();
    const int64_t b = out.size(0), t = out.size(1), k = out.size(2), h = out.size(3);
    const Tensor to_input = at::empty_like(gates), to_memory = at::empty_like(gates),
                 back_weight = weight.transpose(1, 2);
    Tensor g = u.select(1, t - 1).contiguous(), to_h = at::empty({b, k, h}, out.options());
    for (int64_t s = t; s-- > 0;) {
      for (int64_t i = 0; i < b; ++i) {
        const int64_t at = (i * t + s) * k;
        const float* before =
            s == 0 ? first.data_ptr<float>() + i * k * h : out.data_ptr<float>() + (at - k) * h;
        for (int64_t j = 0; j < k; ++j)
          back(h, g.data_ptr<float>() + (i * k + j) * h, gates.data_ptr<float>() + (at + j) * 3 * h,
               before + j * h, fresh.data_ptr<float>() + (at + j) * h,
               to_input.data_ptr<float>() + (at + j) * 3 * h, to_memory.data_ptr<float>() + (at + j) * 3 * h,
               to_h.data_ptr<float>() + (i * k + j) * h);
      }
      g = at::baddbmm(to_h, to_memory.select(1, s), back_weight);
      if (s > 0) g.add_(u.select(1, s - 1));
    }
    const auto flat = [&](const Tensor& x, int64_t from, int64_t steps) {
      return x.narrow(1, from, steps).reshape({b, steps * k, x.size(3)});
    };
    Tensor to_weight = at::bmm(first.transpose(1, 2), to_memory.select(1, 0));
    if (t > 1) to_weight.baddbmm_(flat(out, 0, t - 1).transpose(1, 2), flat(to_memory, 1, t - 1));
    return {to_input, to_weight, to_memory.sum({1, 2}), g};
  }

  // By plain operations, so that the derivative has derivatives.
  static tensor_list again(const tensor_list& saved, const Tensor& u) {
    tensor_list wanted, out(4);
    for (int i = 0; i < 4; ++i)
      if (saved[i].requires_grad()) wanted.push_back(saved[i]);
    const Tensor states = gru_states_composite(saved[0], saved[1], saved[2], saved[3]);
    const auto found = torch::autograd::grad({states}, wanted, {u}, true, true, true);
    for (size_t i = 0, next = 0; i < 4; ++i)
      if (saved[i].requires_grad()) out[i] = found[next++];
    return out;
  }
};

}  // namespace

Tensor gru_states_composite(const Tensor& input, const Tensor& weight, const Tensor& bias,
                            const Tensor& first) {
  const int64_t h = first.size(2);
  std::vector<Tensor> out;
  Tensor now = first;
  for (const Tensor& a : input.unbind(1)) {
    const Tensor m = at::baddbmm(bias.unsqueeze(1), now, weight);  // [B, K, 3 H]
    const Tensor rz = (a.narrow(2, 0, 2 * h) + m.narrow(2, 0, 2 * h)).sigmoid(), z = rz.narrow(2, h, h);
    const Tensor n = at::addcmul(a.narrow(2, 2 * h, h), rz.narrow(2, 0, h), m.narrow(2, 2 * h, h)).tanh();
    out.push_back(now = n + z * (now - n));
  }
  return at::stack(out, 1);
}

Tensor gru_states(const Tensor& input, const Tensor& weight, const Tensor& bias, const Tensor& first) {
  TORCH_CHECK(input.dim() == 4 && first.dim() == 3 && input.size(3) == 3 * first.size(2),
              "three gates a memory: ", input.sizes(), first.sizes());
  const bool ours = input.is_cpu() && input.scalar_type() == at::kFloat && weight.scalar_type() == at::kFloat;
  return ours ? States::apply(input, weight, bias, first) : gru_states_composite(input, weight, bias, first);
}

}  // namespace symma
