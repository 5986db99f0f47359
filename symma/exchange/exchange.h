// Exchange: rows are mixed along the edges of a graph, theta <- W theta.
//
// Distributed learning (a server gathers and hands back: topology "star") and collaborative learning
// (neighbours improve each other: any other graph) are two settings of this one step.
#pragma once

#include <string>
#include <vector>

#include "symma/core/options.h"
#include "symma/exchange/topology.h"

namespace symma {

struct ExchangeOptions {
  std::string topology = "none";
  std::string strategy = "adapt-then-combine";
  std::string payload = "parameters";
  int64_t every = 1;
  void fields(Fields& f) {
    f.add("topology", topology, "the graph along which agents talk; see symma list Topology");
    f.add("strategy", strategy, "learn and then mix, or mix and then learn")
        .one_of({"adapt-then-combine", "combine-then-adapt"});
    f.add("payload", payload, "what is mixed: rows, or what they changed by since the last exchange")
        .one_of({"parameters", "updates"});
    f.add("every", every, "rounds from one exchange to the next").at_least(1);
  }
};

// The fixed part: graph, weights, settings.
struct Exchange {
  ExchangeOptions options;
  Graph graph;
  Tensor weights;  // [N, N] float64, doubly stochastic

  bool combine_first() const { return options.strategy == "combine-then-adapt"; }
  bool due(int64_t round) const { return !graph.edges.empty() && (round + 1) % options.every == 0; }
};

// What crossed each edge so far, and what updates are counted from.
struct ExchangeState {
  int64_t rounds = 0;
  std::vector<int64_t> bits;  // [2 edges]: edge e from its first node to its second at 2e, back at 2e + 1
  Tensor reference;           // [N, Q]: rows after the last exchange; undefined unless updates are mixed

  int64_t total_bits() const;
};

ExchangeState exchange_start(const Exchange&, const Tensor& theta);

// One communication. Returns the mixed rows [N, Q], and counts in `state` what crossed each edge: each node
// sends its row, of Q numbers in theta's type, over each of its edges.
Tensor exchange(const Exchange&, ExchangeState& state, const Tensor& theta);

// W rows, each entry summed in the order of columns of W: [N, Q].
Tensor mix(const Tensor& weights /*[N,N]*/, const Tensor& rows /*[N,Q]*/);

// Mean squared distance of the agents' rows from their mean.
double disagreement(const Tensor& theta /*[N,Q]*/);

}  // namespace symma
