// What `symma bench` measures. Each benchmark is a part of its own, one file in bench/; what it measures
// against (a product of matrices, a copy of memory) takes turns with it, so that both see the same machine.
#pragma once

#include <functional>
#include <string>

#include "symma/core/options.h"
#include "symma/core/registry.h"

namespace symma {

class Benchmark {
 public:
  virtual ~Benchmark() = default;
  virtual std::string work() const = 0;  // what is done, with its sizes, in a line
  virtual Json measure() const = 0;      // what came out, by name, on threads() threads
};

using BenchmarkRegistry = Registry<Benchmark>;

struct Timing {
  int64_t times = 0;
  double wall_s = 0, cpu_s = 0;  // processor seconds, of all threads
};

struct Turns {
  Timing work, yardstick;
};

// Runs the two in turn, a twentieth of a second at a time, until `work` had `seconds`; both once before, not
// counted.
Turns take_turns(double seconds, const std::function<void()>& work, const std::function<void()>& yardstick);

// From now on `take_turns` does the work once, then `times` times within `counted_work`, and no yardstick:
// for whoever counts instructions, such as valgrind --tool=callgrind --toggle-collect='symma::counted_work*'.
void count_work(int64_t times);
void counted_work(int64_t times, const std::function<void()>& work);

// A product of square matrices of float32 on every thread, by the BLAS that libtorch uses.
struct Sgemm {
  std::function<void()> run;
  double gflop;  // in a run
};
Sgemm sgemm();

// What is common to benchmarks of `tasks` tasks a run, of which each takes `gflop` by count: "tasks_per_s",
// "gflops", "sgemm_gflops" by the wall's clock; "of_sgemm", their ratio, and "tasks_per_cpu_s" by the
// processor's, which other programs disturb less; "threads".
Json rates(const Turns&, int64_t tasks, double gflop, const Sgemm&);

// The most memory that this process held, in bytes, since it began or since `forget_peak`. 0 where the system
// does not tell.
int64_t peak_memory();
void forget_peak();

}  // namespace symma
