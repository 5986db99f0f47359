// OpenAI's evolution strategy: the mean descends a smoothed loss, whose gradient is estimated from antithetic
// samples with rank-shaped losses. Salimans et al. 2017, arXiv:1703.03864.
//
//   gradient = 1/(L sigma) sum_i rank(loss(mean + sigma e_i)) e_i
#include "symma/learners/evolution/evolution.h"
#include "symma/learners/outer.h"

namespace symma {
namespace {

class OpenaiEs : public Strategy {
 public:
  struct Options {
    int64_t population = 64;
    double sigma = 0.1;
    bool rank_shaped = true;
    OuterOptions outer{.meta_lr = 0.01};
    void fields(Fields& f) {
      f.add("population", population, "candidates a generation, in antithetic pairs").at_least(2);
      f.add("sigma", sigma, "standard deviation of the candidates").above(0);
      f.add("rank_shaped", rank_shaped, "losses count by their rank, rather than by their value");
      outer.fields(f);
    }
  };

  explicit OpenaiEs(const Options& o) : o_(o) {}

  State start(const Tensor& mean) const override {
    State search = State::of(mean);
    outer_init(o_.outer, search);
    return search;
  }

  Tensor ask(const State& search, Rng rng) const override {
    return sample(search, o_.population, true, at::full({1, 1}, o_.sigma, search.theta.options()), rng);
  }

  void tell(State& search, const Tensor& asked, const Tensor& loss) const override {
    const Tensor cost = finite_losses(loss);
    const Tensor weight = o_.rank_shaped ? centred_ranks(loss) : cost - cost.mean(1, true);
    const double scale = o_.sigma * o_.sigma * static_cast<double>(asked.size(1));
    outer_step(o_.outer, search, moments(asked, search.theta, weight).first / scale);
  }

 private:
  Options o_;
};

SYMMA_REGISTER_STRATEGY("openai_es", OpenaiEs, "descends a smoothed loss by antithetic samples",
                        "Salimans et al. 2017, arXiv:1703.03864");

}  // namespace
}  // namespace symma
