// What all worlds share: E copies side by side, each with its own clock, random stream and task.
//
// A world says what happens in one copy; episodes, limits, checks, threads and saving are done here.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "symma/core/errors.h"
#include "symma/envs/env.h"

namespace symma {

// The options of every world.
struct CopyOptions {
  int64_t limit = 0;
  bool auto_reset = true;
  int64_t first_copy = 0;
  int64_t levels = 0;  // read by worlds of numbers alone

  void fields(Fields& f) {
    f.add("limit", limit, "steps until an episode is cut off").at_least(1);
    f.add("auto_reset", auto_reset, "whether a copy that ended starts its next episode within the same step");
    f.add("first_copy", first_copy,
          "number of the first copy's random stream, for copies spread over objects")
        .at_least(0);
  }
  // What worlds of numbers add: learners that choose can then play them.
  void level_fields(Fields& f) {
    f.add("levels", levels,
          "agents choose each number among so many evenly spaced ones; 0: they set it, and 1 is no choice")
        .at_least(0)
        .at_most(1000);
  }
};

// What a saved number is, and where it may lie: both ends are included.
struct Bounds {
  const char* what;
  double low, high;
  template <class L, class H>
  Bounds(const char* what, L low, H high)
      : what(what), low(static_cast<double>(low)), high(static_cast<double>(high)) {}
};
// Of counts that have no end of their own: a double counts to here.
constexpr double kMostCounted = 9007199254740992;  // 2^53
// Of real numbers that have none: past this nothing that a world measures can be seen in float32.
constexpr double kFarthestReal = 1e15;

// Numbers on their way out of a world or into it. Files are made by anyone, so what comes in is a number
// that the world could have had, or a UserError: each whole number says its bounds, as does a real one that
// becomes an index, and all others are finite.
class Cargo {
 public:
  static Cargo out(double* at) { return {at, false, false, ""}; }
  static Cargo in(double* at, std::string place) { return {at, true, true, std::move(place)}; }
  // Of the world's own, a moment ago.
  static Cargo back(double* at) { return {at, true, false, ""}; }

  template <class T>
  requires std::is_arithmetic_v<T>
  void operator()(T& x, const Bounds& bounds) {
    if (checked_ && !(*at_ >= bounds.low && *at_ <= bounds.high)) refuse(bounds, false);
    if (checked_ && std::is_integral_v<T> && *at_ != std::floor(*at_)) refuse(bounds, true);
    if (loading_)
      x = static_cast<T>(*at_);
    else
      *at_ = static_cast<double>(x);
    ++at_;
  }
  template <class T>
  requires std::is_arithmetic_v<T>
  void operator()(T* x, int64_t n, const Bounds& bounds) {
    for (int64_t i = 0; i < n; ++i) (*this)(x[i], bounds);
  }
  void operator()(bool& x) { (*this)(x, {"a truth value", 0, 1}); }
  template <class T>
  requires std::is_floating_point_v<T>
  void operator()(T& x) { (*this)(x, {"a number", -kFarthestReal, kFarthestReal}); }
  template <class T>
  requires std::is_floating_point_v<T>
  void operator()(T* x, int64_t n) {
    for (int64_t i = 0; i < n; ++i) (*this)(x[i]);
  }
  bool loading() const { return loading_; }
  const double* at() const { return at_; }

 private:
  Cargo(double* at, bool loading, bool checked, std::string place)
      : at_(at), loading_(loading), checked_(checked), place_(std::move(place)) {}
  [[noreturn]] void refuse(const Bounds&, bool whole) const;

  double* at_;
  bool loading_, checked_;
  std::string place_;
};

// Action is int64_t where an agent does one of n things, and float where it sets n numbers. A world of
// numbers is told numbers where it has levels too: what was chosen is looked up here, and `spec().actions`
// is then the number of choices.
template <class Action>
class CopiesOf : public Env, public HasTasks, public Restorable, public Drawable {
 public:
  const EnvSpec& spec() const final { return spec_; }
  void reset(Rng, Frame&) final;
  void reset(const Tensor& copies, Frame&) final;
  void step(const Tensor& actions, Frame&) final;
  const std::vector<TaskParameter>& task_parameters() const final { return parameters_; }
  void set_tasks(const Tensor& tasks) final;
  Tensor save(int64_t copy) const final;
  int64_t world_size() const final { return world_size_; }
  void restore(int64_t copy, const Tensor& saved, Frame&) final;

 protected:
  // `spec` says what the world has set of it; sizes that follow from others are filled in, and numbers are
  // unbounded unless it bounds them. `place` names the
  // world in messages. `world_size` is how many numbers `visit` handles. Sizes beyond what any machine holds
  // are a UserError.
  CopiesOf(EnvSpec spec, const CopyOptions&, std::vector<TaskParameter>, int64_t world_size);

  // A copy's first state. Draws from `episode` alone; draws during the episode are split from it by `step`.
  virtual void begin(int64_t copy, Rng episode) = 0;
  // One step by the agents' actions [A], or [A, n] numbers; rewards [A] arrive as zeros. True where the world
  // has ended by its own rules. `now` counts the steps taken before.
  virtual bool advance(int64_t copy, const Action* actions, int64_t now, Rng episode, float* reward) = 0;
  // Writes all of obs [A, D]; of mask [A, n], what can change (it starts as each agent's own actions, all
  // allowed).
  virtual void observe(int64_t copy, float* obs, bool* mask) const = 0;
  // Writes false for the agents that have left. Asked only where the spec says that agents leave, after
  // `begin` and each `advance`; all are there unless this says otherwise.
  virtual void attend(int64_t copy, bool* present /*[A]*/) const {}
  // Hands the copy's state to the cargo, in one order. What is derived is made anew where the cargo is
  // loading; the task, the clock and who has ended are there by then. A state that cannot be is a UserError,
  // also where only its numbers together cannot.
  virtual void visit(int64_t copy, Cargo&) = 0;
  // A task whose numbers are what each may be, but which the world cannot have, is a UserError. Nothing else
  // happens here: `begin` reads the task.
  virtual void check_task(const double* task, const std::string& place) const {}

  const double* task(int64_t copy) const { return &tasks_[copy * parameters_.size()]; }  // [K]
  int64_t steps(int64_t copy) const { return clocks_[copy].steps; }
  bool ended(int64_t copy) const { return clocks_[copy].terminated || clocks_[copy].truncated; }
  std::string place(int64_t copy) const;  // "foraging, copy 3"

 private:
  struct Clock {
    Rng stream{0}, episode{0};
    int64_t episodes = 0, steps = 0;
    bool terminated = false, truncated = false;
  };

  void start(int64_t copy);
  void check_whole_task(const double* task, const std::string& place) const;
  void load(int64_t copy, Cargo&);
  // A frame's memory, looked up once for all copies.
  struct Shown {
    float* obs;     // [E, A, D]
    bool* mask;     // [E, A, n]
    bool* present;  // [E, A]; null where nobody leaves
  };
  Shown shown(const Frame&) const;
  void show(int64_t copy, const Shown&) const;               // what is seen and what may be done
  bool attended(int64_t copy, const Shown&) const;           // writes who is present; whether anyone is
  Tensor within(const Tensor& actions, const Frame&) const;  // bounded, and zeros for those who left
  void check(const Tensor& actions, const Frame&) const;
  // visit(copy, agent) for each who acts: neither did its episode end, nor did it leave, and nothing that it
  // does matters then.
  template <class Visit>
  void each_who_acts(const Frame&, const Visit& visit) const;
  void check_numbers(const Tensor& actions, const Frame&) const;
  void check_choices(const Tensor& actions, const Frame&) const;
  // Out of the way of the loops that find nothing to refuse.
  [[noreturn, gnu::noinline, gnu::cold]] void refuse_number(int64_t copy, int64_t agent, int64_t which,
                                                            float told) const;
  [[noreturn, gnu::noinline, gnu::cold]] void refuse_choice(int64_t copy, int64_t agent, int64_t chosen,
                                                            const bool* may /*[n]*/) const;
  void space_levels(int64_t levels);                            // turns numbers to set into choices
  Tensor looked_up(const Tensor& choices, const Frame&) const;  // as numbers, [E, A, m]
  void check_frame(const Frame&) const;

  EnvSpec spec_;
  const int64_t first_;
  const bool auto_reset_;
  bool bounded_ = false;  // some number is
  int64_t numbers_ = 0;   // that an agent is said to set; 1 where it chooses
  const int64_t world_size_;
  const std::vector<TaskParameter> parameters_;
  std::vector<double> tasks_, next_tasks_;  // [E, K]
  std::vector<Clock> clocks_;               // [E]
  bool started_ = false;
};

using Copies = CopiesOf<int64_t>;
using ContinuousCopies = CopiesOf<float>;

}  // namespace symma
