// Separable CMA-ES: the covariance is a diagonal, learned faster for it. Ros & Hansen 2008, "A simple
// modification in CMA-ES achieving linear time and space complexity": rates times (D + 2)/3.
#include "symma/learners/evolution/cma.h"
#include "symma/learners/evolution/evolution.h"

namespace symma {
namespace {

class SepCmaEs : public Strategy {
 public:
  using Options = CmaOptions;

  explicit SepCmaEs(const Options& o) : o_(o) {}

  State start(const Tensor& mean) const override {
    State search = begin_cma(mean, o_.sigma);
    search.own["variance"] = at::ones_like(mean);
    return search;
  }

  Tensor ask(const State& s, Rng rng) const override {
    const Tensor z = directions(s, constants(s).population, rng);
    return s.theta.unsqueeze(1) + (s.own.at("sigma") * s.own.at("variance").sqrt()).unsqueeze(1) * z;
  }

  void tell(State& s, const Tensor& asked, const Tensor& loss) const override {
    const CmaConstants c = constants(s);
    const Tensor variance = s.own.at("variance");
    const Tensor y = in_order((asked - s.theta.unsqueeze(1)) / s.own.at("sigma").unsqueeze(2), loss);
    const Tensor w = c.weights.to(y.options()).view({1, -1, 1});
    const Tensor y_w = (w * y).sum(1);
    const Tensor h = move_mean_and_sigma(s, c, y_w, y_w / variance.sqrt());
    const Tensor path =
        (1 - c.c_c) * s.own.at("path_c") + h * std::sqrt(c.c_c * (2 - c.c_c) * c.mu_eff) * y_w;
    s.own["path_c"] = path;
    const Tensor keep = 1 + c.c_1 * (1 - h) * c.c_c * (2 - c.c_c) - c.c_1 - c.c_mu;
    s.own["variance"] = keep * variance + c.c_1 * path.square() + c.c_mu * (w * y.square()).sum(1);
  }

 private:
  CmaConstants constants(const State& s) const {
    const int64_t d = s.theta.size(1);
    return {d, o_.population, (static_cast<double>(d) + 2) / 3, false};
  }

  Options o_;
};

SYMMA_REGISTER_STRATEGY("sep_cma_es", SepCmaEs, "learns the diagonal of the covariance of what it samples",
                        "Ros & Hansen 2008");

}  // namespace
}  // namespace symma
