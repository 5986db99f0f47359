#include "symma/envs/kitchen/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <map>
#include <sstream>
#include <string_view>

#include "symma/core/errors.h"

namespace symma {
namespace {

// Of HumanCompatibleAI/overcooked_ai, MIT, (c) 2019 Center for Human-Compatible AI (Carroll et al. 2019).
const std::map<std::string, std::vector<std::string>>& known_plans() {
  static const std::map<std::string, std::vector<std::string>> plans{
      {"cramped_room", {"XXPXX", "O  2O", "X1  X", "XDXSX"}},
      {"asymmetric_advantages", {"XXXXXXXXX", "O XSXOX S", "X   P 1 X", "X2  P   X", "XXXDXDXXX"}},
      {"coordination_ring", {"XXXPX", "X 1 P", "D2X X", "O   X", "XOSXX"}},
      {"forced_coordination", {"XXXPX", "O X1P", "O2X X", "D X X", "XXXSX"}},
      {"counter_circuit_o_1order", {"XXXPPXXX", "X  2   X", "D XXXX S", "X  1   X", "XXXOOXXX"}}};
  return plans;
}

void find_ways(FloorPlan& p) {
  const int n = p.rows * p.columns;
  p.floor.assign(n, {}), p.beside.assign(n, {}), p.place.assign(n, {}), p.counters.clear();
  for (int c = 0; c < n; ++c) {
    const int row = c / p.columns, column = c % p.columns;
    p.place[c] = {static_cast<int16_t>(row), static_cast<int16_t>(column)};
    p.beside[c] = {row > 0 ? c - p.columns : -1, row + 1 < p.rows ? c + p.columns : -1,
                   column + 1 < p.columns ? c + 1 : -1, column > 0 ? c - 1 : -1};
    if (p.cell[c] == 'X') p.counters.push_back(c);
  }
  for (int c = 0; c < n; ++c) {
    for (int d = 0; d < 4; ++d) {
      const int next = p.step(c, d);
      if (next >= 0 && p.cell[next] == ' ') p.floor[c].push_back(next);
    }
  }
  p.way.assign(n, std::vector<int16_t>(n, FloorPlan::kFar));
  for (int goal = 0; goal < n; ++goal) {
    std::deque<int> queue;
    const auto reach = [&](int c, int16_t steps) {
      if (p.way[c][goal] != FloorPlan::kFar) return;
      p.way[c][goal] = steps;
      queue.push_back(c);
    };
    // What is not floor is reached from beside it.
    if (p.cell[goal] == ' ')
      reach(goal, 0);
    else
      for (int c : p.floor[goal]) reach(c, 0);
    while (!queue.empty()) {
      const int c = queue.front();
      queue.pop_front();
      for (int next : p.floor[c]) reach(next, static_cast<int16_t>(p.way[c][goal] + 1));
    }
  }
  p.nearest.assign(n, {-1, -1, -1});
  for (int c = 0; c < n; ++c) {
    for (int goal = 0; goal < n; ++goal) {
      const auto kind = std::string_view("ODS").find(p.cell[goal]);  // as in FloorPlan::Source
      if (kind == std::string_view::npos) continue;
      int& best = p.nearest[c][kind];
      if (best < 0 || p.way[c][goal] < p.way[c][best]) best = goal;
    }
  }
}

FloorPlan parse(const std::string& place, const std::string& name, const std::vector<std::string>& lines) {
  FloorPlan p;
  p.rows = static_cast<int>(lines.size());
  for (const auto& line : lines) p.columns = std::max(p.columns, static_cast<int>(line.size()));
  const auto no = [&](const std::string& wrong, const std::string& right) {
    throw UserError(place, wrong, right);
  };
  if (p.rows < 3 || p.columns < 3 || p.rows > 30 || p.columns > 30)
    no(fmt::format("plan {} is {} by {}", name, p.rows, p.columns), "3 by 3 to 30 by 30 would be right");
  std::array<int, 2> cooks{-1, -1};
  for (int r = 0; r < p.rows; ++r) {
    for (int c = 0; c < p.columns; ++c) {
      const char x = c < static_cast<int>(lines[r].size()) ? lines[r][c] : ' ';
      const bool edge = r == 0 || c == 0 || r == p.rows - 1 || c == p.columns - 1;
      if (std::string("XPODS12 ").find(x) == std::string::npos)
        no(fmt::format("plan {} has '{}' in row {}", name, x, r + 1), "X P O D S 1 2 and blanks are known");
      if (edge && (x == ' ' || x == '1' || x == '2'))
        no(fmt::format("plan {} is open at row {}, column {}", name, r + 1, c + 1), "close it by counters");
      if (x == '1' || x == '2') {
        if (cooks[x - '1'] >= 0) no(fmt::format("plan {} has cook {} twice", name, x), "each starts once");
        cooks[x - '1'] = r * p.columns + c;
      }
      p.cell.push_back(x == '1' || x == '2' ? ' ' : x);
      if (x == 'P') p.pots.push_back(r * p.columns + c);
    }
  }
  if (cooks[0] < 0 || cooks[1] < 0)
    no(fmt::format("plan {} lacks a cook", name), "say 1 and 2 where they start");
  p.start = cooks;
  find_ways(p);
  for (const char need : {'P', 'O', 'D', 'S'}) {
    bool there = false, near = false;
    for (int c = 0; c < p.rows * p.columns; ++c) {
      if (p.cell[c] != need) continue;
      there = true;
      near = near || p.way[cooks[0]][c] != FloorPlan::kFar || p.way[cooks[1]][c] != FloorPlan::kFar;
    }
    if (!there)
      no(fmt::format("plan {} has no {}", name, need), "pots P, onions O, dishes D and serving S are needed");
    if (!near) no(fmt::format("no cook reaches a {} of plan {}", need, name), "open a way");
  }
  if (p.pots.size() > 4)
    no(fmt::format("plan {} has {} pots", name, p.pots.size()), "at most 4 would be right");
  return p;
}

}  // namespace

FloorPlan FloorPlan::mirrored(int how) const {
  FloorPlan out = *this;
  const auto at = [&](int i) {
    int r = i / columns, c = i % columns;
    if (how & 1) r = rows - 1 - r;
    if (how & 2) c = columns - 1 - c;
    return r * columns + c;
  };
  for (int i = 0; i < rows * columns; ++i) out.cell[at(i)] = cell[i];
  out.start = {at(start[0]), at(start[1])};
  for (size_t k = 0; k < pots.size(); ++k) out.pots[k] = at(pots[k]);
  std::sort(out.pots.begin(), out.pots.end());
  find_ways(out);
  return out;
}

FloorPlan floor_plan(const std::string& name, const std::string& file) {
  std::vector<std::string> names;
  if (file.empty()) {
    for (const auto& [known, lines] : known_plans()) {
      if (known == name) return parse("[task.world] layout", name, lines);
      names.push_back(known);
    }
    throw UserError("[task.world] layout", "\"" + name + "\" is not known", suggestion(name, names));
  }
  std::ifstream in(file);
  if (!in) throw UserError("[task.world] layouts", "\"" + file + "\" cannot be read", "name a file of plans");
  std::string line, title;
  std::vector<std::string> lines;
  const auto ended = [&] { return !title.empty() && title == name; };
  while (std::getline(in, line)) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.find_first_not_of(' ') == std::string::npos) {
      if (ended()) break;
      title.clear(), lines.clear();
    } else if (title.empty()) {
      title = line;
      names.push_back(line);
    } else {
      lines.push_back(line);
    }
  }
  if (!ended()) throw UserError(file, "has no plan \"" + name + "\"", suggestion(name, names));
  return parse(file, name, lines);
}

}  // namespace symma
