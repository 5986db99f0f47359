// Second-order MAML on the sinusoid set-up (MLP 1-40-40-1 relu, 10 shots, 25 tasks at a time) three ways, and
// the rate of the machine's own sgemm beside them.
//
//   mlp_bench [--benchmark_filter=...]        names: maml/<path>/<inner steps>/<threads>
//
// Count of operations, a multiply and an add as two, matrix products only. With M the number of weights and
// M0 those of the first layer, for each example: forward M; backward 2M - M0 (no gradient in x); forward of
// derivatives 2M - M0; backward of derivatives 4M - 3M0. A task with S inner steps has S + 1 forward and
// backward passes and S of derivatives.
#include <benchmark/benchmark.h>
#include <dlfcn.h>
#include <torch/csrc/autograd/autograd.h>

#include "symma/core/parallel.h"
#include "symma/core/rng.h"
#include "symma/nn/kernels/maml_mlp.h"
#include "symma/nn/kernels/mlp.h"

namespace symma {
namespace {

constexpr int64_t kTasks = 25, kShots = 10;
const MlpShape kShape{{1, 40, 40, 1}, Activation::kRelu};

struct Sinusoids {
  Tensor theta;
  Examples support, query;
};

Sinusoids draw() {
  const Rng rng(1);
  Sinusoids s;
  const Tensor amplitude = uniform(rng.split("amplitude"), {kTasks, 1, 1}, 0.1, 5);
  const Tensor phase = uniform(rng.split("phase"), {kTasks, 1, 1}, 0, M_PI);
  for (Examples* e : {&s.support, &s.query}) {
    e->x = uniform(rng.split(e == &s.support ? "support" : "query"), {kTasks, kShots, 1}, -5, 5);
    e->y = amplitude * (e->x - phase).sin();
  }
  s.theta = at::zeros({1, kShape.params()});
  int64_t at = 0;
  for (size_t l = 0; l + 1 < kShape.widths.size(); ++l) {
    const int64_t in = kShape.widths[l], out = kShape.widths[l + 1];
    s.theta.narrow(1, at, in * out) =
        normal(rng.split("init", l), {1, in * out}) * std::sqrt(2.0 / static_cast<double>(in));
    at += (in + 1) * out;
  }
  s.theta = s.theta.expand({kTasks, kShape.params()}).contiguous();
  return s;
}

double operations_per_task(int64_t steps) {
  double m = 0;
  for (size_t l = 0; l + 1 < kShape.widths.size(); ++l)
    m += static_cast<double>(kShape.widths[l] * kShape.widths[l + 1]);
  const double m0 = static_cast<double>(kShape.widths[0] * kShape.widths[1]);
  return 2.0 * kShots *
         (static_cast<double>(steps + 1) * (3 * m - m0) + static_cast<double>(steps) * (6 * m - 4 * m0));
}

void report(benchmark::State& state, int64_t steps) {
  const double tasks = static_cast<double>(kTasks) * static_cast<double>(state.iterations());
  state.counters["tasks/s"] = benchmark::Counter(tasks, benchmark::Counter::kIsRate);
  state.counters["GFLOP/s"] =
      benchmark::Counter(tasks * operations_per_task(steps) * 1e-9, benchmark::Counter::kIsRate);
}

void fused(benchmark::State& state) {
  set_threads(static_cast<int>(state.range(1)));
  const Sinusoids s = draw();
  const Tensor rate = at::full({}, 0.01);
  const MamlMlpOptions options{.inner_steps = state.range(0)};
  for (auto _ : state) benchmark::DoNotOptimize(maml_mlp(s.theta, s.support, s.query, rate, kShape, options));
  report(state, state.range(0));
}

Tensor mean_squared_error(const Tensor& theta, const Examples& e) {
  return (mlp_forward(theta, e.x, kShape) - e.y).pow(2).mean({1, 2});
}

void graph(benchmark::State& state, int64_t steps) {
  set_threads(static_cast<int>(state.range(1)));
  const Sinusoids s = draw();
  for (auto _ : state) {
    const Tensor start = leaf(s.theta);
    Tensor theta = start;
    for (int64_t k = 0; k < steps; ++k) {
      theta = theta - 0.01 * row_gradient(mean_squared_error(theta, s.support), theta, true);
    }
    benchmark::DoNotOptimize(row_gradient(mean_squared_error(theta, s.query), start, false));
  }
  report(state, steps);
}

void autograd_over_fused(benchmark::State& state) {
  graph(state, state.range(0));
}

void composite(benchmark::State& state) {
  const CompositePath path;
  graph(state, state.range(0));
}

void sgemm(benchmark::State& state) {
  set_threads(1);
  const int n = 1024;
  const float one = 1, zero = 0;
  using Sgemm =
      void (*)(const char*, const char*, const int*, const int*, const int*, const float*, const float*,
               const int*, const float*, const int*, const float*, float*, const int*);
  // The BLAS that libtorch brought with it.
  const auto sgemm_ = reinterpret_cast<Sgemm>(dlsym(RTLD_DEFAULT, "sgemm_"));
  if (!sgemm_) return state.SkipWithError("no sgemm_ in this process");
  const Tensor a = normal(Rng(1), {n, n}), b = normal(Rng(2), {n, n}), c = at::empty({n, n});
  for (auto _ : state) {
    sgemm_("N", "N", &n, &n, &n, &one, a.data_ptr<float>(), &n, b.data_ptr<float>(), &n, &zero,
           c.data_ptr<float>(), &n);
  }
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * n * n * n * static_cast<double>(state.iterations()),
                                                 benchmark::Counter::kIsRate);
}

BENCHMARK(sgemm)->Name("sgemm/1024")->UseRealTime();
BENCHMARK(fused)
    ->Name("maml/fused")
    ->ArgNames({"steps", "threads"})
    ->ArgsProduct({{1, 5}, {1, 2}})
    ->UseRealTime();
BENCHMARK(autograd_over_fused)
    ->Name("maml/autograd")
    ->ArgNames({"steps", "threads"})
    ->ArgsProduct({{1, 5}, {1, 2}})
    ->UseRealTime();
BENCHMARK(composite)
    ->Name("maml/composite")
    ->ArgNames({"steps", "threads"})
    ->ArgsProduct({{1, 5}, {1, 2}})
    ->UseRealTime();

}  // namespace
}  // namespace symma

BENCHMARK_MAIN();
