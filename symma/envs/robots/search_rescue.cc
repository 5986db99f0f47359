// Searchers look for targets in the unit square, whose edges meet: Jumanji 1.1.2, SearchAndRescue-v0.
//
// A searcher sets (turn, push) in [-1, 1]: heading += .25 pi turn; speed += .005 push, kept in [.005, .02];
// then it moves. Targets: velocity += 1e-4 N(0, 1) an axis, at most .002 long; then they move. A target is
// found by all searchers within .02 that have it within .4 pi of their heading, and they share (limit - step)
// / limit.
//
// Seen by a searcher, of 128 rays from -.4 pi to .4 pi: searchers within .4, found targets and others within
// .1, as distance / range of the nearest whose disc covers the ray, else -1; then the share left, the step /
// limit and all positions. What a reader may not expect: angles of rays grow to the right, so what is seen at
// an angle is turned to by minus it; all found is an end, and so is the limit.
//
// A task has its number of targets and of searchers, whether targets lie in clusters, how fast they move,
// smoke (how far targets are seen), and the step from which one searcher's push is lost.
#include "symma/envs/robots/search_rescue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "symma/core/simd.h"
#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {
namespace {

using std::numbers::pi;
constexpr double kSlow = 0.005, kFast = 0.02, kTurn = 0.25 * pi, kPush = 0.005, kNear = 0.02,
                 kCone = 0.4 * pi, kSeesSearchers = 0.4, kJitter = 1e-4;
constexpr int64_t kRays = 128, kMostTargets = 200, kMostSearchers = 20;

// Of a place that was left by less than the field's width.
SYMMA_INLINE inline double wrapped(double x) {
  return x < 0 ? x + 1 : x >= 1 ? x - 1 : x;
}
// The way from a to b over the nearer edge, in [-.5, .5).
SYMMA_INLINE inline double across(double a, double b) {
  const double d = b - a;
  return d < -0.5 ? d + 1 : d >= 0.5 ? d - 1 : d;
}

// Column by column, for loops that become vectors.
struct Targets {
  using Column = std::array<double, kMostTargets>;
  Column x{}, y{}, vx{}, vy{};
  std::array<bool, kMostTargets> found{};

  // The first n of them, by two normal numbers each, at most so far.
  void drift(int64_t n, double most, const double* jitter) {
    widest([&]() SYMMA_INLINE {
      for (int64_t k = 0; k < n; ++k) {
        const double u = vx[k] + kJitter * jitter[2 * k], w = vy[k] + kJitter * jitter[2 * k + 1];
        const double v = root(u * u + w * w), share = v > most ? most / v : 1;
        vx[k] = u * share, vy[k] = w * share;
        x[k] = wrapped(x[k] + vx[k]), y[k] = wrapped(y[k] + vy[k]);
      }
    });
  }
  // How far the first n of them are from a place, squared.
  void squares(int64_t n, double from_x, double from_y, double* out) const {
    widest([&]() SYMMA_INLINE {
      for (int64_t k = 0; k < n; ++k) {
        const double dx = across(from_x, x[k]), dy = across(from_y, y[k]);
        out[k] = dx * dx + dy * dy;
      }
    });
  }
};

class SearchRescue final : public ContinuousCopies, public SearchView {
 public:
  struct Options : CopyOptions {
    int64_t searchers = 2, targets = 40, rays = kRays;
    Options() { limit = 400; }
    void fields(Fields& f) {
      f.add("searchers", searchers, "searchers, each a player").at_least(1).at_most(kMostSearchers);
      f.add("targets", targets, "targets, where a task does not say").at_least(1).at_most(kMostTargets);
      f.add("rays", rays, "directions in which a searcher looks").at_least(2).at_most(1024).of_what_is_seen();
      level_fields(f);
      CopyOptions::fields(f);
    }
  };

  SearchRescue(const Options& o, int64_t copies)
      : ContinuousCopies(make_spec(o, copies), o, make_parameters(o), world_numbers(o.searchers)),
        o_(o),
        a_(o.searchers),
        fields_(copies) {
    for (Field& f : fields_) f.searchers.resize(a_);
  }

  std::optional<Sighting> nearest(int64_t e, int64_t i) const override {
    const Field& f = fields_[e];
    std::optional<Sighting> out;
    for (int64_t k = 0; k < count(e); ++k) {
      if (f.targets.found[k]) continue;
      const Seen s = seen(f.searchers[i], f.targets.x[k], f.targets.y[k]);
      if (s.distance > task(e)[kSmoke]) continue;
      const double half = std::atan2(kNear, s.distance),
                   between = 2 * kCone / static_cast<double>(o_.rays - 1);
      const double first =
          -kCone + between * std::max(0.0, std::floor((s.right - half + kCone) / between) + 1);
      if (first > kCone || first >= s.right + half) continue;
      if (!out || s.distance < out->distance) out = Sighting{s.distance, s.right, first};
    }
    return out;
  }

  std::string text(int64_t e) const override {
    const Field& f = fields_[e];
    std::string out = fmt::format("step {} of {}: {} of {} targets found\n", steps(e), spec().limit,
                                  count(e) - left(e), count(e));
    constexpr int kColumns = 50, kRows = 20;
    std::vector<std::string> map(kRows, std::string(kColumns, '.'));
    const auto put = [&](double x, double y, char c) {
      map[kRows - 1 - std::min(kRows - 1, static_cast<int>(y * kRows))]
         [std::min(kColumns - 1, static_cast<int>(x * kColumns))] = c;
    };
    for (int64_t k = 0; k < count(e); ++k)
      put(f.targets.x[k], f.targets.y[k], f.targets.found[k] ? 'x' : 'o');
    for (int64_t i = 0; i < a_; ++i) put(f.searchers[i].x, f.searchers[i].y, static_cast<char>('A' + i));
    for (const auto& row : map) out += row + "\n";
    return out + "A, B: searchers, o: to be found, x: found\n";
  }

  std::string svg(int64_t e) const override {
    constexpr double size = 360, top = 20;
    const Field& f = fields_[e];
    Drawing p(size, size + top);
    p.text(size / 2, 14, 12, fmt::format("step {}: {} of {} found", steps(e), count(e) - left(e), count(e)));
    p.rect(0, top, size, size, "#f4f4f4");
    const auto px = [&](double x) { return size * x; };
    const auto py = [&](double y) { return top + size * (1 - y); };
    for (int64_t i = 0; i < a_; ++i) {
      const Searcher& s = f.searchers[i];
      p.circle(px(s.x), py(s.y), size * task(e)[kSmoke], colour(i), 0.12);
    }
    for (int64_t k = 0; k < count(e); ++k) {
      const bool found = f.targets.found[k];
      p.circle(px(f.targets.x[k]), py(f.targets.y[k]), 4, found ? "#2ca02c" : "#c0392b", found ? 0.4 : 1);
    }
    for (int64_t i = 0; i < a_; ++i) {
      const Searcher& s = f.searchers[i];
      for (const double side : {-kCone, 0.0, kCone}) {
        const double reach = side == 0 ? 0.04 : task(e)[kSmoke];
        p.line(px(s.x), py(s.y), px(s.x + reach * std::cos(s.heading + side)),
               py(s.y + reach * std::sin(s.heading + side)), colour(i), side == 0 ? 3 : 1);
      }
      p.circle(px(s.x), py(s.y), 6, broken(e, i) ? "#808080" : colour(i));
    }
    return p.svg();
  }

 private:
  enum Part { kTargets, kClusters, kDrift, kSmoke, kFails };

  struct Searcher {
    double x, y, heading, speed;
  };
  struct Field {
    std::vector<Searcher> searchers;  // [A]
    Targets targets;                  // of which `count` are there
    int64_t now = 0;
  };
  struct Seen {
    double distance, right;
  };

  static int64_t world_numbers(int64_t searchers) { return 4 * searchers + 5 * kMostTargets + 1; }

  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "search_rescue";
    s.variant = fmt::format("Jumanji 1.1.2, {} searchers, {} targets, {} rays, {} steps", o.searchers,
                            o.targets, o.rays, o.limit);
    s.copies = copies;
    s.agents = o.searchers;
    s.obs = 3 * o.rays + 2 + 2 * o.searchers;
    s.actions = 2;
    s.action_names = {"turn", "push"};
    s.action_low.assign(2 * o.searchers, -1), s.action_high.assign(2 * o.searchers, 1);
    s.obs_low = -1, s.obs_high = 1;
    for (int64_t i = 0; i < o.searchers; ++i) s.agent_names.push_back(fmt::format("searcher_{}", i));
    return s;
  }

  static std::vector<TaskParameter> make_parameters(const Options& o) {
    const auto limit = static_cast<double>(o.limit);
    return {{.name = "targets",
             .doc = "how many",
             .value = static_cast<double>(o.targets),
             .whole = true,
             .train = {10, 80},
             .test = {10, 80},
             .ood = {80, 120},
             .may = {1, kMostTargets}},
            {.name = "clusters",
             .doc = "in how many clusters targets lie, each within about .05; 0: anywhere",
             .value = 0,
             .whole = true,
             .train = {0, 4},
             .test = {0, 4},
             .ood = {5, 8},
             .may = {0, kMostTargets}},
            {.name = "drift",
             .doc = "most that a target moves in a step",
             .value = 0.002,
             .train = {0, 0.004},
             .test = {0, 0.004},
             .ood = {0.004, 0.008},
             .may = {0, 0.1}},
            {.name = "smoke",
             .doc = "how far targets are seen",
             .value = 0.1,
             .train = {0.05, 0.2},
             .test = {0.05, 0.2},
             .ood = {0.03, 0.05},
             .may = {0, 0.5},
             .above = true},
            {.name = "fails",
             .doc = "step from which the first searcher's speed stays at .005; the limit: it works",
             .value = limit,
             .whole = true,
             .train = {0, limit},
             .test = {0, limit},
             .ood = {0, 0},
             .may = {0, 1e9}}};
  }

  int64_t count(int64_t e) const { return static_cast<int64_t>(task(e)[kTargets]); }
  int64_t left(int64_t e) const {
    const auto& found = fields_[e].targets.found;
    return std::count(found.begin(), found.begin() + count(e), false);
  }
  bool broken(int64_t e, int64_t i) const {
    return i == 0 && static_cast<double>(fields_[e].now) >= task(e)[kFails];
  }

  static Seen seen(const Searcher& s, double x, double y) {
    const double dx = across(s.x, x), dy = across(s.y, y);
    const double off = s.heading - std::atan2(dy, dx);
    return {std::sqrt(dx * dx + dy * dy), off - 2 * pi * std::floor(off / (2 * pi) + 0.5)};
  }

  void begin(int64_t e, Rng episode) override {
    Field& f = fields_[e];
    f.now = 0;
    Draws d(episode.split("start"));
    for (Searcher& s : f.searchers)
      s = {d.uniform(), d.uniform(), d.uniform(0, 2 * pi), d.uniform(kSlow, kFast)};
    const auto clusters = static_cast<int64_t>(task(e)[kClusters]);
    std::vector<std::array<double, 2>> middle(clusters);
    for (auto& m : middle) m = {d.uniform(), d.uniform()};
    f.targets = {};
    for (int64_t k = 0; k < count(e); ++k) {
      double &x = f.targets.x[k], &y = f.targets.y[k];
      if (clusters == 0) {
        x = d.uniform(), y = d.uniform();
      } else {
        const auto& m = middle[k % clusters];
        x = m[0] + 0.05 * d.normal(), y = m[1] + 0.05 * d.normal();
        x -= std::floor(x), y -= std::floor(y);
      }
    }
  }

  bool advance(int64_t e, const float* a, int64_t now, Rng episode, float* reward) override {
    Field& f = fields_[e];
    for (int64_t i = 0; i < a_; ++i) {
      Searcher& s = f.searchers[i];
      s.heading += kTurn * static_cast<double>(a[2 * i]);
      s.heading -= 2 * pi * std::floor(s.heading / (2 * pi));
      s.speed = broken(e, i) ? kSlow
                             : std::clamp(s.speed + kPush * static_cast<double>(a[2 * i + 1]), kSlow, kFast);
      s.x = wrapped(s.x + s.speed * std::cos(s.heading)), s.y = wrapped(s.y + s.speed * std::sin(s.heading));
    }
    const int64_t n = count(e);
    if (const double most = task(e)[kDrift]; most > 0) {
      std::array<double, 2 * kMostTargets> jitter;
      Draws(episode.split("drift", static_cast<uint64_t>(now))).normals(jitter.data(), 2 * n);
      f.targets.drift(n, most, jitter.data());
    }
    const double worth = static_cast<double>(spec().limit - now) / static_cast<double>(spec().limit);
    // How often each target is found now, by a first look at all searchers; then what that is worth.
    Targets::Column square;
    std::array<int8_t, kMostTargets> finders{};
    const auto each_find = [&](const auto& act) {
      for (int64_t i = 0; i < a_; ++i) {
        const Searcher& s = f.searchers[i];
        f.targets.squares(n, s.x, s.y, square.data());
        for (int64_t k = 0; k < n; ++k) {
          if (square[k] <= kNear * kNear && !f.targets.found[k] &&
              std::abs(seen(s, f.targets.x[k], f.targets.y[k]).right) <= kCone)
            act(i, k);
        }
      }
    };
    bool any = false;
    each_find([&](int64_t, int64_t k) { ++finders[k], any = true; });
    if (any) {
      each_find([&](int64_t i, int64_t k) { reward[i] += static_cast<float>(worth / finders[k]); });
      for (int64_t k = 0; k < n; ++k) f.targets.found[k] = f.targets.found[k] || finders[k] > 0;
    }
    f.now = now + 1;
    return left(e) == 0 || f.now >= spec().limit;
  }

  // The rays that the disc of something at this place covers, which is within the range.
  void look(const Searcher& s, double x, double y, double range, float* rays) const {
    const auto [distance, right] = seen(s, x, y);
    const double half = std::atan2(kNear, distance), between = 2 * kCone / static_cast<double>(o_.rays - 1);
    if (std::abs(right) > kCone + half) return;
    const auto first = static_cast<int64_t>(std::floor((right - half + kCone) / between)),
               last = static_cast<int64_t>(std::ceil((right + half + kCone) / between));
    const auto value = static_cast<float>(distance / range);
    for (int64_t k = std::max<int64_t>(0, first); k <= std::min(o_.rays - 1, last); ++k) {
      const double ray = -kCone + between * static_cast<double>(k);
      if (std::abs(ray - right) < half && (rays[k] < 0 || value < rays[k])) rays[k] = value;
    }
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const Field& f = fields_[e];
    const auto share = static_cast<float>(left(e)) / static_cast<float>(count(e));
    const float at = static_cast<float>(f.now) / static_cast<float>(spec().limit);
    const double smoke = task(e)[kSmoke];
    Targets::Column square;
    for (int64_t i = 0; i < a_; ++i) {
      const Searcher& s = f.searchers[i];
      std::fill_n(obs, 3 * o_.rays, -1.F);
      for (int64_t j = 0; j < a_; ++j) {
        const Searcher& other = f.searchers[j];
        const double dx = across(s.x, other.x), dy = across(s.y, other.y);
        if (j != i && dx * dx + dy * dy <= kSeesSearchers * kSeesSearchers)
          look(s, other.x, other.y, kSeesSearchers, obs);
      }
      f.targets.squares(count(e), s.x, s.y, square.data());
      for (int64_t k = 0; k < count(e); ++k) {
        if (square[k] <= smoke * smoke)
          look(s, f.targets.x[k], f.targets.y[k], smoke, obs + o_.rays * (f.targets.found[k] ? 1 : 2));
      }
      obs += 3 * o_.rays;
      *obs++ = share, *obs++ = at;
      for (const Searcher& other : f.searchers)
        *obs++ = static_cast<float>(other.x), *obs++ = static_cast<float>(other.y);
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    Field& f = fields_[e];
    const Bounds place{"a place", 0, 1}, speed{"a speed", -1, 1};
    for (Searcher& s : f.searchers)
      cargo(s.x, place), cargo(s.y, place), cargo(s.heading, {"a heading", -7, 7}), cargo(s.speed, speed);
    Targets& t = f.targets;
    for (int64_t k = 0; k < kMostTargets; ++k) {
      cargo(t.x[k], place), cargo(t.y[k], place), cargo(t.vx[k], speed), cargo(t.vy[k], speed);
      cargo(t.found[k]);
    }
    cargo(f.now, {"the time", 0, spec().limit});
  }

  const Options o_;
  const int64_t a_;
  std::vector<Field> fields_;  // [E]
};

SYMMA_REGISTER(Env, "search_rescue", SearchRescue, "searchers look for targets by what they see along rays",
               "Jumanji 1.1.2, SearchAndRescue-v0");

}  // namespace
}  // namespace symma
