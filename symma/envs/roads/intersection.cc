// Cars that must cross without a light: HighwayEnv 1.12.1, intersection-multi-agent-v0 (Leurent 2018, MIT).
//
// A decision a second, 15 steps of simulation, 13 s. Players' cars go slower, stay or go faster by target
// speeds 0, 4.5, 9 m/s; traffic follows the intelligent driver model and the right of way (crossing.h). What
// a reader may not expect: a player's car starts at 10 m/s, above its fastest target, and who has arrived
// earns 1 at every step until the episode ends, unless `leaves`, when it is gone.
//
// Reward: the mean over players of 1 for who has arrived, else -5 if crashed, plus the speed above 7 m/s over
// 2, at most 1; nothing off the road. `own_pay`: each its own. Ends when a player has crashed or all have
// arrived. Observation of each: 15 x 7, presence, x, y over 100, velocity over 20, cos and sin of the
// heading; itself first, then cars by their way along its lane, up to 10 m behind. Three options see
// otherwise than the original's agents: absolute, range, foresight (after HighwayEnv's TimeToCollision).
//
// `blocked` puts an obstacle into a cell of a lane: who comes there waits for good, and soon whoever is
// behind. Obstacles are seen as cars that stand. No car is put nearer than 15 m to it. A player whose start
// it would be too near to starts 10 m behind it, or where that is on the crossing, 20 m before.
#include "symma/envs/roads/intersection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {
namespace {

constexpr int64_t kSeen = 15, kFeatures = 7, kMostPlayers = 4, kMostCars = 48, kEach = 25;
constexpr double kDt = 1.0 / 15;
constexpr double kSpeeds[] = {0, 4.5, 9};

struct IntersectionOptions : CopyOptions {
  int64_t players = 2;
  bool own_pay = false, leaves = false, absolute = true, foresight = false;
  double range = 100;
  IntersectionOptions() { limit = 13; }
  void fields(Fields& f) {
    f.add("players", players, "cars that players drive, one on each arm").at_least(1).at_most(kMostPlayers);
    f.add("own_pay", own_pay, "each player earns for its own car, rather than all the mean");
    f.add("leaves", leaves, "who has arrived is gone; the original leaves it on the road, and pays it on");
    f.add("absolute", absolute,
          "cars are seen by their place and velocity, rather than by those less one's own")
        .of_what_is_seen();
    f.add("range", range, "a place is seen over so many metres, and what is further as at the bound")
        .above(0)
        .of_what_is_seen();
    f.add("foresight", foresight,
          "a player also sees when within 3 s it would come too close to others, were it to go for each of "
          "its speeds")
        .of_what_is_seen();
    CopyOptions::fields(f);
  }
};

class Intersection final : public Copies, public Judged, public CrossingView {
 public:
  using Options = IntersectionOptions;

  Intersection(const Options& o, int64_t copies)
      : Copies(make_spec(o, copies), o, make_parameters(), 2 + kMostCars * kEach + o.players * seen(o)),
        o_(o),
        roads_(copies) {}

  const std::vector<Score>& score_names() const override {
    static const std::vector<Score> names{{"crashed", false}, {"arrived", true}, {"seconds", false}};
    return names;
  }
  // Whether a player crashed, the share that arrived, how long it took.
  std::vector<double> scores(int64_t e) const override {
    double crashed = 0, arrived = 0;
    for (int64_t i = 0; i < o_.players; ++i) {
      const Car& c = player(e, i);
      if (c.crashed) crashed = 1;
      if (c.gone || has_arrived(c)) arrived += 1;
    }
    return {crashed, arrived / static_cast<double>(o_.players), static_cast<double>(steps(e))};
  }

  const std::vector<Car>& cars(int64_t e) const override { return roads_[e].cars; }
  size_t car_of(int64_t e, int64_t agent) const override {
    const auto& cars = roads_[e].cars;
    int64_t k = 0;
    for (size_t i = 0; i < cars.size(); ++i)
      if (cars[i].controlled && k++ == agent) return i;
    return 0;
  }

  std::string text(int64_t e) const override {
    std::string out =
        fmt::format("second {} of {}, {} cars\n", steps(e), spec().limit, roads_[e].cars.size());
    for (int64_t i = 0; i < o_.players; ++i) {
      const Car& c = player(e, i);
      out += fmt::format("{}: at ({:+.1f}, {:+.1f}), {:.1f} m/s, aims at {:.1f}{}\n", spec().agent_names[i],
                         c.x, c.y, c.speed, c.target,
                         c.crashed                  ? ", crashed"
                         : c.gone || has_arrived(c) ? ", arrived"
                                                    : "");
    }
    return out;
  }

  // The middle 120 m. An obstacle is a black square. Players' cars have colours, traffic is grey, dark where
  // it gives way, red where crashed.
  std::string svg(int64_t e) const override {
    Drawing p(420, 420);
    const auto scale = [](double x) { return 210 + 3.5 * std::clamp(x, -60.0, 60.0); };
    for (const Lane& l : crossing_lanes()) {
      double x1 = 0, y1 = 0;
      constexpr int kPieces = 8;
      for (int k = 0; k <= kPieces; ++k) {
        const double s = l.length * k / kPieces;
        double x, y;
        place_at(l, s, x, y);
        if (k > 0) p.line(scale(x1), scale(y1), scale(x), scale(y), "#dddddd", 13);
        x1 = x, y1 = y;
      }
    }
    for (const Car& o : blocks(e)) p.rect(scale(o.x) - 4, scale(o.y) - 4, 8, 8, "black");
    int64_t who = 0;
    for (const Car& c : roads_[e].cars) {
      const int64_t own = c.controlled ? who++ : -1;
      if (c.gone || std::abs(c.x) > 60 || std::abs(c.y) > 60) continue;
      const double dx = 1.5 * c.cos, dy = 1.5 * c.sin;
      const std::string fill = c.crashed    ? "#c0392b"
                               : own >= 0   ? colour(own)
                               : c.yielding ? "#505050"
                                            : "#a0a0a0";
      p.line(scale(c.x - dx), scale(c.y - dy), scale(c.x + dx), scale(c.y + dy), fill, 7);
      p.circle(scale(c.x + 1.4 * dx), scale(c.y + 1.4 * dy), 2, "black");
      if (own >= 0) p.text(scale(c.x), scale(c.y) - 7, 10, std::to_string(own));
    }
    p.text(210, 14, 12, fmt::format("second {}", steps(e)));
    return p.svg();
  }

 private:
  enum Part { kCars, kSpawn, kTimeGap, kIgnoring, kFriction, kBlocked };
  struct Crossing {
    std::vector<Car> cars;
    int64_t ticks = 0;        // of simulation, before the episode too
    std::vector<float> seen;  // of each player, what it sees
  };

  // Numbers that a player sees.
  static int64_t seen(const Options& o) {
    return kSeen * kFeatures + (o.foresight ? std::ssize(kSpeeds) * kForeseen : 0);
  }

  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "intersection";
    s.variant = fmt::format("HighwayEnv 1.12.1, {} player{}{}{}{}{}{}", o.players, o.players == 1 ? "" : "s",
                            o.own_pay ? ", own pay" : "", o.leaves ? ", who arrives leaves" : "",
                            o.absolute ? "" : ", seen from itself",
                            o.range == 100 ? "" : fmt::format(", over {} m", o.range),
                            o.foresight ? ", with foresight" : "");
    s.copies = copies;
    s.agents = o.players;
    s.obs = seen(o);
    if (!o.foresight) s.obs_shape = {kSeen, kFeatures};
    s.obs_low = -1, s.obs_high = 1;
    s.actions = 3, s.action_names = {"slower", "idle", "faster"};
    s.leaving = o.leaves;
    s.common_reward = !o.own_pay;
    for (int64_t i = 0; i < o.players; ++i) s.agent_names.push_back(fmt::format("car_{}", i));
    return s;
  }

  static std::vector<TaskParameter> make_parameters() {
    std::vector<TaskParameter> out;
    const auto add = [&](const char* name, const char* doc, double value, bool whole,
                         std::array<double, 2> train, std::array<double, 2> ood, std::array<double, 2> may) {
      out.push_back({.name = name,
                     .doc = doc,
                     .value = value,
                     .whole = whole,
                     .train = train,
                     .test = train,
                     .ood = ood,
                     .may = may});
    };
    add("cars", "tries to put a car on the road before the episode, and one", 10, true, {5, 20}, {20, 25},
        {1, 30});
    add("spawn", "probability of such a try, and of one each second", .6, false, {.3, 1}, {.3, 1}, {0, 1});
    add("time_gap", "that traffic keeps, s: its temper", 1.5, false, {.8, 2.2}, {.4, .8}, {0, 10});
    add("ignoring", "share of traffic that does not give way", 0, false, {0, .3}, {.5, .5}, {0, 1});
    add("friction", "hardest braking and acceleration of traffic, m/s^2", 6, false, {3, 6}, {2, 3}, {.1, 20});
    add("blocked",
        "the cell of 5 m that an obstacle stands in, as one drives: 0 to 79 on the ways in from south, west, "
        "north and east, 20 each, 80 to 159 on the ways out; -1: none",
        -1, true, {120, 159}, {80, 99}, {-1, kCells - 1});
    return out;
  }

  // What stands in the way: nothing, or one.
  std::span<const Car> blocks(int64_t e) const {
    static const std::vector<Car> all = [] {
      std::vector<Car> out;
      out.reserve(kCells);
      for (int k = 0; k < kCells; ++k) out.push_back(obstacle_in(k));
      return out;
    }();
    const auto cell = static_cast<int64_t>(task(e)[kBlocked]);
    return cell < 0 ? std::span<const Car>() : std::span<const Car>(&all[cell], 1);
  }

  Temper temper(int64_t e) const { return {task(e)[kTimeGap], task(e)[kFriction]}; }
  const Car& player(int64_t e, int64_t i) const { return roads_[e].cars[car_of(e, i)]; }

  void spawn(int64_t e, Draws& d, double at, double probability, bool straight = false, double wide = 1,
             double speeds = 1) {
    auto& cars = roads_[e].cars;
    if (d.uniform() > probability || static_cast<int64_t>(cars.size()) >= kMostCars) return;
    const auto from = d.below(4);
    const int64_t to = straight ? (from + 2) % 4 : (from + 1 + d.below(3)) % 4;
    const double s = at + 5 + d.normal() * wide, speed = 8 + d.normal() * speeds;
    Car c = car_on(static_cast<int>(from), s, speed, static_cast<int>(to));
    c.delta = d.uniform(3.5, 4.5);
    c.ignores = d.uniform() < task(e)[kIgnoring];
    const auto near = [&](const Car& o) { return !o.gone && std::hypot(o.x - c.x, o.y - c.y) < 15; };
    if (std::ranges::any_of(cars, near) || std::ranges::any_of(blocks(e), near)) return;
    cars.push_back(c);
  }

  // Where a player starts, m along its arm.
  double start(int64_t e, int arm, Draws& d) const {
    constexpr double kRoom = 85;
    double at = 60 + 5 * (1 + d.normal());
    for (const Car& o : blocks(e)) {
      const double there = along(crossing_lanes()[o.lane], o.x, o.y).s;
      if (o.lane == incoming(arm) && std::abs(at - there) < 20) at = there < kRoom ? there + 10 : there - 20;
    }
    return at;
  }

  void tick(int64_t e) {
    Crossing& r = roads_[e];
    decide(r.cars, blocks(e), temper(e));
    constexpr int64_t kRules = 7;  // int(15 Hz / 2 Hz)
    if (++r.ticks % kRules == 0) rule(r.cars);
    move(r.cars, blocks(e), kDt);
  }

  void begin(int64_t e, Rng episode) override {
    Crossing& r = roads_[e];
    r.cars.clear(), r.ticks = 0;
    Draws d(episode.split("start"));
    const auto n = static_cast<int64_t>(task(e)[kCars]);
    for (int64_t k = 0; k + 1 < n; ++k)
      spawn(e, d, 80.0 * static_cast<double>(k) / static_cast<double>(n - 1), task(e)[kSpawn]);
    for (int k = 0; k < 45; ++k) tick(e);
    spawn(e, d, 60, 1, true, .1, 0);
    for (int64_t i = 0; i < o_.players; ++i) {
      Car c = car_on(static_cast<int>(i), start(e, static_cast<int>(i), d), 10, 1);
      c.controlled = true;
      c.target = 9;
      std::erase_if(r.cars,
                    [&](const Car& o) { return !o.controlled && std::hypot(o.x - c.x, o.y - c.y) < 20; });
      r.cars.push_back(c);
    }
    look(e);
  }

  bool advance(int64_t e, const int64_t* actions, int64_t now, Rng episode, float* reward) override {
    Crossing& r = roads_[e];
    int64_t i = 0;
    for (Car& c : r.cars) {
      if (!c.controlled) continue;
      const int64_t a = actions[i++];
      if (c.gone || a == 1) continue;
      const auto index =
          static_cast<int>(std::nearbyint(std::clamp(c.speed / 9, 0.0, 1.0) * 2)) + (a == 2 ? 1 : -1);
      c.target = kSpeeds[std::clamp(index, 0, 2)];
    }
    for (int k = 0; k < 15; ++k) tick(e);
    bool crashed = false, all = true;
    double sum = 0;
    i = 0;
    for (Car& c : r.cars) {
      if (!c.controlled) continue;
      double paid = 0;
      if (!c.gone) {
        const bool there = has_arrived(c);
        paid = there ? 1 : (c.crashed ? -5 : 0) + std::clamp((c.speed - 7) / 2, 0.0, 1.0);
        if (!on_road(c)) paid = 0;
        crashed = crashed || c.crashed, all = all && there;
        if (there && o_.leaves) c.gone = true;
      }
      sum += paid;
      reward[i++] = static_cast<float>(paid);
    }
    if (!o_.own_pay)
      std::fill_n(reward, o_.players, static_cast<float>(sum / static_cast<double>(o_.players)));
    // What is seen comes before who leaves and who comes, as in the original.
    look(e);
    std::erase_if(r.cars, [](const Car& c) {
      const Lane& l = crossing_lanes()[c.lane];
      return !c.controlled && is_exit(c.lane) && along(l, c.x, c.y).s >= l.length - 20;
    });
    Draws d(episode.split("spawn", static_cast<uint64_t>(now)));
    spawn(e, d, 0, task(e)[kSpawn]);
    return crashed || all;
  }

  // What is seen of the cars that are there now.
  void look(int64_t e) {
    const auto& cars = roads_[e].cars;
    roads_[e].seen.assign(o_.players * seen(o_), 0.F);
    float* obs = roads_[e].seen.data();
    for (int64_t i = 0; i < o_.players; ++i, obs += seen(o_)) {
      const Car& own = player(e, i);
      if (own.gone) continue;
      std::array<std::pair<double, const Car*>, kMostCars + 1> near;
      int64_t n = 0;
      const auto see = [&](const Car& c) {
        if (&c == &own || c.gone || !(std::hypot(c.x - own.x, c.y - own.y) < 200)) return;
        const double way = way_to(own, c);
        if (way > -10) near[n++] = {std::abs(way), &c};
      };
      for (const Car& c : cars) see(c);
      for (const Car& o : blocks(e)) see(o);
      std::stable_sort(near.begin(), near.begin() + n,
                       [](const auto& a, const auto& b) { return a.first < b.first; });
      const double own_x = own.speed * own.cos, own_y = own.speed * own.sin;
      const auto show = [&](const Car& c, float* to) {
        double row[kFeatures] = {1, c.x, c.y, c.speed * c.cos, c.speed * c.sin, c.cos, c.sin};
        if (!o_.absolute && &c != &own) row[1] -= own.x, row[2] -= own.y, row[3] -= own_x, row[4] -= own_y;
        row[1] /= o_.range, row[2] /= o_.range, row[3] /= 20, row[4] /= 20;
        for (int k = 0; k < kFeatures; ++k)
          to[k] = static_cast<float>(k == 0 || k > 4 ? row[k] : std::clamp(row[k], -1.0, 1.0));
      };
      show(own, obs);
      for (int64_t k = 0; k < std::min<int64_t>(n, kSeen - 1); ++k)
        show(*near[k].second, obs + (k + 1) * kFeatures);
      if (o_.foresight) foresee(cars, blocks(e), own, kSpeeds, obs + kSeen * kFeatures);
    }
  }

  void observe(int64_t e, float* obs, bool*) const override {
    std::copy(roads_[e].seen.begin(), roads_[e].seen.end(), obs);
  }

  void attend(int64_t e, bool* present) const override {
    for (int64_t i = 0; i < o_.players; ++i) present[i] = !player(e, i).gone;
  }

  void visit(int64_t e, Cargo& cargo) override {
    Crossing& r = roads_[e];
    auto n = static_cast<int64_t>(r.cars.size());
    const Bounds lane{"a lane", 0, kCrossingLanes - 1};
    cargo(n, {"the number of cars", 0, kMostCars}), cargo(r.ticks, {"the ticks so far", 0, kMostCounted});
    std::vector<Car> all = r.cars;
    all.resize(kMostCars);
    int64_t players = 0;
    for (Car& c : all) {
      for (double* x : {&c.x, &c.y, &c.heading, &c.speed, &c.target, &c.delta, &c.slip, &c.acceleration,
                        &c.push_x, &c.push_y})
        cargo(*x, {"a number of a car", -1e6, 1e6});
      for (bool* x : {&c.pushed, &c.crashed, &c.controlled, &c.yielding, &c.ignores, &c.gone}) cargo(*x);
      cargo(c.lane, lane), cargo(c.aim, lane), cargo(c.left, {"the lanes of a route", 0, kMostRoute});
      cargo(c.route, kMostRoute, lane);
    }
    r.seen.resize(o_.players * seen(o_));
    cargo(r.seen.data(), static_cast<int64_t>(r.seen.size()), {"what is seen", -1, 1});
    if (!cargo.loading()) return;
    for (int64_t k = 0; k < n; ++k) face(all[k], all[k].heading), players += all[k].controlled;
    if (players != o_.players)
      throw UserError(place(e), fmt::format("{} cars are players'", players),
                      fmt::format("{} would be right", o_.players));
    all.resize(n);
    r.cars = std::move(all);
  }

  const Options o_;
  std::vector<Crossing> roads_;  // [E]
};

SYMMA_REGISTER(Env, "intersection", Intersection, "cars that cross without a light, among traffic",
               "HighwayEnv 1.12.1, Leurent 2018");

}  // namespace
}  // namespace symma
