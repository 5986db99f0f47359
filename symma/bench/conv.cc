// Second-order MAML of the convolutional net on images, the set-up of Finn et al. 2017 (arXiv:1703.03400,
// section 5.2) for 5-way 1-shot Omniglot with as many queries as shots, on random images.
//
// Operations are counted as in bench/maml.cc, with M the multiplications of a forward pass over one image.
#include <fmt/format.h>

#include "symma/bench/bench.h"
#include "symma/core/parallel.h"
#include "symma/fleet/round.h"
#include "symma/learners/learner.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

class ConvBench : public Benchmark {
 public:
  struct Options {
    int64_t ways = 5, shots = 1, tasks = 8, inner_steps = 1, channels = 64, blocks = 4, size = 28;
    double seconds = 2;
    std::string device = "cpu";
    void fields(Fields& f) {
      f.add("ways", ways, "classes in a task").at_least(2);
      f.add("shots", shots, "images of each class to learn from; as many to be judged on").at_least(1);
      f.add("tasks", tasks, "tasks of the one agent in a meta-update").at_least(1);
      f.add("inner_steps", inner_steps, "gradient steps of the inner loop").at_least(1);
      f.add("channels", channels, "filters in each block").at_least(1);
      f.add("blocks", blocks, "convolutions, each halving the image").at_least(1).at_most(6);
      f.add("size", size, "height and width of an image").at_least(1);
      f.add("device", device, "where rows learn").one_of({"cpu", "cuda"});
      f.add("seconds", seconds, "how long to measure").above(0);
    }
  };

  explicit ConvBench(const Options& o) : o_(o) {}

  std::string work() const override {
    return fmt::format(
        "second-order MAML of conv{}-{}, {}x{} images, {}-way {}-shot, {} inner step{}, {} tasks", o_.blocks,
        o_.channels, o_.size, o_.size, o_.ways, o_.shots, o_.inner_steps, o_.inner_steps == 1 ? "" : "s",
        o_.tasks);
  }

  Json measure() const override {
    const TaskSpec spec{.shape = {{o_.size, o_.size, 1}, o_.ways},
                        .kind = Kind::kClassification,
                        .metric = "accuracy",
                        .higher_is_better = true};
    const auto model =
        make<ModelRegistry>("conv", {{"channels", o_.channels}, {"blocks", o_.blocks}}, spec.shape);
    const int64_t images = o_.ways * o_.shots;
    const std::vector<int64_t> sizes{o_.tasks, images, o_.size, o_.size, 1};
    Episodes e;
    e.support_x = uniform(Rng(1), sizes, 0, 1);
    e.query_x = uniform(Rng(2), sizes, 0, 1);
    e.support_y = e.query_y = at::arange(images, at::kLong).remainder(o_.ways).repeat({o_.tasks, 1});
    const at::Device device = device_for(spec.kind, o_.device, "symma bench conv --device");
    const auto batch = SupervisedBatch(*model, spec.kind, e, Mode::kTrain).on(device);
    const auto learner = make<LearnerRegistry>("maml", {{"inner_steps", o_.inner_steps}, {"inner_lr", 0.4}},
                                               LearnerSetting{*model, spec});
    State state = learner->init(split_keys(Rng(3), "agent", 1), at::kFloat).on(device);
    const Sgemm product = sgemm();
    const auto turns = take_turns(
        o_.seconds, [&] { (void)learner->step(state, *batch, Rng(4)).at("loss").cpu(); }, product.run);
    Json out = rates(turns, o_.tasks, gflop(), product);
    const double done = static_cast<double>(turns.work.times * o_.tasks);
    out["ms_per_task"] = 1e3 * turns.work.wall_s / done;
    out["cpu_ms_per_task"] = 1e3 * turns.work.cpu_s / done;
    return out;
  }

 private:
  double gflop() const {
    double m = 0, m0 = 0;
    int64_t side = o_.size, in = 1;
    for (int64_t i = 0; i < o_.blocks; ++i) {
      side = (side + 1) / 2;
      const double block = static_cast<double>(side * side * 9 * in * o_.channels);
      if (i == 0) m0 = block;
      m += block;
      in = o_.channels;
    }
    m += static_cast<double>(o_.channels * o_.ways);
    const double s = static_cast<double>(o_.inner_steps);
    return 2e-9 * static_cast<double>(o_.ways * o_.shots) * ((s + 1) * (3 * m - m0) + s * (6 * m - 4 * m0));
  }

  Options o_;
};

SYMMA_REGISTER(Benchmark, "conv", ConvBench, "second-order MAML on images, by the convolutional net",
               "Finn et al. 2017, arXiv:1703.03400, section 5.2");

}  // namespace
}  // namespace symma
