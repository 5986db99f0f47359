// Optional: a model that reads a sequence, one step at a time, with a hidden state between steps.
#pragma once

#include <utility>

#include "symma/nn/model.h"

namespace symma {

class Recurrent {
 public:
  virtual ~Recurrent() = default;
  virtual int64_t hidden() const = 0;  // H
  // The hidden state that each row's sequences begin with, [B, H].
  virtual Tensor first(const Tensor& theta /*[B,P]*/) const = 0;
  // One step of K sequences: the output [B, K, out] and the next hidden state [B, K, H].
  virtual std::pair<Tensor, Tensor> advance(const Tensor& theta /*[B,P]*/, const Tensor& x /*[B,K,in]*/,
                                            const Tensor& h /*[B,K,H]*/) const = 0;
  // T steps of K sequences from hidden states, undefined for the first: [B, T, K, out].
  virtual Tensor unroll(const Tensor& theta /*[B,P]*/, const Tensor& x /*[B,T,K,in]*/,
                        const Tensor& h = {} /*[B,K,H]*/) const = 0;
};

}  // namespace symma
