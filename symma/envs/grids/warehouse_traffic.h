// Who may move in the robot warehouse, when all robots move at once.
#pragma once

#include <cstdint>
#include <span>

namespace symma {

// A cell of the floor.
struct Cell {
  int32_t x, y;
  bool operator==(const Cell&) const = default;
};

// The original's rule (rware, networkx): edges run from each robot's cell to the cell it wants. In each
// connected part of that graph, a ring of three or more moves, two that would swap stay, and where someone
// stays all behind it stay; else the longest queue into the free cell moves. Between queues of equal length
// the original takes whichever its graph lists first, which hangs on the order of CPython's sets of (x, y);
// that order is worked out here, so that episodes agree.
//
// `from` are distinct; `to[i] == from[i]` is a robot that stays. Writes whether each gets what it wants
// (staying robots do). At most 64 robots.
void resolve_traffic(std::span<const Cell> from, std::span<const Cell> to, std::span<bool> granted);

}  // namespace symma
