// Robot warehouse: robots carry requested shelves to the goals, and bring them back (rware 2.x; Christianos
// et al. 2020, arXiv:2006.07169; Papoudakis et al. 2021, arXiv:2006.07869). The original rules, not the
// variant that ends on collision.
//
// A robot goes under shelves, and with one on its back only where none stands. A shelf that was requested and
// is on a goal pays; another is then requested in its place. A shelf is put down anywhere but on a highway.
// All move at once: see warehouse_traffic.h. An episode has no end but its step limit, which the original
// reports as termination. An observation, 8 + 7 (2 sight + 1)^2: own x, y, whether it carries, direction (up,
// down, left, right; one of four is 1), whether it is on a highway; then for each cell in sight, row by row:
// whether a robot is there, its direction (up where there is none), whether a shelf is there, and whether
// that shelf is requested.
#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"
#include "symma/envs/grids/warehouse_traffic.h"

namespace symma {
namespace {

enum RobotAct : int64_t { kNoop, kForward, kLeft, kRight, kToggle };
constexpr int64_t kMostRobots = 19, kMostCells = 4096;

// Directions are numbered as in the original: up, down, left, right.
constexpr Cell kAhead[4] = {{0, -1}, {0, 1}, {-1, 0}, {1, 0}};
constexpr uint8_t kTurnLeft[4] = {2, 3, 1, 0};
constexpr uint8_t kTurnRight[4] = {3, 2, 0, 1};

// The floor: what does not change.
struct Floor {
  int32_t width = 0, height = 0;
  std::vector<bool> highway;  // [height, width]
  std::vector<Cell> goals;
  std::vector<Cell> stands;  // where shelves start, row by row
};

class Warehouse final : public Copies {
 public:
  struct Options : CopyOptions {
    std::string size = "tiny", reward = "individual", layout;
    int64_t agents = 4, requests = 0, sight = 1, column_height = 8;
    Options() { limit = 500; }
    void fields(Fields& f) {
      f.add("size", size, "of the floor: rows and columns of shelf blocks are 1x3, 2x3, 2x5, 3x5")
          .one_of({"tiny", "small", "medium", "large"});
      f.add("column_height", column_height, "shelves in a column of a block").at_least(1).at_most(32);
      f.add("layout", layout,
            "a floor of one's own, lines of x (shelf), . (highway) and g (goal); size is then not used");
      f.add("agents", agents, "robots").at_least(1).at_most(kMostRobots);
      f.add("requests", requests, "shelves requested at any time; 0: as many as robots").at_least(0);
      f.add("sight", sight, "cells that a robot sees each way").at_least(1).at_most(5).of_what_is_seen();
      f.add("reward", reward,
            "who earns from a delivery: who brings it, all, or who brings it half and half on return")
          .one_of({"individual", "global", "two_stage"});
      CopyOptions::fields(f);
    }
  };

  Warehouse(const Options& o, int64_t copies) : Warehouse(o, make_floor(o), copies) {}

  std::string text(int64_t e) const override {
    std::string out;
    for (int32_t y = 0; y < floor_.height; ++y) {
      for (int32_t x = 0; x < floor_.width; ++x) {
        const int64_t cell = at({x, y});
        const uint8_t robot = robot_at(e)[cell];
        const uint16_t shelf = shelf_at(e)[cell];
        const bool goal =
            std::find(floor_.goals.begin(), floor_.goals.end(), Cell{x, y}) != floor_.goals.end();
        if (robot)
          out += "^v<>"[robots(e)[robot - 1].direction];
        else if (shelf)
          out += requested(e)[shelf] ? 'R' : 'x';
        else
          out += goal ? 'g' : '.';
      }
      out += "\n";
    }
    return out;
  }

  std::string svg(int64_t e) const override {
    Drawing d(20.0 * floor_.width, 20.0 * floor_.height);
    for (const Cell g : floor_.goals) d.rect(20.0 * g.x, 20.0 * g.y, 20, 20, "#444444");
    for (int32_t y = 0; y < floor_.height; ++y) {
      for (int32_t x = 0; x < floor_.width; ++x) {
        if (const uint16_t shelf = shelf_at(e)[at({x, y})])
          d.rect(20.0 * x + 2, 20.0 * y + 2, 16, 16, requested(e)[shelf] ? "#17becf" : "#9a86c8");
      }
    }
    for (int64_t i = 0; i < spec().agents; ++i) {
      const Robot& r = robots(e)[i];
      const double x = 20.0 * r.x + 10, y = 20.0 * r.y + 10;
      d.circle(x, y, 7, r.carries ? "#d62728" : "#ff7f0e");
      d.line(x, y, x + 8 * kAhead[r.direction].x, y + 8 * kAhead[r.direction].y, "black", 2);
    }
    return d.svg();
  }

 private:
  struct Robot {
    int32_t x, y;
    uint16_t carries;  // a shelf's number from 1; 0: none
    uint8_t direction;
    bool delivered;  // for two-stage rewards: brought its shelf to a goal, and has not put it back
  };

  Warehouse(const Options& o, Floor floor, int64_t copies)
      : Copies(make_spec(o, floor, copies), o, make_parameters(o, floor),
               5 * o.agents + most_requests(o) + 2 + 2 * static_cast<int64_t>(floor.stands.size())),
        o_(o),
        floor_(std::move(floor)),
        shelves_(static_cast<int64_t>(floor_.stands.size())),
        most_requests_(most_requests(o)),
        pitch_(floor_.width + 2 * o.sight),
        padded_(pitch_ * (floor_.height + 2 * o.sight)) {
    robots_.resize(copies * o.agents);
    robot_at_.resize(copies * padded_);
    shelf_at_.resize(copies * padded_);
    requested_.resize(copies * (shelves_ + 1));
    queue_.resize(copies * most_requests_);
    queued_.resize(copies);
    count_.resize(copies);
    place_.resize(copies * shelves_);
    for (int robot = 0; robot < 5; ++robot) {
      for (int shelf = 0; shelf < 3; ++shelf) {
        auto& seven = seen_[robot * 3 + shelf];
        seven = {};
        seven[0] = robot > 0;
        seven[1 + std::max(0, robot - 1)] = 1;
        seven[5] = shelf > 0;
        seven[6] = shelf == 2;
      }
    }
  }

  static int64_t most_requests(const Options& o) { return 2 * (o.requests ? o.requests : o.agents); }

  static std::vector<TaskParameter> make_parameters(const Options& o, const Floor& floor) {
    const double n = double(o.requests ? o.requests : o.agents);
    return {{.name = "requests",
             .doc = "shelves requested at any time",
             .value = n,
             .whole = true,
             .train = {std::max(1.0, std::floor(n / 2)), n},
             .test = {std::max(1.0, std::floor(n / 2)), n},
             .ood = {n + 1, 2 * n},
             .may = {1, 2 * n}},
            {.name = "missing",
             .doc = "share of the shelves that the floor lacks",
             .value = 0,
             .train = {0, 0.2},
             .test = {0, 0.2},
             .ood = {0.3, 0.5},
             .may = {0, 1}},
            {.name = "map",
             .doc = "number of the map: which shelves are missing",
             .value = 0,
             .whole = true,
             .train = {0, 999},
             .test = {1000, 1999},
             .ood = {2000, 2999},
             .may = {0, kMostCounted}}};
  }

  static Floor make_floor(const Options& o) {
    Floor f;
    if (!o.layout.empty()) return read_floor(o.layout);
    const int32_t rows = o.size == "tiny" ? 1 : o.size == "large" ? 3 : 2;
    const int32_t columns = o.size == "tiny" || o.size == "small" ? 3 : 5;
    const auto h = static_cast<int32_t>(o.column_height);
    f.height = (h + 1) * rows + 2;
    f.width = 3 * columns + 1;
    const int32_t middle = f.width / 2;
    f.goals = {{middle - 1, f.height - 1}, {middle, f.height - 1}};
    for (int32_t y = 0; y < f.height; ++y) {
      for (int32_t x = 0; x < f.width; ++x) {
        const bool queue = y > f.height - (h + 3) && (x == middle - 1 || x == middle);
        f.highway.push_back(x % 3 == 0 || y % (h + 1) == 0 || y == f.height - 1 || queue);
        if (!f.highway.back()) f.stands.push_back({x, y});
      }
    }
    return f;
  }

  static Floor read_floor(const std::string& layout) {
    Floor f;
    std::vector<std::string> lines(1);
    for (const char c : layout) {
      if (c == '\n')
        lines.emplace_back();
      else if (c != ' ' && c != '\r' && c != '\t')
        lines.back() += c;
    }
    std::erase(lines, "");
    f.height = static_cast<int32_t>(lines.size());
    f.width = lines.empty() ? 0 : static_cast<int32_t>(lines[0].size());
    for (int32_t y = 0; y < f.height; ++y) {
      if (static_cast<int32_t>(lines[y].size()) != f.width) {
        throw UserError(
            "warehouse, layout",
            fmt::format("line {} has {} cells and line 1 has {}", y + 1, lines[y].size(), f.width),
            "make all lines as long");
      }
      for (int32_t x = 0; x < f.width; ++x) {
        const char c = lines[y][x];
        if (c == 'g' || c == 'G')
          f.goals.push_back({x, y});
        else if (c == 'x' || c == 'X')
          f.stands.push_back({x, y});
        else if (c != '.')
          throw UserError("warehouse, layout", fmt::format("line {} has a cell \"{}\"", y + 1, c),
                          "cells are x (shelf), . (highway) and g (goal)");
        f.highway.push_back(c != 'x' && c != 'X');
      }
    }
    if (f.goals.empty()) throw UserError("warehouse, layout", "has no goal", "mark one cell or more with g");
    return f;
  }

  static EnvSpec make_spec(const Options& o, const Floor& f, int64_t copies) {
    const int64_t cells = int64_t{f.width} * f.height, shelves = static_cast<int64_t>(f.stands.size());
    if (cells > kMostCells)
      throw UserError("warehouse, layout", fmt::format("has {} cells", cells),
                      fmt::format("{} at most", kMostCells));
    if (o.agents > cells)
      throw UserError("warehouse, agents", fmt::format("{} robots do not fit on {} cells", o.agents, cells),
                      "take fewer, or a larger floor");
    const int64_t requests = o.requests ? o.requests : o.agents;
    // A delivery replaces a request by a shelf that was not requested, so one must be left.
    if (requests >= shelves) {
      throw UserError("warehouse, requests",
                      fmt::format("asks for {} of {} shelves at a time", requests, shelves),
                      fmt::format("{} at most", shelves - 1));
    }
    EnvSpec s;
    s.name = "warehouse";
    s.variant = fmt::format("v2, {}-{}ag{}{}{}", o.layout.empty() ? o.size : "own layout", o.agents,
                            requests == o.agents ? "" : fmt::format(", {} requests", requests),
                            o.reward == "individual" ? "" : ", reward " + o.reward,
                            o.sight == 1 ? "" : fmt::format(", sight {}", o.sight));
    s.copies = copies;
    s.agents = o.agents;
    s.obs = 8 + 7 * (2 * o.sight + 1) * (2 * o.sight + 1);
    s.actions = 5;
    s.action_names = {"noop", "forward", "left", "right", "toggle_load"};
    s.common_reward = o.reward == "global";
    s.obs_low = 0;
    s.obs_high = std::max(f.width, f.height);
    return s;
  }

  // Grids have a rim as wide as robots see, so that looking needs no bounds.
  int64_t at(Cell c) const { return (c.y + o_.sight) * pitch_ + c.x + o_.sight; }
  Robot* robots(int64_t e) { return &robots_[e * o_.agents]; }
  const Robot* robots(int64_t e) const { return &robots_[e * o_.agents]; }
  uint8_t* robot_at(int64_t e) { return &robot_at_[e * padded_]; }
  const uint8_t* robot_at(int64_t e) const { return &robot_at_[e * padded_]; }
  uint16_t* shelf_at(int64_t e) { return &shelf_at_[e * padded_]; }
  const uint16_t* shelf_at(int64_t e) const { return &shelf_at_[e * padded_]; }
  uint8_t* requested(int64_t e) { return &requested_[e * (shelves_ + 1)]; }
  const uint8_t* requested(int64_t e) const { return &requested_[e * (shelves_ + 1)]; }
  uint16_t* queue(int64_t e) { return &queue_[e * most_requests_]; }
  Cell* place_of(int64_t e) { return &place_[e * shelves_]; }
  bool highway(Cell c) const { return floor_.highway[c.y * floor_.width + c.x]; }

  void check_task(const double* t, const std::string& where) const override {
    const int64_t left = shelves_ - static_cast<int64_t>(t[1] * double(shelves_));
    const int64_t most = std::min(most_requests_, left - 1);
    if (t[0] > double(most))
      throw UserError(where + ", requests", fmt::format("is {} of {} shelves", t[0], left),
                      "one shelf at least is not requested");
  }

  void begin(int64_t e, Rng episode) override {
    // The map is the task's, whatever the episode.
    count_[e] = static_cast<uint16_t>(shelves_ - static_cast<int64_t>(task(e)[1] * double(shelves_)));
    if (count_[e] == shelves_) {
      std::copy(floor_.stands.begin(), floor_.stands.end(), place_of(e));
    } else {
      std::vector<int64_t> kept =
          Draws(Rng(static_cast<uint64_t>(task(e)[2])).split("map")).choose(shelves_, count_[e]);
      std::sort(kept.begin(), kept.end());
      for (int64_t s = 0; s < count_[e]; ++s) place_of(e)[s] = floor_.stands[kept[s]];
    }
    Draws draws(episode);
    const std::vector<int64_t> cells = draws.choose(int64_t{floor_.width} * floor_.height, o_.agents);
    for (int64_t i = 0; i < o_.agents; ++i) {
      robots(e)[i] = {static_cast<int32_t>(cells[i] % floor_.width),
                      static_cast<int32_t>(cells[i] / floor_.width), 0, static_cast<uint8_t>(draws.below(4)),
                      false};
    }
    queued_[e] = static_cast<uint16_t>(task(e)[0]);
    const std::vector<int64_t> first = draws.choose(count_[e], queued_[e]);
    for (int64_t i = 0; i < queued_[e]; ++i) queue(e)[i] = static_cast<uint16_t>(first[i] + 1);
    lay_out(e);
  }

  // Makes the grids from robots, shelves and requests.
  void lay_out(int64_t e) {
    std::fill_n(robot_at(e), padded_, uint8_t{0});
    std::fill_n(shelf_at(e), padded_, uint16_t{0});
    std::fill_n(requested(e), shelves_ + 1, uint8_t{0});
    for (int64_t s = 0; s < count_[e]; ++s) shelf_at(e)[at(place_of(e)[s])] = static_cast<uint16_t>(s + 1);
    for (int64_t i = 0; i < o_.agents; ++i)
      robot_at(e)[at({robots(e)[i].x, robots(e)[i].y})] = static_cast<uint8_t>(i + 1);
    for (int64_t i = 0; i < queued_[e]; ++i) requested(e)[queue(e)[i]] = 1;
  }

  bool advance(int64_t e, const int64_t* actions, int64_t now, Rng episode, float* reward) override {
    const int64_t n = o_.agents;
    Robot* const r = robots(e);
    uint8_t* const where = robot_at(e);
    uint16_t* const shelf = shelf_at(e);
    std::array<Cell, kMostRobots> from, to;
    std::array<bool, kMostRobots> granted;
    bool moving = false;
    for (int64_t i = 0; i < n; ++i) {
      from[i] = to[i] = {r[i].x, r[i].y};
      if (actions[i] != kForward) continue;
      const Cell way = kAhead[r[i].direction];
      const Cell want = {std::clamp(r[i].x + way.x, 0, floor_.width - 1),
                         std::clamp(r[i].y + way.y, 0, floor_.height - 1)};
      if (want == from[i]) continue;
      // With a shelf on its back a robot cannot enter where one stands; one that is carried may be on its way
      // out.
      const int64_t ahead = at(want);
      if (r[i].carries && shelf[ahead] && !(where[ahead] && r[where[ahead] - 1].carries)) continue;
      to[i] = want;
      moving = true;
    }
    if (moving) {
      resolve_traffic({from.data(), size_t(n)}, {to.data(), size_t(n)}, {granted.data(), size_t(n)});
      for (int64_t i = 0; i < n; ++i) {  // all leave, then all arrive
        if (!granted[i] || to[i] == from[i]) continue;
        where[at(from[i])] = 0;
        if (r[i].carries) shelf[at(from[i])] = 0;
      }
      for (int64_t i = 0; i < n; ++i) {
        if (!granted[i] || to[i] == from[i]) continue;
        where[at(to[i])] = static_cast<uint8_t>(i + 1);
        r[i].x = to[i].x, r[i].y = to[i].y;
        if (!r[i].carries) continue;
        shelf[at(to[i])] = r[i].carries;
        place_of(e)[r[i].carries - 1] = to[i];
      }
    }
    for (int64_t i = 0; i < n; ++i) {
      if (actions[i] == kLeft)
        r[i].direction = kTurnLeft[r[i].direction];
      else if (actions[i] == kRight)
        r[i].direction = kTurnRight[r[i].direction];
      else if (actions[i] == kToggle)
        toggle(e, i, reward);
    }
    for (size_t g = 0; g < floor_.goals.size(); ++g) {
      const uint16_t brought = shelf[at(floor_.goals[g])];
      if (brought && requested(e)[brought])
        deliver(e, floor_.goals[g], brought, episode.split("request", now * floor_.goals.size() + g), reward);
    }
    return false;
  }

  void toggle(int64_t e, int64_t i, float* reward) {
    Robot& r = robots(e)[i];
    if (!r.carries) {
      r.carries = shelf_at(e)[at({r.x, r.y})];
    } else if (!highway({r.x, r.y})) {
      r.carries = 0;
      if (r.delivered && o_.reward == "two_stage") reward[i] += 0.5f;
      r.delivered = false;
    }
  }

  void deliver(int64_t e, Cell goal, uint16_t brought, Rng rng, float* reward) {
    // One of the shelves that are not requested, evenly.
    int64_t pick = Draws(rng).below(count_[e] - queued_[e]);
    uint16_t next = 1;
    for (;; ++next) {
      if (!requested(e)[next] && pick-- == 0) break;
    }
    *std::find(queue(e), queue(e) + queued_[e], brought) = next;
    requested(e)[brought] = 0;
    requested(e)[next] = 1;
    if (o_.reward == "global") {
      for (int64_t i = 0; i < o_.agents; ++i) reward[i] += 1;
      return;
    }
    const uint8_t who = robot_at(e)[at(goal)];
    if (!who) return;  // a shelf is on a goal only under its robot, unless a layout was restored so
    reward[who - 1] += o_.reward == "individual" ? 1.f : 0.5f;
    robots(e)[who - 1].delivered = true;
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const int64_t n = o_.agents, side = 2 * o_.sight + 1;
    const Robot* const r = robots(e);
    const uint16_t* const shelf = shelf_at(e);
    const uint8_t* const where = robot_at(e);
    const uint8_t* const wanted = requested(e);
    std::array<uint8_t, kMostRobots + 1> facing;  // 3 (direction + 1) by robot's number, 0 for none
    facing[0] = 0;
    for (int64_t i = 0; i < n; ++i) facing[i + 1] = static_cast<uint8_t>(3 * (r[i].direction + 1));
    for (int64_t i = 0; i < n; ++i) {
      const float own[8] = {static_cast<float>(r[i].x),
                            static_cast<float>(r[i].y),
                            r[i].carries ? 1.f : 0.f,
                            0,
                            0,
                            0,
                            0,
                            highway({r[i].x, r[i].y}) ? 1.f : 0.f};
      std::memcpy(obs, own, sizeof(own));
      obs[3 + r[i].direction] = 1;
      obs += 8;
      int64_t row = at({r[i].x, r[i].y}) - o_.sight * pitch_ - o_.sight;
      for (int64_t y = 0; y < side; ++y, row += pitch_) {
        for (int64_t c = row; c < row + side; ++c) {
          const int stand = shelf[c] ? 1 + wanted[shelf[c]] : 0;
          std::memcpy(obs, seen_[facing[where[c]] + stand].data(), 7 * sizeof(float));
          obs += 7;
        }
      }
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    const Bounds x{"a column", 0, floor_.width - 1}, y{"a row", 0, floor_.height - 1};
    for (int64_t i = 0; i < o_.agents; ++i) {
      Robot& r = robots(e)[i];
      cargo(r.x, x), cargo(r.y, y), cargo(r.direction, {"a robot's direction", 0, 3});
      cargo(r.carries, {"the shelf that a robot carries", 0, shelves_}), cargo(r.delivered);
    }
    cargo(queued_[e], {"the number of requests", 0, most_requests_}),
        cargo(count_[e], {"the number of shelves", 1, shelves_});
    const auto bad = [&](const std::string& what) {
      return UserError(place(e), "a saved warehouse has " + what, "restore what save gave");
    };
    for (int64_t i = 0; i < most_requests_; ++i) {
      if (!cargo.loading() && i >= queued_[e]) queue(e)[i] = 0;
      cargo(queue(e)[i], {"a request", 0, shelves_});
    }
    for (int64_t s = 0; s < shelves_; ++s) {
      if (!cargo.loading() && s >= count_[e]) place_of(e)[s] = {0, 0};
      cargo(place_of(e)[s].x, x), cargo(place_of(e)[s].y, y);
    }
    if (!cargo.loading()) return;
    if (queued_[e] >= count_[e]) throw bad("a request for every shelf");
    for (int64_t i = 0; i < o_.agents; ++i) {
      const Robot& r = robots(e)[i];
      if (r.carries > count_[e]) throw bad(fmt::format("no shelf {}, which robot {} carries", r.carries, i));
      for (int64_t j = 0; j < i; ++j)
        if (robots(e)[j].x == r.x && robots(e)[j].y == r.y) throw bad("two robots on one cell");
    }
    for (int64_t i = 0; i < queued_[e]; ++i) {
      if (queue(e)[i] < 1 || queue(e)[i] > count_[e])
        throw bad(fmt::format("a request for shelf {}", queue(e)[i]));
    }
    lay_out(e);
  }

  const Options o_;
  const Floor floor_;
  const int64_t shelves_, most_requests_, pitch_, padded_;
  std::array<std::array<float, 7>, 15> seen_;  // what a cell looks like, by 3 (direction + 1 of the robot on
                                               // it) + (0 no shelf, 1 shelf, 2 requested)
  std::vector<Robot> robots_;                  // [E, A]
  std::vector<uint8_t> robot_at_;              // [E, padded]: a robot's number from 1
  std::vector<uint16_t> shelf_at_;             // [E, padded]: a shelf's number from 1
  std::vector<uint8_t> requested_;             // [E, shelves + 1]: by a shelf's number
  std::vector<uint16_t> queue_;                // [E, most_requests]: requested shelves' numbers, in order
  std::vector<uint16_t> queued_, count_;       // [E]: requests and shelves in use
  std::vector<Cell> place_;                    // [E, shelves]
};

SYMMA_REGISTER(Env, "warehouse", Warehouse, "robots bring requested shelves to the goals (rware rules)",
               "Christianos et al. 2020, arXiv:2006.07169");

}  // namespace
}  // namespace symma
