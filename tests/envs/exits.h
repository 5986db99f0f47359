// Worlds whose players leave, for tests: a corridor with an exit at its end.
//
// Each walker starts at a place of its own, walks or waits, and leaves when it has come to the exit. It pays
// 0.1 for every step, and is paid 1 for leaving. "exits" chooses between waiting and walking; "exits_numbers"
// sets how far it goes, walker i at most 1 + i / 2 a step and never back.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {

template <class Action>
class ExitsOf final : public CopiesOf<Action> {
 public:
  static constexpr bool kSets = std::is_same_v<Action, float>;
  struct Options : CopyOptions {
    int64_t walkers = 3;
    Options() { limit = 16; }
    void fields(Fields& f) {
      f.add("walkers", walkers, "in the corridor").at_least(1).at_most(8);
      if (kSets) level_fields(f);
      CopyOptions::fields(f);
    }
  };

  ExitsOf(const Options& o, int64_t copies)
      : CopiesOf<Action>(make_spec(o, copies), o,
                         {{.name = "corridor",
                           .doc = "its length",
                           .value = 6,
                           .train = {4, 6},
                           .test = {4, 6},
                           .ood = {8, 9}}},
                         o.walkers),
        left_(copies * o.walkers) {}

  std::string text(int64_t e) const override { return fmt::format("{:.1f} to go\n", walker(e)[0]); }
  std::string svg(int64_t e) const override {
    Drawing d(200, 40);
    for (int64_t i = 0; i < walkers(); ++i) d.circle(200 - 20 * walker(e)[i], 20, 6, colour(i));
    return d.svg();
  }

 private:
  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = kSets ? "exits_numbers" : "exits";
    s.variant = fmt::format("{} walkers", o.walkers);
    s.copies = copies;
    s.agents = o.walkers;
    s.obs = 2;
    s.leaving = true;
    s.actions = kSets ? 1 : 2;
    s.action_names = kSets ? std::vector<std::string>{"far"} : std::vector<std::string>{"wait", "walk"};
    for (int64_t i = 0; kSets && i < o.walkers; ++i) {
      s.action_low.push_back(0);
      s.action_high.push_back(1 + 0.5 * static_cast<double>(i));
    }
    return s;
  }

  int64_t walkers() const { return this->spec().agents; }
  double* walker(int64_t e) { return &left_[e * walkers()]; }
  const double* walker(int64_t e) const { return &left_[e * walkers()]; }

  void begin(int64_t e, Rng episode) override {
    Draws d(episode.split("places"));
    for (int64_t i = 0; i < walkers(); ++i) walker(e)[i] = d.uniform(0.5, this->task(e)[0]);
  }
  bool advance(int64_t e, const Action* actions, int64_t, Rng, float* reward) override {
    for (int64_t i = 0; i < walkers(); ++i) {
      // Also told for who has left: that a world forgets itself must not reach those who learn.
      reward[i] = -0.1F;
      if (walker(e)[i] <= 0) continue;
      walker(e)[i] -= static_cast<double>(actions[i]);
      if (walker(e)[i] <= 0) reward[i] = 0.9F;
    }
    return false;
  }
  void observe(int64_t e, float* obs, bool*) const override {
    for (int64_t i = 0; i < walkers(); ++i) {
      obs[2 * i] = static_cast<float>(std::max(0.0, walker(e)[i]));
      obs[2 * i + 1] = static_cast<float>(this->steps(e)) / 16;
    }
  }
  void attend(int64_t e, bool* present) const override {
    for (int64_t i = 0; i < walkers(); ++i) present[i] = walker(e)[i] > 0;
  }
  void visit(int64_t e, Cargo& cargo) override { cargo(walker(e), walkers()); }

  std::vector<double> left_;  // [E, A]: the way to the exit
};

using Exits = ExitsOf<int64_t>;
using ExitsNumbers = ExitsOf<float>;
SYMMA_REGISTER(Env, "exits", Exits, "walkers who leave, for tests", "symma");
SYMMA_REGISTER(Env, "exits_numbers", ExitsNumbers, "walkers who leave, for tests", "symma");

}  // namespace symma
