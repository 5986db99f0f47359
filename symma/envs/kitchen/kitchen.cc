// Two cooks make onion soup: Overcooked-AI's rules (Carroll et al. 2019, arXiv:1910.05789); see cooking.h.
//
// A soup served pays both 20; `shaping` times 3 for an onion in a pot, 3 for a dish taken while it is of use,
// 5 for a soup taken from a pot come on top, for both. Scores count soups alone. With `partner` the other
// cook is one of a population of scripted ones, whose number is part of the task: those that learners meet in
// training are not those that they are judged with.
//
// Seen by a cook, of itself and then of the other: where it faces, what it holds, the way to the nearest
// onions, dishes, serving hatch, soup on a counter, free counter, (rows, columns, steps), the two nearest
// pots and what is in them, where it can go, what it faces; then the way to the other, its own place, and the
// time.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "symma/core/errors.h"
#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"
#include "symma/envs/kitchen/cooking.h"

namespace symma {
namespace {

constexpr int64_t kBlock = 46, kSeenByCook = 2 * kBlock + 5;

class KitchenWorld final : public Copies, public Judged {
 public:
  struct Options : CopyOptions {
    std::string layout = "cramped_room", layouts;
    int64_t cook_time = 20;
    double shaping = 0;
    bool auto_cook = true, partner = false;
    Options() { limit = 400; }
    void fields(Fields& f) {
      f.add("layout", layout,
            "which plan: cramped_room, asymmetric_advantages, coordination_ring, forced_coordination, "
            "counter_circuit_o_1order, or one of `layouts`");
      f.add("layouts", layouts, "a file of plans of one's own: a name, the plan, an empty line");
      f.add("cook_time", cook_time, "steps that a soup cooks, where a task does not say")
          .at_least(1)
          .at_most(1000);
      f.add("auto_cook", auto_cook,
            "whether a pot of three onions cooks by itself, as in the papers; else a cook "
            "lights it");
      f.add("shaping", shaping, "weight of rewards for onions in pots, dishes and soups taken").at_least(0);
      f.add("partner", partner, "one player, whose partner is a scripted cook by the task's number");
      CopyOptions::fields(f);
    }
  };

  KitchenWorld(const Options& o, int64_t copies) : KitchenWorld(o, copies, floor_plan(o.layout, o.layouts)) {}

  const std::vector<Score>& score_names() const override {
    static const std::vector<Score> names{{"soups", true}, {"sparse_return", true}};
    return names;
  }
  std::vector<double> scores(int64_t e) const override {
    const auto soups = static_cast<double>(shifts_[e].kitchen.served);
    return {soups, 20 * soups};
  }

  std::string text(int64_t e) const override {
    const Kitchen& k = shifts_[e].kitchen;
    std::string out =
        fmt::format("{}, step {} of {}: {} soups\n", o_.layout, shifts_[e].now, spec().limit, k.served);
    for (int r = 0; r < k.plan->rows; ++r) {
      for (int c = 0; c < k.plan->columns; ++c) {
        const int cell = r * k.plan->columns + c;
        char x = k.plan->cell[cell];
        if (k.counters[cell] != Item::kNone) x = " odst"[static_cast<int>(k.counters[cell])];
        if (x == 'P') x = static_cast<char>('0' + k.pots[k.pot_at(cell)].onions);
        for (const Cook& cook : k.cooks)
          if (cook.at == cell) x = "^v><"[cook.faces];
        out += x;
      }
      out += "\n";
    }
    for (int i = 0; i < 2; ++i)
      out += fmt::format("cook {} holds {}\n", i + 1,
                         std::array{"nothing", "an onion", "a dish", "a soup",
                                    "a thin soup"}[static_cast<int>(k.cooks[i].held)]);
    return out;
  }

  std::string svg(int64_t e) const override {
    const Kitchen& k = shifts_[e].kitchen;
    constexpr double s = 44, top = 22;
    Drawing p(s * k.plan->columns, top + s * k.plan->rows);
    p.text(s * k.plan->columns / 2, 15, 12, fmt::format("step {}: {} soups", shifts_[e].now, k.served));
    const auto item = [&](Item what, double x, double y) {
      if (what == Item::kOnion) p.circle(x, y, 8, "#d9a441");
      if (what >= Item::kDish) p.circle(x, y, 10, "#ffffff");
      if (what == Item::kSoup) p.circle(x, y, 7, "#c0622b");
      if (what == Item::kThin) p.circle(x, y, 7, "#e8d9b0");
    };
    for (int cell = 0; cell < k.plan->rows * k.plan->columns; ++cell) {
      const double x = s * k.plan->place[cell][1], y = top + s * k.plan->place[cell][0];
      const char kind = k.plan->cell[cell];
      p.rect(x, y, s, s, kind == ' ' ? "#f4f0e6" : kind == 'S' ? "#9fc79f" : "#b9a184");
      const double mx = x + s / 2, my = y + s / 2;
      if (kind == 'O') item(Item::kOnion, mx - 6, my), item(Item::kOnion, mx + 6, my);
      if (kind == 'D') item(Item::kDish, mx, my);
      if (kind == 'S') p.text(mx, my + 4, 11, "serve");
      if (kind == 'P') {
        const Pot& pot = k.pots[k.pot_at(cell)];
        p.circle(mx, my, 17, "#404040");
        for (int n = 0; n < pot.onions; ++n) item(Item::kOnion, mx - 8 + 8 * n, my - 2);
        if (pot.ticks >= 0)
          p.text(mx, my + 15, 11,
                 k.ready(pot, time_of(e)) ? "done" : fmt::format("{}", time_of(e) - pot.ticks), "white");
      }
      item(k.counters[cell], mx, my);
    }
    for (int i = 0; i < 2; ++i) {
      const Cook& c = k.cooks[i];
      const double x = s * k.plan->place[c.at][1] + s / 2, y = top + s * k.plan->place[c.at][0] + s / 2;
      const double dx = c.faces == kEast   ? 1
                        : c.faces == kWest ? -1
                                           : 0,
                   dy = c.faces == kNorth   ? -1
                        : c.faces == kSouth ? 1
                                            : 0;
      p.circle(x, y, 15, colour(i));
      p.line(x, y, x + 20 * dx, y + 20 * dy, colour(i), 5);
      item(c.held, x + 10 * dx, y + 10 * dy);
    }
    return p.svg();
  }

 private:
  enum Part { kCookTime, kMirror, kPartner, kSeat };

  struct Shift {
    Kitchen kitchen;
    int64_t now = 0;
  };

  KitchenWorld(const Options& o, int64_t copies, const FloorPlan& plan)
      : Copies(make_spec(o, copies), o, make_parameters(o),
               static_cast<int64_t>(6 + 8 + plan.cell.size() + 2)),
        o_(o),
        plans_{plan, plan.mirrored(1), plan.mirrored(2), plan.mirrored(3)},
        shifts_(copies) {}

  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "kitchen";
    s.variant = fmt::format("Overcooked-AI, {}, {} steps{}{}{}", o.layout, o.limit,
                            o.auto_cook ? ", pots cook by themselves" : "",
                            o.partner ? ", with a scripted partner" : "",
                            o.shaping > 0 ? fmt::format(", shaping {:g}", o.shaping) : "");
    s.copies = copies;
    s.agents = o.partner ? 1 : 2;
    s.obs = kSeenByCook;
    s.actions = kCookActions;
    s.action_names = {"north", "south", "east", "west", "stay", "interact"};
    s.common_reward = true;
    for (int64_t i = 0; i < s.agents; ++i) s.agent_names.push_back(fmt::format("cook_{}", i));
    return s;
  }

  static std::vector<TaskParameter> make_parameters(const Options& o) {
    std::vector<TaskParameter> out{{.name = "cook_time",
                                    .doc = "steps that a soup cooks",
                                    .value = static_cast<double>(o.cook_time),
                                    .whole = true,
                                    .train = {10, 30},
                                    .test = {10, 30},
                                    .ood = {31, 50},
                                    .may = {1, 1000}},
                                   {.name = "mirror",
                                    .doc = "1: the plan is upside down, 2: left to right, 3: both",
                                    .value = 0,
                                    .whole = true,
                                    .train = {0, 3},
                                    .test = {0, 3},
                                    .ood = {0, 3},
                                    .may = {0, 3}}};
    if (!o.partner) return out;
    out.push_back({.name = "partner",
                   .doc = "which scripted cook; 0 does all and never rests",
                   .value = 0,
                   .whole = true,
                   .train = {0, 15},
                   .test = {16, kPartners - 1},
                   .ood = {16, kPartners - 1},
                   .may = {0, kPartners - 1}});
    out.push_back({.name = "seat",
                   .doc = "which cook the player is",
                   .value = 0,
                   .whole = true,
                   .train = {0, 1},
                   .test = {0, 1},
                   .ood = {0, 1},
                   .may = {0, 1}});
    return out;
  }

  int time_of(int64_t e) const { return static_cast<int>(task(e)[kCookTime]); }
  int seat(int64_t e) const { return o_.partner ? static_cast<int>(task(e)[kSeat]) : 0; }

  void begin(int64_t e, Rng) override {
    shifts_[e].kitchen.open(plans_[static_cast<size_t>(task(e)[kMirror])]);
    shifts_[e].now = 0;
  }

  bool advance(int64_t e, const int64_t* actions, int64_t now, Rng episode, float* reward) override {
    Kitchen& k = shifts_[e].kitchen;
    std::array<int64_t, 2> both{};
    if (o_.partner) {
      const int me = seat(e);
      Draws d(episode.split("partner", static_cast<uint64_t>(now)));
      const double u1 = d.uniform(), u2 = d.uniform();
      both[me] = actions[0];
      both[1 - me] = scripted_cook(k, 1 - me, time_of(e), o_.auto_cook,
                                   style_of(static_cast<int64_t>(task(e)[kPartner])), u1, u2);
    } else {
      both = {actions[0], actions[1]};
    }
    const Brought b = cook(k, both.data(), time_of(e), o_.auto_cook);
    double paid = 20.0 * b.served;
    for (int i = 0; i < 2; ++i) paid += o_.shaping * (3 * b.onions[i] + 3 * b.dishes[i] + 5 * b.soups[i]);
    std::fill_n(reward, spec().agents, static_cast<float>(paid));
    shifts_[e].now = now + 1;
    return false;
  }

  // Of one cook, kBlock numbers.
  void show_cook(int64_t e, int who, float* to) const {
    const Kitchen& k = shifts_[e].kitchen;
    const FloorPlan& plan = *k.plan;
    const Cook& c = k.cooks[who];
    const auto put = [&](double x) { *to++ = static_cast<float>(x); };
    for (int d = 0; d < 4; ++d) put(c.faces == d);
    for (const Item i : {Item::kOnion, Item::kDish, Item::kSoup})
      put(c.held == i || (i == Item::kSoup && c.held == Item::kThin));
    const auto& ways = plan.way[c.at];
    const int row = plan.place[c.at][0], column = plan.place[c.at][1];
    const auto show_way = [&](int cell) {
      if (cell < 0 || ways[cell] == FloorPlan::kFar) {
        put(0), put(0), put(2);
        return;
      }
      const auto [to_row, to_column] = plan.place[cell];
      put((to_row - row) / 5.0), put((to_column - column) / 5.0);
      put(ways[cell] / 10.0);
    };
    // Onions, dishes, where is served; soups and free places on counters. The first of equals.
    const auto& sources = plan.nearest[c.at];
    std::array<int, 5> near{sources[FloorPlan::kOnions], sources[FloorPlan::kDishes],
                            sources[FloorPlan::kServing], -1, -1};
    for (int cell : plan.counters) {
      const Item lies = k.counters[cell];
      int& best = near[lies == Item::kOnion ? 0 : lies == Item::kDish ? 1 : lies >= Item::kSoup ? 3 : 4];
      if (best < 0 || ways[cell] < ways[best] || (ways[cell] == ways[best] && cell < best)) best = cell;
    }
    for (int cell : near) show_way(cell);
    std::array<int, 4> order{0, 1, 2, 3};
    const auto pots = static_cast<int>(plan.pots.size());
    for (int i = 1; i < pots; ++i)  // the nearest first; of equals, the first
      for (int j = i; j > 0 && ways[plan.pots[order[j]]] < ways[plan.pots[order[j - 1]]]; --j)
        std::swap(order[j], order[j - 1]);
    for (int j = 0; j < 2; ++j) {
      if (j >= pots) {
        for (int z = 0; z < 7; ++z) put(z == 2 ? 2 : 0);
        continue;
      }
      const Pot& p = k.pots[order[j]];
      show_way(plan.pots[order[j]]);
      put(p.onions / 3.0), put(p.ticks >= 0), put(k.ready(p, time_of(e)));
      put(p.ticks >= 0 ? (time_of(e) - p.ticks) / 20.0 : 0);
    }
    for (int d = 0; d < 4; ++d) {
      const int next = plan.step(c.at, d);
      put(next >= 0 && plan.cell[next] == ' ' && next != k.cooks[1 - who].at);
    }
    const int ahead = plan.step(c.at, c.faces);
    for (const char kind : {'X', 'O', 'D', 'P', 'S', ' '}) put(ahead >= 0 && plan.cell[ahead] == kind);
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const Shift& s = shifts_[e];
    std::array<std::array<float, kBlock>, 2> shown;
    for (int i = 0; i < 2; ++i) show_cook(e, i, shown[i].data());
    for (int64_t a = 0; a < spec().agents; ++a) {
      const int me = o_.partner ? seat(e) : static_cast<int>(a);
      obs = std::copy(shown[me].begin(), shown[me].end(), obs);
      obs = std::copy(shown[1 - me].begin(), shown[1 - me].end(), obs);
      const auto [row, column] = s.kitchen.plan->place[s.kitchen.cooks[me].at];
      const auto [its_row, its_column] = s.kitchen.plan->place[s.kitchen.cooks[1 - me].at];
      for (const double x : {(its_row - row) / 5.0, (its_column - column) / 5.0, row / 5.0, column / 5.0,
                             static_cast<double>(s.now) / static_cast<double>(spec().limit)})
        *obs++ = static_cast<float>(x);
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    Shift& s = shifts_[e];
    Kitchen& k = s.kitchen;
    if (cargo.loading()) k.open(plans_[static_cast<size_t>(task(e)[kMirror])]);
    const auto item = [&](Item& what) {
      auto x = static_cast<int64_t>(what);
      cargo(x, {"an item", 0, 4});  // nothing, onion, dish, soup, thin soup
      what = static_cast<Item>(x);
    };
    for (Cook& c : k.cooks)
      cargo(c.at, {"a cook's cell", 0, k.counters.size() - 1}), cargo(c.faces, {"where a cook looks", 0, 3}),
          item(c.held);
    for (Pot& p : k.pots)
      cargo(p.onions, {"a pot's onions", 0, 3}), cargo(p.ticks, {"a pot's time", -1, 1000});
    for (Item& i : k.counters) item(i);
    cargo(k.served, {"the soups served", 0, kMostCounted}), cargo(s.now, {"the time", 0, spec().limit});
    if (!cargo.loading()) return;
    for (const Cook& c : k.cooks) {
      if (k.plan->cell[c.at] != ' ')
        throw UserError(place(e), "a cook stands where nobody can",
                        "restore what was saved of the same plan");
    }
  }

  const Options o_;
  const std::array<FloorPlan, 4> plans_;  // as it is, and mirrored
  std::vector<Shift> shifts_;             // [E]
};

SYMMA_REGISTER(Env, "kitchen", KitchenWorld, "two cooks make onion soup together",
               "Overcooked-AI; Carroll et al. 2019, arXiv:1910.05789");

}  // namespace
}  // namespace symma
