// The passes over a matrix of rows that aggregation is made of. Each reads its input once, in tiles of
// columns, on all threads; the pieces are the same whatever the number of threads, and so are the results.
//
// Rows are [n, P], float or double. A row that holds a NaN or an infinity, or one so large that its square
// overflows, is at distance +inf from all others, and a row of weight 0 is never read: so one bad row spoils
// no other.
#pragma once

#include <span>
#include <vector>

#include "symma/core/tensor.h"

namespace symma {

// `rows` without history, contiguous. Fails where it is not [n, P] of float or double with n, P >= 1.
Tensor plain_rows(const Tensor& rows);

// |x_i - x_j|^2, [n, n] double, exactly 0 on the diagonal of finite rows. One product of matrices, about a
// moving origin; pairs so close that the product would lose them are computed again by differences.
Tensor squared_distances(const Tensor& rows /*[n,P]*/);

// |x_i - point|^2, [n] double. An undefined point is zero.
std::vector<double> squared_distances_to(const Tensor& rows /*[n,P]*/, const Tensor& point /*[P]*/);

// sum_i w_i x_i + w_point point, [P].
Tensor weighted_sum(const Tensor& rows /*[n,P]*/, std::span<const double> weights, const Tensor& point = {},
                    double point_weight = 0);

// The mean of the rows listed, [P].
Tensor mean_of(const Tensor& rows /*[n,P]*/, std::span<const int64_t> which);

// weights times rows, [m, P].
Tensor mix_rows(const Tensor& rows /*[n,P]*/, const Tensor& weights /*[m,n] double*/);

// centre + s_i (x_i - centre), [n, P]; an undefined centre is zero. s_i = 0 gives the centre, whatever the
// row holds.
Tensor scale_rows(const Tensor& rows /*[n,P]*/, std::span<const double> scales, const Tensor& centre);

// The indices of `values` from small to large; equal ones in order of index, NaN last.
std::vector<int64_t> ascending(std::span<const double> values);

}  // namespace symma
