// What the rules that pick rows by their distances have in common.
#pragma once

#include <vector>

#include "symma/core/tensor.h"

namespace symma {

// Half of n, rounded so that the good rows outnumber the bad: the bound of most rules.
inline int64_t minority(int64_t n) {
  return (n - 1) / 2;
}

// The sum of each row's squared distances to its `neighbours` nearest others, [n]. `distances` is [n, n]
// double.
std::vector<double> neighbour_scores(const Tensor& distances, int64_t neighbours);

// The `keep` rows whose largest mutual distance is least; of several such sets one that leaves out far rows.
// In ascending order. Exact; exponential in n - keep at worst, yet fast where the bad rows stand apart.
std::vector<int64_t> least_diameter(const Tensor& distances /*[n,n]*/, int64_t keep);

}  // namespace symma
