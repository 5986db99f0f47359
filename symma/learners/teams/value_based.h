// Learners of teams by action values: each player's network says what its actions are worth, and a mixing
// says how those make the team's value. Double Q-learning (van Hasselt et al. 2016, arXiv:1509.06461) from
// replayed episodes, with a target network; exploration falls in a line from `epsilon_start` to
// `epsilon_end`. Targets are Peng's Q(lambda) (Peng and Williams 1994; Kozuno et al. 2021, arXiv:2103.00107;
// for teams Hu et al. 2021, arXiv:2102.03479), which is the one-step target where lambda = 0:
//
//   G_t = r_t + gamma ((1 - lambda) V(s_t+1) + lambda G_t+1),   V of the last state of an episode alone
//
// Hysteretic learners (Matignon et al. 2007, doi:10.1109/IROS.2007.4399095; with networks Omidshafiei et al.
// 2017, arXiv:1703.06182) lower a value less than they raise it, so that what pays when all do it is not
// forgotten because others, who explore, seldom do.
#pragma once

#include "symma/learners/restored.h"
#include "symma/learners/teams/replay.h"

namespace symma {

struct ValueOptions {
  TeamOptions team;
  double epsilon_start = 1, epsilon_end = 0.05, td_lambda = 0, temperature = 0, hysteresis = 1;
  int64_t epsilon_steps = 50000, buffer = 5000, batch = 32, updates = 0;
  ValueOptions() { team.target_update = 200; }
  void fields(Fields& f);
};

// M steps of R agents, and what they led to.
struct Transitions {
  Tensor values;             // [R, M, A, n] of the actions at each step; has a graph
  Tensor action;             // [R, M, A] int64
  Tensor mask;               // [R, M, A, n] bool
  Tensor next_value;         // [R, M, A] the target network's, of what each player would do next
  Tensor next_action;        // [R, M, A] int64: what that is
  Tensor state, next_state;  // [R, M, A D]: what all players see
  Tensor reward;             // [R, M, A]
  Tensor going;              // [R, M]: gamma, or 0 where the world ended
  Tensor weight;             // [R, M], sums to 1 over M
  Tensor follows;            // [R, M] bool: the next of the M is the episode's next step
  Tensor learning;           // [R, M, A]: 1 for players who are there and learn; undefined for all of them
  double lambda = 0, hysteresis = 1;
  // Of what was done: [R, M, A]. Who is not there is worth nothing.
  Tensor chosen() const {
    const Tensor q = values.gather(3, action.unsqueeze(3)).squeeze(3);
    return learning.defined() ? q * learning : q;
  }
  bool apart = false;  // players are handed what they earned themselves, rather than the team's reward
  // The team's, or the mean of what all its players earned: [R, M].
  Tensor team_reward() const {
    if (!learning.defined()) return reward.mean(2);
    const Tensor of_them = reward * learning;  // who has left, earns nothing
    return apart ? of_them.mean(2) : of_them.sum(2) / learning.sum(2).clamp_min(1);
  }
  // What values should be, from rewards and what the states after them are worth: as both, [R, M] or
  // [R, M, A].
  Tensor goal(const Tensor& reward, const Tensor& next) const;
  // (value - target)^2, times `hysteresis` where the value is the larger: as both are.
  Tensor square(const Tensor& value, const Tensor& target) const;
  // Its mean over steps: [R].
  Tensor squared_error(const Tensor& value /*[R,M]*/, const Tensor& target) const;
};

// How players' values make a loss, with parameters of its own.
class Mixing {
 public:
  virtual ~Mixing() = default;
  virtual int64_t columns() const = 0;                       // of its parameters
  virtual Tensor init(std::span<const Rng> keys) const = 0;  // [R, columns]: row r from keys[r] alone
  virtual Tensor loss(const Transitions&, const Tensor& mixer /*[R,columns]*/,
                      const Tensor& target) const = 0;  // [R]
};

// A mixing's networks, side by side in its row.
class Networks {
 public:
  int64_t add(const std::vector<int64_t>& hidden, int64_t in, int64_t out);  // its number
  int64_t columns() const { return columns_; }
  Tensor init(std::span<const Rng> keys) const;
  Tensor forward(int64_t number, const Tensor& row /*[R,columns]*/, const Tensor& x /*[R,M,in]*/) const;

 private:
  std::vector<std::unique_ptr<Model>> models_;
  std::vector<int64_t> offsets_;
  int64_t columns_ = 0;
};

class ValueBased : public Learner, public Restored, public CountsInputs {
 public:
  ValueBased(const ValueOptions&, const LearnerSetting&, std::unique_ptr<Mixing>, const std::string& name);

  State init(std::span<const Rng> keys, at::ScalarType) const override;
  Scores step(State&, const TaskBatch&, Rng) const override;
  std::vector<Tensor> adapt(const State&, const TaskBatch&, std::span<const int64_t> steps,
                            Rng) const override;
  std::string fault(const State& state) const override { return replay_fault(state); }

 private:
  Scores update(State&, const TaskBatch&, Rng) const;
  Tensor learn(State&, const std::vector<Rng>& keys, bool apart) const;  // one update; the loss [N]

  ValueOptions o_;
  const Model& model_;
  TeamShape shape_;
  TeamNet net_;
  std::unique_ptr<Mixing> mixing_;
  std::string name_;
};

}  // namespace symma
