// Cars on a ring road, where waves of stop and go arise from nothing: Sugiyama et al. 2008, as Flow has it
// (Wu et al. 2017, arXiv:1710.05465).
//
// n cars of 5 m on L m, steps of .1 s. Humans follow the intelligent driver model (Treiber et al. 2000):
//   a = 1 - (v / 30)^4 - (s* / h)^2,  s* = 2 + max(0, v T + v (v - v_ahead) / (2 sqrt(1.5)))
// with h the gap to the rear of the car ahead and T its time gap, plus sqrt(.1) noise N(0, 1). Then
// v' = max(0, v + .1 a) and x' = x + .1 v'. They start at rest, evenly over L - 50 m, and drive 750 steps;
// then the episode begins, and some of them, spread evenly, are automated: a number is its acceleration in
// m/s^2, held for `every` steps.
//
// Observation of an automated car: v / 15, (v_ahead - v) / 15, way to the car ahead / 270; with `recall` also
// the mean over the last minute of its speed / 15 and of its gap / 15, by which it can tell what ring and
// whose traffic it is in. Reward, common: 4 mean(v) / 20 - `effort` mean |a|. A collision ends the episode.
#include "symma/envs/roads/ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "symma/core/normal.h"
#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {
namespace {

constexpr double kCar = 5, kStep = 0.1, kLast = 100;  // the last seconds are judged
constexpr int64_t kMostOnRing = 200, kMostAutomated = 50;

struct RingOptions : CopyOptions {
  int64_t cars = 22, automated = 1, every = 1, warm_up = 750;
  double brake = 1, push = 1, effort = 4;
  bool recall = false, hands_off = false;
  RingOptions() { limit = 3000; }
  void fields(Fields& f) {
    f.add("cars", cars, "on the ring").at_least(2).at_most(kMostOnRing);
    f.add("automated", automated, "cars that are automated, each a player")
        .at_least(1)
        .at_most(kMostAutomated);
    f.add("brake", brake, "hardest braking of an automated car, m/s^2: 1 in Flow; 6 dissolves waves by rule")
        .above(0)
        .at_most(10);
    f.add("push", push, "its hardest acceleration, m/s^2").above(0).at_most(10);
    f.add("effort", effort, "what an automated car pays for each m/s^2 of its acceleration; 4 in Flow")
        .at_least(0)
        .at_most(1000);
    f.add("every", every, "steps of .1 s that a number is held; episodes have `limit` / `every` decisions")
        .at_least(1)
        .at_most(100);
    f.add("recall", recall, "automated cars also see their mean speed and gap of the last minute")
        .of_what_is_seen();
    f.add("hands_off", hands_off, "automated cars drive as humans do, whatever they are told");
    f.add("warm_up", warm_up, "steps before the episode, with humans alone").at_least(0).at_most(100000);
    level_fields(f);
    CopyOptions::fields(f);
  }
};

RingOptions per_decision(RingOptions o) {
  o.limit = std::max<int64_t>(1, o.limit / o.every);
  return o;
}

class Ring final : public ContinuousCopies, public Judged, public RingView {
 public:
  using Options = RingOptions;

  Ring(const Options& o, int64_t copies)
      : ContinuousCopies(make_spec(o, copies), per_decision(o), make_parameters(),
                         2 * o.cars + 2 * o.automated + kSums),
        o_(o),
        n_(o.cars),
        last_from_(o.limit - std::min<int64_t>(o.limit, std::llround(kLast / kStep))),
        rings_(copies) {
    for (int64_t k = 0; k < o.automated; ++k) which_.push_back(k * n_ / o.automated);
    for (State& r : rings_)
      r.x.resize(n_), r.v.resize(n_), r.mean_v.resize(o.automated), r.mean_gap.resize(o.automated);
  }

  const std::vector<Score>& score_names() const override {
    static const std::vector<Score> names{{"mean_speed", true},    {"last_speed", true},
                                          {"share_of_even", true}, {"spread", false},
                                          {"wave_energy", false},  {"collisions", false}};
    return names;
  }

  // Speed over the episode and over its last 100 s, that as a share of the uniform speed; the deviation over
  // cars, and half its square, the energy of the wave for each kg, in those 100 s.
  std::vector<double> scores(int64_t e) const override {
    const State& r = rings_[e];
    const double last = r.last > 0 ? r.last_speed / r.last : 0,
                 square = r.last > 0 ? r.last_square / r.last : 0;
    return {
        r.steps > 0 ? r.speed / r.steps : 0, last, last / even(e), std::sqrt(square), square / 2, r.crashed};
  }

  double speed(int64_t e, int64_t i) const override { return rings_[e].v[which_[i]]; }
  double leader(int64_t e, int64_t i) const override { return rings_[e].v[(which_[i] + 1) % n_]; }
  double gap(int64_t e, int64_t i) const override { return headway(e, which_[i]); }
  double even(int64_t e) const override { return uniform_speed(task(e)[kLength], n_, task(e)[kGap], n_); }
  double human(int64_t e, int64_t i) const override {
    return idm(speed(e, i), leader(e, i), gap(e, i), task(e)[kGap]);
  }
  double held() const override { return kStep * static_cast<double>(o_.every); }

  std::string text(int64_t e) const override {
    const State& r = rings_[e];
    double sum = 0, low = 1e9, high = 0;
    for (double v : r.v) sum += v, low = std::min(low, v), high = std::max(high, v);
    std::string out = fmt::format(
        "{:.1f} s, ring of {:.0f} m: mean speed {:.2f} m/s ({:.2f} if all rolled evenly), {:.2f} to {:.2f}\n",
        r.steps * kStep, task(e)[kLength], sum / static_cast<double>(n_), even(e), low, high);
    for (int64_t i = 0; i < o_.automated; ++i)
      out += fmt::format("{}: {:.2f} m/s, gap {:.2f} m, the car ahead {:.2f} m/s\n", spec().agent_names[i],
                         speed(e, i), gap(e, i), leader(e, i));
    return out;
  }

  // Cars by their speed, red when they stand, green at twice the uniform speed; automated ones have a rim.
  std::string svg(int64_t e) const override {
    const State& r = rings_[e];
    Drawing p(300, 320);
    double sum = 0;
    for (double v : r.v) sum += v;
    const double mean = sum / static_cast<double>(n_);
    p.text(150, 14, 12, fmt::format("{:.0f} s: {:.2f} m/s, evenly {:.2f}", r.steps * kStep, mean, even(e)));
    p.circle(150, 170, 132, "#e8e8e8");
    p.circle(150, 170, 108, "white");
    for (int64_t i = 0; i < n_; ++i) {
      const double turn = 2 * std::numbers::pi * r.x[i] / task(e)[kLength], x = 150 + 120 * std::cos(turn),
                   y = 170 - 120 * std::sin(turn);
      if (std::find(which_.begin(), which_.end(), i) != which_.end()) p.circle(x, y, 10, "black");
      const double part = std::clamp(r.v[i] / std::max(0.1, 2 * even(e)), 0.0, 1.0);
      p.circle(
          x, y, 7,
          fmt::format("rgb({},{},60)", static_cast<int>(220 * (1 - part)), static_cast<int>(180 * part)));
    }
    p.text(150, 165, 13, fmt::format("slowest {:.1f}", *std::min_element(r.v.begin(), r.v.end())));
    p.text(150, 185, 13, fmt::format("fastest {:.1f} m/s", *std::max_element(r.v.begin(), r.v.end())));
    return p.svg();
  }

 private:
  enum Part { kLength, kGap, kNoise };
  static constexpr int64_t kSums = 6;
  struct State {
    std::vector<double> x, v;              // [cars], in the order of the road: car i + 1 is ahead of i
    std::vector<double> mean_v, mean_gap;  // [automated], of the last minute
    double steps = 0, speed = 0, last = 0, last_speed = 0, last_square = 0, crashed = 0;
  };

  static EnvSpec make_spec(const Options& o, int64_t copies) {
    if (o.automated > o.cars)
      throw UserError("[task.world] automated", fmt::format("{} of {} cars", o.automated, o.cars),
                      "take at most all of them");
    EnvSpec s;
    s.name = "ring";
    s.variant = fmt::format("Flow, {} cars, {} automated, brake {:g}, push {:g}, {} steps by {}{}{}{}",
                            o.cars, o.automated, o.brake, o.push, o.limit, o.every,
                            o.recall ? ", recall" : "", o.hands_off ? ", hands off" : "",
                            o.effort == 4 ? "" : fmt::format(", effort {:g}", o.effort));
    s.copies = copies;
    s.agents = o.automated;
    s.obs = o.recall ? 5 : 3;
    s.actions = 1;
    s.action_names = {"acceleration"};
    s.action_low.assign(o.automated, -o.brake), s.action_high.assign(o.automated, o.push);
    s.common_reward = true;
    for (int64_t i = 0; i < o.automated; ++i) s.agent_names.push_back(fmt::format("car_{}", i));
    return s;
  }

  static std::vector<TaskParameter> make_parameters() {
    std::vector<TaskParameter> out;
    out.push_back({.name = "length",
                   .doc = "of the ring, m",
                   .value = 230,
                   .train = {220, 270},
                   .test = {220, 270},
                   .ood = {270, 300},
                   .may = {0, 1e5},
                   .above = true});
    out.push_back({.name = "time_gap",
                   .doc = "that drivers keep, s: their temper",
                   .value = 1,
                   .train = {.8, 1.6},
                   .test = {.8, 1.6},
                   .ood = {.6, .8},
                   .may = {0, 10}});
    out.push_back({.name = "noise",
                   .doc = "of what drivers do, m/s^2 by the root of a second",
                   .value = .2,
                   .train = {0, .4},
                   .test = {0, .4},
                   .ood = {.4, .6},
                   .may = {0, 5}});
    return out;
  }

  void check_task(const double* t, const std::string& place) const override {
    const double least = kCar * static_cast<double>(n_) + 50;
    if (t[kLength] <= least)
      throw UserError(
          place + ", length", fmt::format("is {:g}", t[kLength]),
          fmt::format("more than {:g} m, which {} cars need to start, would be right", least, n_));
  }

  static double idm(double v, double ahead, double gap, double time_gap) {
    constexpr double kRoot = 0.40824829046386307;  // 1 / (2 sqrt(1.5))
    const double r = v / 30, r2 = r * r, s = 2 + std::max(0.0, v * time_gap + v * (v - ahead) * kRoot),
                 q = s / gap;
    return 1 - r2 * r2 - q * q;
  }

  double headway(int64_t e, int64_t i) const {
    const State& r = rings_[e];
    double way = r.x[(i + 1) % n_] - r.x[i];
    if (way < 0) way += task(e)[kLength];
    return way - kCar;
  }

  // One step of all cars. `held` are the automated cars' accelerations, or null where humans drive alone.
  // True where cars have collided.
  bool drive(int64_t e, const float* noise, const float* held) {
    State& r = rings_[e];
    const double length = task(e)[kLength], time_gap = task(e)[kGap],
                 shake = task(e)[kNoise] * std::sqrt(kStep);
    std::array<double, kMostOnRing> a;
    for (int64_t i = 0; i < n_; ++i) {
      const int64_t next = i + 1 < n_ ? i + 1 : 0;
      double way = r.x[next] - r.x[i];
      way += way < 0 ? length : 0;
      // A gap of nothing is a collision; it is not divided by.
      a[i] = idm(r.v[i], r.v[next], std::max(way - kCar, 1e-3), time_gap) +
             shake * static_cast<double>(noise[i]);
    }
    for (size_t k = 0; held && k < which_.size(); ++k) a[which_[k]] = held[k];
    for (int64_t i = 0; i < n_; ++i) {
      r.v[i] = std::max(0.0, r.v[i] + kStep * a[i]);
      r.x[i] += kStep * r.v[i];
      r.x[i] -= r.x[i] >= length ? length : 0;
    }
    // Who has driven into another has passed its rear: the way ahead, taken from where it was, tells.
    for (int64_t i = 0; i < n_; ++i) {
      const double gap = headway(e, i);
      if (gap < 0 || gap > length - kCar * 1.5) return true;
    }
    return false;
  }

  void begin(int64_t e, Rng episode) override {
    State& r = rings_[e];
    const double apart = (task(e)[kLength] - 50) / static_cast<double>(n_);
    for (int64_t i = 0; i < n_; ++i) r.x[i] = apart * static_cast<double>(i), r.v[i] = 0;
    r.steps = r.speed = r.last = r.last_speed = r.last_square = r.crashed = 0;
    constexpr int64_t kTogether = 32;
    thread_local std::vector<float> noise;
    noise.resize(kTogether * n_);
    const Rng warm = episode.split("warm up");
    for (int64_t t = 0; t < o_.warm_up; ++t) {
      if (t % kTogether == 0) fill_normal32(warm.split("steps", t / kTogether), noise.data(), kTogether * n_);
      drive(e, &noise[(t % kTogether) * n_], nullptr);
    }
    for (int64_t i = 0; i < o_.automated; ++i) r.mean_v[i] = speed(e, i), r.mean_gap[i] = gap(e, i);
  }

  bool advance(int64_t e, const float* actions, int64_t now, Rng episode, float* reward) override {
    State& r = rings_[e];
    thread_local std::vector<float> noise;
    noise.resize(o_.every * n_);
    fill_normal32(episode.split("noise", static_cast<uint64_t>(now)), noise.data(), o_.every * n_);
    double told = 0;
    for (int64_t i = 0; !o_.hands_off && i < o_.automated; ++i)
      told += std::abs(static_cast<double>(actions[i]));
    told /= static_cast<double>(o_.automated);
    double paid = 0;
    for (int64_t k = 0; k < o_.every && !r.crashed; ++k) {
      if (drive(e, &noise[k * n_], o_.hands_off ? nullptr : actions)) r.crashed = 1;
      double sum = 0, square = 0;
      for (double v : r.v) sum += v, square += v * v;
      const auto n = static_cast<double>(n_);
      const double mean = sum / n;
      r.speed += mean;
      if (static_cast<int64_t>(r.steps) >= last_from_) {
        r.last += 1, r.last_speed += mean;
        r.last_square += std::max(0.0, square / n - mean * mean);
      }
      r.steps += 1;
      paid += 4 * mean / 20 - o_.effort * told;
      for (int64_t i = 0; o_.recall && i < o_.automated; ++i) {
        r.mean_v[i] += (speed(e, i) - r.mean_v[i]) * kStep / 60;
        r.mean_gap[i] += (gap(e, i) - r.mean_gap[i]) * kStep / 60;
      }
    }
    std::fill_n(reward, o_.automated, static_cast<float>(paid));
    return r.crashed > 0;
  }

  void observe(int64_t e, float* obs, bool*) const override {
    for (int64_t i = 0; i < o_.automated; ++i) {
      const double v = speed(e, i);
      *obs++ = static_cast<float>(v / 15);
      *obs++ = static_cast<float>((leader(e, i) - v) / 15);
      *obs++ = static_cast<float>((gap(e, i) + kCar) / 270);
      if (!o_.recall) continue;
      *obs++ = static_cast<float>(rings_[e].mean_v[i] / 15);
      *obs++ = static_cast<float>(rings_[e].mean_gap[i] / 15);
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    State& r = rings_[e];
    cargo(r.x.data(), n_, {"a car's place", 0, task(e)[kLength]});
    cargo(r.v.data(), n_, {"a car's speed", 0, 1e6});  // nobody drives backwards
    cargo(r.mean_v.data(), o_.automated), cargo(r.mean_gap.data(), o_.automated);
    for (double* x : {&r.steps, &r.speed, &r.last, &r.last_speed, &r.last_square})
      cargo(*x, {"a sum", 0, kFarthestReal});
    cargo(r.crashed, {"whether cars have crashed", 0, 1});
  }

  const Options o_;
  const int64_t n_, last_from_;
  std::vector<int64_t> which_;  // [automated]
  std::vector<State> rings_;    // [E]
};

SYMMA_REGISTER(Env, "ring", Ring, "cars on a ring road, where waves of stop and go arise",
               "Sugiyama et al. 2008; Wu et al. 2017, arXiv:1710.05465");

}  // namespace

double uniform_speed(double length, int64_t cars, double time_gap, int64_t gaps) {
  const double room = (length - kCar * static_cast<double>(cars)) / static_cast<double>(gaps);
  double low = 0, high = 30 * (1 - 1e-12);
  if (room <= 2) return 0;
  for (int k = 0; k < 100; ++k) {
    const double v = (low + high) / 2, r = v / 30, r2 = r * r;
    ((2 + v * time_gap) / std::sqrt(1 - r2 * r2) < room ? low : high) = v;
  }
  return (low + high) / 2;
}

}  // namespace symma
