#include "symma/learners/evolution/cma.h"

namespace symma {

CmaConstants::CmaConstants(int64_t dims, int64_t asked, double speed, bool negative)
    : population(std::max<int64_t>(2, population_for(dims, asked))), parents(population / 2) {
  const auto n = static_cast<double>(dims), l = static_cast<double>(population);
  const Tensor raw = std::log((l + 1) / 2) - at::arange(1, population + 1, at::kDouble).log();
  const auto effective = [](const Tensor& w) {
    const double sum = w.sum().item<double>();
    return sum * sum / w.square().sum().item<double>();
  };
  const Tensor positive = raw.narrow(0, 0, parents), rest = raw.narrow(0, parents, population - parents);
  mu_eff = effective(positive);
  c_sigma = (mu_eff + 2) / (n + mu_eff + 5);
  d_sigma = 1 + 2 * std::max(0.0, std::sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma;
  c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n);
  c_1 = std::min(1.0, speed * 2 / ((n + 1.3) * (n + 1.3) + mu_eff));
  c_mu = std::min(1 - c_1, speed * 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((n + 2) * (n + 2) + mu_eff));
  chi = std::sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
  Tensor last = at::zeros_like(rest);
  const double below = -rest.clamp_max(0).sum().item<double>();
  if (negative && below > 0) {
    // Equations 49 to 53: how much weight may be taken away.
    const double mu_eff_minus = effective(rest.clamp_max(0));
    const double least =
        std::min({1 + c_1 / c_mu, 1 + 2 * mu_eff_minus / (mu_eff + 2), (1 - c_1 - c_mu) / (n * c_mu)});
    last = rest.clamp_max(0) * (least / below);
  }
  weights = at::cat({positive / positive.sum(), last});
}

State begin_cma(const Tensor& mean, double sigma) {
  State search = State::of(mean);
  search.own["sigma"] = at::full({mean.size(0), 1}, sigma, mean.options());
  search.own["path_sigma"] = at::zeros_like(mean);
  search.own["path_c"] = at::zeros_like(mean);
  return search;
}

Tensor move_mean_and_sigma(State& search, const CmaConstants& c, const Tensor& y_w, const Tensor& whitened) {
  const Tensor sigma = search.own.at("sigma");  // [N, 1]
  search.theta = search.theta + sigma * y_w;
  const Tensor path = (1 - c.c_sigma) * search.own.at("path_sigma") +
                      std::sqrt(c.c_sigma * (2 - c.c_sigma) * c.mu_eff) * whitened;
  search.own["path_sigma"] = path;
  search.steps = search.steps + 1;
  const Tensor length = path.norm(2, 1, true);
  const auto n = static_cast<double>(path.size(1));
  const Tensor t = search.steps.to(at::kDouble).unsqueeze(1);  // [N, 1]
  const Tensor warm = (1 - at::pow(1 - c.c_sigma, 2 * t)).sqrt().to(path.options());
  search.own["sigma"] = sigma * (c.c_sigma / c.d_sigma * (length / c.chi - 1)).clamp_max(1).exp();
  return (length / warm < (1.4 + 2 / (n + 1)) * c.chi).to(path.scalar_type());
}

}  // namespace symma
