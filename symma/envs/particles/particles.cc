#include "symma/envs/particles/particles.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "symma/envs/drawing.h"

namespace symma {
namespace {

constexpr int64_t kMostDiscs = 64;

// Beyond this many margins of clear distance the push is under 1e-15 of the margin: less than rounding.
constexpr double kClear = 40;

}  // namespace

std::vector<std::string> move_names(const std::string& variant) {
  if (variant == "openai") return {"no_action", "right", "left", "up", "down"};
  return {"no_action", "left", "right", "down", "up"};
}

Particles::Particles(EnvSpec spec, const ParticleOptions& options, std::vector<TaskParameter> parameters,
                     std::vector<Disc> kinds, int64_t extra)
    : Copies(std::move(spec), options, std::move(parameters),
             2 * static_cast<int64_t>(kinds.size()) + 2 * spec.agents + extra),
      openai_(options.variant == "openai"),
      kinds_(std::move(kinds)) {
  if (discs() > kMostDiscs) {
    throw UserError(this->spec().name, fmt::format("has {} agents and landmarks", discs()),
                    fmt::format("{} at most", kMostDiscs));
  }
  at_.resize(this->spec().copies * discs());
  speed_.resize(this->spec().copies * this->spec().agents);
}

void Particles::visit(int64_t copy, Cargo& cargo) {
  for (int64_t i = 0; i < discs(); ++i) cargo(at(copy)[i].x), cargo(at(copy)[i].y);
  for (int64_t i = 0; i < spec().agents; ++i) cargo(speed(copy)[i].x), cargo(speed(copy)[i].y);
}

void Particles::scatter(int64_t copy, Draws& draws, double arena, double landmarks) {
  for (int64_t i = 0; i < discs(); ++i) {
    const double half = i < spec().agents ? arena : landmarks;
    const double x = draws.uniform(-half, half);
    at(copy)[i] = {x, draws.uniform(-half, half)};
  }
  std::fill_n(speed(copy), spec().agents, Point{0, 0});
}

void Particles::move(int64_t copy, const int64_t* actions, const Medium& medium, const Disc* kinds) {
  static constexpr Point kWays[5] = {{0, 0}, {-1, 0}, {1, 0}, {0, -1}, {0, 1}};
  const int64_t agents = spec().agents, n = discs();
  const double sign = openai_ ? -1 : 1;
  Point* const p = at(copy);
  Point* const v = speed(copy);
  std::array<Point, kMostDiscs> force;
  for (int64_t i = 0; i < agents; ++i) {
    const Point& way = kWays[kinds[i].moves ? actions[i] : 0];
    force[i] = {sign * way.x * kinds[i].push, sign * way.y * kinds[i].push};
  }
  for (int64_t a = 0; a < agents; ++a) {
    if (!kinds[a].collides) continue;
    for (int64_t b = a + 1; b < n; ++b) {
      if (!kinds[b].collides) continue;
      const double radii = kinds[a].radius + kinds[b].radius, near = radii + kClear * medium.contact_margin;
      const double dx = p[a].x - p[b].x, dy = p[a].y - p[b].y, d2 = dx * dx + dy * dy;
      if (d2 > near * near) continue;
      const double dist = std::sqrt(d2);
      const double depth = -(dist - radii) / medium.contact_margin;
      const double soft = (depth > 0 ? depth + std::log1p(std::exp(-depth)) : std::log1p(std::exp(depth))) *
                          medium.contact_margin;
      // Two centres at one point have no direction to part in, and stay.
      const Point f =
          dist > 0 ? Point{medium.contact_force * dx / dist * soft, medium.contact_force * dy / dist * soft}
                   : Point{0, 0};
      if (kinds[a].moves) force[a] = {f.x + force[a].x, f.y + force[a].y};
      if (b < agents && kinds[b].moves) force[b] = {-f.x + force[b].x, -f.y + force[b].y};
    }
  }
  const double dt = medium.dt, keep = 1 - medium.damping;
  for (int64_t i = 0; i < agents; ++i) {
    if (!kinds[i].moves) continue;
    if (!openai_) p[i] = {p[i].x + v[i].x * dt, p[i].y + v[i].y * dt};
    v[i] = {v[i].x * keep + force[i].x * dt, v[i].y * keep + force[i].y * dt};
    if (kinds[i].max_speed > 0) {
      const double fast = std::sqrt(v[i].x * v[i].x + v[i].y * v[i].y);
      if (fast > kinds[i].max_speed)
        v[i] = {v[i].x / fast * kinds[i].max_speed, v[i].y / fast * kinds[i].max_speed};
    }
    if (openai_) p[i] = {p[i].x + v[i].x * dt, p[i].y + v[i].y * dt};
  }
}

std::string Particles::text(int64_t copy) const {
  std::string out = fmt::format("step {}\n", steps(copy));
  for (int64_t i = 0; i < discs(); ++i) {
    const bool agent = i < spec().agents;
    out += fmt::format("{:<12} ({:+.3f}, {:+.3f})\n",
                       agent ? spec().agent_names[i] : fmt::format("landmark_{}", i - spec().agents),
                       at(copy)[i].x, at(copy)[i].y);
  }
  return out;
}

std::string Particles::svg(int64_t copy) const {
  // The picture shows [-1.5, 1.5]^2, y upwards; what is further out is at its edge.
  Drawing d(300, 300);
  const auto scale = [](double x) { return 150 + 100 * std::clamp(x, -1.5, 1.5); };
  for (int64_t i = discs(); i-- > 0;) {
    const bool agent = i < spec().agents;
    d.circle(scale(at(copy)[i].x), scale(-at(copy)[i].y), 100 * kinds_[i].radius,
             agent ? colour(i) : "#404040", agent ? 0.7 : 1);
    if (agent) d.text(scale(at(copy)[i].x), scale(-at(copy)[i].y), 9, std::to_string(i));
  }
  return d.svg();
}

}  // namespace symma
