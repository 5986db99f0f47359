// Two players who choose at once, again and again, and remember the last round: what their policies are
// worth.
//
// From a player's own side a state is 0 for "not played yet", else 1 + n (own action) + (the rival's): with
// two actions the five states of Foerster et al. 2018, arXiv:1709.04326. Policies are tables over S = 1 + n^2
// states.
#pragma once

#include <span>

#include "symma/core/rng.h"
#include "symma/core/tensor.h"

namespace symma {

struct RepeatedGame {
  int64_t actions = 2;  // n
  Tensor pay;  // [n^2, 2] float64: what the player and its rival get, at n (own action) + (the rival's)
  double gamma = 0.96;

  int64_t states() const { return 1 + actions * actions; }
};

// What the rival sees where the player sees state s: [S] int64.
Tensor mirror(int64_t actions);

// Discounted values of both over rounds without end, [B, 2]. With M the chain from one joint action to the
// next, and p the joint action of the first round,
//
//   V = sum_t gamma^t p M^t r = p (1 - gamma M)^-1 r
//
// One operation, differentiable twice in both policies' logits, log probabilities among them; a third
// derivative is refused (c10::Error) and needs `CompositePath` (nn/kernels/mlp.h), as do tensors on other
// devices.
Tensor exact_values(const RepeatedGame&, const Tensor& own /*[B,S,n] logits*/,
                    const Tensor& rival /*[B,S,n], from its own side*/);

// The same from plain tensor operations: differentiable to any order, on any device.
Tensor exact_values_composite(const RepeatedGame&, const Tensor& own, const Tensor& rival);

// E episodes of T rounds. Match b draws from keys[b] alone.
struct Rounds {
  Tensor own, rival;  // [B, E, T] int64: n (state, from its own side) + (action), of both
  Tensor reward;      // [B, E, T, 2] float64
  Tensor baseline;  // [B, E, T, 2] float64: the mean return that the match's other episodes had from the same
                    // state on; undefined for none
};
Rounds play_rounds(const RepeatedGame&, const Tensor& own, const Tensor& rival, int64_t episodes,
                   int64_t rounds, std::span<const Rng> keys);

// The same values of the first T rounds, from episodes: their means over episodes are V's, and so are those
// of derivatives of every order, in both players' policies (DiCE, tasks/rollout.h). [B, 2].
Tensor sampled_values(const RepeatedGame&, const Tensor& own /*[B,S,n] log probabilities*/,
                      const Tensor& rival, const Rounds&);

}  // namespace symma
