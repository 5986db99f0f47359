// What learners of teams share: networks, targets, returns, and the loops that turn them into gradients.
//
// R agents (rows), L episodes of S steps, A players. Where no network has a memory, the steps that were taken
// are packed: L is then a number of points and S is 1.
#pragma once

#include <functional>

#include "symma/learners/learner.h"
#include "symma/tasks/control.h"

namespace symma {

struct TeamOptions {
  bool share_parameters = true, standardise_rewards = false, limit_ends = false;
  double gamma = 0.99, lr = 5e-4, adam_eps = 1e-8, clip_norm = 10;
  double target_update = 0.01;
  void fields(Fields& f);
};

// What a world looks like to a learner. Throws UserError that names the learner where the task is no world.
struct TeamShape {
  int64_t players, seen, input, actions, limit, copies;
  bool leaving;                   // players may leave before their episode ends
  std::vector<int64_t> scripted;  // players whom a script plays, who learn nothing
  // `sets`: whether the learner can have players set numbers; `actions` is then how wide outputs are.
  TeamShape(const LearnerSetting&, const std::string& learner, bool sets = false);
  // 1 for a step's players who are there and not played by a script: as `present` [..., A] where it is
  // defined, else [A]; undefined where that is everyone, always.
  Tensor learning(const Tensor& present) const;
  // The same of each step that a rollout took: [R, E, T, A], or [A].
  Tensor learning(const Rollout&) const;
  int64_t state() const { return players * seen; }  // what all players see, side by side
};

// A rollout with agents for rows: the episodes of an agent's tasks stand together, [N, T E, ...].
Rollout by_agent(Rollout, int64_t agents);

// Rows longer than `most` scaled to that length; 0: no limit.
Tensor clip_gradients(const Tensor& grad /*[N,Q]*/, double most);

// Moves a target network [N, Q] toward `now`: by the share `update` where that is at most 1, else all the way
// every `update` calls; `calls` [N] int64 counts them, each agent's own.
Tensor follow(const Tensor& target, const Tensor& now, double update, const Tensor& calls);

// Rewards less their mean and over their deviation, both of all that were seen so far by that agent:
// own["reward"] [N, 3] holds their number, mean and sum of squared differences (Welford 1962; Chan et al.
// 1983). Players who are not there (TeamShape::learning; undefined: all are) count for nothing, and earn 0.
Tensor standardise(State&, const Tensor& reward /*[N,L,T,A]*/, const Tensor& alive /*[N,L,T]*/,
                   const Tensor& there /*[N,L,T,A] or [A]*/ = {});

// Steps of episodes, as points: [R, M] numbers of places in [L T], and 1 for a true point. Rows with fewer
// points than others repeat place 0 with a weight of 0.
struct Points {
  Tensor place;   // [R, M] int64
  Tensor weight;  // [R, M]
};
Points points_of(const Tensor& alive /*[R,L,T]*/);
Tensor take(const Tensor& x /*[R,L,T,...]*/, const Points&);  // [R, M, 1, ...]
Tensor put(const Tensor& y /*[R,M,1,A]*/, const Points&, int64_t l,
           int64_t t);  // [R, L, T, A], zeros elsewhere

// The states that a rollout saw, the last of each episode too: [R, L, T + 1].
Tensor seen(const Tensor& alive /*[R,L,T]*/);

// What a centralised network reads: all that players see, and which player asks: [R, L, S, A, A D + A].
Tensor central_input(const Tensor& input /*[R,L,S,A,I]*/, int64_t seen);
// The same without the player: [R, L, S, A D].
Tensor central_state(const Tensor& input /*[R,L,S,A,I]*/, int64_t seen);

// n-step returns from values of every state, [R, L, T, A]: rewards of the next `n` steps, and the value of
// where they led unless the world had ended there. With `limit_ends` what led to the step limit is worth
// nothing more either, but what led to the end of a fragment, from where episodes are `going` on, is.
Tensor n_step_returns(const Tensor& reward /*[R,L,T,A]*/, const Tensor& alive /*[R,L,T]*/,
                      const Tensor& terminated /*[R,L,T]*/, const Tensor& value /*[R,L,T+1,A]*/, double gamma,
                      int64_t n, bool limit_ends, const Tensor& going = {} /*[R,L]*/);

// Returns of generalised advantages, value + sum_k (gamma lambda)^k delta_{t+k}, by the same rules: what
// n-step returns of all n average to with weights lambda^(n-1). Schulman et al. 2016, arXiv:1506.02438.
Tensor lambda_returns(const Tensor& reward /*[R,L,T,A]*/, const Tensor& alive /*[R,L,T]*/,
                      const Tensor& terminated /*[R,L,T]*/, const Tensor& value /*[R,L,T+1,A]*/, double gamma,
                      double lambda, bool limit_ends, const Tensor& going = {} /*[R,L]*/);

// A learning round of actor-critics: episodes are played a fragment at a time, and learned from after each.
struct FragmentOptions {
  int64_t rollout_length = 0;
  void fields(Fields& f);
  // Steps of a fragment in a world of that limit.
  int64_t steps(int64_t limit) const { return rollout_length > 0 ? std::min(rollout_length, limit) : limit; }
};
// What `learn` makes of a fragment, for the agents some of whose episodes took a step in it; the others' rows
// stay as they are. It takes their State, their part of the fragment and of `beside` [N, ...], and returns
// means over steps, [N] each.
using Learning = std::function<Scores(State&, const Rollout&, const Tensor& beside)>;
// Plays all episodes with rows that `rows` tells from the State, [B, columns] and what stands beside them.
// Returns what `learn` did, as means over all steps of the round, and "return", the team's.
struct TeamRows {
  Tensor rows, beside;
};
Scores learn_by_fragments(State&, Rollouts, int64_t steps, const std::function<TeamRows(const State&)>& rows,
                          const Learning& learn, Rollout* last = nullptr);

// The policy's loss, mean over points and players, and its derivative in the outputs:
//
//   - min(q a, clip(q, 1 - c, 1 + c) a) - entropy H,   q = p(action) / p_old(action)        c > 0 (PPO)
//   - a log p(action)                   - entropy H                                          c = 0 (A2C)
//
// Where actions are n numbers, outputs are the 2 n means and log deviations of independent normals.
struct PolicyLoss {
  Tensor loss;     // [R]
  Tensor grad;     // as logits
  Tensor entropy;  // [R]
};
PolicyLoss policy_loss(const Tensor& logits /*[R,L,S,A,n]*/, const Tensor& mask,
                       const Tensor& action /*[R,L,S,A] or [R,L,S,A,n]*/, const Tensor& log_p_old,
                       const Tensor& advantage, const Tensor& weight /*[R,L,S,A]*/, double clip,
                       double entropy);

// The gradient of the outputs' weighted sum in theta: [R, Q].
Tensor pull_back(const std::vector<Tensor>& outputs, const std::vector<Tensor>& grads, const Tensor& theta);

// `steps` more steps of the learner itself, each task with a copy of its agent's state.
std::vector<Tensor> adapt_by_steps(const Learner&, const State&, const TaskBatch&,
                                   std::span<const int64_t> steps, int64_t columns, Rng);

}  // namespace symma
