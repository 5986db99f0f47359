// Games of cards between two, played by turns, as trees: what tables of their information states are worth,
// what can be won against them, and their solution by counterfactual regrets.
//
// Kuhn's poker: three cards, one each; ante 1; check or bet 1. Leduc hold'em: six cards of three ranks; ante
// 1; a round of bets of 2, a public card, a round of bets of 4; two raises a round; a pair wins, else the
// higher rank. Kuhn 1950; Southey et al. 2005, arXiv:1207.1411. Rules and numbers of states are OpenSpiel's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "symma/core/tensor.h"

namespace symma {

struct Hands {
  // A policy of both seats is a table over all information states, [S, n].
  int64_t states = 0, actions = 0;  // S, n
  Tensor legal;                     // [S, n] bool
  std::vector<int64_t> seat;        // [S]: who acts there, 0 or 1
  std::vector<std::string> names;   // [S]: seat, card, and what was seen, as "0:Kcr/Q"

  struct Node {
    enum class Kind { kChance, kDecision, kEnd } kind;
    int64_t state = -1;           // of a decision
    double pay = 0;               // of an end, to seat 0; seat 1 pays it
    std::vector<int64_t> next;    // nodes
    std::vector<double> chance;   // of each, of a chance
    std::vector<int64_t> action;  // to each, of a decision
  };
  std::vector<Node> nodes;  // the first is the beginning; children come after their parents

  // Ends, for values by tensors: chance times pay, and the sequence of each seat's own actions.
  Tensor worth;        // [Z] float64
  Tensor sequence[2];  // [Q, L] int64 of (state) n + (action), filled up with S n
  Tensor at_end[2];    // [Z] int64: which sequence
};

Hands kuhn();
Hands leduc();

// What seat 0 gets where the seats play by tables of log probabilities [B, S, n]: [B], differentiable.
Tensor values(const Hands&, const Tensor& seat0, const Tensor& seat1);

// What each action is worth to who acts, where both seats play by `policy` [S, n] float64 from there on,
// weighed by how likely the other and chance make what may be behind the state: [S, n], 0 where an action is
// not allowed.
Tensor action_values(const Hands&, const Tensor& policy);

// The most that a seat can get against a policy [S, n] float64 of the other.
double best_response(const Hands&, const Tensor& policy, int64_t seat);
// What both could gain by best responses against a policy of both seats; twice its exploitability.
double nash_conv(const Hands&, const Tensor& policy);

// Counterfactual regret minimisation: the average policy after so many rounds, seats updated by turns,
// [S, n] float64. Zinkevich et al. 2007.
Tensor cfr(const Hands&, int64_t rounds);

}  // namespace symma
