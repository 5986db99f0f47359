// Rounds of an experiment file, in memory: drawing tasks, learning, exchange. Any learner, world and
// exchange, at the sizes at which it is used, with neither records, validation nor checkpoints.
#include <fmt/format.h>

#include <sstream>

#include "symma/bench/bench.h"
#include "symma/core/parallel.h"
#include "symma/fleet/round.h"

namespace symma {
namespace {

class RoundBench : public Benchmark {
 public:
  struct Options {
    std::string file, settings, device = "cpu";
    double seconds = 1;
    void fields(Fields& f) {
      f.add("file", file, "experiment file; MAML on sine waves unless given");
      f.add("settings", settings, "laid over it, as \"learner.kind=anil tasks=4\"");
      f.add("device", device, "where rows learn").one_of({"cpu", "cuda"});
      f.add("seconds", seconds, "how long to measure").above(0);
    }
  };

  explicit RoundBench(const Options& o) : o_(o), e_(experiment(o)) {}

  std::string work() const override {
    return fmt::format("rounds of {}: {} agents, {} tasks each", o_.file.empty() ? "sine waves" : o_.file,
                       e_.fleet.agents, e_.fleet.tasks);
  }

  Json measure() const override {
    rehearse(e_);
    RunState run = start_run(e_);
    run.learner = run.learner.on(device_for(e_.spec.kind, o_.device, "symma bench round --device"));
    const Sgemm product = sgemm();
    const Turns turns = take_turns(
        o_.seconds, [&] { run_round(e_, run); }, product.run);
    // One round more than is counted was played, to begin with.
    const double tasks = static_cast<double>(run.tasks * turns.work.times) / static_cast<double>(run.round);
    const double gflops = product.gflop * static_cast<double>(turns.yardstick.times) / turns.yardstick.cpu_s;
    return {{"tasks_per_cpu_s", tasks / turns.work.cpu_s},
            // By the wall's clock: every round ends with numbers that have come back from the device.
            {"tasks_per_s", tasks / turns.work.wall_s},
            {"rounds_per_cpu_s", static_cast<double>(turns.work.times) / turns.work.cpu_s},
            // What sgemm would have multiplied in the processor time of one task.
            {"sgemm_mflop_a_task", 1e3 * gflops * turns.work.cpu_s / tasks},
            {"sgemm_gflops", gflops},
            {"parameters", e_.model->layout().size()},
            {"threads", threads()}};
  }

 private:
  static Experiment experiment(const Options& o) {
    Config config = o.file.empty() ? Config::parse("[task]\nkind = \"sinusoid\"\n", "symma bench round")
                                   : Config::load(o.file);
    std::istringstream words(o.settings);
    for (std::string word; words >> word;) config.set(word);
    return Experiment::build(config);
  }

  Options o_;
  Experiment e_;
};

SYMMA_REGISTER(Benchmark, "round", RoundBench, "rounds of any experiment file, in memory",
               "the work of symma train, without its files");

}  // namespace
}  // namespace symma
