// Compression that does not lose: error feedback, CHOCO-gossip, and sending only what has moved.
//
// What changes from round to round is passed in and handed back, so it can be kept in a checkpoint.
#pragma once

#include <vector>

#include "symma/core/rng.h"
#include "symma/core/tensor.h"
#include "symma/exchange/compressor.h"

namespace symma {

// A message, what it decodes to, and what the sender keeps for the next one.
struct Sent {
  Bytes bytes;
  Tensor row;       // [P] double: what every receiver decodes
  Tensor residual;  // [P] double: what the message left out
};

// Error feedback: p = row + residual, send C(p), keep p - C(p). Karimireddy et al. 2019, arXiv:1901.09847.
// `residual` is undefined at first; `memory` is for compressors with a warm start.
Sent send_with_feedback(const Compressor&, const Tensor& row /*[P]*/, const Tensor& residual, Tensor& memory,
                        Rng);

// Whether |row - last| > threshold |last|; true where nothing was sent yet. Singh et al. 2019, "SPARQ-SGD:
// event-triggered and compressed communication", arXiv:1910.14280.
bool moved_enough(const Tensor& row, const Tensor& last, double threshold);

struct ChocoState {
  Tensor known;                // [N, P] double: what each node's neighbours know of it
  std::vector<Tensor> memory;  // per node, for compressors with a warm start
};

ChocoState choco_start(int64_t nodes, int64_t size);

struct ChocoRound {
  Tensor rows;              // [N, P], in the type of the input
  std::vector<Bytes> sent;  // per node, to each of its neighbours; empty where it stayed silent
};

// One round of CHOCO-gossip (Koloskova et al. 2019, arXiv:1902.00340):
//   q_i = C(x_i - xh_i); xh_i += q_i; x_i += gamma sum_j w_ij (xh_j - xh_i).
// Weights are symmetric; each edge's flow is added at one end and taken from the other, so the mean stays. A
// node whose row is within `threshold` of what is known of it, as moved_enough says, stays silent; 0 sends
// always.
ChocoRound choco_round(const Compressor&, const Tensor& rows /*[N,P]*/, const Tensor& weights /*[N,N]*/,
                       double gamma, double threshold, ChocoState&, Rng);

}  // namespace symma
