// Cooperative box pushing (Seuken and Zilberstein 2007, "Improved memory-bounded dynamic programming for
// decentralized POMDPs"): two robots on a row of four cells below two small boxes and a large one between.
//
// Each turns left or right, goes forward or stays; what it does works with probability .9, and else it stays.
// Facing a box, forward pushes it: a small one alone (10; both at once 20), the large one together (100).
// A step costs each robot .1; whoever runs into the wall or the other, wants the same cell as the other, or
// pushes the large box alone, 5. What a reader may not expect: rewards belong to the attempt and are paid
// though it slips; and from a goal state any action leads back to the start and earns nothing.
//
// A robot sees what is ahead of it, and that alone; at a goal state, nothing.
#include "symma/envs/robots/box_pushing.h"

#include <fmt/format.h>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {
namespace box_pushing {
namespace {

constexpr std::array<std::array<int64_t, 2>, 6> kCells{{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}}};

// The cell ahead where it is free, or -1.
int64_t free_cell(const Pair& p, int robot) {
  const int64_t h = p.heading[robot];
  if (h == kNorth || h == kSouth) return -1;
  const int64_t cell = p.cell[robot] + (h == kEast ? 1 : -1);
  return cell < 0 || cell > 3 || cell == p.cell[1 - robot] ? -1 : cell;
}

Seen ahead(const Pair& p, int robot) {
  const int64_t h = p.heading[robot], c = p.cell[robot];
  if (h == kNorth) return c == 0 || c == 3 ? kSmallBox : kLargeBox;
  if (h == kSouth) return kWall;
  if (free_cell(p, robot) >= 0) return kEmpty;
  return c + (h == kEast ? 1 : -1) == p.cell[1 - robot] ? kRobot : kWall;
}

}  // namespace

int64_t state_of(const Pair& p) {
  int64_t pair = 0;
  while (kCells[pair] != p.cell) ++pair;
  return 16 * pair + 4 * p.heading[0] + p.heading[1];
}
Pair pair_of(int64_t s) {
  return {kCells[s / 16], {s / 4 % 4, s % 4}};
}
int64_t start() {
  return state_of({{0, 3}, {kEast, kWest}});
}
Seen seen(int64_t s, int robot) {
  return s >= kLeft ? kEmpty : ahead(pair_of(s), robot);
}

double reward(int64_t s, std::array<int64_t, 2> actions) {
  if (s >= kLeft) return 0;
  const Pair p = pair_of(s);
  const auto pushes = [&](int i, Seen what) { return actions[i] == kForward && ahead(p, i) == what; };
  const bool together = pushes(0, kLargeBox) && pushes(1, kLargeBox);
  double out = together ? 100 - 0.2 : -0.2;
  for (int i : {0, 1}) {
    if (pushes(i, kSmallBox)) out += 10;
    const bool same = pushes(i, kEmpty) && pushes(1 - i, kEmpty) && free_cell(p, 0) == free_cell(p, 1);
    if (pushes(i, kWall) || pushes(i, kRobot) || same || (pushes(i, kLargeBox) && !together)) out -= 5;
  }
  return out;
}

int64_t next(int64_t s, std::array<int64_t, 2> actions, std::array<bool, 2> works) {
  if (s >= kLeft) return start();
  Pair p = pair_of(s);
  const auto pushes = [&](int i, Seen what) {
    return works[i] && actions[i] == kForward && ahead(p, i) == what;
  };
  if (pushes(0, kLargeBox) && pushes(1, kLargeBox)) return kLarge;
  const bool first = pushes(0, kSmallBox), second = pushes(1, kSmallBox);
  if (first && second) return kBoth;
  if (first || second) return p.cell[first ? 0 : 1] == 0 ? kLeft : kRight;
  const bool go[2] = {pushes(0, kEmpty), pushes(1, kEmpty)};
  const int64_t to[2] = {free_cell(p, 0), free_cell(p, 1)};
  const bool same = go[0] && go[1] && to[0] == to[1];
  for (int i : {0, 1}) {
    if (go[i] && !same) p.cell[i] = to[i];
    if (works[i] && actions[i] == kTurnLeft) p.heading[i] = (p.heading[i] + 3) % 4;
    if (works[i] && actions[i] == kTurnRight) p.heading[i] = (p.heading[i] + 1) % 4;
  }
  return state_of(p);
}

}  // namespace box_pushing

namespace {

class BoxPushing final : public Copies {
 public:
  struct Options : CopyOptions {
    bool told = false;
    Options() { limit = 10; }
    void fields(Fields& f) {
      f.add("told", told, "robots see where both are and face, as none may in the original")
          .of_what_is_seen();
      CopyOptions::fields(f);
    }
  };

  BoxPushing(const Options& o, int64_t copies)
      : Copies(make_spec(o, copies), o,
               {{.name = "works",
                 .doc = "probability that an action does",
                 .value = 0.9,
                 .train = {0.8, 1},
                 .test = {0.8, 1},
                 .ood = {0.5, 0.8},
                 .may = {0, 1}}},
               1),
        told_(o.told),
        state_(copies, box_pushing::start()) {}

  std::string text(int64_t e) const override {
    if (state_[e] >= box_pushing::kLeft) return goal(state_[e]) + "\n";
    const auto p = box_pushing::pair_of(state_[e]);
    std::string row = " .  .  .  . ";
    for (int i : {0, 1}) {
      row[3 * p.cell[i]] = static_cast<char>('A' + i);
      row[3 * p.cell[i] + 1] = "^>v<"[p.heading[i]];
    }
    return " s [ LL ] s \n" + row + "\n";
  }

  std::string svg(int64_t e) const override {
    Drawing d(320, 180);
    const int64_t s = state_[e];
    const auto away = [&](int64_t a, int64_t b) { return s == a || s == b ? 0.0 : 34.0; };
    d.rect(0, 100, 320, 80, "#f0f0f0");
    for (int64_t c = 1; c < 4; ++c) d.line(80.0 * c, 100, 80.0 * c, 180, "#cccccc", 1);
    d.rect(20, 20 + away(box_pushing::kLeft, box_pushing::kBoth), 40, 40, "#c49c6b");
    d.rect(260, 20 + away(box_pushing::kRight, box_pushing::kBoth), 40, 40, "#c49c6b");
    d.rect(90, 14 + away(box_pushing::kLarge, box_pushing::kLarge), 140, 46, "#8c564b");
    d.line(0, 14, 320, 14, "#2ca02c", 2);
    if (s >= box_pushing::kLeft) {
      d.text(160, 140, 14, goal(s));
      return d.svg();
    }
    const auto p = box_pushing::pair_of(s);
    constexpr double kX[] = {0, 1, 0, -1}, kY[] = {-1, 0, 1, 0};
    for (int i : {0, 1}) {
      const double x = 80.0 * static_cast<double>(p.cell[i]) + 40, y = 140;
      d.circle(x, y, 24, colour(i));
      d.line(x, y, x + 30 * kX[p.heading[i]], y + 30 * kY[p.heading[i]], "black", 4);
      d.text(x, y + 12, 11, fmt::format("robot {}", i), "white");
    }
    return d.svg();
  }

 private:
  static std::string goal(int64_t s) {
    constexpr const char* kWords[] = {"the left box is home", "the right box is home",
                                      "both small boxes are home", "the large box is home"};
    return kWords[s - box_pushing::kLeft];
  }

  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "box_pushing";
    s.variant = fmt::format("Seuken and Zilberstein 2007, {} steps{}", o.limit, o.told ? ", all told" : "");
    s.copies = copies;
    s.agents = 2;
    s.obs = o.told ? 21 : 5;
    s.actions = 4;
    s.common_reward = true;
    s.obs_low = 0, s.obs_high = 1;
    s.agent_names = {"left_robot", "right_robot"};
    s.action_names = {"turn_left", "turn_right", "forward", "stay"};
    return s;
  }

  void begin(int64_t e, Rng) override { state_[e] = box_pushing::start(); }

  bool advance(int64_t e, const int64_t* actions, int64_t now, Rng episode, float* reward) override {
    Draws d(episode.split("step", now));
    const std::array<int64_t, 2> did{actions[0], actions[1]};
    const bool first = d.uniform() < task(e)[0], second = d.uniform() < task(e)[0];
    reward[0] = reward[1] = static_cast<float>(box_pushing::reward(state_[e], did));
    state_[e] = box_pushing::next(state_[e], did, {first, second});
    return false;
  }

  void observe(int64_t e, float* obs, bool*) const override {
    std::fill_n(obs, 2 * spec().obs, 0.F);
    for (int i : {0, 1}) {
      float* to = obs + i * spec().obs;
      to[box_pushing::seen(state_[e], i)] = 1;
      if (!told_ || state_[e] >= box_pushing::kLeft) continue;
      const auto p = box_pushing::pair_of(state_[e]);
      for (int k : {0, 1}) to[5 + 8 * k + p.cell[k]] = to[9 + 8 * k + p.heading[k]] = 1;
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    cargo(state_[e], {"the state", 0, box_pushing::kStates - 1});
  }

  const bool told_;
  std::vector<int64_t> state_;  // [E]
};

SYMMA_REGISTER(Env, "box_pushing", BoxPushing, "two robots push boxes home, and see only what is ahead",
               "Seuken and Zilberstein 2007");

}  // namespace
}  // namespace symma
