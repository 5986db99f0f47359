// Level-based foraging, the rules of version 3 (lbforaging 2.x; Christianos et al. 2020, arXiv:2006.07169;
// Papoudakis et al. 2021, arXiv:2006.07869).
//
// Agents walk on a grid; agents beside a food that load at the same step take it if their levels add up to
// its level. Each then earns level * food / (sum of the loaders' levels * total food at the start), so a
// whole field is worth 1. What the original does, and a reader may not expect:
//   - An action that cannot be done is no action. With `mask` these are masked instead.
//   - Whoever would share a target cell with another stays. But who follows an agent that then stays walks
//   into its
//     cell, and two stand in one.
//   - Levels of agents and of food are drawn anew in every episode. Food is never on the border, nor beside
//   food.
// An observation is, for each food in reading order, (row, column, level), then the same for oneself and the
// others in order; what is out of sight or gone is (-1, -1, 0). Places count from the corner of what is seen.
// An episode terminates when no food is left; the original reports the step limit as the same.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {
namespace {

constexpr int64_t kMostAgents = 20, kMostFoods = 20, kMostSide = 30;
constexpr int64_t kAttempts = 1000;  // places tried before a food or an agent is left out, as in the original
constexpr uint8_t kWall = 255;
enum Act : int64_t { kNone, kGoNorth, kGoSouth, kGoWest, kGoEast, kPickUp };

class Foraging final : public Copies {
 public:
  struct Options : CopyOptions {
    int64_t rows = 8, columns = 8, agents = 2, foods = 3, sight = 0;
    int64_t max_agent_level = 2, max_food_level = 0;
    bool coop = false, normalize = true, mask = false;
    double penalty = 0;
    Options() { limit = 50; }
    void fields(Fields& f) {
      f.add("rows", rows, "of the field").at_least(3).at_most(kMostSide);
      f.add("columns", columns, "of the field").at_least(3).at_most(kMostSide);
      f.add("agents", agents, "on the field").at_least(1).at_most(kMostAgents);
      f.add("foods", foods, "at the start, at most").at_least(1).at_most(kMostFoods);
      f.add("sight", sight, "cells that an agent sees each way; 0: all").at_least(0).of_what_is_seen();
      f.add("max_agent_level", max_agent_level, "levels are drawn from 1 to this").at_least(1).at_most(10);
      f.add("max_food_level", max_food_level,
            "food levels are drawn from 1 to this; 0: to the sum of the three lowest agents'")
          .at_least(0)
          .at_most(30);
      f.add("coop", coop, "every food has the highest level, so that all must load it");
      f.add("normalize", normalize, "a whole field is worth 1");
      f.add("mask", mask, "mask actions that cannot be done, rather than take them for none");
      f.add("penalty", penalty, "for a load that fails").at_least(0);
      CopyOptions::fields(f);
    }
  };

  Foraging(const Options& o, int64_t copies)
      : Copies(make_spec(o, copies), o,
               {{.name = "foods",
                 .doc = "at the start",
                 .value = double(o.foods),
                 .whole = true,
                 .train = {1, double(o.foods)},
                 .test = {1, double(o.foods)},
                 .ood = {double(o.foods), double(o.foods)},
                 .may = {1, double(o.foods)}},
                {.name = "max_agent_level",
                 .doc = "levels are drawn from 1 to this",
                 .value = double(o.max_agent_level),
                 .whole = true,
                 .train = {1, 2},
                 .test = {1, 2},
                 .ood = {3, 4},
                 .may = {1, most_level(o)}},
                {.name = "penalty",
                 .doc = "for a load that fails",
                 .value = o.penalty,
                 .train = {0, 0.1},
                 .test = {0, 0.1},
                 .ood = {0.2, 0.3},
                 .may = {0, 1e6}}},
               3 * o.agents + 3 * o.foods + 2),
        o_(o),
        sight_(o.sight ? o.sight : std::max(o.rows, o.columns)),
        width_(o.columns + 2),
        fields_(copies) {
    if ((o.rows - 2) * (o.columns - 2) < o.foods || o.rows * o.columns <= o.agents + o.foods) {
      throw UserError("foraging",
                      fmt::format("{} agents and {} foods do not fit on {} x {} cells", o.agents, o.foods,
                                  o.rows, o.columns),
                      "take a larger field; food is never on the border");
    }
    grid_.resize(copies * (o.rows + 2) * width_);
  }

  std::string text(int64_t e) const override {
    const Field& w = fields_[e];
    std::string out;
    for (int64_t r = 0; r < o_.rows; ++r) {
      for (int64_t c = 0; c < o_.columns; ++c) {
        std::string cell = " .";
        if (const int food = grid(e)[at(r, c)]) cell = fmt::format("f{}", food);
        for (int64_t i = o_.agents; i-- > 0;) {
          if (w.row[i] == r && w.column[i] == c)
            cell = fmt::format("{}{}", static_cast<char>('A' + i), w.level[i]);
        }
        out += cell + " ";
      }
      out += "\n";
    }
    return out;
  }

  std::string svg(int64_t e) const override {
    const Field& w = fields_[e];
    Drawing d(30.0 * o_.columns, 30.0 * o_.rows);
    for (int64_t r = 1; r < o_.rows; ++r) d.line(0, 30.0 * r, 30.0 * o_.columns, 30.0 * r, "#dddddd", 1);
    for (int64_t c = 1; c < o_.columns; ++c) d.line(30.0 * c, 0, 30.0 * c, 30.0 * o_.rows, "#dddddd", 1);
    for (int64_t r = 0; r < o_.rows; ++r) {
      for (int64_t c = 0; c < o_.columns; ++c) {
        const int food = grid(e)[at(r, c)];
        if (!food) continue;
        d.circle(30.0 * c + 15, 30.0 * r + 15, 10, "#d62728");
        d.text(30.0 * c + 15, 30.0 * r + 15, 12, std::to_string(food), "white");
      }
    }
    for (int64_t i = 0; i < o_.agents; ++i) {
      d.rect(30.0 * w.column[i] + 4, 30.0 * w.row[i] + 4, 22, 22, colour(i == 3 ? 9 : i));
      d.text(30.0 * w.column[i] + 15, 30.0 * w.row[i] + 15, 12, std::to_string(w.level[i]), "white");
    }
    return d.svg();
  }

 private:
  // One copy. Food that is gone has level 0 and keeps its slot, so what is left stays in reading order.
  struct Field {
    std::array<int8_t, kMostAgents> row, column, level;
    std::array<int8_t, kMostFoods> food_row, food_column, food_level;
    int foods, left, total;  // slots in use; foods left; their levels' sum at the start
  };

  // The highest level that an agent has in any task: observations are bounded by it.
  static double most_level(const Options& o) { return double(std::max<int64_t>(4, o.max_agent_level)); }

  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "foraging";
    s.variant = fmt::format("v3, {}{}x{}-{}p-{}f{}", o.sight ? fmt::format("{}s-", o.sight) : "", o.rows,
                            o.columns, o.agents, o.foods, o.coop ? "-coop" : "");
    s.copies = copies;
    s.agents = o.agents;
    s.obs = 3 * o.foods + 3 * o.agents;
    s.actions = 6;
    s.action_names = {"none", "north", "south", "west", "east", "load"};
    s.obs_low = -1;
    s.obs_high = std::max<double>(
        {double(o.rows), double(o.columns), 3.0 * most_level(o), double(o.max_food_level), 2.0 * o.sight});
    return s;
  }

  // The grid has a rim of walls, so that a step off the field is a step into one.
  int64_t at(int64_t row, int64_t column) const { return (row + 1) * width_ + column + 1; }
  uint8_t* grid(int64_t e) { return &grid_[e * (o_.rows + 2) * width_]; }
  const uint8_t* grid(int64_t e) const { return &grid_[e * (o_.rows + 2) * width_]; }

  void clear(int64_t e) {
    uint8_t* g = grid(e);
    std::fill_n(g, (o_.rows + 2) * width_, kWall);
    for (int64_t r = 0; r < o_.rows; ++r) std::fill_n(g + at(r, 0), o_.columns, uint8_t{0});
  }

  void begin(int64_t e, Rng episode) override {
    Field& w = fields_[e];
    Draws draws(episode);
    clear(e);
    uint8_t* g = grid(e);
    const auto taken = [&](int64_t r, int64_t c, int64_t agents) {
      for (int64_t i = 0; i < agents; ++i) {
        if (w.row[i] == r && w.column[i] == c) return true;
      }
      return false;
    };
    const auto top = static_cast<int64_t>(task(e)[1]);
    for (int64_t i = 0; i < o_.agents; ++i) {
      int64_t r, c;
      do {  // a free cell exists, as the constructor saw to
        r = draws.below(o_.rows);
        c = draws.below(o_.columns);
      } while (taken(r, c, i));
      w.row[i] = static_cast<int8_t>(r), w.column[i] = static_cast<int8_t>(c);
      w.level[i] = static_cast<int8_t>(1 + draws.below(top));
    }
    int64_t highest = o_.max_food_level;
    if (!highest) {
      std::array<int8_t, kMostAgents> sorted = w.level;
      const int64_t lowest = std::min<int64_t>(3, o_.agents);
      std::partial_sort(sorted.begin(), sorted.begin() + lowest, sorted.begin() + o_.agents);
      for (int64_t i = 0; i < lowest; ++i) highest += sorted[i];
    }
    w.foods = w.total = 0;
    const auto wanted = static_cast<int>(task(e)[0]);
    for (int64_t attempt = 0; attempt < kAttempts && w.foods < wanted; ++attempt) {
      const int64_t r = 1 + draws.below(o_.rows - 2), c = 1 + draws.below(o_.columns - 2);
      if (taken(r, c, o_.agents) || crowded(w, r, c)) continue;
      // Kept in reading order: shift what comes later.
      int slot = w.foods++;
      for (; slot > 0 &&
             (w.food_row[slot - 1] > r || (w.food_row[slot - 1] == r && w.food_column[slot - 1] > c));
           --slot) {
        w.food_row[slot] = w.food_row[slot - 1], w.food_column[slot] = w.food_column[slot - 1],
        w.food_level[slot] = w.food_level[slot - 1];
      }
      const int64_t level = o_.coop ? highest : 1 + draws.below(highest);
      w.food_row[slot] = static_cast<int8_t>(r), w.food_column[slot] = static_cast<int8_t>(c),
      w.food_level[slot] = static_cast<int8_t>(level);
      g[at(r, c)] = static_cast<uint8_t>(level);
      w.total += static_cast<int>(level);
    }
    w.left = w.foods;
  }

  // Food within one cell, diagonals too, or two cells straight.
  static bool crowded(const Field& w, int64_t r, int64_t c) {
    for (int i = 0; i < w.foods; ++i) {
      const int64_t dr = std::abs(w.food_row[i] - r), dc = std::abs(w.food_column[i] - c);
      if ((dr <= 1 && dc <= 1) || (dr == 0 && dc <= 2) || (dc == 0 && dr <= 2)) return true;
    }
    return false;
  }

  bool food_at(const uint8_t* g, int64_t cell) const { return g[cell] != 0 && g[cell] != kWall; }

  bool can(const uint8_t* g, int64_t cell, int64_t action) const {
    const int64_t beside[4] = {cell - width_, cell + width_, cell - 1, cell + 1};
    if (action == kNone) return true;
    if (action != kPickUp) return g[beside[action - 1]] == 0;
    return food_at(g, beside[0]) || food_at(g, beside[1]) || food_at(g, beside[2]) || food_at(g, beside[3]);
  }

  bool advance(int64_t e, const int64_t* actions, int64_t, Rng, float* reward) override {
    Field& w = fields_[e];
    uint8_t* g = grid(e);
    const int64_t agents = o_.agents;
    const int64_t ways[6] = {0, -width_, width_, -1, 1, 0};
    std::array<int32_t, kMostAgents> target, cell;
    std::array<bool, kMostAgents> loads;
    bool any = false;
    for (int64_t i = 0; i < agents; ++i) {
      cell[i] = static_cast<int32_t>(at(w.row[i], w.column[i]));
      const int64_t way = ways[actions[i]];
      loads[i] = actions[i] == kPickUp && can(g, cell[i], kPickUp);
      any |= loads[i];
      target[i] = static_cast<int32_t>(g[cell[i] + way] == 0 ? cell[i] + way : cell[i]);
    }
    for (int64_t i = 0; i < agents; ++i) {
      bool alone = true;
      for (int64_t j = 0; j < agents; ++j) alone &= j == i || target[j] != target[i];
      const int32_t moved = alone ? target[i] - cell[i] : 0;
      const int down = (moved == width_) - (moved == -width_);
      w.row[i] = static_cast<int8_t>(w.row[i] + down);
      w.column[i] = static_cast<int8_t>(w.column[i] + moved - down * static_cast<int32_t>(width_));
    }
    if (any) load(w, g, task(e)[2], loads, reward);
    return w.left == 0;
  }

  // Every food with loaders beside it: an agent is beside one food at most, since foods keep apart.
  void load(Field& w, uint8_t* g, double penalty, const std::array<bool, kMostAgents>& loads,
            float* reward) const {
    for (int f = 0; f < w.foods; ++f) {
      if (!w.food_level[f]) continue;
      int sum = 0;
      std::array<bool, kMostAgents> beside{};
      for (int64_t i = 0; i < o_.agents; ++i) {
        beside[i] =
            loads[i] && std::abs(w.row[i] - w.food_row[f]) + std::abs(w.column[i] - w.food_column[f]) == 1;
        sum += beside[i] * w.level[i];
      }
      if (!sum) continue;
      const int food = w.food_level[f];
      for (int64_t i = 0; i < o_.agents; ++i) {
        if (!beside[i]) continue;
        if (sum < food)
          reward[i] -= static_cast<float>(penalty);
        else
          reward[i] = static_cast<float>(o_.normalize ? double(w.level[i] * food) / double(sum * w.total)
                                                      : double(w.level[i] * food));
      }
      if (sum < food) continue;
      w.food_level[f] = 0;
      g[at(w.food_row[f], w.food_column[f])] = 0;
      --w.left;
    }
  }

  void observe(int64_t e, float* obs, bool* mask) const override {
    const Field& w = fields_[e];
    if (o_.mask) {
      for (int64_t i = 0; i < o_.agents; ++i) {
        for (int64_t k = 0; k < 6; ++k) mask[6 * i + k] = can(grid(e), at(w.row[i], w.column[i]), k);
      }
    }
    const int64_t s = sight_;
    for (int64_t i = 0; i < o_.agents; ++i) {
      // The window's corner: places are told from it.
      const int64_t top = w.row[i] - std::min<int64_t>(s, w.row[i]),
                    left = w.column[i] - std::min<int64_t>(s, w.column[i]);
      const int64_t bottom = w.row[i] + s, right = w.column[i] + s;
      float* out = obs + i * spec().obs;
      float* const foods_end = out + 3 * o_.foods;
      for (int f = 0; f < w.foods; ++f) {
        const int64_t r = w.food_row[f], c = w.food_column[f];
        if (!w.food_level[f] || r < top || c < left || r > bottom || c > right) continue;
        out[0] = static_cast<float>(r - top), out[1] = static_cast<float>(c - left), out[2] = w.food_level[f];
        out += 3;
      }
      for (; out < foods_end; out += 3) out[0] = out[1] = -1, out[2] = 0;
      float* const end = out + 3 * o_.agents;
      out[0] = static_cast<float>(w.row[i] - top), out[1] = static_cast<float>(w.column[i] - left),
      out[2] = w.level[i];
      out += 3;
      for (int64_t j = 0; j < o_.agents; ++j) {
        if (j == i) continue;
        // The original counts an agent as seen up to 2 * sight from the corner, which near a wall is beyond
        // its food sight.
        const int64_t r = w.row[j] - top, c = w.column[j] - left;
        if (r < 0 || c < 0 || r > 2 * s || c > 2 * s) continue;
        out[0] = static_cast<float>(r), out[1] = static_cast<float>(c), out[2] = w.level[j];
        out += 3;
      }
      for (; out < end; out += 3) out[0] = out[1] = -1, out[2] = 0;
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    Field& w = fields_[e];
    constexpr int kMostLevel = 127;  // foods' too: what is more stands for a wall
    const Bounds row{"a row", 0, o_.rows - 1}, column{"a column", 0, o_.columns - 1};
    cargo(w.row.data(), o_.agents, row), cargo(w.column.data(), o_.agents, column);
    cargo(w.level.data(), o_.agents, {"an agent's level", 1, kMostLevel});
    cargo(w.foods, {"the number of foods", 0, o_.foods});
    cargo(w.total, {"the foods' level", 0, kMostLevel * o_.foods});
    if (!cargo.loading()) {  // slots out of use are written as zeros
      for (int f = w.foods; f < o_.foods; ++f) w.food_row[f] = w.food_column[f] = w.food_level[f] = 0;
    }
    cargo(w.food_row.data(), o_.foods, row), cargo(w.food_column.data(), o_.foods, column),
        cargo(w.food_level.data(), o_.foods, {"a food's level", 0, kMostLevel});
    if (!cargo.loading()) return;
    clear(e);
    w.left = 0;
    int levels = 0;
    for (int f = 0; f < w.foods; ++f) levels += w.food_level[f];
    if (levels > w.total)
      throw UserError(place(e), fmt::format("saved foods have {} levels, and began with {}", levels, w.total),
                      "there are never more than at the start");
    for (int f = 0; f < w.foods; ++f) {
      w.left += w.food_level[f] > 0;
      grid(e)[at(w.food_row[f], w.food_column[f])] = static_cast<uint8_t>(w.food_level[f]);
    }
  }

  const Options o_;
  const int64_t sight_, width_;
  std::vector<Field> fields_;  // [E]
  std::vector<uint8_t> grid_;  // [E, rows + 2, columns + 2]: food levels, 0 for none, kWall around
};

SYMMA_REGISTER(Env, "foraging", Foraging, "agents of different levels gather food together (version 3 rules)",
               "Christianos et al. 2020, arXiv:2006.07169");

}  // namespace
}  // namespace symma
