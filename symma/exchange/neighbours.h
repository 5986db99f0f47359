// Mixing along the edges of a big graph: W theta without W itself, which has N^2 numbers.
#pragma once

#include <vector>

#include "symma/exchange/topology.h"

namespace symma {

// The entries of W (topology.h) that are not zero, row after row, columns ascending (compressed sparse rows).
struct Neighbours {
  std::vector<int64_t> begin;   // [N + 1]: entries of row i are begin[i] .. begin[i + 1]
  std::vector<int64_t> column;  // [begin[N]]
  std::vector<double> weight;   // [begin[N]]
};

// The numbers of mixing_weights. A graph with a server is refused (c10::Error): its W has no zeros.
Neighbours neighbours(const Graph&);

// W rows, the same bits as `mix` of mixing_weights: [N, Q]. float32 or float64 on the CPU.
Tensor mix(const Neighbours&, const Tensor& rows /*[N,Q]*/);

}  // namespace symma
