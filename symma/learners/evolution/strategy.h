// Evolution strategies: searches by sampling, ask and tell. They need no gradient.
//
//   auto es = make<StrategyRegistry>("snes", {{"population", 20}});
//   State search = es->start(at::zeros({1, 10}, at::kDouble));
//   for (int64_t generation = 0; ...; ++generation) {
//     Tensor x = es->ask(search, rng.split("ask", generation));  // [1, 20, 10]
//     es->tell(search, x, loss(x));                               // [1, 20], the lower the better
//   }
//
// N searches run side by side: each is a row, and all of them are moved by the same batched operations.
#pragma once

#include "symma/learners/learner.h"

namespace symma {

// A search's State: theta [N, D] is where the search stands (the mean of what it samples), own holds the rest
// ([N, ...] each), step counts generations.
class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual State start(const Tensor& mean /*[N,D]*/) const = 0;
  virtual Tensor ask(const State&, Rng) const = 0;  // [N, L, D]
  // `loss` is that of the candidates asked, the lower the better; NaN counts as the worst.
  virtual void tell(State&, const Tensor& asked /*[N,L,D]*/, const Tensor& loss /*[N,L]*/) const = 0;
};

using StrategyRegistry = Registry<Strategy>;

// L normal directions for each search, [N, L, D]. Those of a search in float32 have 32 random bits a number.
Tensor directions(const State&, int64_t population, Rng);

// Candidates theta + sigma z along such directions, [N, L, D], the second half the first turned around when
// `antithetic`; `sigma` is one number [1, 1], or [N, D].
Tensor sample(const State&, int64_t population, bool antithetic, const Tensor& sigma, Rng);

// Each loss's rank among the L of its search, 0 the least, NaN the last: [N, L] int64.
Tensor ranks(const Tensor& loss);

// The same from -0.5 (the least) to 0.5. Salimans et al. 2017.
Tensor centred_ranks(const Tensor& loss);

// Losses to weigh by their value: what is not finite costs as much as the dearest finite one of its search.
Tensor finite_losses(const Tensor& loss /*[N,L]*/);

// sum_l w_l (x_l - mean), and with `v` also sum_l v_l (x_l - mean)^2, in one pass over the candidates: what a
// normal distribution's gradients are made of.
struct Moments {
  Tensor first, second;  // [N, D]
};
Moments moments(const Tensor& asked /*[N,L,D]*/, const Tensor& mean /*[N,D]*/, const Tensor& w /*[N,L]*/,
                const Tensor& v = {} /*[N,L]*/);

// The candidates in ascending order of their loss: [N, L, D].
Tensor in_order(const Tensor& candidates, const Tensor& loss);

// 4 + floor(3 ln D), or `asked` where that is not 0. Hansen 2016, arXiv:1604.00772, table 1.
int64_t population_for(int64_t dims, int64_t asked);

}  // namespace symma
