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

// Whether every agent can be reached from every other.
bool connected(const Graph&);

}  // namespace symma
