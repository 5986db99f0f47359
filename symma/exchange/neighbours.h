// Mixing along the edges of a graph: W theta without W itself, which has N^2 numbers.
//
// W is doubly stochastic. Along edges it has Metropolis-Hastings weights, w_ij = 1 / (1 + max(degree_i,
// degree_j)), the rest on the diagonal (Xiao, Boyd & Kim 2007; used by Dif-MAML, Kayaalp et al. 2022).
#pragma once

#include <vector>

#include "symma/exchange/topology.h"

namespace symma {

// The entries of W that are not zero, row after row, columns ascending (compressed sparse rows).
struct Neighbours {
  std::vector<int64_t> begin;   // [N + 1]: entries of row i are begin[i] .. begin[i + 1]
  std::vector<int64_t> column;  // [begin[N]]
  std::vector<double> weight;   // [begin[N]]

  double at(int64_t row, int64_t column) const;  // 0 where there is no edge
};

// A graph with a server is refused (c10::Error): its W is 1/N everywhere.
Neighbours neighbours(const Graph&);

// W rows, each entry summed in the order of W's columns: [N, Q]. float32 or float64. Of some rows of W, [n,
// Q].
Tensor mix(const Neighbours&, const Tensor& rows /*[N,Q]*/);

// The second largest absolute eigenvalue of W: distances from the mean shrink at least by this factor when W
// mixes them, and `disagreement`, a mean square, by its square. 0 for one agent. By power iteration on what
// is orthogonal to the mean; of a graph so large or so slow that it has not settled, a lower bound.
double second_eigenvalue(const Neighbours&);

}  // namespace symma
