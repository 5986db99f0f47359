#include "symma/learners/evolution/strategy.h"

namespace symma {

Tensor directions(const State& search, int64_t population, bool antithetic, Rng rng) {
  const int64_t n = search.theta.size(0), d = search.theta.size(1);
  const at::ScalarType type = search.theta.scalar_type();
  if (!antithetic) return normal(rng, {n, population, d}, type).to(search.theta.device());
  const Tensor half = normal(rng, {n, (population + 1) / 2, d}, type).to(search.theta.device());
  return at::cat({half, -half}, 1).narrow(1, 0, population);
}

Tensor centred_ranks(const Tensor& loss) {
  const auto last = static_cast<double>(std::max<int64_t>(1, loss.size(1) - 1));
  // argsort puts NaN last.
  return loss.argsort(int64_t{1}).argsort(int64_t{1}).to(loss.scalar_type()) / last - 0.5;
}

Tensor in_order(const Tensor& candidates, const Tensor& loss) {
  return candidates.gather(1, loss.argsort(int64_t{1}).unsqueeze(2).expand_as(candidates));
}

int64_t population_for(int64_t dims, int64_t asked) {
  return asked > 0 ? asked : 4 + static_cast<int64_t>(3 * std::log(static_cast<double>(dims)));
}

}  // namespace symma
