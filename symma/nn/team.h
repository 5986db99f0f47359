// The networks of a team: one for all its players, or one for each, in one row.
//
// A row of P columns is a network that every player uses. A row of A P columns holds a network for each of A
// players, one after another; as a view, those are A rows.
#pragma once

#include "symma/nn/normalised.h"
#include "symma/nn/recurrent.h"

namespace symma {

class TeamNet {
 public:
  TeamNet(const Model& model, int64_t players, bool shared);

  int64_t columns() const { return columns_; }  // of a row of theta
  int64_t players() const { return players_; }
  bool recurrent() const { return recurrent_ != nullptr; }
  Tensor init(std::span<const Rng> keys) const;  // [R, columns]: row r drawn from keys[r] alone

  // All steps of L episodes: [R, L, T, A, out]. A recurrent network begins each with its `memory`, or with
  // its first one where that is undefined.
  Tensor forward(const Tensor& theta /*[R,columns]*/, const Tensor& x /*[R,L,T,A,in]*/,
                 const Tensor& memory = {} /*[R,L,A,H]*/) const;

  // One step of L episodes: [R, L, A, out]. `memory` [R, L, A, H] is moved on; undefined before the first
  // step, and where the network has none.
  Tensor act(const Tensor& theta /*[R,columns]*/, const Tensor& x /*[R,L,A,in]*/, Tensor& memory) const;

  // Rows whose networks have counted what was seen, where they keep statistics: [R, columns].
  Tensor count(const Tensor& theta /*[R,columns]*/, const Tensor& x /*[R,L,T,A,in]*/,
               const Tensor& weight /*[R,L,T,A]*/) const;
  // `theta` with the statistics of `from`.
  Tensor with_statistics(const Tensor& theta /*[R,columns]*/, const Tensor& from /*[R,columns]*/) const;

 private:
  const Model& model_;
  const Recurrent* recurrent_;
  int64_t players_, columns_;
  bool shared_;
};

}  // namespace symma
