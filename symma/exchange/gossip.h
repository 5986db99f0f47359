// Compression that does not lose: error feedback, and sending only what has moved.
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

}  // namespace symma
