// Differential privacy: what noise is added to sums of clipped rows, and what that spends.
//
// A row protects the unit that it stands for: the gradient of one example, the update of one task, or the
// whole update of one agent. Epsilon and delta hold for two data sets that differ by one such unit, present
// or absent, and for Poisson sampling: each unit takes part in a round with probability q by a coin of its
// own (`poisson_sample`), or all do, q = 1. A batch of fixed size is not that, and its epsilon is not this
// one.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "symma/core/rng.h"
#include "symma/core/tensor.h"

namespace symma {

enum class Unit { kExample, kTask, kAgent };
const char* unit_name(Unit);

// One kind of round: noise of standard deviation `sigma` times the clipping bound, on a sum in which a unit
// takes part with probability q, `steps` times.
struct Spending {
  double sigma = 1;  // > 0
  double q = 1;      // (0, 1]
  int64_t steps = 0;
};

// ---- The Renyi accountant. Mironov, Talwar, Zhang 2019, arXiv:1908.10530.

// Orders 1.1 to 10.9 by 0.1, then 12 to 63.
const std::vector<double>& renyi_orders();

// The Renyi divergence of one step at `order`, > 1.
double renyi(double sigma, double q, double order);

// The divergence at each of renyi_orders(); spendings add.
std::vector<double> renyi_spent(const Spending&);

// min over orders of R + log((a-1)/a) - log(delta a)/(a-1), at least 0 (Canonne, Kamath, Steinke 2020,
// arXiv:2004.00010). What the sum of several renyi_spent comes to.
double epsilon_of(std::span<const double> renyi, double delta);
double renyi_epsilon(std::span<const Spending>, double delta);

// ---- The figure to state: numerical composition of the privacy loss. Gopi, Lee, Wutschitz 2021,
// arXiv:2106.02848.

struct Epsilon {
  double estimate = 0;  // the epsilon of the losses on the grid
  double upper = 0;     // no true epsilon is above it, but for a failure probability counted in delta
};

// The larger of the two directions, a unit added and a unit removed.
Epsilon composed_epsilon(std::span<const Spending>, double delta);

// The least sigma, to 1e-4 of itself, with renyi_epsilon({sigma, q, steps}, delta) <= epsilon. Throws
// UserError where none below 1e4 will do.
double calibrate_sigma(double epsilon, double delta, double q, int64_t steps, const std::string& place);

// "epsilon 2.31 at delta 1e-05 for one agent, present or absent".
std::string privacy_statement(Unit, double epsilon, double delta);

// ---- Clipping and noise.

// Which of 0..n-1 take part: each with probability q.
std::vector<int64_t> poisson_sample(int64_t n, double q, Rng);

// Rows scaled down to norm `bound`; a row that is not finite becomes 0.
struct Clipped {
  Tensor rows;        // [n, P]
  int64_t whole = 0;  // how many rows were within the bound
};
Clipped clip_rows(const Tensor& rows /*[n,P]*/, double bound);

// The sum of rows clipped to `bound`, plus N(0, (sigma bound)^2) in each coordinate, [P].
Tensor private_sum(const Tensor& rows /*[n,P]*/, double bound, double sigma, Rng);

// Adaptive clipping (Andrew, Thakkar, McMahan, Ramaswamy 2021, arXiv:1905.03871): the bound follows the
// `quantile` of the norms, by the noisy share of rows that were within it.
struct AdaptiveClipping {
  double quantile = 0.5;
  double rate = 0.2;
  double count_sigma = 10;  // noise on the count of rows within the bound
  // The next bound. `expected` is the number of rows expected in a round.
  double next(double bound, int64_t whole, double expected, Rng) const;
  // The sigma for the sum of rows, such that sum and count together spend what `sigma` alone would. Throws
  // UserError unless sigma < 2 count_sigma.
  double sum_sigma(double sigma, const std::string& place) const;
};

}  // namespace symma
