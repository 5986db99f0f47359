// Worlds of many agents: E copies of one world, advanced together over flat arrays.
//
// Every agent acts at every step. Where players take turns, the one who waits has a mask with one action
// left. Copy e draws from rng.split("copy", first_copy + e) alone, so results depend neither on the number of
// threads nor on how copies are spread over objects.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "symma/core/registry.h"
#include "symma/core/rng.h"
#include "symma/core/tensor.h"

namespace symma {

// What each copy of a world looks like.
struct EnvSpec {
  std::string name;  // as registered
  std::string
      variant;  // which rules that go by this name, and of what size: numbers compare within one variant
  int64_t copies = 0;          // E
  int64_t agents = 0;          // A
  int64_t obs = 0;             // D, of the agent that sees most; the others' rows end in zeros
  int64_t actions = 0;         // n, of the agent that can do most; the others' masks end in false
  bool continuous = false;     // an agent sets n numbers, rather than choose one of n actions
  bool leaving = false;        // agents may leave before their episode ends: frames say who is present
  int64_t state = 0;           // S = A D: what all agents see, side by side
  int64_t limit = 0;           // steps until an episode is cut off
  bool common_reward = false;  // every agent is handed the team's reward, so a team's return counts it once
  double obs_low = -std::numeric_limits<double>::infinity();  // bounds of every observation
  double obs_high = std::numeric_limits<double>::infinity();
  std::vector<std::string> agent_names;   // [A]
  std::vector<std::string> action_names;  // [n]; of the numbers where actions are continuous
  std::vector<int64_t> agent_obs;         // [A], at most D
  std::vector<int64_t> agent_actions;     // [A], at most n
  // The sizes of one agent's observation, whose product is D: {D}, or those of a picture.
  std::vector<int64_t> obs_shape;
  // Bounds of the numbers that agents set, agent by agent, [A n] each; infinite where there are none. What
  // lies beyond a bound is taken for the bound. Empty where agents choose.
  std::vector<double> action_low, action_high;
  // Where a world of m numbers an agent has levels, its agents choose: the numbers that each choice sets,
  // [A, n, m]. Empty elsewhere.
  std::vector<float> choices;
  int64_t numbers = 0;  // m
};

// What a world shows after a reset or a step. An undefined frame is allocated by `reset`; after that the
// world writes in place, so whoever keeps a frame's content copies it.
struct Frame {
  Tensor obs;         // [E, A, D] float
  Tensor reward;      // [E, A] float, of the step just taken; zeros after a reset. Zero for an agent that had
                      // left before it, unless the reward is common
  Tensor terminated;  // [E] bool: the world ended by its own rules
  Tensor truncated;   // [E] bool: the step limit cut the episode off. Never both
  Tensor mask;   // [E, A, n] bool: what may be done next. At least one action of each agent; true for all
                 // numbers that an agent sets
  Tensor state;  // [E, S] float; the same memory as obs
  // What was seen last, for the copies that ended at this step; of other copies, what was left here earlier.
  Tensor final_obs;    // [E, A, D] float
  Tensor final_state;  // [E, S] float; the same memory as final_obs
  // [E, A] bool: who is there to act. Undefined where the world's agents never leave. Who has left stays away
  // until the next episode, and what it is told to do is not looked at; what it sees is up to the world. An
  // episode ends at the latest when all have left.
  Tensor present;
  Tensor final_present;  // [E, A] bool: who was there at the end, for the same copies as final_obs
};

// Gives a frame its tensors: zeros, an all-true mask of each agent's own actions, everybody present.
void allocate(const EnvSpec&, Frame&);

// At the boundary. With `auto_reset` (the default) a copy that ends at a step starts its next episode within
// it: reward, terminated and truncated are those of the step that ended it, obs, state and mask are the first
// of the new episode, final_obs and final_state the last of the old. Without, a copy that has ended stays as
// it is: later actions for it are not looked at, its rewards are zero, and terminated or truncated stays set,
// until the next `reset`.
class Env {
 public:
  virtual ~Env() = default;
  virtual const EnvSpec& spec() const = 0;
  // Starts episode 0 of every copy. Throws UserError where the frame belongs to a world of other sizes.
  virtual void reset(Rng, Frame&) = 0;
  // Starts the next episode of the copies that are named, ended or not, and leaves the others as they are. A
  // copy's n-th episode draws from its stream split by n: it is the same however it was started. Throws
  // UserError before the first reset, and for a wrong type or shape.
  virtual void reset(const Tensor& copies /*[E] bool*/, Frame&) = 0;
  // Actions are [E, A] int64, or [E, A, n] float where they are continuous. Throws UserError, and leaves the
  // world as it was, for actions of a wrong type or shape, out of range, masked, or not finite.
  virtual void step(const Tensor& actions, Frame&) = 0;
};

using EnvRegistry = Registry<Env, int64_t /*copies*/>;

// One number of a world that may differ from copy to copy, such as a payoff, a level or the number of a map.
struct TaskParameter {
  std::string name, doc;
  double value;        // what every copy has until set_tasks
  bool whole = false;  // takes whole numbers
  std::array<double, 2> train,
      test;                   // low and high, both included. Where whole numbers name things (maps), the two
  std::array<double, 2> ood;  // share none; where they measure, test draws anew from the range of train
  // What it may be at all, both included; all else is a UserError. A whole number is then no larger than a
  // double counts to. The ranges to draw from lie within.
  std::array<double, 2> may{-std::numeric_limits<float>::max(), std::numeric_limits<float>::max()};
  bool above = false;  // the lower end is not included
  // 1 in worlds that a task is judged in and 0 in those that it is learned in, rather than `value`: who
  // adapts in a first stretch of time is judged in later ones.
  bool when_judged = false;
};

enum class TaskRange { kTrain, kTest, kOod };

// A world whose constants are a task: a distribution over worlds.
class HasTasks {
 public:
  virtual ~HasTasks() = default;
  virtual const std::vector<TaskParameter>& task_parameters() const = 0;  // [K]
  // Row e holds copy e's parameters from its next reset on. Throws UserError for a wrong shape or an
  // impossible value.
  virtual void set_tasks(const Tensor& tasks /*[E,K] float64*/) = 0;
};

// One task for each copy: [copies, K] float64. Each parameter is drawn evenly from its range; row e draws
// from rng.split("task", e) alone.
Tensor draw_tasks(const HasTasks&, int64_t copies, TaskRange, Rng);

// A world that can be written down and put back: for replays, planning, and runs that resume bit for bit.
class Restorable {
 public:
  virtual ~Restorable() = default;
  // Everything that changes of one copy: [K] float64. Its last world_size() numbers are the world's own, and
  // those before are the episode's: steps taken, ended or not, the random stream, the task.
  virtual Tensor save(int64_t copy) const = 0;
  virtual int64_t world_size() const = 0;
  // Puts the copy into a saved state and writes its rows of the frame. Throws UserError, and leaves the copy
  // as it was, where the size is wrong or a number is one that no copy of this world can have.
  virtual void restore(int64_t copy, const Tensor& saved /*[K] float64*/, Frame&) = 0;
};

// A world that can be looked at, one copy at a time.
class Drawable {
 public:
  virtual ~Drawable() = default;
  virtual std::string text(int64_t copy) const = 0;  // a few lines
  virtual std::string svg(int64_t copy) const = 0;   // one <svg> element
};

// Optional: a world that judges an episode by more than its return.
class Judged {
 public:
  struct Score {
    std::string name;
    bool higher_is_better;
  };
  virtual ~Judged() = default;
  virtual const std::vector<Score>& score_names() const = 0;  // [K]
  // Of the copy's episode so far; asked where copies do not start anew by themselves.
  virtual std::vector<double> scores(int64_t copy) const = 0;  // [K]
};

// What the team earned at each step: the sum over agents but those whom a script plays, or the common reward
// once. [E] float.
Tensor team_reward(const EnvSpec&, const Tensor& reward /*[E,A]*/, std::span<const int64_t> scripted = {});

// The choices that come nearest to the numbers, [E, A] int64, in a world that has levels.
Tensor nearest_choices(const EnvSpec&, const Tensor& numbers /*[E,A,m] float*/);

}  // namespace symma
