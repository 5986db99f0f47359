// Exchange: rows are mixed along the edges of a graph, theta <- W theta.
//
// Distributed learning (a server gathers and hands back: topology "star") and collaborative learning
// (neighbours improve each other: any other graph) are two settings of this one step. What comes on top of
// plain mixing (robust rules, compression, faults, privacy, a server that optimises) takes three steps:
// agents speak, messages are carried, nodes combine (messages.h). Agents may live in several processes: each
// holds the rows and the state of its own (state.h), and hears of others by letters (transport.h).
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "symma/exchange/aggregator.h"
#include "symma/exchange/attack.h"
#include "symma/exchange/compressor.h"
#include "symma/exchange/neighbours.h"
#include "symma/exchange/settings.h"
#include "symma/exchange/state.h"
#include "symma/exchange/topology.h"
#include "symma/exchange/transport.h"

namespace symma {

// The fixed part: settings, graph, weights, parts.
struct Exchange : ExchangeSettings {
  Graph graph;
  Neighbours weights;  // W of the graph; empty where a server gathers, or nobody talks
  std::shared_ptr<const Aggregator> aggregator;  // null: the mean by W
  std::vector<std::shared_ptr<const PreAggregator>> before;
  std::shared_ptr<const Compressor> compressor;  // null: numbers as they are
  std::shared_ptr<const Attack> attack;          // null: all agents are honest
  bool letters_may_be_lost = false;              // between processes, beside what [faults] plays

  bool combine_first() const { return options.strategy == "combine-then-adapt"; }
  bool due(int64_t round) const { return !graph.edges.empty() && (round + 1) % options.every == 0; }
  bool updates() const { return options.payload == "updates"; }
  bool tracks() const { return options.strategy == "gradient-tracking"; }
  bool corrects() const { return options.strategy == "exact-diffusion"; }
  bool pushes() const { return options.strategy == "push-sum"; }
  // Whether a receiver may lack what a difference is counted from.
  bool may_miss() const { return compressor && !graph.server && (faults.gaps() || letters_may_be_lost); }
  bool plain() const;  // theta <- W theta and nothing else
  bool hostile(int64_t agent) const;
  // Whether what is promised rests on nobody's knowing who took part.
  bool hides_who() const {
    return privacy.at_server() && !privacy.distributed() && server.sampling == "poisson" &&
           server.share < 1 && !privacy.seeded();
  }
  // Exchanges from one turn of an agent to its next.
  int64_t turns() const {
    return server.sampling == "turns" ? std::clamp<int64_t>(std::llround(1 / server.share), 1, graph.agents)
                                      : 1;
  }
  int64_t drawn() const;  // how many take part where it is the same number each time
  // How many agents take part in an exchange, in the mean: a public number.
  double expected() const;
  std::vector<int64_t> honest() const;  // ascending
};

// One communication. Returns the mixed rows [n, Q] of the state's agents, and counts in `state` what they
// sent: each node sends its message over each of its edges. Where some of the fleet is elsewhere, `elsewhere`
// carries letters between the processes; the bits are those of one process that has all.
Tensor exchange(const Exchange&, ExchangeState& state, const Tensor& theta /*[n,Q]*/, Rng,
                Transport* elsewhere = nullptr);

// Who learns before exchange number `period`, and sends in it; all unless the server asks only for a share.
// Ascending.
std::vector<int64_t> participants(const Exchange&, const ExchangeState&, int64_t period, Rng);

// Every row mixed by W and nothing else: [N, Q].
Tensor mix(const Exchange&, const Tensor& rows /*[N,Q]*/);

// Mean squared distance of the agents' rows from their mean.
double disagreement(const Tensor& theta /*[N,Q]*/);

}  // namespace symma
