// Evolution strategies by ask and tell: how many evaluations they take to solve a function, and how many
// generations they do in a second. bench/peers/evolution.py runs other libraries beside it.
//
// A search is at the target when the function at its mean is; those evaluations are not counted.
#include <fmt/format.h>

#include "symma/bench/bench.h"
#include "symma/core/parallel.h"
#include "symma/learners/evolution/functions.h"
#include "symma/learners/evolution/strategy.h"

namespace symma {
namespace {

class EvolutionBench : public Benchmark {
 public:
  struct Options {
    std::string part = "search", strategy = "cma_es", function = "sphere";
    int64_t dims = 10, population = 0, searches = 21, most = 100000, halve_every = 0, seed = 1;
    double sigma = 1, start = 3, meta_lr = 0, sigma_lr = 0, target = 1e-8, seconds = 1;
    void fields(Fields& f) {
      f.add("part", part, "what is measured: evaluations to the target, or generations a second")
          .one_of({"search", "speed"});
      f.add("strategy", strategy, "which one").one_of(StrategyRegistry::instance().names());
      f.add("function", function, "what is searched").one_of(names());
      f.add("dims", dims, "of a point").at_least(2);
      f.add("population", population, "candidates a generation; 0: the strategy's own").at_least(0);
      f.add("sigma", sigma, "deviation at the start").above(0);
      f.add("start", start, "every coordinate of the mean at the start");
      f.add("meta_lr", meta_lr, "step size of the mean, for openai_es and pgpe; 0: their own").at_least(0);
      f.add("halve_every", halve_every, "generations in which that falls to a half; 0: it stays").at_least(0);
      f.add("sigma_lr", sigma_lr, "step size of the deviations, for pgpe and snes; 0: their own").at_least(0);
      f.add("target", target, "value at which a search is done").above(0);
      f.add("searches", searches, "independent ones, each from a seed of its own").at_least(1);
      f.add("most", most, "evaluations after which a search has failed").at_least(1);
      f.add("seed", seed, "of the first search").at_least(0);
      f.add("seconds", seconds, "how long to measure speed").above(0);
    }
  };

  explicit EvolutionBench(const Options& o)
      : o_(o), f_(test_functions().at(o.function)), es_(make<StrategyRegistry>(o.strategy, settings())) {}

  std::string work() const override {
    const std::string what = fmt::format("{} on {} in {} dimensions", o_.strategy, o_.function, o_.dims);
    return o_.part == "speed" ? fmt::format("generations of {}", what)
                              : fmt::format("evaluations until the mean's value is {}, {}", o_.target, what);
  }

  Json measure() const override { return o_.part == "speed" ? speed() : search(); }

 private:
  static std::vector<std::string> names() {
    std::vector<std::string> out;
    for (const auto& [name, f] : test_functions()) out.push_back(name);
    return out;
  }

  // What was set, of those options that the strategy has.
  Json settings() const {
    const auto draft = StrategyRegistry::instance().draft(o_.strategy, "strategy");
    Fields fields;
    draft->fields(fields);
    const Json given{{"population", o_.population},
                     {"sigma", o_.sigma},
                     {"meta_lr", o_.meta_lr},
                     {"halve_every", o_.halve_every},
                     {"sigma_lr", o_.sigma_lr}};
    Json out = Json::object();
    for (const auto& field : fields.list()) {
      if (given.contains(field.name) && given[field.name] != 0) out[field.name] = given[field.name];
    }
    return out;
  }

  // "evaluations": the median over all searches, one that failed being the worst; `most` where half of them
  // did. "solved": how many did not fail. "reached": the median of the means' values at the end.
  Json search() const {
    const Rng rng(o_.seed);
    State search = es_->start(at::full({o_.searches, o_.dims}, o_.start, at::kDouble));
    const auto never = static_cast<double>(o_.most);
    Tensor when = at::full({o_.searches}, INFINITY, at::kDouble);
    for (int64_t spent = 0; spent < o_.most && !when.isfinite().all().item<bool>();) {
      const Tensor x = es_->ask(search, rng.split("ask", search.steps[0].item<int64_t>()));
      es_->tell(search, x, f_(x));
      spent += x.size(1);
      const Tensor now = f_(search.theta).le(o_.target).logical_and(when.isinf());
      when = at::where(now, at::full_like(when, static_cast<double>(spent)), when);
    }
    const Tensor solved = when.isfinite().sum();
    return {{"evaluations", std::min(never, when.median().item<double>())},
            {"solved", solved.item<int64_t>()},
            {"reached", f_(search.theta).median().item<double>()},
            {"searches", o_.searches},
            {"threads", threads()}};
  }

  Json speed() const {
    const Rng rng(o_.seed);
    State search = es_->start(at::full({1, o_.dims}, o_.start, at::kFloat));
    const auto generation = [&] {
      at::NoGradGuard no_grad;
      const Tensor x = es_->ask(search, rng.split("ask", search.steps[0].item<int64_t>()));
      es_->tell(search, x, f_(x));
    };
    const Sgemm product = sgemm();
    const auto [work, yardstick] = take_turns(o_.seconds, generation, product.run);
    const auto times = static_cast<double>(work.times);
    return {{"generations_per_s", times / work.wall_s},
            {"generations_per_cpu_s", times / work.cpu_s},
            {"population", es_->ask(search, rng).size(1)},
            {"sgemm_gflops", static_cast<double>(yardstick.times) * product.gflop / yardstick.wall_s},
            {"threads", threads()}};
  }

  Options o_;
  Tensor (*f_)(const Tensor&);
  std::unique_ptr<Strategy> es_;
};

SYMMA_REGISTER(Benchmark, "evolution", EvolutionBench,
               "evolution strategies on functions whose minimum is known",
               "Hansen et al. 2009, noiseless functions");

}  // namespace
}  // namespace symma
