// Mixing of many rows around a ring, theta <- W theta, beside a copy of the same memory. The matrix is read
// and written once in a round; a neighbour's row is read again from the cache where it is still there.
#include "symma/bench/bench.h"
#include "symma/core/parallel.h"
#include "symma/core/rng.h"
#include "symma/exchange/neighbours.h"

#include <fmt/format.h>

#include <cstring>

namespace symma {
namespace {

class ExchangeBench : public Benchmark {
 public:
  struct Options {
    int64_t rows = 10000, columns = 1761;
    double seconds = 1;
    void fields(Fields& f) {
      f.add("rows", rows, "agents around the ring").at_least(3);
      f.add("columns", columns, "parameters of each").at_least(1);
      f.add("seconds", seconds, "how long to measure").above(0);
    }
  };

  explicit ExchangeBench(const Options& o) : o_(o) {}

  std::string work() const override {
    return fmt::format("mixing of {} rows of {} parameters around a ring", o_.rows, o_.columns);
  }

  Json measure() const override {
    const auto ring = make<TopologyRegistry>("ring", {})->build(o_.rows, Rng(1));
    const Neighbours weights = neighbours(ring);
    Tensor theta = uniform(Rng(2), {1, o_.columns}, -1, 1).repeat({o_.rows, 1});
    const Tensor copy = theta.clone();
    const auto mixing = [&] { theta = mix(weights, theta); };
    const auto copying = [&] {
      const int64_t bytes = o_.columns * 4;
      parallel_for(o_.rows, 16, [&](int64_t begin, int64_t end) {
        std::memcpy(static_cast<char*>(copy.data_ptr()) + begin * bytes,
                    static_cast<const char*>(theta.data_ptr()) + begin * bytes, (end - begin) * bytes);
      });
    };
    const auto [work, yardstick] = take_turns(o_.seconds, mixing, copying);
    const double gb = 8e-9 * static_cast<double>(o_.rows * o_.columns);
    const auto rate = [&](int64_t times, double s) { return gb * static_cast<double>(times) / s; };
    return {{"rounds_per_s", static_cast<double>(work.times) / work.wall_s},
            {"gb_per_s", rate(work.times, work.wall_s)},
            {"copy_gb_per_s", rate(yardstick.times, yardstick.wall_s)},
            {"of_copy", rate(work.times, work.cpu_s) / rate(yardstick.times, yardstick.cpu_s)},
            {"threads", threads()}};
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Benchmark, "exchange", ExchangeBench, "mixing of many rows around a ring",
               "Metropolis-Hastings weights, Xiao, Boyd & Kim 2007");

}  // namespace
}  // namespace symma
