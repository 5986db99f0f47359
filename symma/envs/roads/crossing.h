// A crossing of two roads and the cars on it: lanes, steering, traffic, right of way and collisions as
// HighwayEnv 1.12.1 has them (Leurent 2018, MIT), written from their rules.
//
// Arms are 0 south, 1 west, 2 north, 3 east; y grows to the south. Each corner has five lanes: incoming,
// right turn, left turn, straight on, and the exit to the arm on its right.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace symma {

constexpr int kCrossingLanes = 20, kMostRoute = 6, kForeseen = 11;
constexpr int kCells =
    160;  // of 5 m: 20 of each arm's incoming lane, then 20 of each arm's exit, as one drives

struct Lane {
  int from = 0, to = 0;  // nodes: 4 kind + arm, of kind 0 outer, 1 in, 2 out
  bool round = false;
  double x = 0, y = 0;                     // of the start; of the centre of a turn
  double cos = 0, sin = 0;                 // direction
  double heading = 0;                      // of a straight lane
  double radius = 0, phase = 0, turn = 1;  // turn: 1 clockwise
  double length = 0;
  int priority = 0;
};

const std::array<Lane, kCrossingLanes>& crossing_lanes();
inline int incoming(int arm) {
  return 5 * arm;
}
inline bool is_exit(int lane) {
  return lane % 5 == 4;
}

struct Car {
  double x = 0, y = 0, heading = 0, speed = 0, target = 0;
  double cos = 1, sin = 0;  // of its heading: see `face`
  double delta = 4;         // of the driver model
  // The last command. What is steered is kept as the sine of the angle between a car's way and its heading:
  // of an angle s of the front wheels, that is sin(atan(tan(s) / 2)).
  double slip = 0, acceleration = 0;
  double push_x = 0, push_y = 0;  // of a collision, at the next move
  bool pushed = false, crashed = false, controlled = false, yielding = false, ignores = false, gone = false;
  int lane = 0, aim = 0;  // present lane, and the one that it steers for
  int route[kMostRoute] = {};
  int left = 0;  // lanes of its route that are left, from `route[0]`
};

inline void face(Car& c, double heading) {
  c.heading = heading, c.cos = std::cos(heading), c.sin = std::sin(heading);
}

struct Temper {
  double time_gap = 1.5, most = 6;  // s; hardest braking and acceleration of traffic, m/s^2
};

// A car on an arm's incoming lane that goes to another arm, or around a loop to its own.
Car car_on(int arm, double along, double speed, int destination);
// What stands in a cell and never moves, 2 m by 2 (HighwayEnv's Obstacle). Functions below take such apart
// from the cars: they decide nothing and have no right of way.
Car obstacle_in(int cell);
int closest_lane(const Car&);
struct Along {
  double s, lateral;
};
Along along(const Lane&, double x, double y);
void place_at(const Lane&, double s, double& x, double& y);  // in the middle of the lane
bool on_road(const Car&);
bool has_arrived(const Car&);                 // 25 m into an exit
double way_to(const Car&, const Car& other);  // along the present lane of the first

// All cars decide: steering, and traffic's speed.
void decide(std::vector<Car>&, std::span<const Car> obstacles, const Temper&);
// Whether two cars, at constant speed along their routes, come too close within 3 s.
bool conflict(const Car&, const Car&);
// For each target speed that a car may go for, whether it then comes too close to another, which keeps its
// speed, or to an obstacle, at .25, .5 .. 2.75 s: 1 or 0, [targets, kForeseen].
void foresee(const std::vector<Car>&, std::span<const Car> obstacles, const Car&,
             std::span<const double> targets, float* out);
// Of two in conflict, whether the first has to give way.
bool first_yields(const Car&, const Car&);
void rule(std::vector<Car>&);
void move(std::vector<Car>&, std::span<const Car> obstacles, double dt);  // and collide

}  // namespace symma
