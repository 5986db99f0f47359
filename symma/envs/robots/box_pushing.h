// Cooperative box pushing as a table: what a pair of robots may meet, earns and causes.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace symma::box_pushing {

// 96 places of the robots, then the goal states: left, right, both small boxes; the large box.
constexpr int64_t kStates = 100, kLeft = 96, kRight = 97, kBoth = 98, kLarge = 99;
enum Heading : int64_t { kNorth, kEast, kSouth, kWest };
enum Action : int64_t { kTurnLeft, kTurnRight, kForward, kStay };
enum Seen : int64_t { kEmpty, kWall, kRobot, kSmallBox, kLargeBox };

// Robot 0 stands left of robot 1, in cells 0 to 3.
struct Pair {
  std::array<int64_t, 2> cell, heading;
};
int64_t state_of(const Pair&);
Pair pair_of(int64_t state);  // of the 96
int64_t start();

Seen seen(int64_t state, int robot);
// Of what is tried, whether it works or not.
double reward(int64_t state, std::array<int64_t, 2> actions);
// Where those actions lead that work.
int64_t next(int64_t state, std::array<int64_t, 2> actions, std::array<bool, 2> works);

}  // namespace symma::box_pushing
