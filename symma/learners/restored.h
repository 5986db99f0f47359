// Optional, of a learner: what it asks of a state that came from a file beyond names, types and shapes.
#pragma once

#include <string>

#include "symma/learners/learner.h"

namespace symma {

class Restored {
 public:
  virtual ~Restored() = default;
  // What is wrong with the values, in words that follow "the checkpoint"; "" where nothing is.
  virtual std::string fault(const State&) const = 0;
};

}  // namespace symma
