// Episodes of a team in its worlds, and the surrogate loss whose derivatives are those of their return.
#pragma once

#include <memory>
#include <vector>

#include "symma/envs/env.h"
#include "symma/nn/team.h"

namespace symma {

// R rows, E episodes of each, T steps at most, A players, inputs of I numbers, n actions, or actions of n
// numbers. Steps past the end of an episode are zeros.
struct Rollout {
  Tensor input;   // [R, E, T + 1, A, I] float: what players see, and which player looks; the last of an
                  // episode is what was seen at its end
  Tensor mask;    // [R, E, T + 1, A, n] bool: actions allowed
  Tensor action;  // [R, E, T, A] int64, or [R, E, T, A, n] float
  Tensor log_p;   // [R, E, T, A] float: log probability of the action where it was drawn from the network's
  Tensor reward;  // [R, E, T, A] float: the team's, or each player's own
  Tensor alive;   // [R, E, T] float: 1 for a step that was taken
  Tensor terminated;  // [R, E, T] float: 1 for a step after which the world ended by its own rules
  Tensor team;        // [R, E] float: what the team earned in the whole episode
  Tensor earned;      // [R, E, A] float: what each player earned
};

// How actions follow from a network's outputs. Where they are numbers, the greedy one is the mean.
struct Behaviour {
  enum class Pick { kSample, kGreedy } pick = Pick::kSample;
  // Of each row: how often an allowed action is drawn evenly instead. None: never.
  std::vector<double> epsilon = {};
};

struct Players {
  bool index = true;        // the input ends with a one-hot of the player's number
  bool own_reward = false;  // a player is handed its own reward and not the team's
  // The input ends with what the player did last (one-hot, or the numbers), what it was handed for that, and
  // whether the episode is over: n + 2 numbers, zeros at an episode's first step.
  bool feedback = false;
  bool recall = false;  // and, after those, with what it saw when it did that
};

// One episode of every copy of every world. Worlds do not reset themselves; row r draws from keys[r] alone.
// Where there are fewer rows of theta than worlds, each plays as many worlds in turn; where there are more,
// those of a world play as many of its copies in turn. `memory` [R, E, A, H]
// of a recurrent network is what each episode begins with where it is defined, and becomes what is left after
// the network has seen the episode's end too.
Rollout roll_out(const std::vector<std::unique_ptr<Env>>& worlds, const TeamNet&,
                 const Tensor& theta /*[R,columns]*/, const Players&, const Behaviour&,
                 const std::vector<Rng>& keys, Tensor* memory = nullptr);

// Minus the discounted return of R rows, [R], as a surrogate: its value is the return's, and each of its
// derivatives has that of the expected return as its mean (DiCE, Foerster et al. 2018, arXiv:1802.05098):
//
//   - mean_e [ sum_t g^t box(sum_{s<=t} l_s) r_t + sum_t g^t (1 - box(l_t)) b_t ],   box(l) = exp(l -
//   stop(l))
//
// with l_t the log probability of all that was decided at t, and b_t the mean return to go of the other
// episodes, which does not depend on what was decided in this one (the baseline; zero where E = 1).
Tensor dice(const Tensor& log_p /*[R,E,T]*/, const Tensor& reward /*[R,E,T]*/,
            const Tensor& alive /*[R,E,T]*/, double gamma);
// The same with baselines of one's own, in returns from t on (undefined for none), which make derivatives of
// every order quieter and not the first alone (Mao et al. 2019, "A baseline for any order gradient estimation
// in stochastic computation graphs"): the second sum is of g^t box(sum_{s<t} l_s) (1 - box(l_t)) b_t.
Tensor dice(const Tensor& log_p, const Tensor& reward, const Tensor& alive, double gamma,
            const Tensor& baseline /*[R,E,T]*/);

// log softmax over allowed actions: [..., n].
Tensor masked_log_softmax(const Tensor& logits /*[...,n]*/, const Tensor& mask /*[...,n] bool*/);

inline constexpr double kLeastLogStd = -6.907755278982137;  // log 1e-3
inline constexpr double kHalfLog2Pi = 0.9189385332046727;

// Log probability (density) of actions: [...]. Outputs are [..., n] logits where actions are [...] int64;
// where they are [..., n] numbers, outputs are the [..., 2 n] means and log deviations of independent
// normals. Deviations are at least 1e-3.
Tensor log_probability(const Tensor& outputs, const Tensor& mask /*[...,n] bool*/, const Tensor& action);

// The Kullback-Leibler divergence of what `outputs` say from what `before` said, KL(before || outputs):
// [...].
Tensor divergence(const Tensor& before, const Tensor& outputs, const Tensor& mask /*[...,n] bool*/,
                  bool continuous);

}  // namespace symma
