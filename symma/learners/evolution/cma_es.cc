// CMA-ES: a normal distribution whose whole covariance is learned, with rank-one, rank-mu and negative
// updates, and cumulative control of the step size. Hansen 2016, "The CMA evolution strategy: a tutorial",
// arXiv:1604.00772, figure 6.
//
// Memory and time grow with the square and the cube of the parameters: for a few hundred of them at most.
#include <limits>

#include "symma/learners/evolution/cma.h"
#include "symma/learners/evolution/evolution.h"

namespace symma {
namespace {

class CmaEs : public Strategy {
 public:
  using Options = CmaOptions;

  explicit CmaEs(const Options& o) : o_(o) {}

  State start(const Tensor& mean) const override {
    const int64_t n = mean.size(0), d = mean.size(1);
    if (d > 2000)
      throw UserError("[learner] kind", fmt::format("\"cma_es\" keeps a {} x {} matrix for each agent", d, d),
                      "use \"sep_cma_es\" or \"snes\"");
    const Tensor one = at::eye(d, mean.options()).expand({n, d, d}).contiguous();
    State search = begin_cma(mean, o_.sigma);
    search.own.insert({{"covariance", one}, {"basis", one.clone()}, {"scale", at::ones_like(mean)}});
    return search;
  }

  Tensor ask(const State& s, Rng rng) const override {
    const Tensor z = directions(s, constants(s).population, rng);
    const Tensor y = at::bmm(z * s.own.at("scale").unsqueeze(1), s.own.at("basis").transpose(1, 2));
    return s.theta.unsqueeze(1) + s.own.at("sigma").unsqueeze(2) * y;
  }

  void tell(State& s, const Tensor& asked, const Tensor& loss) const override {
    const CmaConstants c = constants(s);
    const Tensor basis = s.own.at("basis"), scale = s.own.at("scale").unsqueeze(1);
    const Tensor y =
        in_order((asked - s.theta.unsqueeze(1)) / s.own.at("sigma").unsqueeze(2), loss);  // [N, L, D]
    const Tensor w = c.weights.to(y.options());                                           // [L]
    const Tensor y_w = (w.clamp_min(0).view({1, -1, 1}) * y).sum(1);
    // As sums: MKL's products of one row each round by how many there are, and a search is not its
    // neighbours'.
    const Tensor z_w = (y_w.unsqueeze(2) * basis).sum(1, true) / scale;     // [N, 1, D]
    const Tensor h = move_mean_and_sigma(s, c, y_w, (z_w * basis).sum(2));  // [N, 1]
    const Tensor path =
        (1 - c.c_c) * s.own.at("path_c") + h * std::sqrt(c.c_c * (2 - c.c_c) * c.mu_eff) * y_w;
    s.own["path_c"] = path;
    // A bad candidate counts as if it lay at the distance sqrt(D), so that the covariance stays positive.
    const auto d = static_cast<double>(y.size(2));
    const Tensor far = (at::bmm(y, basis) / scale).square().sum(2).clamp_min(1e-300);  // [N, L]
    const Tensor weight =
        at::where(w.unsqueeze(0) < 0, w.unsqueeze(0) * d / far, w.unsqueeze(0).expand_as(far));
    const Tensor keep = 1 + c.c_1 * (1 - h) * c.c_c * (2 - c.c_c) - c.c_1 - c.c_mu * w.sum();
    Tensor covariance = keep.unsqueeze(2) * s.own.at("covariance") +
                        c.c_1 * at::bmm(path.unsqueeze(2), path.unsqueeze(1)) +
                        c.c_mu * at::bmm((weight.unsqueeze(2) * y).transpose(1, 2), y);
    s.own["covariance"] = covariance = (covariance + covariance.transpose(1, 2)) / 2;
    // The basis is brought up to date now and then: its cost is then no more than that of sampling.
    const auto gap = static_cast<int64_t>(1 / (10 * d * (c.c_1 + c.c_mu)));
    const Tensor due =
        at::remainder(s.steps, std::max<int64_t>(1, gap)).eq(0).nonzero().squeeze(1);  // searches
    if (due.size(0) > 0) {
      const Tensor at = due.to(covariance.device());
      // LAPACK gives up on all searches where one has diverged. That one's basis is no number, either.
      const Tensor now = covariance.index_select(0, at);
      const Tensor lost = now.isfinite().all(2).all(1).logical_not().view({-1, 1, 1});
      const auto [values, vectors] = at::linalg_eigh(now.masked_fill(lost, 0));
      const double nan = std::numeric_limits<double>::quiet_NaN();
      s.own["basis"] = s.own["basis"].index_copy(0, at, vectors.masked_fill(lost, nan));
      s.own["scale"] = s.own["scale"].index_copy(
          0, at, values.clamp_min(0).sqrt().clamp_min(1e-150).masked_fill(lost.squeeze(2), nan));
    }
  }

 private:
  CmaConstants constants(const State& s) const { return {s.theta.size(1), o_.population, 1, true}; }

  Options o_;
};

SYMMA_REGISTER_STRATEGY("cma_es", CmaEs, "learns the whole covariance of what it samples",
                        "Hansen 2016, arXiv:1604.00772");

}  // namespace
}  // namespace symma
