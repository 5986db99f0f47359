// Exchange: rows are mixed along the edges of a graph, theta <- W theta.
//
// Distributed learning (a server gathers and hands back: topology "star") and collaborative learning
// (neighbours improve each other: any other graph) are two settings of this one step. What comes on top of
// plain mixing (robust rules, compression, faults, privacy, a server that optimises) takes three steps:
// agents speak, messages are carried, nodes combine (messages.h).
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "symma/core/noise.h"
#include "symma/exchange/aggregator.h"
#include "symma/exchange/attack.h"
#include "symma/exchange/compressor.h"
#include "symma/exchange/neighbours.h"
#include "symma/exchange/settings.h"
#include "symma/exchange/topology.h"

namespace symma {

// The fixed part: settings, graph, weights, parts.
struct Exchange : ExchangeSettings {
  Graph graph;
  Neighbours weights;  // W of the graph; empty where a server gathers, or nobody talks
  std::shared_ptr<const Aggregator> aggregator;  // null: the mean by W
  std::vector<std::shared_ptr<const PreAggregator>> before;
  std::shared_ptr<const Compressor> compressor;  // null: numbers as they are
  std::shared_ptr<const Attack> attack;          // null: all agents are honest

  bool combine_first() const { return options.strategy == "combine-then-adapt"; }
  bool due(int64_t round) const { return !graph.edges.empty() && (round + 1) % options.every == 0; }
  bool updates() const { return options.payload == "updates"; }
  bool tracks() const { return options.strategy == "gradient-tracking"; }
  bool corrects() const { return options.strategy == "exact-diffusion"; }
  // Whether a receiver may lack what a difference is counted from.
  bool may_miss() const { return compressor && !graph.server && faults.gaps(); }
  bool plain() const;  // theta <- W theta and nothing else
  bool hostile(int64_t agent) const;
  // Whether what is promised rests on nobody's knowing who took part.
  bool hides_who() const {
    return privacy.at_server() && server.sampling == "poisson" && server.share < 1 && !privacy.seeded();
  }
  // Exchanges from one turn of an agent to its next.
  int64_t turns() const {
    return server.sampling == "turns" ? std::clamp<int64_t>(std::llround(1 / server.share), 1, graph.agents)
                                      : 1;
  }
  // How many agents take part in an exchange, in the mean: a public number.
  double expected() const;
  std::vector<int64_t> honest() const;  // ascending
};

// What crossed each edge so far, what updates are counted from, and what the parts keep.
struct ExchangeState {
  int64_t rounds = 0;
  std::vector<int64_t> bits;  // [2 edges]: edge e from its first node to its second at 2e, back at 2e + 1
  Tensor reference;  // [N, Q]: rows after the last exchange; undefined unless something is counted from them
  Tensor before, tracker;  // [N, Q]: of exact diffusion and gradient tracking (exchange.cc)
  // By name. All but the memories are there from the start, in one shape:
  //   known [N, Q]      what the others know of each agent (compressed messages on a graph, or parameters)
  //   residual [N, Q]   what messages left out so far (compressed updates to a server)
  //   heard [2 edges]   the message up to which the receiver knows all (compressed messages that may be lost)
  //   asked [2 edges]   the message from which on it was asked for whole ones, 0 for none (the same)
  //   memory.I          of agent I, for compressors with a warm start; -1 is the server
  //   first [N, Q]      what each agent sent first (stale agents)
  //   late [2 edges, Q], late.number [2 edges]   messages under way, and in which exchange they were sent
  //   server, server.known, server.m, server.v [Q], clip [1]
  // Q is twice a row's columns under gradient tracking, which sends two rows.
  TensorDict kept;
  int64_t number_bytes = 4;  // of one number of a row, in the fleet's precision
  // Coins and the noise of a tree, which must be known again from one exchange to the next. Never saved: who
  // resumes draws anew, from exchange number `began` on.
  Noise hidden = Noise::of_system();
  int64_t began = 0;

  int64_t total_bits() const;
};

ExchangeState exchange_start(const Exchange&, const Tensor& theta);

// One communication. Returns the mixed rows [N, Q], and counts in `state` what crossed each edge: each node
// sends its message over each of its edges.
Tensor exchange(const Exchange&, ExchangeState& state, const Tensor& theta, Rng);

// Who learns before exchange number `period`, and sends in it; all unless the server asks only for a share.
// Ascending.
std::vector<int64_t> participants(const Exchange&, const ExchangeState&, int64_t period, Rng);

// Every row mixed by W and nothing else: [N, Q].
Tensor mix(const Exchange&, const Tensor& rows /*[N,Q]*/);

// Mean squared distance of the agents' rows from their mean.
double disagreement(const Tensor& theta /*[N,Q]*/);

}  // namespace symma
