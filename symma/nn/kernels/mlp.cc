// The MLP over rows as an autograd operation: forward, backward, and backward of the backward.
//
// Write L = sum(gy . y). The backward pass gives dL/dtheta and dL/dx. Its own backward pass, given directions
// u for the former and s for the latter, differentiates u . dL/dtheta + s . dL/dx = R{L}, where R is the
// derivative of y in the direction (u, s). So the gradient in gy is R{y}, and those in theta and x are
// R{dL/dtheta} and R{dL/dx}: one forward and one backward pass of derivatives (Pearlmutter 1994).
#include "symma/nn/kernels/mlp.h"

#include <cstring>

#include "symma/core/parallel.h"
#include "symma/nn/kernels/plan.h"

namespace symma {
namespace {

using kernels::grain_of;
using kernels::Plan;
using kernels::Scratch;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

thread_local int composite_depth = 0;

// Rows of a tensor whose rows are each contiguous, however far they stand apart.
template <class T>
struct Rows {
  T* data;
  int64_t stride;
  T* operator[](int64_t b) const { return data ? data + b * stride : nullptr; }
};

Tensor with_plain_rows(const Tensor& t) {
  if (!t.defined()) return t;
  int64_t expected = 1;
  for (int64_t d = t.dim() - 1; d > 0; --d) {
    if (t.size(d) != 1 && t.stride(d) != expected) return t.contiguous();
    expected *= t.size(d);
  }
  return t;
}

template <class T>
Rows<T> rows(const Tensor& t) {
  if (!t.defined()) return {nullptr, 0};
  return {static_cast<T*>(t.data_ptr()), t.size(0) > 1 ? t.stride(0) : 0};
}

// What all passes over one call share.
struct Call : torch::CustomClassHolder {
  MlpShape shape;
  std::shared_ptr<const Plan> plan;
  Tensor acts;    // [B, act_slots slot], from the forward pass
  Tensor deltas;  // [B, delta_slots slot], from the backward pass; empty unless it is to be differentiated
};
using CallPtr = c10::intrusive_ptr<Call>;

CallPtr call_of(AutogradContext* ctx) {
  return c10::static_intrusive_pointer_cast<Call>(ctx->saved_data.at("call").toCapsule());
}

// Copies [K, width] between row strides. Columns past `width` of `to` become zero.
template <class T>
const T* spread(int64_t samples, int64_t width, const T* from, int64_t ld_from, T* to, int64_t ld_to) {
  for (int64_t k = 0; k < samples; ++k) {
    std::memcpy(to + k * ld_to, from + k * ld_from, std::min(ld_from, ld_to) * sizeof(T));
    for (int64_t j = width; j < ld_to; ++j) to[k * ld_to + j] = 0;
  }
  return to;
}

int64_t pad(const Plan& plan, int64_t n) {
  return (n + plan.unit - 1) / plan.unit * plan.unit;
}

template <class T>
const T* padded(const kernels::RowKernels<T>& kernel, const Plan& plan, const T* row, T* space) {
  if (plan.identical) return row;
  kernel.pack(plan, row, space);
  return space;
}

template <class T>
void forward_rows(const Plan& plan, const Tensor& theta, const Tensor& x, const Tensor& acts,
                  const Tensor& y) {
  const auto& kernel = kernels::row_kernels<T>();
  const auto theta_of = rows<T>(theta), x_of = rows<T>(x), acts_of = rows<T>(acts), y_of = rows<T>(y);
  const int64_t out = plan.layer[plan.depth - 1].out, ld = plan.ld_y();
  const int64_t n_theta = plan.identical ? 0 : plan.padded, n_y = ld == out ? 0 : plan.samples * ld;
  const int64_t n_acts = acts.defined() ? 0 : plan.act_slots() * plan.slot;
  parallel_for(theta.size(0), grain_of(plan, 1), [&](int64_t begin, int64_t end) {
    Scratch<T> scratch({n_theta, n_y, n_acts});
    T* const theta_space = scratch.take(n_theta);
    T* const y_space = scratch.take(n_y);
    T* const acts_space = scratch.take(n_acts);
    for (int64_t b = begin; b < end; ++b) {
      const T* t = padded(kernel, plan, theta_of[b], theta_space);
      kernel.forward(plan, t, x_of[b], n_acts ? acts_space : acts_of[b], n_y ? y_space : y_of[b]);
      if (n_y) spread<T>(plan.samples, out, y_space, ld, y_of[b], out);
    }
  });
}

template <class T>
void backward_rows(const Plan& plan, const Tensor& theta, const Tensor& x, const Tensor& acts,
                   const Tensor& gy, const Tensor& deltas, const Tensor& gtheta, const Tensor& gx) {
  const auto& kernel = kernels::row_kernels<T>();
  const auto theta_of = rows<T>(theta), x_of = rows<T>(x), acts_of = rows<T>(acts), gy_of = rows<T>(gy);
  const auto deltas_of = rows<T>(deltas), gtheta_of = rows<T>(gtheta), gx_of = rows<T>(gx);
  const int64_t in = plan.layer[0].in, ld_x = pad(plan, in);
  const int64_t out = plan.layer[plan.depth - 1].out, ld_y = plan.ld_y(), k = plan.samples;
  const int64_t n_theta = plan.identical ? 0 : plan.padded, n_gy = ld_y == out ? 0 : k * ld_y;
  const int64_t n_gx = gx.defined() ? k * ld_x : 0,
                n_deltas = deltas.defined() ? 0 : plan.delta_slots() * plan.slot;
  parallel_for(theta.size(0), grain_of(plan, 2), [&](int64_t begin, int64_t end) {
    Scratch<T> scratch({n_theta, n_theta, n_gy, n_gx, n_deltas, plan.transposes});
    T* const theta_space = scratch.take(n_theta);
    T* const gtheta_space = scratch.take(n_theta);
    T* const gy_space = scratch.take(n_gy);
    T* const gx_space = scratch.take(n_gx);
    T* const deltas_space = scratch.take(n_deltas);
    T* const transposes = scratch.take(plan.transposes);
    for (int64_t b = begin; b < end; ++b) {
      const T* t = padded(kernel, plan, theta_of[b], theta_space);
      const T* g = n_gy ? spread<T>(k, out, gy_of[b], out, gy_space, ld_y) : gy_of[b];
      kernel.transpose(plan, t, n_gx > 0, transposes);
      kernel.backward(plan, t, transposes, x_of[b], acts_of[b], g, n_deltas ? deltas_space : deltas_of[b],
                      n_theta ? gtheta_space : gtheta_of[b], n_gx ? gx_space : nullptr);
      if (n_theta) kernel.unpack(plan, gtheta_space, gtheta_of[b]);
      if (n_gx) spread<T>(k, in, gx_space, ld_x, gx_of[b], in);
    }
  });
}

template <class T>
void double_backward_rows(const Call& call, const Tensor& theta, const Tensor& x, const Tensor& gy,
                          const Tensor& u, const Tensor& s, const Tensor& ry, const Tensor& htheta,
                          const Tensor& hx) {
  const Plan& plan = *call.plan;
  const auto& kernel = kernels::row_kernels<T>();
  const auto theta_of = rows<T>(theta), x_of = rows<T>(x), gy_of = rows<T>(gy), u_of = rows<T>(u),
             s_of = rows<T>(s);
  const auto acts_of = rows<T>(call.acts), deltas_of = rows<T>(call.deltas);
  const auto ry_of = rows<T>(ry), htheta_of = rows<T>(htheta), hx_of = rows<T>(hx);
  const int64_t in = plan.layer[0].in, ld_x = pad(plan, in);
  const int64_t out = plan.layer[plan.depth - 1].out, ld_y = plan.ld_y(), k = plan.samples;
  const int64_t n_theta = plan.identical ? 0 : plan.padded, n_y = ld_y == out ? 0 : k * ld_y;
  const int64_t n_hx = hx.defined() ? k * ld_x : 0, n_racts = plan.ract_slots() * plan.slot;
  parallel_for(theta.size(0), grain_of(plan, 6), [&](int64_t begin, int64_t end) {
    Scratch<T> scratch({n_theta, n_theta, n_theta, n_y, n_y, n_hx, n_racts, plan.transposes, plan.transposes,
                        2 * plan.widest});
    T* const theta_space = scratch.take(n_theta);
    T* const u_space = scratch.take(n_theta);
    T* const htheta_space = scratch.take(n_theta);
    T* const gy_space = scratch.take(n_y);
    T* const ry_space = scratch.take(n_y);
    T* const hx_space = scratch.take(n_hx);
    T* const racts = scratch.take(n_racts);
    T* const transposes = scratch.take(plan.transposes);
    T* const u_transposes = scratch.take(plan.transposes);
    T* const work = scratch.take(2 * plan.widest);
    for (int64_t b = begin; b < end; ++b) {
      const T* t = padded(kernel, plan, theta_of[b], theta_space);
      const T* v = padded(kernel, plan, u_of[b], u_space);
      const T* g = n_y ? spread<T>(k, out, gy_of[b], out, gy_space, ld_y) : gy_of[b];
      kernel.transpose(plan, t, n_hx > 0, transposes);
      kernel.transpose(plan, v, n_hx > 0, u_transposes);
      kernel.forward_r(plan, t, v, x_of[b], s_of[b], acts_of[b], racts, n_y ? ry_space : ry_of[b]);
      kernel.backward_r(plan, t, transposes, v, u_transposes, x_of[b], s_of[b], acts_of[b], deltas_of[b],
                        racts, g, nullptr, work, n_theta ? htheta_space : htheta_of[b],
                        n_hx ? hx_space : nullptr);
      if (n_theta) kernel.unpack(plan, htheta_space, htheta_of[b]);
      if (n_y) spread<T>(k, out, ry_space, ld_y, ry_of[b], out);
      if (n_hx) spread<T>(k, in, hx_space, ld_x, hx_of[b], in);
    }
  });
}

// [B, columns] with zeros past the network's own.
Tensor gradient_rows(const Plan& plan, const Tensor& theta) {
  Tensor g = at::empty({theta.size(0), theta.size(1)}, theta.options());
  if (theta.size(1) > plan.params) g.narrow(1, plan.params, theta.size(1) - plan.params).zero_();
  return g;
}

template <class Work>
void by_type(const Tensor& t, Work work) {
  if (t.scalar_type() == at::kFloat)
    work(float{});
  else
    work(double{});
}

// R of the backward pass: u . dL/dtheta + s . dL/dx differentiated in theta, gy and x.
struct MlpDoubleBackward : torch::autograd::Function<MlpDoubleBackward> {
  static variable_list forward(AutogradContext* ctx, const Tensor& theta, const Tensor& x, const Tensor& gy,
                               const Tensor& u, const Tensor& s, CallPtr call, bool has_s, bool want_x) {
    const Plan& plan = *call->plan;
    const Tensor t = with_plain_rows(theta), xs = with_plain_rows(x), g = with_plain_rows(gy),
                 v = with_plain_rows(u);
    const Tensor d = has_s ? with_plain_rows(s) : Tensor();
    const Tensor htheta = gradient_rows(plan, theta), ry = at::empty(gy.sizes(), gy.options());
    const Tensor hx = want_x ? at::empty(x.sizes(), x.options()) : Tensor();
    by_type(theta,
            [&](auto zero) { double_backward_rows<decltype(zero)>(*call, t, xs, g, v, d, ry, htheta, hx); });
    if (want_x) return {htheta, ry, hx};
    return {htheta, ry};
  }
  static variable_list backward(AutogradContext*, const variable_list&) {
    TORCH_CHECK(
        false,
        "mlp_forward is differentiable twice, and a third derivative was asked for; take the composite "
        "path (symma::CompositePath), which is differentiable to any order");
  }
};

struct MlpBackward : torch::autograd::Function<MlpBackward> {
  static variable_list forward(AutogradContext* ctx, const Tensor& theta, const Tensor& x, const Tensor& gy,
                               CallPtr call, bool want_x, bool record) {
    const Plan& plan = *call->plan;
    const Tensor t = with_plain_rows(theta), xs = with_plain_rows(x), g = with_plain_rows(gy);
    const Tensor gtheta = gradient_rows(plan, theta);
    const Tensor gx = want_x ? at::empty(x.sizes(), x.options()) : Tensor();
    Tensor deltas;
    if (record) {
      deltas = at::empty({theta.size(0), plan.delta_slots() * plan.slot}, theta.options());
      auto kept = c10::make_intrusive<Call>();
      kept->shape = call->shape, kept->plan = call->plan, kept->acts = call->acts, kept->deltas = deltas;
      ctx->save_for_backward({theta, x, gy});
      ctx->saved_data["call"] = c10::IValue::make_capsule(std::move(kept));
      ctx->set_materialize_grads(false);
    }
    by_type(theta, [&](auto zero) {
      backward_rows<decltype(zero)>(plan, t, xs, call->acts, g, deltas, gtheta, gx);
    });
    if (want_x) return {gtheta, gx};
    return {gtheta};
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& directions) {
    const Tensor u = directions[0], s = directions.size() > 1 ? directions[1] : Tensor();
    if (!u.defined() && !s.defined()) return variable_list(6);
    const auto saved = ctx->get_saved_variables();
    // A Function takes no undefined tensor.
    const Tensor v = u.defined() ? u : at::zeros_like(saved[0]),
                 d = s.defined() ? s : at::empty({0}, saved[1].options());
    const auto h = MlpDoubleBackward::apply(saved[0], saved[1], saved[2], v, d, call_of(ctx), s.defined(),
                                            ctx->needs_input_grad(1));
    return {h[0], h.size() > 2 ? h[2] : Tensor(), h[1], Tensor(), Tensor(), Tensor()};
  }
};

struct MlpForward : torch::autograd::Function<MlpForward> {
  static variable_list forward(AutogradContext* ctx, const Tensor& theta, const Tensor& x, CallPtr call) {
    const Plan& plan = *call->plan;
    const Tensor y = at::empty({x.size(0), x.size(1), call->shape.widths.back()}, x.options());
    call->acts = at::empty({theta.size(0), plan.act_slots() * plan.slot}, theta.options());
    const Tensor t = with_plain_rows(theta), xs = with_plain_rows(x);
    by_type(theta, [&](auto zero) { forward_rows<decltype(zero)>(plan, t, xs, call->acts, y); });
    ctx->save_for_backward({theta, x});
    ctx->saved_data["call"] = c10::IValue::make_capsule(std::move(call));
    ctx->set_materialize_grads(false);
    return {y};
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& gy) {
    if (!gy[0].defined()) return variable_list(3);
    const auto saved = ctx->get_saved_variables();
    const bool want_x = ctx->needs_input_grad(1);
    const auto g =
        MlpBackward::apply(saved[0], saved[1], gy[0], call_of(ctx), want_x, at::GradMode::is_enabled());
    return {g[0], want_x ? g[1] : Tensor(), Tensor()};
  }
};

}  // namespace

void check_mlp(const Tensor& theta, const Tensor& x, const MlpShape& shape) {
  TORCH_CHECK(shape.widths.size() >= 2, "an MLP has at least the widths of its input and its output");
  for (int64_t w : shape.widths) TORCH_CHECK(w > 0, "an MLP's widths are positive, found ", w);
  TORCH_CHECK(theta.dim() == 2 && theta.size(1) >= shape.params(), "theta is [B, >= ", shape.params(),
              "], found ", theta.sizes());
  TORCH_CHECK(x.dim() == 3 && x.size(0) == theta.size(0) && x.size(2) == shape.widths[0], "x is [",
              theta.size(0), ", K, ", shape.widths[0], "], found ", x.sizes());
  TORCH_CHECK(theta.scalar_type() == x.scalar_type(), "theta and x have types ", theta.scalar_type(), " and ",
              x.scalar_type());
}

CompositePath::CompositePath() {
  ++composite_depth;
}
CompositePath::~CompositePath() {
  --composite_depth;
}
bool CompositePath::active() {
  return composite_depth > 0;
}

Tensor mlp_forward_composite(const Tensor& theta, const Tensor& x, const MlpShape& shape) {
  check_mlp(theta, x, shape);
  Tensor a = x;
  const size_t depth = shape.widths.size() - 1;
  // Together: the gradient is then joined once. Of each part alone it would be a row of zeros, all but that
  // part.
  std::vector<int64_t> sizes;
  int64_t rest = theta.size(1);  // columns that are not the net's
  for (size_t l = 0; l < depth; ++l) {
    for (const int64_t inputs : {shape.widths[l], int64_t{1}}) {
      sizes.push_back(inputs * shape.widths[l + 1]);
      rest -= sizes.back();
    }
  }
  sizes.push_back(rest);
  const std::vector<Tensor> parts = at::split_with_sizes(theta, sizes, 1);
  for (size_t l = 0; l < depth; ++l) {
    const Tensor w = parts[2 * l].view({theta.size(0), shape.widths[l], shape.widths[l + 1]});
    a = at::baddbmm(parts[2 * l + 1].unsqueeze(1), a, w);
    if (l + 1 == depth) break;
    switch (shape.activation) {
      case Activation::kIdentity:
        break;
      case Activation::kRelu:
        a = at::relu(a);
        break;
      case Activation::kTanh:
        a = at::tanh(a);
        break;
      case Activation::kSigmoid:
        a = at::sigmoid(a);
        break;
      // Not at::gelu: its second derivative in float32 is wrong in libtorch 1.13.
      case Activation::kGelu:
        a = 0.5 * a * (1 + at::erf(a * 0.70710678118654752440));
        break;
    }
  }
  return a;
}

Tensor mlp_forward(const Tensor& theta, const Tensor& x, const MlpShape& shape) {
  const bool ours = theta.is_cpu() && x.is_cpu() &&
                    (theta.scalar_type() == at::kFloat || theta.scalar_type() == at::kDouble);
  if (CompositePath::active() || !ours) return mlp_forward_composite(theta, x, shape);
  check_mlp(theta, x, shape);
  auto call = c10::make_intrusive<Call>();
  call->shape = shape;
  call->plan = theta.scalar_type() == at::kFloat ? kernels::make_plan<float>(shape, x.size(1))
                                                 : kernels::make_plan<double>(shape, x.size(1));
  if (at::GradMode::is_enabled() && (theta.requires_grad() || x.requires_grad())) {
    return MlpForward::apply(theta, x, std::move(call))[0];
  }
  const Tensor y = at::empty({x.size(0), x.size(1), shape.widths.back()}, x.options());
  const Tensor t = with_plain_rows(theta), xs = with_plain_rows(x);
  by_type(theta, [&](auto zero) { forward_rows<decltype(zero)>(*call->plan, t, xs, Tensor(), y); });
  return y;
}

}  // namespace symma
