// Second-order MAML on the sinusoid set-up of Finn et al. 2017 (arXiv:1703.03400, section 5.1).
//
// Count of operations, a multiply and an add as two, matrix products only. With M the number of weights and
// M0 those of the first layer, for each example: forward M; backward 2M - M0 (no gradient in x); forward of
// derivatives 2M - M0; backward of derivatives 4M - 3M0. A task with S inner steps has S + 1 forward and
// backward passes and S of derivatives. Element-wise work, and what the outer optimiser does, are not
// counted.
#include <fmt/format.h>

#include "symma/bench/bench.h"
#include "symma/learners/fused.h"
#include "symma/learners/learner.h"

namespace symma {
namespace {

class MamlBench : public Benchmark {
 public:
  struct Options {
    int64_t inner_steps = 1, tasks = 25, shots = 10;
    std::vector<int64_t> hidden{40, 40};
    std::string part = "step";
    double seconds = 1;
    void fields(Fields& f) {
      f.add("inner_steps", inner_steps, "gradient steps of the inner loop").at_least(1);
      f.add("tasks", tasks, "tasks of the one agent in a meta-update").at_least(1);
      f.add("shots", shots, "points to learn from; as many to be judged on").at_least(1);
      f.add("hidden", hidden, "width of each hidden layer").at_least(1);
      f.add("part", part,
            "what is timed: the kernel alone, the learner's step (mean over tasks and Adam too), or a round "
            "of "
            "training (drawing the tasks too)")
          .one_of({"kernel", "step", "train"});
      f.add("seconds", seconds, "how long to measure").above(0);
    }
  };

  explicit MamlBench(const Options& o) : o_(o) {}

  std::string work() const override {
    return fmt::format("second-order MAML on sine waves: MLP 1-{}-1, {} shots, {} inner step{}, {} tasks, {}",
                       fmt::join(o_.hidden, "-"), o_.shots, o_.inner_steps, o_.inner_steps == 1 ? "" : "s",
                       o_.tasks, o_.part);
  }

  Json measure() const override {
    const auto family = make<TaskFamilyRegistry>(
        "sinusoid", {{"shots", o_.shots}, {"queries", o_.shots}, {"slice_by", "none"}}, int64_t{1});
    const TaskSpec spec = family->spec();
    const auto model = make<ModelRegistry>("mlp", {{"hidden", o_.hidden}}, spec.shape);
    const auto learner = make<LearnerRegistry>("maml", {{"inner_steps", o_.inner_steps}, {"inner_lr", 0.01}},
                                               LearnerSetting{*model, spec});
    State state = learner->init(split_keys(Rng(1), "agent", 1), at::kFloat);
    const std::vector<int64_t> who(o_.tasks, 0);
    uint64_t round = 0;
    const auto draw = [&] {
      return family->sample(*model, asks_for(who, Rng(2).split("round", round++)), Split::kTrain);
    };
    const auto batch = draw();
    const Tensor rows = hand_out(state.theta, o_.tasks).contiguous(), rate = at::full({}, 0.01, at::kDouble);
    const auto kernel = [&] {
      TORCH_CHECK(fused_maml(*model, rows, rate, *batch, {.inner_steps = o_.inner_steps}));
    };
    const auto step = [&] { learner->step(state, *batch, Rng(3)); };
    const auto train = [&] { learner->step(state, *draw(), Rng(3)); };
    const Sgemm product = sgemm();
    const auto turns = o_.part == "kernel" ? take_turns(o_.seconds, kernel, product.run)
                       : o_.part == "step" ? take_turns(o_.seconds, step, product.run)
                                           : take_turns(o_.seconds, train, product.run);
    return rates(turns, o_.tasks, gflop(), product);
  }

 private:
  double gflop() const {
    std::vector<int64_t> widths{1};
    widths.insert(widths.end(), o_.hidden.begin(), o_.hidden.end());
    widths.push_back(1);
    double m = 0;
    for (size_t l = 0; l + 1 < widths.size(); ++l) m += static_cast<double>(widths[l] * widths[l + 1]);
    const double m0 = static_cast<double>(widths[0] * widths[1]), s = static_cast<double>(o_.inner_steps);
    return 2e-9 * static_cast<double>(o_.shots) * ((s + 1) * (3 * m - m0) + s * (6 * m - 4 * m0));
  }

  Options o_;
};

SYMMA_REGISTER(Benchmark, "maml", MamlBench, "second-order MAML on sine waves, by a small perceptron",
               "Finn et al. 2017, arXiv:1703.03400, section 5.1");

}  // namespace
}  // namespace symma
