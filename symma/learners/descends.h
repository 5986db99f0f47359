// Optional: a learner that adapts a row by plain gradient descent on the support loss, so that others can do
// it for it: a device, or a graph of operations.
#pragma once

#include <optional>

#include "symma/learners/learner.h"

namespace symma {

// phi <- phi - rates * grad. `rates` is [1], or one for each parameter [P], 0 for those that stay.
struct DescentRule {
  Tensor rates;
  double later = 0;  // the rate after the first step, where it is another; 0: as the first
};

class Descends {
 public:
  virtual ~Descends() = default;
  // Of the agent at a place of the state; nothing where its options ask for more than plain descent.
  virtual std::optional<DescentRule> descent(const State&, int64_t place) const = 0;
};

}  // namespace symma
