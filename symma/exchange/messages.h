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
// Rows are held in double, and rounded to the fleet's type where they are said: what agents of one process
// have of each other is what a wire would have brought.
#pragma once

#include <vector>

#include "symma/exchange/exchange.h"
#include "symma/exchange/wire.h"

namespace symma {

// What agents of here say.
struct Said {
  Tensor rows;                // [n, Q] double: what receivers have of each agent once its message is there
  Tensor spoken;              // [n, Q] double: what it would have said without compression
  std::vector<Form> form;     // [n]: of its message; kNothing of those who say none
  std::vector<int64_t> bits;  // [n]: of it; a silent agent sends a byte to say that it has not moved
  std::vector<Bytes> bytes;   // [n]: of differences
  std::vector<bool> within;   // [n]: whether its update was within the clipping bound

  // Its letter, but for who is behind.
  Content content(int64_t place) const;
};
// `who` are all who speak, here and elsewhere. `base` [n, Q] is what updates are counted from and is said
// with them; undefined where receivers know it.
Said speak(const Exchange&, ExchangeState&, const Tensor& wanted /*[n,Q] double*/,
           const std::vector<int64_t>& who, Rng, Transport* elsewhere = nullptr, const Tensor& base = {});

// What has come of one who is elsewhere.
struct Heard {
  Form form = Form::kNothing;
  Tensor row = {};   // [Q] double: what is known of it now
  Bytes bytes = {};  // as they came
  Content content = {};
  std::vector<int64_t> to = {};
};
// The letters of `kind` from each of `from`, in its order; what is not a letter counts as nothing.
// Differences move `known` [h, Q], the rows of the halo, where that is defined.
std::vector<Heard> hear(const Exchange&, ExchangeState&, Letter::Kind, const std::vector<int64_t>& from,
                        int64_t columns, Tensor known, Transport&);

// The rule of [aggregator] on the rows that a node has gathered; where it has fewer than planned, it allows
// for fewer bad ones. Without a rule, the plain mean.
Tensor combine(const Exchange&, const std::vector<Tensor>& rows, const Tensor& centre, Rng);

// The two ways to combine: at each node, and at the server. Both return the agents' new rows, [n, Q] double.
Tensor among_neighbours(const Exchange&, ExchangeState&, const Tensor& theta /*[n,Q] double*/, Rng,
                        Transport* elsewhere);
Tensor at_server(const Exchange&, ExchangeState&, const Tensor& theta /*[n,Q] double*/, Rng,
                 Transport* elsewhere);
// A third, at each node (push_sum.cc).
Tensor push_sum(const Exchange&, ExchangeState&, const Tensor& theta /*[n,Q] double*/, Rng,
                Transport* elsewhere);
// The end of an exchange at agents whose server is elsewhere: what at_server does from the answer on.
Tensor from_server(const Exchange&, ExchangeState&, const Tensor& theta /*[n,Q] double*/, Rng,
                   Transport& elsewhere);

// Plain mixing, in the rows' own type.
Tensor plainly_among_neighbours(const Exchange&, ExchangeState&, const Tensor& theta /*[n,Q]*/,
                                Transport* elsewhere);
Tensor plainly_at_server(const Exchange&, ExchangeState&, const Tensor& theta /*[n,Q]*/,
                         Transport* elsewhere);

// Secure aggregation (secure_sides.h): the sum of the rows of those of `who` who stayed to the end, where the
// server is; undefined where too few did, and elsewhere. `stays` says of each agent of here whether its
// vector arrives. What the protocol's messages took is counted in the state.
struct SecureSum {
  Tensor sum = {};  // [Q] double
  int64_t of = 0;   // how many rows it is of
};
SecureSum secure_sum(const Exchange&, ExchangeState&, const Tensor& rows /*[n,Q]*/,
                     const std::vector<int64_t>& who, const std::vector<bool>& stays /*[n]*/, Rng,
                     Transport* elsewhere);

}  // namespace symma
