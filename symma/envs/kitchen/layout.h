// A kitchen's floor plan, and its ways. X counter, P pot, O onions, D dishes, S serving, 1 and 2 where the
// cooks start, blank floor: the letters of Overcooked-AI.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace symma {

struct FloorPlan {
  int rows = 0, columns = 0;
  std::vector<char> cell;               // [rows columns]
  std::array<int, 2> start{};           // where the cooks stand
  std::vector<int> pots;                // cells
  std::vector<std::vector<int>> floor;  // [cells]: neighbours that can be stood on
  std::vector<std::vector<int16_t>>
      way;  // [cells][cells] steps from floor to beside or on the cell; kFar: none
  static constexpr int16_t kFar = 9999;
  std::vector<int> counters;                  // cells
  std::vector<std::array<int, 4>> beside;     // [cells]: to the N S E W; -1 beyond the edge
  std::vector<std::array<int16_t, 2>> place;  // [cells]: row and column
  enum Source { kOnions, kDishes, kServing };
  std::vector<std::array<int, 3>> nearest;  // [cells]: the nearest of each source, the first of equals

  int step(int from, int direction) const { return beside[from][direction]; }
  // Upside down where the first bit is set, left to right where the second is.
  FloorPlan mirrored(int how) const;
};

// A plan of the five that are known, or one of a file of such plans, by name: a line with a name, then the
// plan, then an empty line. Throws UserError for a plan that cannot be cooked in.
FloorPlan floor_plan(const std::string& name, const std::string& file);

}  // namespace symma
