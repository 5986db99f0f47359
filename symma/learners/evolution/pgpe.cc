// Policy gradients with parameter-based exploration: a normal distribution with a deviation for each
// parameter; both its mean and its deviations descend the expected loss, estimated from symmetric pairs.
// Sehnke et al. 2010, "Parameter-exploring policy gradients", section 3; ranks and the limit on a deviation's
// change after Toklu et al. 2020, arXiv:2008.02387.
//
//   mean:   1/M sum_pairs (l+ - l-)/2 e          deviation: 1/M sum_pairs ((l+ + l-)/2 - b) (e^2 - s^2)/s
#include "symma/learners/evolution/evolution.h"
#include "symma/learners/outer.h"

namespace symma {
namespace {

class Pgpe : public Strategy {
 public:
  struct Options {
    int64_t population = 64;
    double sigma = 0.1, sigma_lr = 0.1;
    OuterOptions outer{.meta_lr = 0.01};
    void fields(Fields& f) {
      f.add("population", population, "candidates a generation, in symmetric pairs").at_least(2);
      f.add("sigma", sigma, "standard deviation of each parameter at the start").above(0);
      f.add("sigma_lr", sigma_lr, "step size of the deviations").at_least(0);
      outer.fields(f);
    }
  };

  explicit Pgpe(const Options& o) : o_(o) {
    if (o.population % 2 != 0)
      throw UserError("[learner] population", fmt::format("{} is odd", o.population),
                      "pairs need an even number");
  }

  State start(const Tensor& mean) const override {
    State search = State::of(mean);
    search.own["sigma"] = at::full_like(mean, o_.sigma);
    outer_init(o_.outer, search);
    return search;
  }

  Tensor ask(const State& search, Rng rng) const override {
    return sample(search, o_.population, true, search.own.at("sigma"), rng);
  }

  void tell(State& search, const Tensor& asked, const Tensor& loss) const override {
    const int64_t pairs = asked.size(1) / 2;
    const Tensor sigma = search.own.at("sigma"), shaped = centred_ranks(loss);
    const Tensor plus = shaped.narrow(1, 0, pairs), minus = shaped.narrow(1, pairs, pairs);
    const double m = static_cast<double>(pairs);
    // Centred ranks have mean zero, which is the baseline b.
    const Tensor level = (plus + minus) / 2;
    const Moments of = moments(asked.narrow(1, 0, pairs), search.theta, (plus - minus) / 2, level);
    const Tensor grad_mean = of.first / m;
    const Tensor grad_sigma = (of.second / sigma - level.sum(1, true) * sigma) / m;
    const Tensor change = (o_.sigma_lr * grad_sigma / sigma).clamp(-0.2, 0.2);
    search.own["sigma"] = sigma * (1 - change);
    outer_step(o_.outer, search, grad_mean);
  }

 private:
  Options o_;
};

SYMMA_REGISTER_STRATEGY("pgpe", Pgpe, "descends the mean and the deviations of a normal distribution",
                        "Sehnke et al. 2010; Toklu et al. 2020, arXiv:2008.02387");

}  // namespace
}  // namespace symma
