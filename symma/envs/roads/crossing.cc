#include "symma/envs/roads/crossing.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace symma {
namespace {

constexpr double kPi = std::numbers::pi, kLong = 5, kWide = 2, kLaneWidth = 4, kLimit = 10, kTop = 40;
constexpr double kObstacle = 2;  // long and wide
constexpr double kSteepest = kPi / 3;
constexpr double kLag = .6;  // in which a player's car takes up its target speed, s

// As Python's remainder has it: in [-pi, pi).
double wrap(double x) {
  if (x >= -kPi && x < kPi) return x;
  const double r = std::fmod(x + kPi, 2 * kPi);
  return (r < 0 ? r + 2 * kPi : r) - kPi;
}
double not_zero(double x) {
  constexpr double kLeast = 1e-2;
  return std::abs(x) > kLeast ? x : x >= 0 ? kLeast : -kLeast;
}

double heading_at(const Lane& l, double s) {
  return l.round ? l.turn * s / l.radius + l.phase + kPi / 2 * l.turn : l.heading;
}
std::array<Lane, kCrossingLanes> made() {
  std::array<Lane, kCrossingLanes> out;
  constexpr double kRight = kLaneWidth + 5, kLeft = kRight + kLaneWidth, kOuter = kRight + kLaneWidth / 2,
                   kArm = 100;
  for (int corner = 0; corner < 4; ++corner) {
    const double angle = kPi / 2 * corner, c = std::cos(angle), s = std::sin(angle);
    const int priority = corner % 2 ? 3 : 1, right = (corner + 3) % 4, left = (corner + 1) % 4,
              across = (corner + 2) % 4;
    const auto straight = [&](int k, int from, int to, double x1, double y1, double x2, double y2) {
      Lane& l = out[5 * corner + k];
      l.from = from, l.to = to, l.priority = priority;
      l.x = c * x1 - s * y1, l.y = s * x1 + c * y1;
      const double dx = c * x2 - s * y2 - l.x, dy = s * x2 + c * y2 - l.y;
      l.length = std::hypot(dx, dy), l.heading = std::atan2(dy, dx);
      l.cos = dx / l.length, l.sin = dy / l.length;
    };
    const auto round = [&](int k, int to, double x, double y, double radius, double from_degrees,
                           double to_degrees, double turn) {
      Lane& l = out[5 * corner + k];
      l.from = 4 + corner, l.to = 8 + to, l.round = true;
      l.priority = turn > 0 ? priority : priority - 1;
      l.x = c * x - s * y, l.y = s * x + c * y;
      l.radius = radius, l.turn = turn;
      l.phase = angle + from_degrees * kPi / 180;
      l.length = radius * (angle + to_degrees * kPi / 180 - l.phase) * turn;
    };
    straight(0, corner, 4 + corner, kLaneWidth / 2, kArm + kOuter, kLaneWidth / 2, kOuter);
    round(1, right, kOuter, kOuter, kRight, 180, 270, 1);
    round(2, left, -kLeft + kLaneWidth / 2, kLeft - kLaneWidth / 2, kLeft, 0, -90, -1);
    straight(3, 4 + corner, 8 + across, kLaneWidth / 2, kOuter, kLaneWidth / 2, -kOuter);
    straight(4, 8 + right, right, kOuter, kLaneWidth / 2, kArm + kOuter, kLaneWidth / 2);
  }
  return out;
}

int lane_between(int from, int to) {
  const auto& lanes = crossing_lanes();
  for (int k = 0; k < kCrossingLanes; ++k)
    if (lanes[k].from == from && lanes[k].to == to) return k;
  return -1;
}

bool near_lane(const Lane& l, const Along& a, double margin) {
  return std::abs(a.lateral) <= kLaneWidth / 2 + margin && a.s >= -kLong && a.s < l.length + kLong;
}

void drop_first(Car& c) {
  std::copy(c.route + 1, c.route + kMostRoute, c.route);
  --c.left;
}

// At the end of the lane that it steers for a car takes the next of its route, or where it has none the
// closest.
void follow_road(Car& c) {
  const auto& lanes = crossing_lanes();
  const Lane& aim = lanes[c.aim];
  const Along a = along(aim, c.x, c.y);
  if (!(a.s > aim.length - kLong / 2)) return;
  if (c.left > 0 && c.route[0] == c.aim) drop_first(c);
  if (c.left > 0 && lanes[c.route[0]].from == aim.to) {
    c.aim = c.route[0];
    return;
  }
  double x, y, least = std::numeric_limits<double>::infinity();
  place_at(aim, a.s, x, y);
  int best = c.aim;
  for (int k = 0; k < kCrossingLanes; ++k) {
    if (lanes[k].from != aim.to) continue;
    const Along b = along(lanes[k], x, y);
    const double far = std::abs(b.lateral) + std::max(b.s - lanes[k].length, 0.0) + std::max(-b.s, 0.0);
    if (far < least) least = far, best = k;
  }
  c.aim = best;
}

double steer(const Car& c) {
  const Lane& l = crossing_lanes()[c.aim];
  const Along a = along(l, c.x, c.y);
  const double ahead = heading_at(l, a.s + c.speed * .1);
  const double sideways = -a.lateral / .6, v = not_zero(c.speed);
  const double turned = std::clamp(std::asin(std::clamp(sideways / v, -1.0, 1.0)), -kPi / 4, kPi / 4);
  const double rate = wrap(ahead + turned - c.heading) / .2;
  const double slip = std::asin(std::clamp(kLong / 2 / v * rate, -1.0, 1.0));
  return std::clamp(std::atan(2 * std::tan(slip)), -kSteepest, kSteepest);
}

const Car* ahead_on(const std::vector<Car>& cars, std::span<const Car> obstacles, const Car& c, int lane) {
  const Lane& l = crossing_lanes()[lane];
  const double own = along(l, c.x, c.y).s;
  const Car* front = nullptr;
  double nearest = 0;
  const auto look = [&](const Car& o) {
    const Along a = along(l, o.x, o.y);
    if (!near_lane(l, a, 1) || own > a.s || (front && a.s > nearest)) return;
    front = &o, nearest = a.s;
  };
  for (const Car& o : cars)
    if (&o != &c && !o.gone) look(o);
  for (const Car& o : obstacles) look(o);
  return front;
}

double accelerate(const Car& c, const Car* front, const Temper& temper) {
  constexpr double kMost = 6, kSoft = 3, kNear = 7;
  const double target = std::clamp(c.target, 0.0, kLimit);
  double a = kMost * (1 - std::pow(std::max(c.speed, 0.0) / std::abs(not_zero(target)), c.delta));
  if (!front) return a;
  const double cos = std::cos(c.heading), sin = std::sin(c.heading);
  const double dv = (c.speed * cos - front->speed * std::cos(front->heading)) * cos +
                    (c.speed * sin - front->speed * std::sin(front->heading)) * sin;
  const double wanted = kNear + c.speed * temper.time_gap + c.speed * dv / (2 * std::sqrt(kMost * kSoft));
  const double r = wanted / not_zero(way_to(c, *front));
  return a - kMost * r * r;
}

struct Point {
  double x, y;
};

// Whether a corner, the centre or the middle of an edge of one rectangle is in the other. The original turns
// the offset by +heading, where -heading is meant; so does this.
bool point_inside(const Point& a, double heading_a, const Point& b, double heading_b, double length,
                  double width) {
  const double ca = std::cos(heading_a), sa = std::sin(heading_a), cb = std::cos(heading_b),
               sb = std::sin(heading_b);
  for (int i = -1; i <= 1; ++i) {
    for (int j = -1; j <= 1; ++j) {
      const double u = i * length / 2, w = j * width / 2;
      const double dx = ca * u - sa * w + a.x - b.x, dy = sa * u + ca * w + a.y - b.y;
      const double p = cb * dx - sb * dy, q = sb * dx + cb * dy;
      if (std::abs(p) <= length / 2 && std::abs(q) <= width / 2) return true;
    }
  }
  return false;
}

// Where it will be at .25, .5 .. 2.75 s.
struct Path {
  Point at[kForeseen];
  double heading[kForeseen];
};

// By its route, where it has come so far after some seconds.
template <class Way>
Path path_by(const Car& c, const Way& way) {
  const auto& lanes = crossing_lanes();
  const double from = along(lanes[c.lane], c.x, c.y).s;
  const int n = c.left > 0 ? c.left : 1;
  const auto lane = [&](int i) -> const Lane& { return lanes[c.left > 0 ? c.route[i] : c.lane]; };
  Path p;
  for (int j = 0; j < kForeseen; ++j) {
    double s = from + way(.25 * (j + 1));
    int k = 0;
    while (k + 1 < n && s > lane(k).length) s -= lane(k++).length;
    place_at(lane(k), s, p.at[j].x, p.at[j].y);
    p.heading[j] = heading_at(lane(k), s);
  }
  return p;
}

Path path_of(const Car& c) {  // at constant speed
  return path_by(c, [&](double t) { return c.speed * t; });
}

bool meet_at(const Path& a, const Path& b, int k) {
  const Point &pa = a.at[k], &pb = b.at[k];
  const double dx = pb.x - pa.x, dy = pb.y - pa.y;
  if (std::sqrt(dx * dx + dy * dy) > kLong) return false;
  const double ha = a.heading[k], hb = b.heading[k];
  return point_inside(pa, ha, pb, hb, 1.5 * kLong, .9 * kWide) ||
         point_inside(pb, hb, pa, ha, 1.5 * kLong, .9 * kWide);
}

bool meet(const Path& a, const Path& b) {
  for (int k = 0; k < kForeseen; ++k)
    if (meet_at(a, b, k)) return true;
  return false;
}

void corners(const Car& c, double length, double width, Point* out) {
  const double cos = std::cos(c.heading), sin = std::sin(c.heading);
  const double u[4] = {-length / 2, -length / 2, length / 2, length / 2},
               w[4] = {-width / 2, width / 2, width / 2, -width / 2};
  for (int k = 0; k < 4; ++k) out[k] = {cos * u[k] - sin * w[k] + c.x, sin * u[k] + cos * w[k] + c.y};
}

// Whether a car and another thing overlap now, or will after both have moved for dt, and by how much the car
// would then have to be pushed.
struct Contact {
  bool now = false, soon = false;
  Point push{0, 0};
};

Contact contact(const Car& a, const Car& b, double length, double width, double dt) {
  const double half =
      (std::sqrt(kLong * kLong + kWide * kWide) + std::sqrt(length * length + width * width)) / 2;
  const double dx = b.x - a.x, dy = b.y - a.y;
  if (std::sqrt(dx * dx + dy * dy) > half + a.speed * dt) return {};
  Point pa[4], pb[4];
  corners(a, kLong, kWide, pa), corners(b, length, width, pb);
  const double mx = (a.speed * std::cos(a.heading) - b.speed * std::cos(b.heading)) * dt,
               my = (a.speed * std::sin(a.heading) - b.speed * std::sin(b.heading)) * dt;
  Contact out{true, true, {0, 0}};
  double least = std::numeric_limits<double>::infinity();
  Point axis{0, 0};
  for (const Point* polygon : {pa, pb}) {
    for (int k = 0; k < 4; ++k) {
      const Point &p = polygon[k], &q = polygon[(k + 1) % 4];
      Point n{p.y - q.y, q.x - p.x};
      const double norm = std::hypot(n.x, n.y);
      n.x /= norm, n.y /= norm;
      double low_a = 1e300, high_a = -1e300, low_b = 1e300, high_b = -1e300;
      for (int i = 0; i < 4; ++i) {
        const double on_a = pa[i].x * n.x + pa[i].y * n.y, on_b = pb[i].x * n.x + pb[i].y * n.y;
        low_a = std::min(low_a, on_a), high_a = std::max(high_a, on_a);
        low_b = std::min(low_b, on_b), high_b = std::max(high_b, on_b);
      }
      const auto apart = [&] { return low_a < low_b ? low_b - high_a : low_a - high_b; };
      if (apart() > 0) out.now = false;
      const double moved = n.x * mx + n.y * my;
      (moved < 0 ? low_a : high_a) += moved;
      const double distance = apart();
      if (distance > 0) out.soon = false;
      if (!out.now && !out.soon) break;
      if (std::abs(distance) < least) {
        least = std::abs(distance);
        const bool toward = -dx * n.x - dy * n.y > 0;
        axis = toward ? n : Point{-n.x, -n.y};
      }
    }
  }
  out.push = {least * axis.x, least * axis.y};
  return out;
}

void collide(Car& a, Car& b, double dt) {
  const Contact c = contact(a, b, kLong, kWide, dt);
  if (c.soon) {
    a.pushed = b.pushed = true;
    a.push_x = c.push.x / 2, a.push_y = c.push.y / 2;
    b.push_x = -a.push_x, b.push_y = -a.push_y;
  }
  if (c.now) a.crashed = b.crashed = true;
}

// What stands takes none of the push.
void run_into(Car& a, const Car& obstacle, double dt) {
  const Contact c = contact(a, obstacle, kObstacle, kObstacle, dt);
  if (c.soon) a.pushed = true, a.push_x = c.push.x, a.push_y = c.push.y;
  if (c.now) a.crashed = true;
}

}  // namespace

void place_at(const Lane& l, double s, double& x, double& y) {
  if (!l.round) {
    x = l.x + s * l.cos, y = l.y + s * l.sin;
    return;
  }
  const double phi = l.turn * s / l.radius + l.phase;
  x = l.x + l.radius * std::cos(phi), y = l.y + l.radius * std::sin(phi);
}

const std::array<Lane, kCrossingLanes>& crossing_lanes() {
  static const std::array<Lane, kCrossingLanes> lanes = made();
  return lanes;
}

Along along(const Lane& l, double x, double y) {
  const double dx = x - l.x, dy = y - l.y;
  if (!l.round) return {dx * l.cos + dy * l.sin, -dx * l.sin + dy * l.cos};
  const double phi = wrap(std::atan2(dy, dx) - l.phase);
  return {l.turn * phi * l.radius, l.turn * (l.radius - std::sqrt(dx * dx + dy * dy))};
}

int closest_lane(const Car& c) {
  const auto& lanes = crossing_lanes();
  double least = std::numeric_limits<double>::infinity();
  int best = 0;
  const auto look = [&](int k) {
    const Lane& l = lanes[k];
    if (l.round) {
      // How far aside it is needs no angle, and is no more than the distance.
      const double dx = c.x - l.x, dy = c.y - l.y;
      if (std::abs(l.radius - std::sqrt(dx * dx + dy * dy)) > least) return;
    }
    const Along a = along(l, c.x, c.y);
    double far = std::abs(a.lateral) + std::max(a.s - l.length, 0.0) + std::max(-a.s, 0.0);
    if (far > least) return;
    far += std::abs(wrap(c.heading - heading_at(l, a.s)));
    if (far < least || (far == least && k < best)) least = far, best = k;
  };
  look(c.lane);
  for (int k = 0; k < kCrossingLanes; ++k)
    if (k != c.lane) look(k);
  return best;
}

Car car_on(int arm, double s, double speed, int destination) {
  const auto& lanes = crossing_lanes();
  Car c;
  place_at(lanes[incoming(arm)], s, c.x, c.y);
  c.heading = heading_at(lanes[incoming(arm)], s);
  c.speed = c.target = speed;
  c.lane = incoming(arm);
  c.lane = c.aim = closest_lane(c);
  c.route[c.left++] = incoming(arm);
  const auto take = [&](int from, int to) { c.route[c.left++] = lane_between(from, to); };
  int at = arm;
  if (destination == arm) {  // around a loop by the first arm that is another
    const int by = arm == 0 ? 1 : 0;
    take(4 + arm, 8 + by), take(8 + by, by), take(by, 4 + by);
    at = by;
  }
  take(4 + at, 8 + destination), take(8 + destination, destination);
  return c;
}

Car obstacle_in(int cell) {
  constexpr int kOf = 20;
  const int arm = cell / kOf % 4, lane = cell < 4 * kOf ? incoming(arm) : incoming((arm + 1) % 4) + 4;
  const double s = 5.0 * (cell % kOf) + 2.5;
  Car c;
  place_at(crossing_lanes()[lane], s, c.x, c.y);
  c.heading = heading_at(crossing_lanes()[lane], s);
  c.lane = c.aim = lane;
  return c;
}

bool on_road(const Car& c) {
  const Lane& l = crossing_lanes()[c.lane];
  return near_lane(l, along(l, c.x, c.y), 0);
}

bool has_arrived(const Car& c) {
  return is_exit(c.lane) && along(crossing_lanes()[c.lane], c.x, c.y).s >= 25;
}

double way_to(const Car& c, const Car& o) {
  const Lane& l = crossing_lanes()[c.lane];
  return along(l, o.x, o.y).s - along(l, c.x, c.y).s;
}

void decide(std::vector<Car>& cars, std::span<const Car> obstacles, const Temper& temper) {
  for (Car& c : cars) {
    if (c.gone || (!c.controlled && c.crashed)) continue;
    follow_road(c);
    c.steering = steer(c);
    if (c.controlled) {
      c.acceleration = (c.target - c.speed) / kLag;
      continue;
    }
    double a = accelerate(c, ahead_on(cars, obstacles, c, c.lane), temper);
    if (c.lane != c.aim) a = std::min(a, accelerate(c, ahead_on(cars, obstacles, c, c.aim), temper));
    c.acceleration = std::clamp(a, -temper.most, temper.most);
  }
}

bool conflict(const Car& a, const Car& b) {
  return meet(path_of(a), path_of(b));
}

void foresee(const std::vector<Car>& cars, std::span<const Car> obstacles, const Car& own,
             std::span<const double> targets, float* out) {
  thread_local std::vector<Path> mine;
  mine.clear();
  for (const double target : targets)
    mine.push_back(path_by(
        own, [&](double t) { return target * t + (own.speed - target) * kLag * (1 - std::exp(-t / kLag)); }));
  std::fill_n(out, targets.size() * kForeseen, 0.F);
  const auto look = [&](const Path& its) {
    for (size_t i = 0; i < mine.size(); ++i)
      for (int k = 0; k < kForeseen; ++k)
        if (meet_at(mine[i], its, k)) out[i * kForeseen + k] = 1;
  };
  for (const Car& c : cars)
    if (&c != &own && !c.gone) look(path_of(c));
  for (const Car& o : obstacles) look(path_of(o));
}

bool first_yields(const Car& a, const Car& b) {
  const auto& lanes = crossing_lanes();
  const int pa = lanes[a.lane].priority, pb = lanes[b.lane].priority;
  if (pa != pb) return pa < pb;
  const double dx = b.x - a.x, dy = b.y - a.y;
  return std::cos(a.heading) * dx + std::sin(a.heading) * dy >
         -std::cos(b.heading) * dx - std::sin(b.heading) * dy;
}

void rule(std::vector<Car>& cars) {
  for (Car& c : cars) {
    if (c.yielding) c.target = kLimit, c.yielding = false;
  }
  thread_local std::vector<Path> paths;
  paths.clear();
  for (const Car& c : cars) paths.push_back(c.gone ? Path{} : path_of(c));
  for (size_t i = 0; i < cars.size(); ++i) {
    for (size_t j = i + 1; j < cars.size(); ++j) {
      if (cars[i].gone || cars[j].gone || !meet(paths[i], paths[j])) continue;
      Car& who = first_yields(cars[i], cars[j]) ? cars[i] : cars[j];
      if (who.controlled || who.ignores) continue;
      who.target = 0, who.yielding = true;
    }
  }
}

void move(std::vector<Car>& cars, std::span<const Car> obstacles, double dt) {
  for (Car& c : cars) {
    if (c.gone) continue;
    if (c.crashed) c.steering = 0, c.acceleration = -c.speed;
    if (c.speed > kTop) c.acceleration = std::min(c.acceleration, kTop - c.speed);
    if (c.speed < -kTop) c.acceleration = std::max(c.acceleration, -kTop - c.speed);
    const double beta = std::atan(std::tan(c.steering) / 2);
    c.x += c.speed * std::cos(c.heading + beta) * dt, c.y += c.speed * std::sin(c.heading + beta) * dt;
    if (c.pushed) {
      c.x += c.push_x, c.y += c.push_y;
      c.crashed = true, c.pushed = false;
    }
    c.heading += c.speed * std::sin(beta) / (kLong / 2) * dt;
    c.speed += c.acceleration * dt;
    c.lane = closest_lane(c);
  }
  for (size_t i = 0; i < cars.size(); ++i) {
    for (size_t j = i + 1; j < cars.size(); ++j)
      if (!cars[i].gone && !cars[j].gone) collide(cars[i], cars[j], dt);
    for (const Car& o : obstacles)
      if (!cars[i].gone) run_into(cars[i], o, dt);
  }
}

}  // namespace symma
