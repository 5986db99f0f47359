// Rules that sort each column of [n, P]: a network of comparators, run on many columns at once.
//
// The network is Batcher's odd-even merge sort (Batcher 1968, "Sorting networks and their applications"), cut
// down to the comparators that the wanted ranks depend on. A NaN counts as +inf. Columns do not depend on the
// order of the rows, bit for bit.
#pragma once

#include <cstdint>
#include <vector>

#include "symma/core/tensor.h"

namespace symma {

struct Comparator {
  int32_t low, high;  // afterwards, place `low` holds the smaller value
};

// Sorts so that the ranks in [first, last) of 0..n-1 stand in those places.
std::vector<Comparator> sorting_network(int64_t n, int64_t first, int64_t last);

// The mean of the sorted values of ranks [first, last) in each column, [P].
Tensor mean_of_ranks(const Tensor& rows /*[n,P]*/, int64_t first, int64_t last);

// The mean of the `keep` values nearest to the median in each column, [P]. Values that tie for the last place
// count in equal shares.
Tensor mean_near_median(const Tensor& rows /*[n,P]*/, int64_t keep);

}  // namespace symma
