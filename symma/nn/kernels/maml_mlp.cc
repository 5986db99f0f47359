// Memory and threads for the row kernels of MAML.
#include "symma/nn/kernels/maml_mlp.h"

#include <algorithm>
#include <cstring>

#include "symma/core/parallel.h"
#include "symma/nn/kernels/plan.h"

namespace symma {
namespace {

using kernels::MamlRow;
using kernels::Plan;
using kernels::Scratch;

void check_examples(const Tensor& theta, const Examples& e, const MlpShape& shape, HeadLoss loss) {
  const int64_t rows = theta.size(0), out = shape.widths.back();
  TORCH_CHECK(e.x.dim() == 3 && e.x.size(0) == rows && e.x.size(1) > 0 && e.x.size(2) == shape.widths[0],
              "x is [", rows, ", K, ", shape.widths[0], "], found ", e.x.sizes());
  TORCH_CHECK(e.x.scalar_type() == theta.scalar_type(), "x is ", theta.scalar_type(), " as theta, found ",
              e.x.scalar_type());
  if (loss == HeadLoss::kSquaredError) {
    TORCH_CHECK(
        e.y.sizes() == at::IntArrayRef({rows, e.x.size(1), out}) && e.y.scalar_type() == theta.scalar_type(),
        "y is [", rows, ", ", e.x.size(1), ", ", out, "] of ", theta.scalar_type(), ", found ", e.y.sizes(),
        " of ", e.y.scalar_type());
    return;
  }
  TORCH_CHECK(e.y.sizes() == at::IntArrayRef({rows, e.x.size(1)}) && e.y.scalar_type() == at::kLong,
              "labels are [", rows, ", ", e.x.size(1), "] of int64, found ", e.y.sizes(), " of ",
              e.y.scalar_type());
  if (e.y.numel() > 0) {
    TORCH_CHECK(e.y.min().item<int64_t>() >= 0 && e.y.max().item<int64_t>() < out, "labels are in 0..",
                out - 1);
  }
}

void check_theta(const Tensor& theta, const MlpShape& shape) {
  TORCH_CHECK(shape.widths.size() >= 2, "an MLP has at least the widths of its input and its output");
  TORCH_CHECK(theta.is_cpu() && (theta.scalar_type() == at::kFloat || theta.scalar_type() == at::kDouble),
              "theta is float32 or float64 on the CPU");
  TORCH_CHECK(theta.dim() == 2 && theta.size(1) >= shape.params(), "theta is [B, >= ", shape.params(),
              "], found ", theta.sizes());
}

// What a call needs, in plain pointers.
template <class T>
struct Job {
  Job(const Tensor& theta_in, const Examples& s, const Examples& q, const Tensor& rates_in,
      const MlpShape& shape, HeadLoss head)
      : loss(head),
        theta(theta_in.stride(1) == 1 ? theta_in.detach() : theta_in.detach().contiguous()),
        sx(s.x.contiguous()),
        sy(s.y.contiguous()),
        qx(q.x.contiguous()),
        qy(q.y.contiguous()),
        support(kernels::make_plan<T>(shape, s.x.size(1))),
        query(kernels::make_plan<T>(shape, q.x.size(1))) {
    rates = rates_in.detach().to(theta.scalar_type()).contiguous();
    const int64_t rows = theta.size(0);
    per_parameter = rates.dim() == 2;
    if (per_parameter) {
      TORCH_CHECK((rates.size(0) == rows || rates.size(0) == 1) && rates.size(1) >= support->params,
                  "rates per parameter are [", rows, " or 1, >= ", support->params, "], found ",
                  rates.sizes());
      rate_stride = rates.size(0) == 1 ? 0 : rates.size(1);
    } else {
      TORCH_CHECK(rates.numel() == 1 || (rates.dim() == 1 && rates.size(0) == rows),
                  "rates are one number or [", rows, "], found ", rates.sizes());
      rate_stride = rates.numel() == 1 ? 0 : 1;
    }
  }

  // Rows of theta may stand apart, or be one.
  const T* row_of(const Tensor& t, int64_t b) const {
    return static_cast<const T*>(t.data_ptr()) + b * t.stride(0);
  }
  const void* target_of(const Tensor& t, int64_t b) const {
    return static_cast<const char*>(t.data_ptr()) + b * (t.numel() / t.size(0)) * t.element_size();
  }

  // The row's own inputs; `space` is for its padded rates.
  void point(MamlRow<T>& row, int64_t b, T* space) const {
    const auto& kernel = kernels::row_kernels<T>();
    row.support_x = row_of(sx, b), row.query_x = row_of(qx, b);
    row.support_y = target_of(sy, b), row.query_y = target_of(qy, b);
    const T* r = static_cast<const T*>(rates.data_ptr()) + b * rate_stride;
    row.rate = per_parameter ? 0 : *r;
    row.rates = nullptr;
    if (per_parameter && support->identical) row.rates = r;
    if (per_parameter && !support->identical) kernel.pack(*support, r, space), row.rates = space;
    kernel.pack(*support, row_of(theta, b), row.thetas);
  }

  HeadLoss loss;
  Tensor theta, sx, sy, qx, qy, rates;
  std::shared_ptr<const Plan> support, query;
  bool per_parameter;
  int64_t rate_stride;
};

int64_t grain_of(const Plan& plan, int64_t passes) {
  return std::max<int64_t>(1, 600000 / std::max<int64_t>(1, 2 * plan.samples * plan.padded * passes));
}

template <class T>
MamlMlpResult run(const Job<T>& job, const MamlMlpOptions& options) {
  const Plan& s = *job.support;
  const Plan& q = *job.query;
  const int64_t rows = job.theta.size(0), columns = job.theta.size(1), steps = options.inner_steps;
  MamlMlpResult result;
  result.query_loss = at::empty({rows}, job.theta.options());
  result.support_loss = at::empty({rows}, job.theta.options());
  result.gradient = columns > s.params ? at::zeros({rows, columns}, job.theta.options())
                                       : at::empty({rows, columns}, job.theta.options());
  if (options.rate_gradient) result.rate_gradient = at::zeros_like(result.gradient);
  T* const query_loss = result.query_loss.template data_ptr<T>();
  T* const support_loss = result.support_loss.template data_ptr<T>();
  T* const gradient = result.gradient.template data_ptr<T>();
  T* const rate_gradient = options.rate_gradient ? result.rate_gradient.template data_ptr<T>() : nullptr;

  const bool second = options.order >= 2;
  const int64_t kept = second && !options.recompute ? steps + 1 : 1;  // the query's buffers are the last
  const auto rounded = [](int64_t n) { return (n + 15) / 16 * 16; };
  const int64_t turn_step = rounded(s.transposes);
  const int64_t act_step = rounded(std::max(s.act_slots() * s.slot, q.act_slots() * q.slot));
  const int64_t delta_step = rounded(std::max(s.delta_slots() * s.slot, q.delta_slots() * q.slot));
  const int64_t out_step = rounded(std::max(s.samples, q.samples) * s.ld_y());
  const int64_t gradient_step = options.rate_gradient ? rounded(s.padded) : 0;
  const int64_t n_gradients = options.rate_gradient ? std::max<int64_t>(1, steps) * gradient_step : s.padded;
  const int64_t n_racts = s.ract_slots() * s.slot;
  const auto& kernel = kernels::row_kernels<T>();
  parallel_for(rows, grain_of(s, 3 + (second ? 9 : 3) * steps), [&](int64_t begin, int64_t end) {
    const int64_t parts[] = {(steps + 1) * s.padded,
                             kept * turn_step,
                             kept * act_step,
                             kept * delta_step,
                             kept * out_step,
                             n_gradients,
                             s.padded,
                             s.transposes,
                             s.padded,
                             n_racts,
                             s.samples * s.ld_y(),
                             2 * s.widest,
                             s.padded,
                             s.padded,
                             s.padded};
    Scratch<T> scratch({parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], parts[6], parts[7],
                        parts[8], parts[9], parts[10], parts[11], parts[12], parts[13], parts[14]});
    MamlRow<T> row{};
    row.support = &s, row.query = &q, row.loss = job.loss;
    row.steps = steps, row.order = options.order, row.recompute = options.recompute;
    row.thetas = scratch.take(parts[0]);
    row.transposes = scratch.take(parts[1]);
    row.acts = scratch.take(parts[2]);
    row.deltas = scratch.take(parts[3]);
    row.outputs = scratch.take(parts[4]);
    if (kept > 1) {
      row.transposes_step = turn_step, row.acts_step = act_step;
      row.deltas_step = delta_step, row.outputs_step = out_step;
    }
    row.gradients = scratch.take(parts[5]);
    row.gradients_step = gradient_step;
    row.direction = scratch.take(parts[6]);
    row.direction_transposes = scratch.take(parts[7]);
    row.product = scratch.take(parts[8]);
    row.racts = scratch.take(parts[9]);
    row.routput = scratch.take(parts[10]);
    row.scratch = scratch.take(parts[11]);
    T* const meta_space = scratch.take(parts[12]);
    T* const rate_space = scratch.take(parts[13]);
    T* const rate_gradient_space = scratch.take(parts[14]);
    for (int64_t b = begin; b < end; ++b) {
      job.point(row, b, rate_space);
      row.meta = s.identical ? gradient + b * columns : meta_space;
      row.rate_gradient = !rate_gradient ? nullptr
                          : s.identical  ? rate_gradient + b * columns
                                         : rate_gradient_space;
      kernel.maml(row);
      query_loss[b] = row.query_loss;
      support_loss[b] = row.support_loss;
      if (s.identical) continue;
      kernel.unpack(s, row.meta, gradient + b * columns);
      if (rate_gradient) kernel.unpack(s, row.rate_gradient, rate_gradient + b * columns);
    }
  });
  return result;
}

template <class T>
std::vector<Tensor> run_adapt(const Job<T>& job, std::span<const int64_t> steps) {
  const Plan& s = *job.support;
  const int64_t rows = job.theta.size(0), columns = job.theta.size(1);
  std::vector<Tensor> out;
  std::vector<T*> data;
  for (size_t i = 0; i < steps.size(); ++i) {
    out.push_back(columns > s.params ? job.theta.clone() : at::empty_like(job.theta));
    data.push_back(out.back().template data_ptr<T>());
  }
  if (steps.empty()) return out;
  const auto& kernel = kernels::row_kernels<T>();
  parallel_for(rows, grain_of(s, 3 * std::max<int64_t>(1, steps.back())), [&](int64_t begin, int64_t end) {
    // A long way is gone in stretches, so that memory does not grow with it.
    constexpr int64_t kStretch = 8;
    const int64_t n_thetas = (kStretch + 1) * s.padded, n_acts = s.act_slots() * s.slot,
                  n_deltas = s.delta_slots() * s.slot;
    const int64_t n_out = s.samples * s.ld_y();
    Scratch<T> scratch({n_thetas, s.transposes, n_acts, n_deltas, n_out, s.padded, s.padded});
    MamlRow<T> row{};
    row.support = &s, row.query = &s, row.loss = job.loss;
    row.thetas = scratch.take(n_thetas);
    row.transposes = scratch.take(s.transposes);
    row.acts = scratch.take(n_acts);
    row.deltas = scratch.take(n_deltas);
    row.outputs = scratch.take(n_out);
    row.gradients = scratch.take(s.padded);
    T* const rate_space = scratch.take(s.padded);
    for (int64_t b = begin; b < end; ++b) {
      job.point(row, b, rate_space);
      int64_t done = 0;
      for (size_t i = 0; i < steps.size(); ++i) {
        while (done < steps[i]) {
          row.steps = std::min(kStretch, steps[i] - done);
          kernel.adapt(row);
          std::memcpy(row.thetas, row.thetas + row.steps * s.padded, s.padded * sizeof(T));
          done += row.steps;
        }
        kernel.unpack(s, row.thetas, data[i] + b * columns);
      }
    }
  });
  return out;
}

}  // namespace

MamlMlpResult maml_mlp(const Tensor& theta, const Examples& support, const Examples& query,
                       const Tensor& rates, const MlpShape& shape, const MamlMlpOptions& options) {
  check_theta(theta, shape);
  check_examples(theta, support, shape, options.loss);
  check_examples(theta, query, shape, options.loss);
  TORCH_CHECK(options.inner_steps >= 0, "inner_steps is at least 0, found ", options.inner_steps);
  TORCH_CHECK(options.order == 1 || options.order == 2, "order is 1 or 2, found ", options.order);
  if (theta.scalar_type() == at::kFloat)
    return run(Job<float>(theta, support, query, rates, shape, options.loss), options);
  return run(Job<double>(theta, support, query, rates, shape, options.loss), options);
}

std::vector<Tensor> maml_mlp_adapt(const Tensor& theta, const Examples& support, const Tensor& rates,
                                   const MlpShape& shape, HeadLoss loss, std::span<const int64_t> steps) {
  check_theta(theta, shape);
  check_examples(theta, support, shape, loss);
  TORCH_CHECK(std::is_sorted(steps.begin(), steps.end()) && (steps.empty() || steps.front() >= 0),
              "steps are ascending and at least 0, found ", at::IntArrayRef(steps.data(), steps.size()));
  if (theta.scalar_type() == at::kFloat)
    return run_adapt(Job<float>(theta, support, support, rates, shape, loss), steps);
  return run_adapt(Job<double>(theta, support, support, rates, shape, loss), steps);
}

}  // namespace symma
