// Memory and threads for the row kernels of MAML.
#include "symma/nn/kernels/maml_mlp.h"

#include <algorithm>
#include <cstring>

#include "symma/core/parallel.h"
#include "symma/nn/kernels/plan.h"

namespace symma {
namespace {

using kernels::grain_of;
using kernels::MamlRow;
using kernels::Plan;
using kernels::Scratch;

void check_examples(const Tensor& theta, const Examples& e, const MlpShape& shape, HeadLoss loss) {
  const int64_t rows = theta.size(0), out = shape.widths.back();
  TORCH_CHECK(e.x.dim() == 3 && e.x.size(0) == rows && e.x.size(1) > 0 && e.x.size(2) == shape.widths[0],
              "x is [", rows, ", K, ", shape.widths[0], "], found ", e.x.sizes());
  TORCH_CHECK(e.x.scalar_type() == theta.scalar_type(), "x is ", theta.scalar_type(), " as theta, found ",
              e.x.scalar_type());
  TORCH_CHECK(!e.share.defined() || (e.share.sizes() == at::IntArrayRef({rows, e.x.size(1)}) &&
                                     e.share.scalar_type() == theta.scalar_type()),
              "shares are [", rows, ", ", e.x.size(1), "], as theta, found ", e.share.sizes());
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
      const MlpShape& network, HeadLoss head)
      : loss(head),
        shape(network),
        theta(theta_in.stride(1) == 1 ? theta_in.detach() : theta_in.detach().contiguous()),
        sx(s.x.contiguous()),
        sy(s.y.contiguous()),
        qx(q.x.contiguous()),
        qy(q.y.contiguous()),
        s_share(s.share.defined() ? s.share.contiguous() : s.share),
        q_share(q.share.defined() ? q.share.contiguous() : q.share),
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

  static const T* shares_of(const Tensor& t, int64_t b) {
    return t.defined() ? static_cast<const T*>(t.data_ptr()) + b * t.size(1) : nullptr;
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
    row.support = {support.get(), row_of(sx, b), target_of(sy, b), shares_of(s_share, b)};
    row.query = {query.get(), row_of(qx, b), target_of(qy, b), shares_of(q_share, b)};
    const T* r = static_cast<const T*>(rates.data_ptr()) + b * rate_stride;
    row.rate = per_parameter ? 0 : *r;
    row.rates = nullptr;
    if (per_parameter && support->identical) row.rates = r;
    if (per_parameter && !support->identical) kernel.pack(*support, r, space), row.rates = space;
    kernel.pack(*support, row_of(theta, b), row.thetas);
  }

  HeadLoss loss;
  MlpShape shape;
  Tensor theta, sx, sy, qx, qy, s_share, q_share, rates;
  std::shared_ptr<const Plan> support, query;
  bool per_parameter;
  int64_t rate_stride;
};

// Thread memory for the parts that `lay` asks for, one after another, by calls of take(elements).
template <class T, class Lay>
void with_memory(const Lay& lay) {
  const auto rounded = [](int64_t n) { return (n + 15) / 16 * 16; };
  int64_t total = 0;
  lay([&](int64_t n) {
    total += rounded(n);
    return static_cast<T*>(nullptr);
  });
  T* at = Scratch<T>({total}).take(total);
  lay([&](int64_t n) {
    T* const part = at;
    at += rounded(n);
    return part;
  });
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

  const bool head = options.by == MetaGradient::kHead, back = head || options.by == MetaGradient::kSteps,
             solves = options.by == MetaGradient::kSolution, second = back && options.order >= 2;
  // Where the head alone moves, the body's points are those of both.
  std::shared_ptr<const Plan> both;
  Tensor points;
  if (head)
    both = kernels::make_plan<T>(job.shape, s.samples + q.samples), points = at::cat({job.sx, job.qx}, 1);
  const auto largest = [&](auto size) { return std::max({size(s), size(q), both ? size(*both) : 0}); };
  const auto rounded = [](int64_t n) { return (n + 15) / 16 * 16; };
  const int64_t turn_step = rounded(s.transposes);
  const int64_t act_step = rounded(largest([](const Plan& p) { return p.act_slots() * p.slot; }));
  const int64_t delta_step = rounded(largest([](const Plan& p) { return p.delta_slots() * p.slot; }));
  const int64_t out_step = rounded(std::max(s.samples, q.samples) * s.ld_y());
  const int64_t gradient_step = options.rate_gradient ? rounded(s.padded) : 0;
  // Of each step, and of the query behind them: all that the way back needs, or where it is worked out again
  // the rows alone.
  const int64_t kept = second && !head && !options.recompute ? steps + 1 : 1;
  const int64_t kept_outputs = head ? steps + 1 : kept, kept_rows = back ? steps + 1 : 1;
  const auto& kernel = kernels::row_kernels<T>();
  const auto meta = kernel.meta[static_cast<int>(options.by)];
  const int64_t passes =
      solves ? 3 * steps + 6 * options.cg_steps + 12 : 3 + (second && !head ? 9 : 3) * (head ? 1 : steps);
  parallel_for(rows, grain_of(s, passes), [&](int64_t begin, int64_t end) {
    MamlRow<T> row{};
    row.loss = job.loss, row.steps = steps, row.order = options.order, row.recompute = options.recompute;
    row.in_turn = options.by == MetaGradient::kEnd;
    row.pull = static_cast<T>(options.pull), row.cg_steps = options.cg_steps;
    row.thetas_step = kept_rows > 1 ? s.padded : 0;
    if (kept > 1) row.transposes_step = turn_step, row.acts_step = act_step, row.deltas_step = delta_step;
    row.outputs_step = kept_outputs > 1 ? out_step : 0;
    row.gradients_step = gradient_step;
    T *meta_space = nullptr, *rate_space = nullptr, *rate_gradient_space = nullptr, *start = nullptr;
    with_memory<T>([&](auto take) {
      row.thetas = take(kept_rows * s.padded);
      row.transposes = take(kept * turn_step);
      row.acts = take(kept * act_step);
      row.deltas = take(kept * delta_step);
      row.outputs = take(kept_outputs * out_step);
      row.gradients = take(gradient_step > 0 ? std::max<int64_t>(1, steps) * gradient_step : s.padded);
      row.direction = take(s.padded);
      row.direction_transposes = take(s.transposes);
      row.product = take(s.padded);
      row.residual = take(solves ? s.padded : 0);
      row.racts = take(s.ract_slots() * s.slot);
      row.routput = take(s.samples * s.ld_y());
      row.scratch = take(2 * s.widest);
      start = take(back ? 0 : s.padded);
      meta_space = take(s.padded);
      rate_space = take(s.padded);
      rate_gradient_space = take(s.padded);
    });
    row.start = start;
    for (int64_t b = begin; b < end; ++b) {
      job.point(row, b, rate_space);
      if (head) row.both = {both.get(), job.row_of(points, b), nullptr, nullptr};
      if (!back) std::memcpy(start, row.thetas, s.padded * sizeof(T));
      row.meta = s.identical ? gradient + b * columns : meta_space;
      row.rate_gradient = !rate_gradient ? nullptr
                          : s.identical  ? rate_gradient + b * columns
                                         : rate_gradient_space;
      meta(row);
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
std::vector<Tensor> run_adapt(const Job<T>& job, std::span<const int64_t> steps, double pull) {
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
    MamlRow<T> row{};
    row.loss = job.loss, row.pull = static_cast<T>(pull);
    T *rate_space = nullptr, *start = nullptr;
    with_memory<T>([&](auto take) {
      row.thetas = take(s.padded);
      row.transposes = take(s.transposes);
      row.acts = take(s.act_slots() * s.slot);
      row.deltas = take(s.delta_slots() * s.slot);
      row.outputs = take(s.samples * s.ld_y());
      row.gradients = take(s.padded);
      rate_space = take(s.padded);
      start = take(s.padded);
    });
    row.start = start;
    for (int64_t b = begin; b < end; ++b) {
      job.point(row, b, rate_space);
      std::memcpy(start, row.thetas, s.padded * sizeof(T));
      int64_t done = 0;
      for (size_t i = 0; i < steps.size(); ++i) {
        row.steps = steps[i] - done;
        kernel.adapt(row);
        done = steps[i];
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
  const bool solves = options.by == MetaGradient::kSolution;
  TORCH_CHECK(solves ? options.pull > 0 : options.pull == 0,
              "pull is above 0 for kSolution and 0 else, found ", options.pull);
  TORCH_CHECK(options.pull == 0 || rates.dim() < 2, "where there is a pull, rates are not per parameter");
  TORCH_CHECK(
      !options.rate_gradient || options.by == MetaGradient::kSteps || options.by == MetaGradient::kHead,
      "the rates have a gradient where it goes through the steps");
  if (theta.scalar_type() == at::kFloat)
    return run(Job<float>(theta, support, query, rates, shape, options.loss), options);
  return run(Job<double>(theta, support, query, rates, shape, options.loss), options);
}

std::vector<Tensor> maml_mlp_adapt(const Tensor& theta, const Examples& support, const Tensor& rates,
                                   const MlpShape& shape, HeadLoss loss, std::span<const int64_t> steps,
                                   double pull) {
  check_theta(theta, shape);
  check_examples(theta, support, shape, loss);
  TORCH_CHECK(pull >= 0 && (pull == 0 || rates.dim() < 2),
              "pull is at least 0, and where there is one rates are not per parameter");
  TORCH_CHECK(std::is_sorted(steps.begin(), steps.end()) && (steps.empty() || steps.front() >= 0),
              "steps are ascending and at least 0, found ", at::IntArrayRef(steps.data(), steps.size()));
  if (theta.scalar_type() == at::kFloat)
    return run_adapt(Job<float>(theta, support, support, rates, shape, loss), steps, pull);
  return run_adapt(Job<double>(theta, support, support, rates, shape, loss), steps, pull);
}

}  // namespace symma
