#include "symma/learners/learner.h"

namespace symma {

State State::agents(int64_t begin, int64_t end) const {
  State out{theta.slice(0, begin, end), {}, step};
  for (const auto& [name, t] : own) out.own[name] = t.slice(0, begin, end);
  return out;
}

}  // namespace symma
