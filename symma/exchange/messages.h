// An exchange that is more than plain mixing, in three steps: agents speak, messages are carried, nodes
// combine.
//
// Rows are double on the way. `wanted` is what honest agents would send: their rows, or what these changed by
// since the last exchange.
//
// Updates are counted from the row after the last exchange. A server knows that row, so to it they are all
// that is sent. Neighbours don't: that row is made of what all of an agent's neighbours said. It is made of
// nothing else, so it may be said again for nothing: on a graph an agent says the row and the update
// together, clipped and with noise, and what is mixed are such rows. (Mixing the updates alone would let the
// rows that they are counted from drift apart.)
//
// Compressed rows: everybody holds a copy `known_i` of what agent i has said, which moves by C(x_i -
// known_i); nodes mix the copies, x_i += gamma (A_i(known) - known_i), which for the mean is CHOCO-gossip
// (Koloskova et al. 2019, arXiv:1902.00340). The first message is whole; so is one to a receiver that has
// missed one and has said so in its own. Compressed updates to a server: error feedback (Karimireddy et al.
// 2019, arXiv:1901.09847).
#pragma once

#include <vector>

#include "symma/exchange/exchange.h"

namespace symma {

// What agents say.
struct Said {
  Tensor rows;                // [N, Q] double: what receivers have of each agent once its message is there
  Tensor spoken;              // [N, Q] double: what it would have said without compression
  std::vector<bool> there;    // [N]: whether they have anything of it
  std::vector<int64_t> bits;  // [N]: of its message; a silent agent sends a byte to say that it has not moved
  int64_t whole = 0;          // how many updates were within the clipping bound
};
// `base` [N, Q] is what updates are counted from and is said with them; undefined where receivers know it.
Said speak(const Exchange&, ExchangeState&, const Tensor& wanted /*[N,Q] double*/,
           const std::vector<int64_t>& who, Rng, const Tensor& base = {});

struct Arrival {
  int64_t number = 0;  // of the exchange that it was sent in, from 1; 0: nothing came
  Tensor row;          // [Q] double
};
// Carries a message over the directed edge `at` (as in ExchangeState::bits), with the faults of [faults], and
// counts it. Returns what the receiver takes: the newest message that has arrived.
Arrival carry(const Exchange&, ExchangeState&, int64_t at, const Tensor& row /*[Q] double*/, int64_t bits,
              Rng);

// The rule of [aggregator] on the rows that a node has gathered; where it has fewer than planned, it allows
// for fewer bad ones. Without a rule, the plain mean.
Tensor combine(const Exchange&, const std::vector<Tensor>& rows, const Tensor& centre, Rng);

// The two ways to combine: at each node, and at the server. Both return the agents' new rows, [N, Q] double.
Tensor among_neighbours(const Exchange&, ExchangeState&, const Tensor& theta /*[N,Q] double*/, Rng);
Tensor at_server(const Exchange&, ExchangeState&, const Tensor& theta /*[N,Q] double*/, Rng);

// Secure aggregation: the sum of the rows of `who`, as far as `arrived` says that an agent stayed to the end,
// and the bits that each of the protocol's messages took, counted in `state`. Undefined where too few stayed.
Tensor secure_sum(const Exchange&, ExchangeState&, const Tensor& rows /*[N,Q]*/,
                  const std::vector<int64_t>& who, const std::vector<bool>& arrived /*[N]*/, Rng);

}  // namespace symma
