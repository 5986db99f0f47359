// A big fleet in one process: each round every agent draws a task, takes a step of MAML with its own Adam,
// and mixes with its two neighbours on a ring. Memory is that of the whole process at its peak, libraries and
// all, beside that of the parameters and the two moments of each agent.
#include <fmt/format.h>

#include <chrono>

#include "symma/bench/bench.h"
#include "symma/core/parallel.h"
#include "symma/exchange/neighbours.h"
#include "symma/learners/learner.h"

namespace symma {
namespace {

class FleetBench : public Benchmark {
 public:
  struct Options {
    int64_t agents = 10000, rounds = 5, shots = 10;
    std::vector<int64_t> hidden{40, 40};
    void fields(Fields& f) {
      f.add("agents", agents, "learners on the ring, with one task each").at_least(3);
      f.add("rounds", rounds, "rounds to measure").at_least(1);
      f.add("shots", shots, "points to learn from; as many to be judged on").at_least(1);
      f.add("hidden", hidden, "width of each hidden layer").at_least(1);
    }
  };

  explicit FleetBench(const Options& o) : o_(o) {}

  std::string work() const override {
    return fmt::format(
        "{} agents, MLP 1-{}-1 each: a MAML step on a sine wave and mixing around a ring, {} rounds",
        o_.agents, fmt::join(o_.hidden, "-"), o_.rounds);
  }

  Json measure() const override {
    forget_peak();
    const auto family =
        make<TaskFamilyRegistry>("sinusoid", {{"shots", o_.shots}, {"queries", o_.shots}}, o_.agents);
    const TaskSpec spec = family->spec();
    const auto model = make<ModelRegistry>("mlp", {{"hidden", o_.hidden}}, spec.shape);
    const auto learner = make<LearnerRegistry>("maml", {}, LearnerSetting{*model, spec});
    const Neighbours weights = neighbours(make<TopologyRegistry>("ring", {})->build(o_.agents, Rng(1)));
    std::vector<int64_t> who(o_.agents);
    for (int64_t i = 0; i < o_.agents; ++i) who[i] = i;
    State state = learner->init(split_keys(Rng(2), "agent", o_.agents), at::kFloat);
    using Clock = std::chrono::steady_clock;
    const auto since = [](Clock::time_point t) {
      return std::chrono::duration<double>(Clock::now() - t).count();
    };
    double drawing = 0, learning = 0, mixing = 0;
    for (int64_t round = 0; round < o_.rounds; ++round) {
      auto t = Clock::now();
      const auto batch = family->sample(*model, asks_for(who, Rng(3).split("round", round)), Split::kTrain);
      drawing += since(t);
      t = Clock::now();
      learner->step(state, *batch, Rng(4).split("round", round));
      learning += since(t);
      t = Clock::now();
      state.theta = mix(weights, state.theta);
      mixing += since(t);
    }
    const double n = static_cast<double>(o_.rounds), total = drawing + learning + mixing;
    const double bytes =
        static_cast<double>(3 * state.theta.numel()) * static_cast<double>(state.theta.element_size());
    const double peak = static_cast<double>(peak_memory());
    return {{"tasks_per_s", n * static_cast<double>(o_.agents) / total},
            {"round_ms", 1e3 * total / n},
            {"draw_ms", 1e3 * drawing / n},
            {"step_ms", 1e3 * learning / n},
            {"exchange_ms", 1e3 * mixing / n},
            {"parameters", model->layout().size()},
            {"theta_and_moments_mb", 1e-6 * bytes},
            {"peak_mb", 1e-6 * peak},
            {"peak_ratio", peak / bytes},
            {"threads", threads()}};
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Benchmark, "fleet", FleetBench, "ten thousand agents in one process: MAML and a ring",
               "Kayaalp et al. 2022 (Dif-MAML), arXiv:2010.02870");

}  // namespace
}  // namespace symma
