#include "symma/envs/roads/crossing.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace symma {
namespace {

constexpr double kPi = std::numbers::pi, kLong = 5, kWide = 2, kLaneWidth = 4, kLimit = 10, kTop = 40;
constexpr double kObstacle = 2;  // long and wide
// The front wheels turn by pi / 3 at most: sin(atan(tan(pi / 3) / 2)), which is sqrt(3 / 7).
const double kMostSlip = std::sqrt(3.0 / 7), kDiagonal = std::sqrt(kLong * kLong + kWide * kWide);
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

const std::array<Lane, kCrossingLanes>& kEveryLane = crossing_lanes();

int lane_between(int from, int to) {
  for (int k = 0; k < kCrossingLanes; ++k)
    if (kEveryLane[k].from == from && kEveryLane[k].to == to) return k;
  return -1;
}

// How far to the right of a lane a place is, which needs no angle.
double aside(const Lane& l, double x, double y) {
  const double dx = x - l.x, dy = y - l.y;
  return l.round ? l.turn * (l.radius - std::sqrt(dx * dx + dy * dy)) : -dx * l.sin + dy * l.cos;
}
double how_far(const Lane& l, double x, double y) {
  const double dx = x - l.x, dy = y - l.y;
  return l.round ? l.turn * wrap(std::atan2(dy, dx) - l.phase) * l.radius : dx * l.cos + dy * l.sin;
}

bool within(const Lane& l, double s) {
  return s >= -kLong && s < l.length + kLong;
}

void drop_first(Car& c) {
  std::copy(c.route + 1, c.route + kMostRoute, c.route);
  --c.left;
}

// At the end of the lane that it steers for a car takes the next of its route, or where it has none the
// closest. Returns where it is along the lane that it then steers for.
Along follow_road(Car& c) {
  const Lane& aim = kEveryLane[c.aim];
  const Along a = along(aim, c.x, c.y);
  if (!(a.s > aim.length - kLong / 2)) return a;
  if (c.left > 0 && c.route[0] == c.aim) drop_first(c);
  if (c.left > 0 && kEveryLane[c.route[0]].from == aim.to) {
    c.aim = c.route[0];
    return along(kEveryLane[c.aim], c.x, c.y);
  }
  double x, y, least = std::numeric_limits<double>::infinity();
  place_at(aim, a.s, x, y);
  int best = c.aim;
  for (int k = 0; k < kCrossingLanes; ++k) {
    if (kEveryLane[k].from != aim.to) continue;
    const Along b = along(kEveryLane[k], x, y);
    const double far = std::abs(b.lateral) + std::max(b.s - kEveryLane[k].length, 0.0) + std::max(-b.s, 0.0);
    if (far < least) least = far, best = k;
  }
  c.aim = best;
  return along(kEveryLane[best], c.x, c.y);
}

// Most cars hardly turn, and so small an angle is its sine to the last digit.
double arcsine(double x) {
  constexpr double kSmall = 1e-4;
  return std::abs(x) < kSmall ? x * (1 + x * x / 6) : std::asin(x);
}

// The slip that it asks for, from where it is along the lane that it steers for.
double steer(const Car& c, const Along& a) {
  const double ahead = heading_at(kEveryLane[c.aim], a.s + c.speed * .1);
  const double sideways = -a.lateral / .6, v = not_zero(c.speed);
  const double turned = std::clamp(arcsine(std::clamp(sideways / v, -1.0, 1.0)), -kPi / 4, kPi / 4);
  const double rate = wrap(ahead + turned - c.heading) / .2;
  return std::clamp(kLong / 2 / v * rate, -kMostSlip, kMostSlip);
}

const Car* ahead_on(const std::vector<Car>& cars, std::span<const Car> obstacles, const Car& c, int lane) {
  const Lane& l = kEveryLane[lane];
  const double own = how_far(l, c.x, c.y);
  const Car* front = nullptr;
  double nearest = 0;
  const auto look = [&](const Car& o) {
    if (std::abs(aside(l, o.x, o.y)) > kLaneWidth / 2 + 1) return;
    const double s = how_far(l, o.x, o.y);
    if (!within(l, s) || own > s || (front && s > nearest)) return;
    front = &o, nearest = s;
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
  const double dv = (c.speed * c.cos - front->speed * front->cos) * c.cos +
                    (c.speed * c.sin - front->speed * front->sin) * c.sin;
  const double wanted = kNear + c.speed * temper.time_gap + c.speed * dv / (2 * std::sqrt(kMost * kSoft));
  const Lane& present = kEveryLane[c.lane];
  const double r = wanted / not_zero(how_far(present, front->x, front->y) - how_far(present, c.x, c.y));
  return a - kMost * r * r;
}

struct Spot {
  double x, y;
};

// Whether a corner, the centre or the middle of an edge of one rectangle is in the other. The original turns
// the offset by +heading, where -heading is meant; so does this.
bool point_inside(const Spot& a, double heading_a, const Spot& b, double heading_b, double length,
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
  Spot at[kForeseen];
  double heading[kForeseen];
};

// Along its route: where it is after so many metres.
class Way {
 public:
  explicit Way(const Car& c) : c_(c), from_(how_far(kEveryLane[c.lane], c.x, c.y)) {}
  Spot at(double further, double& heading) const {
    double s = from_ + further;
    int k = 0;
    while (k + 1 < c_.left && s > lane(k).length) s -= lane(k++).length;
    Spot p;
    place_at(lane(k), s, p.x, p.y);
    heading = heading_at(lane(k), s);
    return p;
  }

 private:
  const Lane& lane(int k) const { return kEveryLane[c_.left > 0 ? c_.route[k] : c_.lane]; }
  const Car& c_;
  double from_;
};

// Where it has come so far after some seconds.
template <class Metres>
Path path_by(const Car& c, const Metres& metres) {
  const Way way(c);
  Path p;
  for (int j = 0; j < kForeseen; ++j) p.at[j] = way.at(metres(.25 * (j + 1)), p.heading[j]);
  return p;
}

Path path_of(const Car& c) {  // at constant speed
  return path_by(c, [&](double t) { return c.speed * t; });
}

double squared(const Spot& a, const Spot& b) {
  return (a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y);
}

bool meet_at(const Path& a, const Path& b, int k) {
  const Spot &pa = a.at[k], &pb = b.at[k];
  if (squared(pa, pb) > kLong * kLong) return false;
  const double ha = a.heading[k], hb = b.heading[k];
  return point_inside(pa, ha, pb, hb, 1.5 * kLong, .9 * kWide) ||
         point_inside(pb, hb, pa, ha, 1.5 * kLong, .9 * kWide);
}

bool meet(const Path& a, const Path& b) {
  for (int k = 0; k < kForeseen; ++k)
    if (meet_at(a, b, k)) return true;
  return false;
}

// A car that keeps to its lane turns by so little that its direction is known from the last.
void turn(Car& c, double by) {
  constexpr double kSmall = 1e-6;
  if (std::abs(by) > kSmall) return face(c, c.heading + by);
  const double heading = c.heading + by, turned = heading - c.heading, cos = c.cos;
  c.heading = heading;
  c.cos -= turned * (c.sin + turned / 2 * cos), c.sin += turned * (cos - turned / 2 * c.sin);
}

void corners(const Car& c, double length, double width, Spot* out) {
  const double u[4] = {-length / 2, -length / 2, length / 2, length / 2},
               w[4] = {-width / 2, width / 2, width / 2, -width / 2};
  for (int k = 0; k < 4; ++k) out[k] = {c.cos * u[k] - c.sin * w[k] + c.x, c.sin * u[k] + c.cos * w[k] + c.y};
}

// Whether a car and another thing overlap now, or will after both have moved for dt, and by how much the car
// would then have to be pushed.
struct Contact {
  bool now = false, soon = false;
  Spot push{0, 0};
};

Contact contact(const Car& a, const Car& b, double length, double width, double dt) {
  const double dx = b.x - a.x, dy = b.y - a.y;
  Spot pa[4], pb[4];
  corners(a, kLong, kWide, pa), corners(b, length, width, pb);
  const double mx = (a.speed * a.cos - b.speed * b.cos) * dt, my = (a.speed * a.sin - b.speed * b.sin) * dt;
  Contact out{true, true, {0, 0}};
  double least = std::numeric_limits<double>::infinity();
  Spot axis{0, 0};
  for (const Spot* polygon : {pa, pb}) {
    for (int k = 0; k < 4; ++k) {
      const Spot &p = polygon[k], &q = polygon[(k + 1) % 4];
      Spot n{p.y - q.y, q.x - p.x};
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
        axis = toward ? n : Spot{-n.x, -n.y};
      }
    }
  }
  out.push = {least * axis.x, least * axis.y};
  return out;
}

// Too far for that, at the diagonal of what the car may meet.
bool out_of_reach(const Car& a, const Car& b, double diagonal, double dt) {
  const double reach = (kDiagonal + diagonal) / 2 + a.speed * dt;
  return squared({a.x, a.y}, {b.x, b.y}) > reach * reach;
}

void collide(Car& a, Car& b, double dt) {
  if (out_of_reach(a, b, kDiagonal, dt)) return;
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
  if (out_of_reach(a, obstacle, kObstacle * std::numbers::sqrt2, dt)) return;
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
  return {how_far(l, x, y), aside(l, x, y)};
}

int closest_lane(const Car& c) {
  double least = std::numeric_limits<double>::infinity();
  int best = 0;
  const auto look = [&](int k) {
    const Lane& l = kEveryLane[k];
    double far = std::abs(aside(l, c.x, c.y));
    if (far > least) return;
    const double s = how_far(l, c.x, c.y);
    far += std::max(s - l.length, 0.0) + std::max(-s, 0.0);
    if (far > least) return;
    far += std::abs(wrap(c.heading - heading_at(l, s)));
    if (far < least || (far == least && k < best)) least = far, best = k;
  };
  look(c.lane);
  // The ways over the crossing, with the circles that turns are parts of, end 24 m from its middle; and there
  // every lane that is left is 4 m or more from the next.
  const auto crosses = [](int k) { return !is_exit(k) && k % 5 != 0; };
  const bool outside = std::max(std::abs(c.x), std::abs(c.y)) - 24 > least;
  if (outside && !crosses(c.lane) && least < 1) return best;
  for (int k = 0; k < kCrossingLanes; ++k)
    if (k != c.lane && !(outside && crosses(k))) look(k);
  return best;
}

Car car_on(int arm, double s, double speed, int destination) {
  Car c;
  place_at(kEveryLane[incoming(arm)], s, c.x, c.y);
  face(c, heading_at(kEveryLane[incoming(arm)], s));
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
  place_at(kEveryLane[lane], s, c.x, c.y);
  face(c, heading_at(kEveryLane[lane], s));
  c.lane = c.aim = lane;
  return c;
}

bool on_road(const Car& c) {
  const Along a = along(kEveryLane[c.lane], c.x, c.y);
  return std::abs(a.lateral) <= kLaneWidth / 2 && within(kEveryLane[c.lane], a.s);
}

bool has_arrived(const Car& c) {
  return is_exit(c.lane) && how_far(kEveryLane[c.lane], c.x, c.y) >= 25;
}

double way_to(const Car& c, const Car& o) {
  const Lane& l = kEveryLane[c.lane];
  return how_far(l, o.x, o.y) - how_far(l, c.x, c.y);
}

void decide(std::vector<Car>& cars, std::span<const Car> obstacles, const Temper& temper) {
  for (Car& c : cars) {
    if (c.gone || (!c.controlled && c.crashed)) continue;
    c.slip = steer(c, follow_road(c));
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
  const int pa = kEveryLane[a.lane].priority, pb = kEveryLane[b.lane].priority;
  if (pa != pb) return pa < pb;
  const double dx = b.x - a.x, dy = b.y - a.y;
  return std::cos(a.heading) * dx + std::sin(a.heading) * dy >
         -std::cos(b.heading) * dx - std::sin(b.heading) * dy;
}

void rule(std::vector<Car>& cars) {
  for (Car& c : cars) {
    if (c.yielding) c.target = kLimit, c.yielding = false;
  }
  // Who is so far from another that neither gets there within 3 s needs no more of its path than where that
  // starts.
  struct Ahead {
    Spot first{0, 0};
    bool drawn = false;
    Path path;
  };
  thread_local std::vector<Ahead> paths;
  paths.resize(std::max(paths.size(), cars.size()));
  for (size_t i = 0; i < cars.size(); ++i) {
    if (cars[i].gone) continue;
    double heading;
    paths[i].first = Way(cars[i]).at(.25 * cars[i].speed, heading), paths[i].drawn = false;
  }
  const auto path = [&](size_t i) -> const Path& {
    if (!paths[i].drawn) paths[i].path = path_of(cars[i]), paths[i].drawn = true;
    return paths[i].path;
  };
  constexpr double kRest = .25 * (kForeseen - 1);
  for (size_t i = 0; i < cars.size(); ++i) {
    for (size_t j = i + 1; j < cars.size(); ++j) {
      if (cars[i].gone || cars[j].gone) continue;
      const double reach = kLong + kRest * (std::abs(cars[i].speed) + std::abs(cars[j].speed)) + 1e-6;
      if (squared(paths[i].first, paths[j].first) > reach * reach || !meet(path(i), path(j))) continue;
      Car& who = first_yields(cars[i], cars[j]) ? cars[i] : cars[j];
      if (who.controlled || who.ignores) continue;
      who.target = 0, who.yielding = true;
    }
  }
}

void move(std::vector<Car>& cars, std::span<const Car> obstacles, double dt) {
  for (Car& c : cars) {
    if (c.gone) continue;
    if (c.crashed) c.slip = 0, c.acceleration = -c.speed;
    if (c.speed > kTop) c.acceleration = std::min(c.acceleration, kTop - c.speed);
    if (c.speed < -kTop) c.acceleration = std::max(c.acceleration, -kTop - c.speed);
    const double straight = std::sqrt(1 - c.slip * c.slip), way = c.speed * dt;
    c.x += way * (c.cos * straight - c.sin * c.slip), c.y += way * (c.sin * straight + c.cos * c.slip);
    if (c.pushed) {
      c.x += c.push_x, c.y += c.push_y;
      c.crashed = true, c.pushed = false;
    }
    turn(c, c.speed * c.slip / (kLong / 2) * dt);
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
