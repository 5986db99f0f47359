// Meta-learning of a policy: rounds of maml_trpo on 2-D navigation, the set-up of
// examples/policies/navigation.toml (Finn et al. 2017, arXiv:1703.03400, section 5.3), with episodes,
// advantages, conjugate gradients and the line search.
//
// Operations are counted as in bench/maml.cc, for each step of an episode: forward M, a gradient 3M - M0, a
// product with the Hessian 6M - 4M0, with the Gauss-Newton matrix 4M - 2M0. A length that the line search
// tries costs a gradient and a forward pass. Actions, worlds and advantages are not counted.
#include <fmt/format.h>

#include "symma/bench/bench.h"
#include "symma/core/parallel.h"
#include "symma/learners/learner.h"
#include "symma/tasks/control.h"

namespace symma {
namespace {

class PolicyBench : public Benchmark {
 public:
  struct Options {
    int64_t tasks = 20, copies = 20, cg_steps = 10;
    std::vector<int64_t> hidden{100, 100};
    double metric_share = 1, seconds = 5;
    void fields(Fields& f) {
      f.add("tasks", tasks, "goals of the one agent in a round").at_least(1);
      f.add("copies", copies, "episodes of each before and after adapting").at_least(1);
      f.add("hidden", hidden, "width of each hidden layer").at_least(1);
      f.add("cg_steps", cg_steps, "steps of conjugate gradients").at_least(1);
      f.add("metric_share", metric_share, "of a task's episodes, that the metric is estimated from")
          .above(0)
          .at_most(1);
      f.add("seconds", seconds, "how long to measure").above(0);
    }
  };

  explicit PolicyBench(const Options& o) : o_(o) {}

  std::string work() const override {
    return fmt::format(
        "maml_trpo on 2-D navigation: {} goals, {} episodes of 100 steps before and after, metric from {:g} "
        "of them",
        o_.tasks, o_.copies, o_.metric_share);
  }

  Json measure() const override {
    const auto family = make<TaskFamilyRegistry>("control",
                                                 {{"world", {{"kind", "navigation"}, {"normalised", true}}},
                                                  {"vary", {"goal_0_x", "goal_0_y"}},
                                                  {"copies", o_.copies},
                                                  {"player_index", false},
                                                  {"baseline", "linear"},
                                                  {"surrogate", "low_variance"}},
                                                 int64_t{1});
    const TaskSpec spec = family->spec();
    const auto model = make<ModelRegistry>("gaussian", {{"hidden", o_.hidden}}, spec.shape);
    const auto learner =
        make<LearnerRegistry>("maml_trpo", {{"cg_steps", o_.cg_steps}, {"metric_share", o_.metric_share}},
                              LearnerSetting{*model, spec});
    State state = learner->init(split_keys(Rng(1), "agent", 1), at::kFloat);
    int64_t round = 0;
    double tried = 0;
    const auto work = [&] {
      const Rng rng = Rng(2).split("round", static_cast<uint64_t>(round++));
      const auto batch =
          family->sample(*model, asks_for(std::vector<int64_t>(o_.tasks, 0), rng), Split::kTrain);
      tried += learner->step(state, *batch, rng).at("tried").item<double>();
    };
    const Sgemm product = sgemm();
    const auto turns = take_turns(o_.seconds, work, product.run);
    const double steps = static_cast<double>(o_.copies * spec.limit);
    Json out = rates(turns, o_.tasks, 2e-9 * steps * passes(tried / static_cast<double>(round)), product);
    const double rounds = static_cast<double>(turns.work.times);
    out["rounds_per_s"] = rounds / turns.work.wall_s;
    out["rounds_per_cpu_s"] = rounds / turns.work.cpu_s;
    out["lengths_tried"] = tried / static_cast<double>(round);
    return out;
  }

 private:
  // Multiplications for each step of an episode.
  double passes(double tried) const {
    double m = 0, before = 2;
    for (const int64_t width : o_.hidden)
      m += before * static_cast<double>(width), before = static_cast<double>(width);
    m += before * 2;
    const double m0 = o_.hidden.empty() ? m : 2 * static_cast<double>(o_.hidden[0]);
    const double gradient = 3 * m - m0, hessian = 6 * m - 4 * m0, metric = 4 * m - 2 * m0;
    const double part = o_.metric_share < 1 ? gradient + m : 0;  // of the metric's own episodes, once
    return 2 * m + 2 * gradient + hessian + tried * (gradient + m) +
           o_.metric_share * (part + static_cast<double>(o_.cg_steps) * (2 * hessian + metric));
  }

  Options o_;
};

SYMMA_REGISTER(Benchmark, "policy", PolicyBench, "meta-learning of a policy: maml_trpo on 2-D navigation",
               "Finn et al. 2017, arXiv:1703.03400, section 5.3");

}  // namespace
}  // namespace symma
