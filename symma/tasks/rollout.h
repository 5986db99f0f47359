// Episodes of a team in its worlds, and the surrogate loss whose derivatives are those of their return.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "symma/envs/script.h"
#include "symma/nn/team.h"

namespace symma {

// R rows, E episodes of each, T steps at most, A players, inputs of I numbers, n actions, or actions of n
// numbers. Steps past the end of an episode are zeros. A fragment of episodes has the same form: T of its
// steps, from wherever they stood.
struct Rollout {
  Tensor input;   // [R, E, T + 1, A, I] float: what players see, and which player looks; the last of an
                  // episode is what was seen at its end
  Tensor mask;    // [R, E, T + 1, A, n] bool: actions allowed
  Tensor action;  // [R, E, T, A] int64, or [R, E, T, A, n] float
  Tensor log_p;   // [R, E, T, A] float: log probability of the action where it was drawn from the network's
  Tensor reward;  // [R, E, T, A] float: the team's, or each player's own, which is 0 where a script plays
  Tensor alive;   // [R, E, T] float: 1 for a step that was taken
  Tensor terminated;  // [R, E, T] float: 1 for a step after which the world ended by its own rules
  Tensor team;        // [R, E] float: what the team earned in the episode so far
  Tensor earned;      // [R, E, A] float: what each player earned in it
  Tensor length;      // [R, E] float: steps of the episode so far
  Tensor going;       // [R, E] float: 1 for an episode that goes on after these steps
  Tensor present;  // [R, E, T + 1, A] float: 1 for a player who was there to act, as the mask's places are.
                   // Undefined where players never leave. Who has left earns nothing
  Tensor taught;   // as action: what a teacher would have done there; undefined without one
  Tensor memory;   // [R, E, A, H]: what a recurrent network remembered before the first step; undefined at
                   // the start of episodes that begin with its first memory

  // What the team was handed at each step, [R, E, T]: its reward, or the sum of what players earned apart.
  Tensor team_reward(bool own_reward) const;
};

// All tensors of a rollout, defined or not, each with a row for each of its rows.
std::array<Tensor*, 14> every_tensor(Rollout&);

// How actions follow from a network's outputs. Where they are numbers, the greedy one is the mean.
struct Behaviour {
  enum class Pick { kSample, kGreedy } pick = Pick::kSample;
  // Of each row: how often an allowed action is drawn evenly instead. None: never.
  std::vector<double> epsilon = {};
  // Where players are played by a script, in place of the network: which ones, ascending.
  std::shared_ptr<const Script> script = nullptr;
  std::vector<int64_t> scripted = {};
};

struct Players {
  bool index = true;        // the input ends with a one-hot of the player's number
  bool own_reward = false;  // a player is handed its own reward and not the team's
  // The input ends with what the player did last (one-hot, or the numbers), what it was handed for that, and
  // whether the episode is over: n + 2 numbers, zeros at an episode's first step.
  bool feedback = false;
  bool recall = false;  // and, after those, with what it saw when it did that
  bool squash = false;  // numbers reach the world through tanh, between its bounds
  // Whose actions are written down beside those of the players.
  std::shared_ptr<const Script> teacher = nullptr;
  Tensor context = {};  // [R, C]: what players are told of their world, before what they see; none: nothing
};

// Actions as the world takes them: with `squash` the number u is low + (high - low) (tanh(u) + 1) / 2. The
// density of what the world is told differs from that of u by a factor without parameters, so gradients and
// ratios of log probabilities are those of u. Haarnoja et al. 2018, arXiv:1801.01290, appendix C.
Tensor for_world(const EnvSpec&, const Tensor& action /*[E,A] or [E,A,n]*/, bool squash);

// One episode of every copy of every world, a fragment at a time: worlds go on from one call to the next, so
// memory is that of a fragment however long episodes are, and the network may change in between.
//
// Worlds do not reset themselves; row r draws from keys[r] and the number of the step alone, so fragments
// laid end to end are the whole, whatever their lengths. Where there are fewer rows of theta than worlds,
// each plays as many worlds in turn; where there are more, those of a world play as many of its copies in
// turn.
class Rollouts {
 public:
  // Begins the episodes. `memory` [R, E, A, H] of a recurrent network is what each begins with; undefined:
  // the network's first. Where what is left at the end will be asked for, `remembers`: an episode that has
  // ended then keeps its memory while others go on.
  Rollouts(std::vector<std::unique_ptr<Env>> worlds, const TeamNet&, const Players&, Behaviour,
           std::vector<Rng> keys, bool remembers = false, Tensor memory = {});

  // The next `steps` steps, or what is left of the longest episode that may be.
  Rollout next(int64_t steps, const Tensor& theta /*[R,columns]*/);
  bool over() const;  // every episode has ended
  const Env& world(int64_t row) const { return *worlds_[row]; }
  // What a recurrent network remembers when it has seen each episode's end too: [R, E, A, H].
  Tensor memory(const Tensor& theta) const;

 private:
  void see(int64_t row, int64_t player, const float* obs, float* input) const;
  void look(int64_t row, int64_t copy, int64_t step, bool over, Rollout&) const;
  void begin(Rollout&, int64_t steps) const;
  void act(int64_t row, int64_t step, const Tensor& outputs, bool packed, Rollout&);
  void move(int64_t row, int64_t step, Rollout&);
  Tensor actions_of(std::vector<int64_t> sizes) const;
  Tensor by_world(const Tensor&) const;
  Tensor by_net(const Tensor&, int64_t nets) const;

  std::vector<std::unique_ptr<Env>> worlds_;
  TeamNet net_;
  Players players_;
  Behaviour behaviour_;
  std::vector<bool> scripted_;  // [A]
  std::vector<Rng> keys_;
  bool remembers_;
  int64_t r_, e_, a_, d_, c_, n_, index_, in_, limit_;
  std::vector<Frame> frames_;                // [R]
  std::vector<Tensor> actions_;              // [R], of [E, A] or [E, A, n]
  std::vector<std::vector<int64_t>> going_;  // [R]: the copies whose episodes go on
  Tensor now_;                               // [R, E, A, I]: what players see, or saw at the end
  Tensor team_, earned_, length_;            // as of a Rollout
  Tensor memory_;                            // [R, E, A, H]
  int64_t step_ = 0;
};

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
