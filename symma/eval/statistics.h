// Numbers about numbers: means with intervals, and quantiles, which a few diverging tasks cannot move.
#pragma once

#include <utility>
#include <vector>

#include "symma/core/rng.h"

namespace symma {

struct Summary {
  double mean = 0, ci95 = 0, median = 0, q1 = 0, q3 = 0;
  int diverged = 0;  // how many were not finite; the mean is then not finite either, the quantiles count them
                     // as the worst
};

// ci95 is 1.96 sd / sqrt(n), the field's convention (Finn et al. 2017). Not-finite values rank as +infinity,
// or as -infinity where higher is better.
Summary summarise(std::vector<double> values, bool higher_is_better);

// The mean of the middle half: a quarter of the values is left out on either side, of one on the edge its
// part (Agarwal et al. 2021, arXiv:2108.13264). `values` is not empty.
double interquartile_mean(std::vector<double> values);

// The 95% interval of the interquartile mean of all values together, by the stratified bootstrap: each
// stratum is drawn from with replacement `draws` times, and the interval ends at the 2.5th and the 97.5th
// percentile of what came out (Agarwal et al. 2021, section 4.1). A stratum holds the scores of one world's
// runs; none is empty, and all values are finite.
std::pair<double, double> interquartile_interval(const std::vector<std::vector<double>>& strata, Rng,
                                                 int draws = 2000);

// The p-quantile by linear interpolation between order statistics (R's type 7). `sorted` is ascending and not
// empty.
double quantile(const std::vector<double>& sorted, double p);

}  // namespace symma
