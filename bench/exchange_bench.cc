// Aggregation of 100 rows of a million floats: coordinate-wise rules against the rate of a read of memory,
// pairwise ones against sgemm, in the same run. GB/s count the matrix once, GFLOP/s the product of the rows
// with themselves. Rates are by processor time, times the number of threads: a machine with other work
// disturbs those less than the wall's clock.
//
//   exchange_bench [--threads N] [--simd baseline|avx2|avx512] [--benchmark_filter=...]
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "symma/core/pages.h"
#include "symma/core/parallel.h"
#include "symma/core/processor.h"
#include "symma/core/simd.h"
#include "symma/exchange/aggregator.h"
#include "symma/exchange/compressor.h"
#include "symma/exchange/privacy.h"
#include "symma/exchange/rows.h"

namespace symma {
namespace {

constexpr int64_t kRows = 100, kColumns = 1'000'000, kBad = 10;

const Tensor& matrix() {
  static const Tensor m = [] {
    Tensor x = at::empty({kRows, kColumns});
    parallel_for(kRows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) x[i].copy_(normal(Rng(1).split("row", i), {kColumns}));
    });
    return x;
  }();
  return m;
}

void count(benchmark::State& state, double bytes, double flops) {
  const double n = static_cast<double>(state.iterations()) * threads();
  if (bytes > 0) state.counters["GB/s"] = benchmark::Counter(n * bytes * 1e-9, benchmark::Counter::kIsRate);
  if (flops > 0)
    state.counters["GFLOP/s"] = benchmark::Counter(n * flops * 1e-9, benchmark::Counter::kIsRate);
}

const double kBytes = 4.0 * kRows * kColumns, kProduct = 2.0 * kRows * kRows * kColumns;

void read_memory(benchmark::State& state) {
  const float* x = matrix().data_ptr<float>();
  for (auto _ : state) {
    std::vector<float> sums(kRows);
    parallel_for(kRows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float lanes[64] = {};
        widest([&]() SYMMA_INLINE {
          for (int64_t c = 0; c < kColumns; c += 64)
            for (int l = 0; l < 64; ++l) lanes[l] += x[i * kColumns + c + l];
        });
        for (float v : lanes) sums[i] += v;
      }
    });
    benchmark::DoNotOptimize(sums.data());
  }
  count(state, kBytes, 0);
}

void copy_memory(benchmark::State& state) {
  const Tensor& x = matrix();
  const Tensor y = x.clone();  // its pages are there before the clock runs
  for (auto _ : state) {
    parallel_for(kRows, 1, [&](int64_t begin, int64_t end) {
      std::memcpy(y.data_ptr<float>() + begin * kColumns, x.data_ptr<float>() + begin * kColumns,
                  4 * (end - begin) * kColumns);
    });
    benchmark::DoNotOptimize(y.data_ptr<float>());
  }
  count(state, 2 * kBytes, 0);
}

// A product of square matrices on each thread, the most that BLAS gives.
void sgemm(benchmark::State& state) {
  const int64_t n = 1024;
  std::vector<Tensor> a, c;
  for (int i = 0; i < threads(); ++i) a.push_back(at::rand({n, n})), c.push_back(at::empty({n, n}));
  for (auto _ : state) parallel_for(threads(), 1, [&](int64_t i, int64_t) { at::mm_out(c[i], a[i], a[i]); });
  count(state, 0, 2.0 * n * n * n * threads());
}

void distances(benchmark::State& state) {
  const Tensor& x = matrix();  // is there before the clock runs
  for (auto _ : state) benchmark::DoNotOptimize(squared_distances(x));
  count(state, kBytes, kProduct);
}

void rule(benchmark::State& state, const std::string& name) {
  const auto part = AggregatorRegistry::instance().draft(name, "bench")->build();
  const Tensor& x = matrix();
  for (auto _ : state) benchmark::DoNotOptimize(aggregate(*part, {x, kBad, {}}, Rng(1)));
  count(state, kBytes, name == "krum" || name == "multi_krum" || name == "mda" ? kProduct : 0);
}

void before(benchmark::State& state, const std::string& name) {
  const auto part = PreAggregatorRegistry::instance().draft(name, "bench")->build();
  const Tensor& x = matrix();
  for (auto _ : state) benchmark::DoNotOptimize(prepare(*part, {x, kBad, {}}, Rng(1)));
  count(state, kBytes, name == "nnm" ? 2 * kProduct : 0);
}

void encoding(benchmark::State& state, const std::string& name) {
  const auto part = CompressorRegistry::instance().draft(name, "bench")->build();
  const Tensor row = matrix()[0];
  for (auto _ : state) benchmark::DoNotOptimize(part->decode(part->encode(row, Rng(1)), kColumns));
  count(state, 4.0 * kColumns, 0);
}

// What ten thousand rounds spend, in each of which one in a hundred takes part.
void accountant(benchmark::State& state, const std::function<double(const Spending&)>& epsilon) {
  for (auto _ : state) benchmark::DoNotOptimize(epsilon({.sigma = 1, .q = 0.01, .steps = 10'000}));
}

}  // namespace
}  // namespace symma

int main(int argc, char** argv) {
  using namespace symma;
  keep_pages();  // as the program does
  const auto take = [&](const char* option) -> const char* {
    for (int i = 1; i + 1 < argc; ++i) {
      if (std::strcmp(argv[i], option) != 0) continue;
      const char* value = argv[i + 1];
      std::copy(argv + i + 2, argv + argc, argv + i);
      argc -= 2;
      return value;
    }
    return nullptr;
  };
  const char* wanted = take("--threads");
  set_threads(wanted ? std::atoi(wanted) : 0);
  if (const char* set = take("--simd")) {
    const auto* named = std::find_if(std::begin(kEverySimd), std::end(kEverySimd), [&](Simd s) {
      return std::strcmp(name_of(s), set) == 0 && has_simd(s);
    });
    if (named == std::end(kEverySimd)) {
      fmt::print(stderr, "--simd: {} is not baseline, avx2 or avx512, or this processor lacks it\n", set);
      return 2;
    }
    select_simd(*named);
  }
  const auto add = [](const std::string& name, auto f) {
    benchmark::RegisterBenchmark(name.c_str(), f)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();
  };
  add("read_memory", read_memory);
  add("copy_memory", copy_memory);
  add("sgemm", sgemm);
  add("squared_distances", distances);
  for (const std::string& name : AggregatorRegistry::instance().names())
    add("aggregate/" + name, [name](benchmark::State& s) { rule(s, name); });
  for (const std::string& name : PreAggregatorRegistry::instance().names())
    add("prepare/" + name, [name](benchmark::State& s) { before(s, name); });
  for (const std::string& name : CompressorRegistry::instance().names())
    add("compress/" + name, [name](benchmark::State& s) { encoding(s, name); });
  add("accountant/renyi", [](benchmark::State& s) {
    accountant(s, [](const Spending& spent) { return renyi_epsilon({&spent, 1}, 1e-5); });
  });
  add("accountant/composed", [](benchmark::State& s) {
    accountant(s, [](const Spending& spent) { return composed_epsilon({&spent, 1}, 1e-5).upper; });
  });
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
