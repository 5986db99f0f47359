// What [faults] does to a message on its way. The passage of a message is a function of its exchange, its
// sender and its receiver, so that both know it, wherever they are: the sender, who counts what it sends, and
// the receiver, who has it or has not.
#pragma once

#include "symma/core/rng.h"
#include "symma/core/tensor.h"
#include "symma/exchange/settings.h"

namespace symma {

struct Passage {
  bool lost = false, late = false, doubled = false, reordered = false, cut = false;
  double left = 0;  // of a message that is cut short
};
Passage passage_of(const FaultOptions&, int64_t from, int64_t to, Rng);

// What a message of `bits` costs.
int64_t sent_bits(const Passage&, int64_t bits);

struct Arrival {
  int64_t number = 0;  // of the exchange that it was sent in, from 1; 0: nothing
  bool whole = false;  // it says all of its row, and not how this differs from the one before
  Tensor row = {};     // [Q] double
};
// What the receiver takes of what was sent: the newest message that has arrived. `waiting` is the one under
// way on this edge, before and after; null where none can be late.
Arrival arrive(const Passage&, const Arrival& sent, Arrival* waiting);

}  // namespace symma
