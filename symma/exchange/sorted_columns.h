// Rules that sort each column of [n, P]: a network of comparators, run on many columns at once.
//
// Blocks of 16 values are sorted in registers by Batcher's odd-even merge sort, and merged by his bitonic
// merge (Batcher 1968, "Sorting networks and their applications"); the last merge does only what the wanted
// ranks depend on. A NaN counts as +inf. Columns do not depend on the order of the rows, bit for bit.
#pragma once

#include "symma/core/tensor.h"

namespace symma {

// The mean of the sorted values of ranks [first, last) in each column, [P].
Tensor mean_of_ranks(const Tensor& rows /*[n,P]*/, int64_t first, int64_t last);

// The mean of the `keep` values nearest to the median in each column, [P]. Values that tie for the last place
// count in equal shares.
Tensor mean_near_median(const Tensor& rows /*[n,P]*/, int64_t keep);

}  // namespace symma
