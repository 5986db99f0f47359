// Learning an optimiser: truncations of 20 steps of 128 quadratics in ten dimensions, forward, backward and
// the update of the network, as examples/optimizers/learned_optimizer.toml has them.
#include <fmt/format.h>

#include "symma/bench/bench.h"
#include "symma/core/parallel.h"
#include "symma/learners/learner.h"

namespace symma {
namespace {

class OptimizerBench : public Benchmark {
 public:
  struct Options {
    std::string learner = "lstm_optimizer", estimator = "unroll";
    int64_t tasks = 128, dims = 10, unroll = 20;
    double seconds = 2;
    void fields(Fields& f) {
      f.add("learner", learner, "which").one_of({"lstm_optimizer", "mlp_optimizer", "ball_optimizer"});
      f.add("estimator", estimator, "of the meta-gradient").one_of({"unroll", "pes"});
      f.add("tasks", tasks, "quadratics at a time").at_least(1);
      f.add("dims", dims, "of a quadratic").at_least(1);
      f.add("unroll", unroll, "steps of a truncation").at_least(1);
      f.add("seconds", seconds, "how long to measure").above(0);
    }
  };

  explicit OptimizerBench(const Options& o) : o_(o) {}

  std::string work() const override {
    return fmt::format("{} by {}: {} steps of {} quadratics in {} dimensions", o_.learner, o_.estimator,
                       o_.unroll, o_.tasks, o_.dims);
  }

  // A step is one of all tasks at once; with pes, of both sides.
  Json measure() const override {
    const auto family = make<TaskFamilyRegistry>("quadratics", {{"dims", o_.dims}}, int64_t{1});
    const TaskSpec spec = family->spec();
    const auto model = make<ModelRegistry>("point", {}, spec.shape);
    const auto learner = make<LearnerRegistry>(
        o_.learner, {{"estimator", o_.estimator}, {"unroll", o_.unroll}, {"steps", 5 * o_.unroll}},
        LearnerSetting{*model, spec});
    State state = learner->init(split_keys(Rng(1), "agent", 1), at::kFloat);
    int64_t round = 0;
    const auto work = [&] {
      const Rng rng = Rng(2).split("round", static_cast<uint64_t>(round++));
      learner->step(state,
                    *family->sample(*model, asks_for(std::vector<int64_t>(o_.tasks, 0), rng), Split::kTrain),
                    rng);
    };
    const Sgemm product = sgemm();
    const auto [ours, yardstick] = take_turns(o_.seconds, work, product.run);
    const auto steps = static_cast<double>(ours.times * o_.unroll);
    return {{"steps_per_s", steps / ours.wall_s},
            {"steps_per_cpu_s", steps / ours.cpu_s},
            {"parameters", state.theta.size(1) - model->layout().size()},
            {"sgemm_gflops", static_cast<double>(yardstick.times) * product.gflop / yardstick.wall_s},
            {"threads", threads()}};
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Benchmark, "optimizer", OptimizerBench, "learning an optimiser: truncations on quadratics",
               "Andrychowicz et al. 2016, arXiv:1606.04474");

}  // namespace
}  // namespace symma
