// Optional: a model whose rows hold running statistics of its inputs.
#pragma once

#include "symma/nn/model.h"

namespace symma {

class HasInputStatistics {
 public:
  virtual ~HasInputStatistics() = default;
  // Rows whose statistics have counted the points too; other columns as in theta: [B, P].
  virtual Tensor count(const Tensor& theta /*[B,P]*/, const Tensor& x /*[B,K,in]*/,
                       const Tensor& weight /*[B,K], 1 for a point that counts*/) const = 0;
  virtual int64_t statistics() const = 0;  // the columns at the front of a row that they take
};

// Optional: a learner that has a model's statistics count what its agents see.
class CountsInputs {
 public:
  virtual ~CountsInputs() = default;
};

}  // namespace symma
