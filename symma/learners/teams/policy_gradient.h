// Actor-critic learners of teams: each player's policy, and a critic that sees what the player sees
// (independent) or what all see (centralised). Schulman et al. 2017, arXiv:1707.06347 (clipped objective);
// Mnih et al. 2016, arXiv:1602.01783 (A2C); for teams Yu et al. 2022, arXiv:2103.01955, and Papoudakis et al.
// 2021, arXiv:2006.07869, whose settings are the defaults: whole episodes of 10 copies, 5-step returns from a
// slow target critic.
//
// With `rollout_length` a round plays the same episodes by fragments and learns after each, with the critic's
// value of where it led; recurrent policies go on with what they remember, through which no gradient goes
// back. Rounds begin with new episodes, so what stands in the State is still all there is.
//
// Players may set numbers: the network says means and log deviations ("gaussian", or any of that width), and
// [task] head says how they reach the world. With a "normalised" model the statistics that stand in a row
// count what was seen after it was learned from, so that a round's ratios are all of one network.
#pragma once

#include "symma/learners/teams/self_play.h"

namespace symma {

struct PolicyGradientOptions {
  TeamOptions team;
  PoolOptions pool;
  FragmentOptions fragments;
  int64_t n_step = 5, epochs = 1;
  double entropy = 0.01, clip = 0, gae_lambda = 0;
  bool standardise_advantages = false;
  std::vector<int64_t> critic_hidden{64, 64};
  void fields(Fields& f);
};

class PolicyGradient : public Learner, public CountsInputs {
 public:
  PolicyGradient(const PolicyGradientOptions&, const LearnerSetting&, bool central, const std::string& name);

  State init(std::span<const Rng> keys, at::ScalarType) const override;
  Scores step(State&, const TaskBatch&, Rng) const override;
  std::vector<Tensor> adapt(const State&, const TaskBatch&, std::span<const int64_t> steps,
                            Rng) const override;

 private:
  Scores update(State&, const TaskBatch&, Rng) const;
  Tensor critic_input(const Tensor& input) const;
  // Who plays the tasks, and which players learn from them, [N, L, A].
  TeamRows cast(const State&, const ControlBatch&, Rng) const;
  // One update from a fragment of episodes.
  Scores learn(State&, const Rollout&, const Tensor& learns) const;
  // Counts what was seen in the statistics of networks that have some.
  void count(State&, const Tensor& input, const Tensor& critic_x, const Tensor& weight) const;

  PolicyGradientOptions o_;
  const Model& model_;
  TeamShape shape_;
  TeamNet actor_;
  std::unique_ptr<Model> critic_model_;
  TeamNet critic_;
  Pool pool_;
  bool central_;
  std::string name_;
};

}  // namespace symma
