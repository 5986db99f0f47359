// Navigation in the plane: robots at the origin, goals that they do not see, and a reward that tells how far
// they are. Finn et al. 2017, arXiv:1703.03400, section 5.3.
//
// An action is a displacement, each number clipped to [-0.1, 0.1]. The goals are the task, drawn from
// [-0.5, 0.5]^2. With one robot the reward is minus its distance to the goal after the move. With more, each
// must take a goal of its own: the reward of the team is minus the sum of distances in the cheapest
// assignment of robots to goals. An episode ends when every robot is within 0.01 of the goal assigned to it,
// in both coordinates, or after 100 steps.
//
// A trap: the paper's text says the squared distance, but its numbers and its code take the distance itself,
// as is done here. Standing still earns -38.3 by the distance and -16.7 by its square, which `squared` sets.
//
// Observation of a robot, 2 A: its place, and the others as seen from it.
#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {
namespace {

constexpr int64_t kMostGoals = 5;

class Navigation final : public ContinuousCopies {
 public:
  struct Options : CopyOptions {
    int64_t robots = 1;
    bool squared = false, normalised = false;
    Options() { limit = 100; }
    void fields(Fields& f) {
      f.add("robots", robots, "robots, and as many goals").at_least(1).at_most(kMostGoals);
      f.add("squared", squared,
            "pay by the squared distance, as the paper's text has it and its numbers don't");
      f.add("normalised", normalised,
            "an action of 1 is the longest move, 0.1, as in the authors' code; else actions are moves");
      level_fields(f);
      CopyOptions::fields(f);
    }
  };

  Navigation(const Options& o, int64_t copies)
      : ContinuousCopies(make_spec(o, copies), o, make_parameters(o), 2 * o.robots),
        squared_(o.squared),
        unit_(o.normalised ? 0.1 : 1),
        at_(2 * o.robots * copies) {}

  std::string text(int64_t e) const override {
    std::string out = fmt::format("step {}\n", steps(e));
    for (int64_t i = 0; i < spec().agents; ++i) {
      out += fmt::format("{:<8} ({:+.3f}, {:+.3f})   goal {} ({:+.3f}, {:+.3f})\n", spec().agent_names[i],
                         robot(e, i)[0], robot(e, i)[1], i, goal(e, i)[0], goal(e, i)[1]);
    }
    return out;
  }

  std::string svg(int64_t e) const override {
    // The picture shows [-1, 1]^2, y upwards; what is further out is at its edge.
    Drawing d(300, 300);
    const auto scale = [](double x) { return 150 + 145 * std::clamp(x, -1.0, 1.0); };
    for (int64_t i = 0; i < spec().agents; ++i)
      d.circle(scale(goal(e, i)[0]), scale(-goal(e, i)[1]), 6, "#404040");
    for (int64_t i = 0; i < spec().agents; ++i) {
      const double x = scale(robot(e, i)[0]), y = scale(-robot(e, i)[1]);
      d.circle(x, y, 9, colour(i), 0.7);
      d.text(x, y, 9, std::to_string(i));
    }
    return d.svg();
  }

 private:
  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "navigation";
    s.variant =
        fmt::format("{} robot{}, {}{}", o.robots, o.robots == 1 ? "" : "s",
                    o.squared ? "squared distance" : "distance", o.normalised ? ", normalised actions" : "");
    s.copies = copies;
    s.agents = o.robots;
    s.obs = 2 * o.robots;
    s.actions = 2;
    s.action_names = {"dx", "dy"};
    const double longest = 0.1 / (o.normalised ? 0.1 : 1);
    s.action_low.assign(2 * o.robots, -longest), s.action_high.assign(2 * o.robots, longest);
    for (int64_t i = 0; i < o.robots; ++i) s.agent_names.push_back(fmt::format("robot_{}", i));
    s.common_reward = true;
    return s;
  }

  // Unless a task says otherwise, goals stand on a circle.
  static std::vector<TaskParameter> make_parameters(const Options& o) {
    std::vector<TaskParameter> out;
    for (int64_t i = 0; i < o.robots; ++i) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(o.robots);
      for (const char axis : {'x', 'y'}) {
        out.push_back({.name = fmt::format("goal_{}_{}", i, axis),
                       .doc = "a goal's coordinate",
                       .value = 0.4 * (axis == 'x' ? std::cos(angle) : std::sin(angle)),
                       .train = {-0.5, 0.5},
                       .test = {-0.5, 0.5},
                       .ood = {0.5, 0.8}});
      }
    }
    return out;
  }

  const double* goal(int64_t e, int64_t i) const { return task(e) + 2 * i; }
  double* robot(int64_t e, int64_t i) { return &at_[2 * (e * spec().agents + i)]; }
  const double* robot(int64_t e, int64_t i) const { return &at_[2 * (e * spec().agents + i)]; }

  void begin(int64_t e, Rng) override { std::fill_n(robot(e, 0), 2 * spec().agents, 0.0); }

  bool advance(int64_t e, const float* actions, int64_t, Rng, float* reward) override {
    const int64_t n = spec().agents;
    for (int64_t k = 0; k < 2 * n; ++k)
      robot(e, 0)[k] += std::clamp(unit_ * static_cast<double>(actions[k]), -0.1, 0.1);
    std::array<double, kMostGoals * kMostGoals> cost;
    std::array<int64_t, kMostGoals> turn, best;
    for (int64_t i = 0; i < n; ++i) {
      turn[i] = i;
      for (int64_t j = 0; j < n; ++j) {
        const double x = robot(e, i)[0] - goal(e, j)[0], y = robot(e, i)[1] - goal(e, j)[1];
        cost[i * n + j] = squared_ ? x * x + y * y : std::sqrt(x * x + y * y);
      }
    }
    double least = std::numeric_limits<double>::infinity();
    do {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += cost[i * n + turn[i]];
      if (sum < least) least = sum, best = turn;
    } while (std::next_permutation(turn.begin(), turn.begin() + n));
    std::fill_n(reward, n, static_cast<float>(-least));
    for (int64_t i = 0; i < n; ++i) {
      const double x = robot(e, i)[0] - goal(e, best[i])[0], y = robot(e, i)[1] - goal(e, best[i])[1];
      if (std::abs(x) >= 0.01 || std::abs(y) >= 0.01) return false;
    }
    return true;
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const int64_t n = spec().agents;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t k = 0; k < 2; ++k) *obs++ = static_cast<float>(robot(e, i)[k]);
      for (int64_t j = 0; j < n; ++j) {
        for (int64_t k = 0; k < 2 && j != i; ++k)
          *obs++ = static_cast<float>(robot(e, j)[k] - robot(e, i)[k]);
      }
    }
  }

  void visit(int64_t e, Cargo& cargo) override { cargo(robot(e, 0), 2 * spec().agents); }

  const bool squared_;
  const double unit_;       // what an action of 1 moves
  std::vector<double> at_;  // [E, A, 2]
};

SYMMA_REGISTER(Env, "navigation", Navigation, "robots in the plane that find goals they do not see",
               "Finn et al. 2017, arXiv:1703.03400, section 5.3");

}  // namespace
}  // namespace symma
