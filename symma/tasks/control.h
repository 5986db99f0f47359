// Worlds as tasks: the bridge from envs/ to learners.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "symma/tasks/rollout.h"
#include "symma/tasks/task.h"

namespace symma {

// Who else plays: a script, judged on the same episodes, and perhaps in the place of some players.
struct Rival {
  std::string kind;
  std::shared_ptr<const Script> script;
  std::vector<int64_t> players;  // whom it plays while the network plays the others; none: it plays apart
};

// Optional: a family of tasks in which a script can play.
class MeetsRival {
 public:
  virtual ~MeetsRival() = default;
  // Throws UserError where the script does not know these worlds, or a player isn't there.
  virtual void meet(const Rival&) = 0;
};

struct ControlOptions {
  Choice<EnvRegistry> world{"matrix_game"};
  std::vector<std::string> vary;
  bool oracle = false, context = false;
  int64_t copies = 10, test_copies = 0, eval_copies = 1;
  bool player_index = true, feedback = false, recall = false, own_reward = false, greedy = true;
  double greedy_epsilon = 0, gamma = 0.99, gae_lambda = 1;
  std::string baseline = "episodes", surrogate = "dice", head = "clipped", metric = "return";
  Choice<ScriptRegistry> teacher{"idle"};
  Rival rival;                                   // of the section [rival]
  std::shared_ptr<const Script> lead = nullptr;  // the teacher, made; none where it is idle
  void fields(Fields& f);
};

// B tasks, each a world whose constants are its own. A row of theta with the model's P columns plays all
// players; one of A P columns has a network for each player.
class ControlBatch : public TaskBatch {
 public:
  static constexpr const char* kNeeded = "learns in worlds, and this task has none";
  // Row b's world draws from keys[b]; its constants are row b of `constants` [B, K] float64, undefined where
  // the world has none. Its players are told row b of `context` [B, C] float, undefined where they are told
  // nothing.
  ControlBatch(const Model& model, std::shared_ptr<const ControlOptions> options, std::vector<Rng> keys,
               Tensor constants, Tensor context = {});

  int64_t size() const override { return static_cast<int64_t>(keys_.size()); }
  std::unique_ptr<TaskBatch> slice(int64_t begin, int64_t end) const override;
  // Minus the team's discounted return, from `copies` episodes a task, with derivatives by `surrogate`. With
  // a teacher, how far players' mean actions are from its own in episodes that they play: squared, or where
  // they choose minus the log probability of its choice (DAgger: Ross et al. 2011, arXiv:1011.0686).
  Tensor loss(const Tensor& theta, Stage, Rng) const override;
  // "return", of the team; "length"; and where players earn apart, "return_0", "return_1" ...; what else the
  // world judges by; and the same of a rival on the same episodes, "rival_return" ...: means over
  // `eval_copies` episodes.
  Scores score(const Tensor& theta, Rng) const override;

  // The loss of many rows on each task, [B, L], without history: what `loss` gives for each of them, from
  // episodes of its own.
  Tensor losses(const Tensor& theta /*[B,L,P]*/, Stage, Rng) const;

  // What was played to learn from: the `copies` episodes of every task, with what a surrogate needs.
  struct Lesson {
    Rollout episodes;
    Tensor drawn;      // [B, E, T]: log probability of what all players did, when it was drawn
    Tensor reward;     // [B, E, T]: the team's
    Tensor advantage;  // [B, E, T]: standardised; undefined where the baseline is that of "episodes"
    std::vector<int64_t> scripted = {};  // players whose doing it is not
  };
  Lesson play(const Tensor& theta, Stage, Rng) const;
  // The network's outputs at every step of a lesson, [B, E, T, A, out]; the log probability of what was done;
  // and how far the outputs are from others, KL(before || outputs) summed over players.
  Tensor outputs(const Tensor& theta, const Lesson&) const;
  static Tensor log_p(const Tensor& outputs, const Lesson&);                        // [B, E, T]
  static Tensor apart(const Tensor& before, const Tensor& outputs, const Lesson&);  // [B, E, T]
  Tensor surrogate(const Tensor& log_p /*[B,E,T]*/, const Lesson&) const;           // [B]

  // `copies` episodes of every task, row b played by row b of theta [B, net.columns()], or by one of fewer
  // rows that play as many tasks each. `memory` [B, E, A, H] of a recurrent network is what episodes begin
  // with where it is defined, and becomes what is left after the network has seen their end too.
  Rollout roll_out(const TeamNet& net, const Tensor& theta, int64_t copies, const Behaviour&, Rng,
                   Tensor* memory = nullptr) const;
  // The same by fragments. Whole episodes are one fragment of the world's limit.
  Rollouts rollouts(const TeamNet& net, int64_t copies, const Behaviour&, Rng, bool remembers = false,
                    Tensor memory = {}) const;
  // Numbers that a player sees, with what it is told of its world.
  int64_t seen() const { return world(0, 1)->spec().obs + (context_.defined() ? context_.size(1) : 0); }
  // Task b's world, `copies` of it: one to learn in, or to be judged in.
  std::unique_ptr<Env> world(int64_t task, int64_t copies, bool judged = false) const;
  // One episode of task `task`, drawn: what it looked like, and what the team had earned by then. Empty where
  // the world cannot be drawn.
  struct Picture {
    std::string svg;
    double earned;
  };
  std::vector<Picture> watch(int64_t task, const Tensor& theta /*[1,P]*/, Rng) const;
  Rng key(int64_t task) const { return keys_[task]; }

  const Model& model() const { return model_; }
  const ControlOptions& options() const { return *options_; }

 private:
  TeamNet team(const Tensor& theta) const;
  Tensor imitation(const Tensor& theta, Stage, Rng) const;  // [B]
  Behaviour judged() const;
  // `rollouts` in the worlds to learn in, or to be judged in.
  Rollouts begun(bool judged, const TeamNet&, int64_t copies, const Behaviour&, Rng, bool remembers = false,
                 Tensor memory = {}) const;
  // What the rival reaches where it plays all players: each task's mean over `eval_copies` episodes.
  void judge_rival(Scores& out, Rng) const;

  const Model& model_;
  std::shared_ptr<const ControlOptions> options_;
  std::vector<Rng> keys_;
  Tensor constants_, context_;  // [B, K], [B, C]
};

}  // namespace symma
