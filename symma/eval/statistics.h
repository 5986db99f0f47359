// Numbers about numbers: means with intervals, and quantiles, which a few diverging tasks cannot move.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace symma {

class Rng;

// The 97.5 % point of Student's t with `freedom` degrees of freedom, one or more: a mean of n values lies
// within that many standard errors of the truth, with n - 1 degrees, in 95 cases of 100. Exact for whole
// degrees (Abramowitz & Stegun 26.7.3, 26.7.4), past 200 by Fisher's series (26.7.5), to nine digits.
double student_t(int64_t freedom);

// The groups that tasks are of: homes, alphabets, classes. Tasks of one group are alike, so what a mean over
// tasks is uncertain by is how groups differ.
struct Groups {
  std::vector<std::vector<int64_t>> of;  // [T]: the groups of each task, by number; empty: tasks stand alone
  int64_t count = 0;                     // how many groups there are
};

// Names as scores.csv has them, one cell a task; a task of several groups names them with " | " between.
Groups groups_of(const std::vector<std::string>& names);
// Of tasks on which agents were judged apart, [agent][task]: each on one of its own is of all of theirs.
Groups groups_together(const std::vector<std::vector<std::string>>& names);

struct Summary {
  double mean = 0, ci95 = 0, median = 0, q1 = 0, q3 = 0;
  int diverged = 0;  // how many were not finite; the mean is then not finite either, the quantiles count them
                     // as the worst
};

// ci95 is half the width of the 95 % interval of the mean, by Student's t; not a number for one value, of
// which no interval is known. For many values it is 1.96 sd / sqrt(n), the field's convention (Finn et al.
// 2017). Not-finite values rank as +infinity, or as -infinity where higher is better.
//
// Of values that share groups: where each is of one group, mean and interval are those of the groups' means,
// with a degree of freedom less than there are groups. Where they are of several, the mean is over values,
// and its variance is the sum of the products of the residuals of all pairs of values, once for each group
// that the two share (as clustered errors have it: Cameron & Miller 2015, section II), corrected for what the
// mean hides, and no less than that of values alone; simulated, it covers .90 to .96 where .95 is claimed.
// Quantiles are over values.
Summary summarise(std::vector<double> values, bool higher_is_better, const Groups& = {});

// The mean of the middle half: a quarter of the values is left out on either side, of one on the edge its
// part (Agarwal et al. 2021, arXiv:2108.13264). `values` is not empty.
double interquartile_mean(std::vector<double> values);

// The 95% interval of the interquartile mean of all values together, by the stratified bootstrap: each
// stratum is drawn from with replacement `draws` times, and the interval ends at the 2.5th and the 97.5th
// percentile of what came out (Agarwal et al. 2021, section 4.1). A stratum holds the scores of one world's
// runs; none is empty, and all values are finite.
std::pair<double, double> interquartile_interval(const std::vector<std::vector<double>>& strata, Rng,
                                                 int draws = 2000);
// With a constant key: the same scores have the same interval.
std::pair<double, double> interquartile_interval(const std::vector<std::vector<double>>& strata,
                                                 int draws = 2000);

// The p-quantile by linear interpolation between order statistics (R's type 7). `sorted` is ascending and not
// empty.
double quantile(const std::vector<double>& sorted, double p);

}  // namespace symma
