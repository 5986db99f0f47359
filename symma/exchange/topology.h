// Who talks to whom: a graph over agents, and the weights that mixing along it uses.
#pragma once

#include <vector>

#include "symma/core/options.h"
#include "symma/core/registry.h"
#include "symma/core/rng.h"
#include "symma/core/tensor.h"

namespace symma {

struct Graph {
  int64_t agents = 0;
  Pairs edges;  // undirected, each once, smaller number first
  // A node numbered `agents` that gathers from all and hands back; edges then lead to it.
  bool server = false;
};

class Topology {
 public:
  virtual ~Topology() = default;
  virtual Graph build(int64_t agents, Rng) const = 0;
};

using TopologyRegistry = Registry<Topology>;

// Sorts, orders and makes unique. Throws UserError for an edge to itself or to an agent that is not there.
Pairs tidy_edges(const Pairs& edges, int64_t agents);

// Doubly stochastic weights W [N, N], float64. Along edges Metropolis-Hastings weights, w_ij = 1 / (1 +
// max(degree_i, degree_j)), the rest on the diagonal (Xiao, Boyd & Kim 2007; used by Dif-MAML, Kayaalp et al.
// 2022). With a server, 1/N everywhere.
Tensor mixing_weights(const Graph&);

// The second largest absolute eigenvalue of W: distances from the mean shrink at least by this factor when W
// mixes them, and `disagreement`, a mean square, by its square. 0 for one agent.
double second_eigenvalue(const Tensor& weights);

// Whether every agent can be reached from every other.
bool connected(const Graph&);

}  // namespace symma
