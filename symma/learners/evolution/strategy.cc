#include "symma/learners/evolution/strategy.h"

namespace symma {

State begin_search(const Tensor& mean) {
  return {mean, {{"stream", at::arange(mean.size(0), at::kLong)}}, 0};
}

Tensor directions(const State& search, int64_t population, bool antithetic, Rng rng) {
  const int64_t d = search.theta.size(1), drawn = antithetic ? (population + 1) / 2 : population;
  const Tensor streams = search.own.at("stream").to(at::kCPU, at::kLong).contiguous();
  std::vector<Tensor> rows;
  for (int64_t i = 0; i < streams.numel(); ++i)
    rows.push_back(
        normal(rng.split("search", streams.data_ptr<int64_t>()[i]), {drawn, d}, search.theta.scalar_type()));
  const Tensor out = at::stack(rows).to(search.theta.device());
  return antithetic ? at::cat({out, -out}, 1).narrow(1, 0, population) : out;
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
