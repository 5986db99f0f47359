// What learners among learners share. A match is a row, [player | rival] (tasks/games.h), and one step of
// both is the inner step of MAML on it, each one's columns against its own loss:
//
//   phi_{k+1} = phi_k - rate * d(own loss) / d(own columns)
//
// Learning through a rival's step is keeping the graph of its columns.
#pragma once

#include "symma/learners/outer.h"
#include "symma/learners/rows.h"
#include "symma/tasks/games.h"

namespace symma {

// Each player's gradient of its own loss, in its own columns: [b, P + R] for losses [b, 2]. The player has
// the first `player` columns.
Tensor own_gradients(const Tensor& losses, const Tensor& matches, int64_t player, bool create_graph);

class MatchLearner : public Learner {
 public:
  // Throws UserError that names the learner where tasks have no rivals.
  MatchLearner(const OuterOptions&, const LearnerSetting&, const std::string& name);

  State init(std::span<const Rng> keys, at::ScalarType) const override;
  // Moves the agents' rows by `gradient`. Where agents of the fleet meet, each sees the others' rows as they
  // were.
  Scores step(State&, const TaskBatch&, Rng) const override;

 protected:
  // The gradient of what a player learns by, in the match that it begins with: [b, P + R], of which the
  // player's columns count. And that loss, [b].
  virtual Gradients gradient(const Tensor& matches, const GameBatch&, Rng) const = 0;

  const std::string& name() const { return name_; }

 private:
  OuterOptions outer_;
  const Model& model_;
  std::string name_;
};

struct ChainOptions {
  int64_t inner_steps = 7;
  double inner_lr = 0.1, rival_lr = 1;
  OuterOptions outer;
  void fields(Fields& f);
};

// Learners by what they see of a chain of policy updates, in which player and rival both follow their own
// gradients.
class ChainLearner : public MatchLearner {
 public:
  enum class Sees { kNothing, kOwnSteps, kAllSteps };
  ChainLearner(const ChainOptions&, const LearnerSetting&, Sees, const std::string& name);

  // Matches [B, P + R] after each of `steps` updates of both.
  std::vector<Tensor> adapt(const State&, const TaskBatch&, std::span<const int64_t> steps,
                            Rng) const override;

 protected:
  Gradients gradient(const Tensor& matches, const GameBatch&, Rng) const override;

 private:
  Tensor rates(const Tensor& matches, int64_t player) const;  // [P + R]

  ChainOptions o_;
  Sees sees_;
};

}  // namespace symma
