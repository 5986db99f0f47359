// Separable natural evolution strategy: a natural-gradient step on the mean and on the logarithm of each
// coordinate's deviation, with rank-based utilities. Schaul, Glasmachers & Schmidhuber 2011, "High dimensions
// and heavy tails for natural evolution strategies", algorithm 2; constants from Wierstra et al. 2014,
// table 1.
//
//   mean += sigma sum_i u_i s_i        sigma *= exp(eta/2 sum_i u_i (s_i^2 - 1))
#include "symma/learners/evolution/evolution.h"

namespace symma {
namespace {

class Snes : public Strategy {
 public:
  struct Options {
    int64_t population = 0;
    double sigma = 1.0, mean_lr = 1.0, sigma_lr = 0;
    void fields(Fields& f) {
      f.add("population", population, "candidates a generation; 0: 4 + 3 ln(parameters)").at_least(0);
      f.add("sigma", sigma, "standard deviation of each parameter at the start").above(0);
      f.add("mean_lr", mean_lr, "step size of the mean").above(0);
      f.add("sigma_lr", sigma_lr, "step size of the deviations; 0: (3 + ln d) / (5 sqrt d)").at_least(0);
    }
  };

  explicit Snes(const Options& o) : o_(o) {}

  State start(const Tensor& mean) const override {
    State search = State::of(mean);
    search.own["sigma"] = at::full_like(mean, o_.sigma);
    return search;
  }

  Tensor ask(const State& search, Rng rng) const override {
    const int64_t n = population_for(search.theta.size(1), o_.population);
    return sample(search, n, false, search.own.at("sigma"), rng);
  }

  void tell(State& search, const Tensor& asked, const Tensor& loss) const override {
    const auto d = static_cast<double>(asked.size(2));
    const Tensor sigma = search.own.at("sigma");
    const Tensor u = utilities(asked.size(1)).to(asked.options()).take(ranks(loss));  // [N, L]
    const double eta = o_.sigma_lr > 0 ? o_.sigma_lr : (3 + std::log(d)) / (5 * std::sqrt(d));
    // With s_i = (x_i - mean) / sigma, sigma sum u_i s_i is the first moment itself.
    const Moments of = moments(asked, search.theta, u, u);
    search.theta = search.theta + o_.mean_lr * of.first;
    search.own["sigma"] = sigma * (eta / 2 * (of.second / sigma.square() - u.sum(1, true))).exp();
    search.steps = search.steps + 1;
  }

 private:
  // Best first: max(0, ln(L/2 + 1) - ln i), made to sum to one, less 1/L.
  static Tensor utilities(int64_t population) {
    const auto l = static_cast<double>(population);
    const Tensor out = at::empty({population}, at::kDouble);
    double* u = out.data_ptr<double>();
    double sum = 0;
    for (int64_t i = 0; i < population; ++i)
      sum += u[i] = std::max(0.0, std::log(l / 2 + 1) - std::log(static_cast<double>(i + 1)));
    for (int64_t i = 0; i < population; ++i) u[i] = u[i] / sum - 1 / l;
    return out;
  }

  Options o_;
};

SYMMA_REGISTER_STRATEGY("snes", Snes, "natural gradient on a mean and a deviation for each parameter",
                        "Schaul et al. 2011; Wierstra et al. 2014, arXiv:1106.4487");

}  // namespace
}  // namespace symma
