// Differential privacy: what noise is added to sums of clipped rows, and what that spends.
//
// A row protects the unit that it stands for: the gradient of one example, the update of one task, or the
// whole update of one agent. Epsilon and delta hold for two data sets that differ by one such unit, and what
// differing means is a part of the statement (`adjacency`): how far such a unit moves a sum is the
// sensitivity, in clipping bounds, and `Spending::sigma` is the noise over that. Each unit takes part in a
// round with probability q by a coin of its own (`poisson_sample`), or all do, q = 1.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "symma/core/noise.h"
#include "symma/core/tensor.h"
#include "symma/exchange/settings.h"

namespace symma {

enum class Unit { kExample, kTask, kAgent };
const char* unit_name(Unit);

// One kind of round: noise of standard deviation `sigma` times what a unit moves, on a sum in which it takes
// part with probability q, `steps` times.
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

// The same for any number of steps of one kind, up to `most`; what they share is worked out once.
class Composition {
 public:
  Composition(double sigma, double q, int64_t most, double delta);
  Epsilon at(int64_t steps) const;  // 0 <= steps <= most

 private:
  double delta_, limit_, h_;
  int64_t size_, most_;
  struct Side {
    Tensor spectrum;  // [size / 2 + 1] complex, of the losses of one step
    double shift,
        lost;  // of one step: what rounding moved the mean by, and the chance of a loss off the grid
  };
  std::vector<Side> sides_;
};

// Epsilon of N(0, 1) against N(mu, 1), exactly. Balle and Wang 2018, arXiv:1805.06530, theorem 8.
double gaussian_epsilon(double mu, double delta);

// The least sigma, to 1e-4 of itself, with renyi_epsilon({sigma, q, steps}, delta) <= epsilon. Throws
// UserError where none below 1e4 will do.
double calibrate_sigma(double epsilon, double delta, double q, int64_t steps, const std::string& place);

// "epsilon 2.315 at delta 1e-05 for one agent (add or remove one)", epsilon rounded up.
std::string privacy_statement(Unit, double epsilon, double delta, const std::string& adjacency);
// "add-remove" as "add or remove one".
std::string adjacency_words(const std::string&);
// To so many digits, and never below x: what is stated is a bound.
double rounded_up(double x, int digits);

// ---- Clipping and noise.

// Where the noise of [privacy] comes from: the system, or, where the file asks for it, this key.
Noise noise_for(const PrivacyOptions&, Rng);

// Which of 0..n-1 take part: each with probability q.
std::vector<int64_t> poisson_sample(int64_t n, double q, const Noise& coins);

// Rows scaled down to norm `bound`; a row that is not finite becomes 0.
struct Clipped {
  Tensor rows;        // [n, P]
  int64_t whole = 0;  // how many rows were within the bound
};
Clipped clip_rows(const Tensor& rows /*[n,P]*/, double bound);

// The sum of rows clipped to `bound`, plus N(0, (sigma bound)^2) in each coordinate, [P].
Tensor private_sum(const Tensor& rows /*[n,P]*/, double bound, double sigma, const Noise&);

// Adaptive clipping (Andrew, Thakkar, McMahan, Ramaswamy 2021, arXiv:1905.03871): the bound follows the
// `quantile` of the norms, by the noisy share of rows that were within it.
struct AdaptiveClipping {
  double quantile = 0.5;
  double rate = 0.2;
  double count_sigma = 10;  // noise on the count of rows within the bound
  // The next bound, where `whole` of `counted` rows were within it and `expected` were expected. A row within
  // counts as 1/2 and another as -1/2, so that one that is there or not moves the count by 1/2, and one that
  // is another by 1: half of what it does to the sum, in bounds, each time.
  double next(double bound, int64_t whole, int64_t counted, double expected, const Noise&) const;
  // The sigma for the sum of rows, such that sum and count together spend what `sigma` alone would. Throws
  // UserError unless sigma < 2 count_sigma.
  double sum_sigma(double sigma, const std::string& place) const;
};

// ---- Sums of all so far. Kairouz, McMahan, Song, Thakkar, Thakurta, Xu 2021, arXiv:2103.00039 (DP-FTRL).
//
// The sum after t rounds carries the noise of those nodes of a binary tree over the rounds that t is made of,
// so at most log2(t) + 1 of them. Which rounds a unit takes part in, nobody needs to be unsure of.

// The noise of the sum after round `t` (from 0) less that of the sum before: what to add to the round's own
// sum, [q]. A new tree begins every `restart` rounds, 0: never. `nodes` is the same in every round.
Tensor tree_step(const Noise& nodes, int64_t t, int64_t restart, int64_t q);

// The square of what a unit moves, in clipping bounds, in all nodes that the first `rounds` sums show: that
// of the worst unit that takes part in rounds o, o + turns, o + 2 turns ... for `offset` o.
double tree_square(int64_t rounds, int64_t restart, int64_t turns, int64_t offset);

}  // namespace symma
