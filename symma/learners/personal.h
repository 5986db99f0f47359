// Optional: a learner of personal models. Of a row its first columns are said to others, and what an agent
// predicts by may be another row than the one that is mixed.
#pragma once

#include "symma/learners/rows.h"

namespace symma {

class Personal {
 public:
  virtual ~Personal() = default;
  // Columns [0, said) of a row are exchanged; the others stay home.
  virtual int64_t said() const = 0;
  // The rows that agents predict by, [N, P].
  virtual Tensor predicts_by(const State&) const = 0;
};

// What of rows [N, Q] is exchanged, a view; all of it where the learner has no personal models.
Tensor said(const Learner&, const Tensor& theta);
// The rows after an exchange in which `mixed` [N, said] is what became of what was said.
Tensor with_said(const Tensor& theta, const Tensor& mixed);

}  // namespace symma
