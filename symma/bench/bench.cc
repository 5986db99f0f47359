#include "symma/bench/bench.h"

#include <ctime>

#include <chrono>
#include <fstream>

#include "symma/core/parallel.h"
#include "symma/core/rng.h"

namespace symma {
namespace {

double processor_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

void run_for(double seconds, const std::function<void()>& work, Timing& timing) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const double cpu = processor_seconds();
  double wall = 0;
  do {
    work();
    ++timing.times;
    wall = std::chrono::duration<double>(Clock::now() - start).count();
  } while (wall < seconds);
  timing.wall_s += wall;
  timing.cpu_s += processor_seconds() - cpu;
}

int64_t counted_times = 0;

}  // namespace

void count_work(int64_t times) {
  counted_times = times;
}

[[gnu::noinline]] void counted_work(int64_t times, const std::function<void()>& work) {
  for (int64_t i = 0; i < times; ++i) work();
}

Turns take_turns(double seconds, const std::function<void()>& work, const std::function<void()>& yardstick) {
  work();
  if (counted_times > 0) {
    Turns turns;
    const double cpu = processor_seconds();
    counted_work(counted_times, work);
    turns.work.times = counted_times;
    turns.work.wall_s = turns.work.cpu_s = processor_seconds() - cpu;
    return turns;
  }
  yardstick();
  Turns turns;
  do {
    run_for(0.05, work, turns.work);
    run_for(0.05, yardstick, turns.yardstick);
  } while (turns.work.wall_s < seconds);
  return turns;
}

Sgemm sgemm() {
  constexpr int64_t kSize = 1024;
  const int64_t count = threads();
  std::vector<Tensor> factors, products;
  for (int64_t i = 0; i < count; ++i) {
    factors.push_back(uniform(Rng(1).split("factor", i), {kSize, kSize}, -1, 1));
    products.push_back(at::empty({kSize, kSize}));
  }
  const auto run = [factors, products, count]() mutable {
    parallel_for(count, 1, [&](int64_t i, int64_t) {
      at::NoGradGuard no_grad;
      at::mm_out(products[i], factors[i], factors[i]);
    });
  };
  return {run, 2e-9 * static_cast<double>(kSize * kSize * kSize * count)};
}

Json rates(const Turns& turns, int64_t tasks, double gflop, const Sgemm& product) {
  const auto& [work, yardstick] = turns;
  const double done = static_cast<double>(work.times * tasks);
  const double products = static_cast<double>(yardstick.times) * product.gflop;
  return {{"tasks_per_s", done / work.wall_s},
          {"gflops", done * gflop / work.wall_s},
          {"sgemm_gflops", products / yardstick.wall_s},
          {"of_sgemm", (done * gflop / work.cpu_s) / (products / yardstick.cpu_s)},
          {"tasks_per_cpu_s", done / work.cpu_s},
          {"threads", threads()}};
}

int64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

void forget_peak() {
  std::ofstream("/proc/self/clear_refs") << 5;
}

}  // namespace symma
