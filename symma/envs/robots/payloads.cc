// Robots carry loads home, and nobody knows who is strong before it has lifted: after the material transport
// of MARBLER (Torbati et al. 2023, arXiv:2307.03891); own rules.
//
// The field is 3 by 1.8 m. Home is the strip of .5 m on the left; loads lie in the strip of .5 m on the right
// and in a disc of .35 m in the middle. In a step a robot stays or goes up, down, left or right as far as its
// speed is, and says one of `messages` words, which the others hear with their next observation. An empty
// robot in a zone of loads then lifts what it can, or what is left (+.025 a unit); home, it sets all down
// (+.075). A step costs the team .1; the episode ends when all is home. A robot sees where it is, what it
// carries, what is left in both zones, the time and what the others said; `told` shows limits and speeds too.
//
// A task is a team (numbers name draws of limits and speeds whose sums stay the same; 0: two fast robots of
// speed .45 that lift 5, two slow ones of .15 that lift 15), what lies in the zones, and a robot that stands
// still from some step on.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

constexpr double kWidth = 3, kHeight = 1.8, kHome = 0.5, kRight = 2.5, kDisc = 0.35;
constexpr int64_t kMoves = 5, kMostRobots = 8;
constexpr double kUp[kMoves] = {0, 1, -1, 0, 0}, kAside[kMoves] = {0, 0, 0, -1, 1};

class Payloads final : public Copies, public Judged {
 public:
  struct Options : CopyOptions {
    int64_t robots = 4, messages = 4;
    bool told = false;
    Options() { limit = 70; }
    void fields(Fields& f) {
      f.add("robots", robots, "in the team").at_least(1).at_most(kMostRobots);
      f.add("messages", messages, "words that a robot may say; 1: it is silent").at_least(1).at_most(8);
      f.add("told", told, "robots see all limits and speeds").tells_the_task();
      CopyOptions::fields(f);
    }
  };
  struct Field {
    double middle = 0, right = 0, home = 0;
    std::array<double, kMostRobots> x{}, y{}, load{}, limit{}, speed{}, said{};
  };
  enum Part { kTeam, kMiddle, kRightLoad, kBreaks, kBreaksAt };

  Payloads(const Options& o, int64_t copies)
      : Copies(
            make_spec(o, copies), o,
            {{"team",
              "limits and speeds, by the number of a draw; 0: fast and slow robots in turn",
              0,
              true,
              {1, 100000},
              {100001, 200000},
              {200001, 300000},
              {0, 1e15}},
             {"middle",
              "units in the disc, on average",
              100,
              false,
              {60, 120},
              {60, 120},
              {120, 200},
              {0, 1e4}},
             {"right", "units in the strip, on average", 20, false, {10, 60}, {10, 60}, {60, 100}, {0, 1e4}},
             {"breaks",
              "the robot that breaks; -1: none",
              -1,
              true,
              {-1, double(o.robots - 1)},
              {-1, double(o.robots - 1)},
              {0, double(o.robots - 1)},
              {-1, double(o.robots - 1)}},
             {"breaks_at", "and in which step", 20, true, {5, 40}, {5, 40}, {1, 5}, {0, 1e6}}},
            3 + 6 * o.robots),
        o_(o),
        fields_(copies) {}

  const std::vector<Score>& score_names() const override {
    static const std::vector<Score> names{{"home", true}};
    return names;
  }
  // The share of all units that is home.
  std::vector<double> scores(int64_t e) const override {
    const Field& f = fields_[e];
    double all = f.home + f.middle + f.right;
    for (int64_t i = 0; i < o_.robots; ++i) all += f.load[i];
    return {all > 0 ? f.home / all : 1};
  }
  const Field& field(int64_t e) const { return fields_[e]; }

  std::string text(int64_t e) const override {
    const Field& f = fields_[e];
    std::string out =
        fmt::format("step {}: home {:g}, middle {:g}, right {:g}\n", steps(e), f.home, f.middle, f.right);
    for (int64_t i = 0; i < o_.robots; ++i)
      out += fmt::format("robot {} at ({:.2f}, {:.2f}) carries {:g} of {:g}, speed {:.2f}, said {:g}\n", i,
                         f.x[i], f.y[i], f.load[i], f.limit[i], f.speed[i], f.said[i]);
    return out;
  }
  std::string svg(int64_t e) const override {
    const Field& f = fields_[e];
    Drawing d(480, 300);
    const auto at = [](double metres) { return 160 * metres; };
    d.rect(0, 0, at(kHome), at(kHeight), "#dff0d8");
    d.rect(at(kRight), 0, at(kWidth - kRight), at(kHeight), "#f6e3c5");
    d.circle(at(kWidth / 2), at(kHeight / 2), at(kDisc), "#f6e3c5");
    d.text(40, 12, 12, fmt::format("home {:g}", f.home));
    d.text(at(kWidth / 2), at(kHeight / 2), 12, fmt::format("{:g}", f.middle));
    d.text(at(2.75), 12, 12, fmt::format("{:g}", f.right));
    for (int64_t i = 0; i < o_.robots; ++i) {
      const double x = at(f.x[i]), y = at(kHeight - f.y[i]);
      d.circle(x, y, 6 + 0.5 * f.limit[i], colour(i), f.load[i] > 0 ? 1 : 0.4);
      d.text(x, y, 10, f.load[i] > 0 ? fmt::format("{:g}", f.load[i]) : "");
    }
    d.text(240, 294, 9, "a colour a robot, the larger the stronger; numbers are units");
    return d.svg();
  }

 private:
  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "payloads";
    s.variant = fmt::format("{} robots, {} words, {} steps{}", o.robots, o.messages, o.limit,
                            o.told ? ", all told" : "");
    s.copies = copies;
    s.agents = o.robots;
    s.obs = 8 + (o.messages > 1 ? (o.robots - 1) * o.messages : 0) + (o.told ? 2 * o.robots : 0);
    s.actions = kMoves * o.messages;
    s.common_reward = true;
    constexpr const char* kNames[kMoves] = {"stay", "up", "down", "left", "right"};
    for (int64_t m = 0; m < o.messages; ++m)
      for (const char* name : kNames)
        s.action_names.push_back(o.messages > 1 ? fmt::format("{}_say_{}", name, m) : std::string(name));
    for (int64_t i = 0; i < o.robots; ++i) s.agent_names.push_back(fmt::format("robot_{}", i));
    return s;
  }

  void begin(int64_t e, Rng episode) override {
    Field& f = fields_[e];
    const double* t = task(e);
    const int64_t n = o_.robots;
    f = {};
    Draws d(episode.split("field"));
    const auto load = [&](double mean, double spread) {
      return std::max(0.0, std::round(mean + spread * d.normal()));
    };
    f.middle = t[kMiddle] > 0 ? load(t[kMiddle], 10) : 0,
    f.right = t[kRightLoad] > 0 ? load(t[kRightLoad], 4) : 0;
    for (int64_t i = 0; i < n; ++i) {
      f.x[i] = d.uniform(0, kHome), f.y[i] = d.uniform(0, kHeight);
      f.limit[i] = i % 2 ? 15 : 5, f.speed[i] = i % 2 ? 0.15 : 0.45;
    }
    if (t[kTeam] == 0) return;
    Draws team(Rng(static_cast<uint64_t>(t[kTeam])).split("team"));
    std::array<double, kMostRobots> strong{}, fast{};
    double strength = 0, speed = 0;
    for (int64_t i = 0; i < n; ++i) {
      strength += strong[i] = -std::log(1 - team.uniform()) + 0.1;
      speed += fast[i] = team.uniform(0.1, 1);
    }
    for (int64_t i = 0; i < n; ++i) {
      f.limit[i] = std::max(1.0, std::round(10 * static_cast<double>(n) * strong[i] / strength));
      f.speed[i] = 0.3 * static_cast<double>(n) * fast[i] / speed;
    }
  }

  static bool in_disc(double x, double y) { return std::hypot(x - kWidth / 2, y - kHeight / 2) <= kDisc; }

  bool advance(int64_t e, const int64_t* actions, int64_t now, Rng, float* reward) override {
    Field& f = fields_[e];
    const double* t = task(e);
    double earned = -0.1;
    for (int64_t i = 0; i < o_.robots; ++i) {
      const int64_t move = actions[i] % kMoves, word = actions[i] / kMoves;
      f.said[i] = static_cast<double>(word);
      if (static_cast<double>(i) == t[kBreaks] && static_cast<double>(now) >= t[kBreaksAt]) continue;
      f.x[i] = std::clamp(f.x[i] + f.speed[i] * kAside[move], 0.0, kWidth);
      f.y[i] = std::clamp(f.y[i] + f.speed[i] * kUp[move], 0.0, kHeight);
      if (f.load[i] > 0 && f.x[i] <= kHome) {
        earned += 0.075 * f.load[i];
        f.home += f.load[i], f.load[i] = 0;
      }
      double* zone = f.x[i] >= kRight ? &f.right : in_disc(f.x[i], f.y[i]) ? &f.middle : nullptr;
      if (zone && f.load[i] == 0) {
        f.load[i] = std::min(f.limit[i], *zone);
        *zone -= f.load[i];
        earned += 0.025 * f.load[i];
      }
    }
    std::fill_n(reward, o_.robots, static_cast<float>(earned));
    return f.middle + f.right == 0 &&
           std::all_of(f.load.begin(), f.load.end(), [](double x) { return x == 0; });
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const Field& f = fields_[e];
    std::fill_n(obs, spec().state, 0.F);
    for (int64_t i = 0; i < o_.robots; ++i) {
      float* to = obs + i * spec().obs;
      const double own[8] = {f.x[i] / kWidth,
                             f.y[i] / kHeight,
                             f.load[i] / 15,
                             f.load[i] > 0 ? 1.0 : 0.0,
                             f.middle / 100,
                             f.right / 20,
                             1 - static_cast<double>(steps(e)) / static_cast<double>(spec().limit),
                             in_disc(f.x[i], f.y[i]) ? 1.0 : 0.0};
      for (double x : own) *to++ = static_cast<float>(x);
      for (int64_t j = 0; j < o_.robots && o_.messages > 1; ++j) {
        if (j == i) continue;
        to[static_cast<int64_t>(f.said[j])] = 1;
        to += o_.messages;
      }
      for (int64_t j = 0; j < o_.robots && o_.told; ++j)
        *to++ = static_cast<float>(f.limit[j] / 15), *to++ = static_cast<float>(f.speed[j] / 0.45);
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    Field& f = fields_[e];
    const Bounds units{"a load", 0, kFarthestReal};
    cargo(f.middle, units), cargo(f.right, units), cargo(f.home, units);
    cargo(f.x.data(), o_.robots, {"a robot's x", 0, kWidth}),
        cargo(f.y.data(), o_.robots, {"a robot's y", 0, kHeight});
    cargo(f.load.data(), o_.robots, units), cargo(f.limit.data(), o_.robots, units);
    cargo(f.speed.data(), o_.robots, {"a robot's speed", 0, kFarthestReal});
    cargo(f.said.data(), o_.robots, {"the word that was said", 0, o_.messages - 1});
  }

  const Options o_;
  std::vector<Field> fields_;  // [E]
};

// Each goes to the zone that is nearest and not empty, and home when it carries something. The `strip`
// fastest go to the strip for as long as anything lies there: a rule that knows what robots are not told.
class Carry final : public Script {
 public:
  struct Options {
    int64_t strip = 0;
    void fields(Fields& f) {
      f.add("strip", strip, "of payloads: so many, the fastest, go to the strip before the disc")
          .at_least(0)
          .at_most(kMostRobots);
    }
  };
  explicit Carry(const Options& o) : o_(o) {}
  void check(const Env& env) const override { world(env); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    const Payloads& w = world(env);
    const EnvSpec& s = env.spec();
    Tensor out = at::zeros({s.copies, s.agents}, at::kLong);
    for (int64_t e = 0; e < s.copies; ++e) {
      const Payloads::Field& f = w.field(e);
      for (int64_t i = 0; i < s.agents; ++i) {
        int64_t faster = 0;
        for (int64_t j = 0; j < s.agents; ++j)
          faster += f.speed[j] > f.speed[i] || (f.speed[j] == f.speed[i] && j < i);
        int64_t& move = out.data_ptr<int64_t>()[e * s.agents + i];
        const bool to_middle = f.middle > 0 && (f.right == 0 || (faster >= o_.strip && f.x[i] < 2.2));
        const double x = f.load[i] > 0 ? 0
                         : to_middle   ? kWidth / 2
                                       : kWidth,
                     dx = x - f.x[i], dy = to_middle && f.load[i] == 0 ? kHeight / 2 - f.y[i] : 0;
        if (f.load[i] == 0 && f.middle + f.right == 0) continue;
        if (std::abs(dy) > std::max(0.2, std::abs(dx)) || (std::abs(dx) < 0.2 && std::abs(dy) > 0.2))
          move = dy > 0 ? 1 : 2;
        else
          move = dx < 0 ? 3 : 4;
      }
    }
    return out;
  }

 private:
  static const Payloads& world(const Env& env) { return need_world<Payloads>(env, "carry", "\"payloads\""); }

  const Options o_;
};

SYMMA_REGISTER(Env, "payloads", Payloads, "robots of unknown strength carry loads home",
               "symma; after arXiv:2307.03891");
SYMMA_REGISTER(Script, "carry", Carry, "payloads: each to the nearest zone and home", "symma");

}  // namespace
}  // namespace symma
