// What an exchange keeps from one time to the next, by whom it belongs to. A process holds what its own
// agents have sent and heard; the server's part is where the server is.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "symma/core/noise.h"
#include "symma/exchange/faults.h"
#include "symma/exchange/reach.h"

namespace symma {

struct Exchange;

// n agents of here of N, h of the halo, E edges. Q is twice a row's columns under gradient tracking, which
// sends two rows. All that is undefined or empty is so from the start to the end.
struct ExchangeState {
  std::shared_ptr<const Reach> reach;  // follows from the graph and the agents of here
  at::ScalarType type = at::kFloat;    // of the fleet's rows: what is said travels in it
  int64_t rounds = 0;
  // What agents of here, and a server that is here, sent so far: [2 E], edge e from its first node to its
  // second at 2e, back at 2e + 1.
  std::vector<int64_t> bits;
  Tensor reference;        // [n, Q]: rows after the last exchange, where something is counted from them
  Tensor before, tracker;  // [n, Q]: of exact diffusion and gradient tracking (exchange.cc)
  double clip = 0;         // the clipping bound of unit "agent"
  // Coins and the noise of a tree, which must be known again from one exchange to the next. Never saved: who
  // resumes draws anew, from exchange number `began` on.
  Noise hidden = Noise::of_system();
  int64_t began = 0;

  struct Sender {
    Tensor known;     // [n, Q] double: what the others know of each agent (compressed rows)
    Tensor residual;  // [n, Q] double: what messages left out so far (compressed updates to a server)
    Tensor first;     // [n, Q] double: what each agent sent first, NaN before it has (attacks)
    std::map<int64_t, Tensor> memory;  // by agent: of compressors with a warm start
    // [2 E]: the message from which on the receiver asked for whole ones, 0 for none (compressed messages on
    // a graph that may be lost).
    std::vector<int64_t> asked;
  } sender;
  struct Receiver {
    Tensor known;                // [h, Q] double: what is known of those elsewhere (compressed rows)
    std::vector<int64_t> heard;  // [2 E]: the message up to which the receiver knows all (as `asked`)
    std::vector<Arrival> late;   // [2 E]: messages under way
    std::set<int64_t> stale;     // those elsewhere of whom a difference was missed, and no whole row since
  } receiver;
  // Of push-sum (push_sum.cc), by edge in the order of reach->near, E of them; a row and its weight are Q + 1
  // numbers, all double.
  struct Push {
    Tensor weight;  // [n, 1]
    Tensor pushed;  // [E, Q + 1]: to that neighbour, since the start
    Tensor taken;   // [E, Q + 1]: of what that neighbour has pushed
    // [E]: the number of its newest message, and of the one that was pushed to it for.
    std::vector<int64_t> heard, answered;
  } push;
  struct Server {
    Tensor row, known, m, v;  // [Q] double: its row, what agents know of it, its optimizer's moments
    Tensor memory;
  } server;

  int64_t total_bits() const;
  int64_t row_bits(int64_t columns) const {
    return 8 * columns * static_cast<int64_t>(c10::elementSize(type));
  }
  // To the precision that travels, [..] double.
  Tensor rounded(const Tensor&) const;
};

// Theta's rows are those of `ids`, ascending; of all agents where `ids` is empty.
ExchangeState exchange_start(const Exchange&, const Tensor& theta /*[n,Q]*/, std::vector<int64_t> ids = {});

// A process's part of a whole fleet's state, and the whole of several parts.
ExchangeState part_of(const Exchange&, const ExchangeState& whole, std::vector<int64_t> ids);
ExchangeState join(const Exchange&, std::span<const ExchangeState> parts);

// All but `bits` and `rounds` of a whole fleet's state by name, as a checkpoint has it (docs/files.md), and
// back: `keep` takes what `kept` gave, in shapes as of a fresh start. What messages are under way, and what
// compressors remember, may differ in number.
TensorDict kept(const ExchangeState&);
void keep(ExchangeState&, const TensorDict&);

}  // namespace symma
