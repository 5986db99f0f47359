#include "symma/envs/kitchen/cooking.h"

#include <algorithm>

#include "symma/core/rng.h"

namespace symma {
namespace {

constexpr int kFull = 3;

// Whether a dish is of use: none lies on a counter, and fewer are held than pots were begun. A pot of three
// onions that nobody has lit does not count, in the original either.
bool dish_is_useful(const Kitchen& k, int begun) {
  int held = 0;
  for (const Cook& c : k.cooks) held += c.held == Item::kDish;
  return held < begun && std::find(k.counters.begin(), k.counters.end(), Item::kDish) == k.counters.end();
}

int begun_pots(const Kitchen& k) {
  int out = 0;
  for (size_t p = 0; p < k.plan->pots.size(); ++p)
    out += k.pots[p].ticks >= 0 || (k.pots[p].onions > 0 && k.pots[p].onions < kFull);
  return out;
}

void interact(Kitchen& k, int who, int cook_time, bool auto_cook, int begun, Brought& out) {
  Cook& c = k.cooks[who];
  const int cell = k.plan->step(c.at, c.faces);
  if (cell < 0) return;
  switch (k.plan->cell[cell]) {
    case 'X':
      if (c.held == Item::kNone || k.counters[cell] == Item::kNone) std::swap(c.held, k.counters[cell]);
      break;
    case 'O':
      if (c.held == Item::kNone) c.held = Item::kOnion;
      break;
    case 'D':
      if (c.held != Item::kNone) break;
      out.dishes[who] += dish_is_useful(k, begun);
      c.held = Item::kDish;
      break;
    case 'P': {
      Pot& p = k.pots[k.pot_at(cell)];
      if (c.held == Item::kDish && k.ready(p, cook_time)) {
        c.held = p.onions == kFull ? Item::kSoup : Item::kThin;
        ++out.soups[who];
        p = {};
      } else if (c.held == Item::kOnion && p.ticks < 0 && p.onions < kFull) {
        c.held = Item::kNone;
        ++p.onions;
        ++out.onions[who];
      } else if (c.held == Item::kNone && !auto_cook && p.ticks < 0 && p.onions > 0) {
        p.ticks = 0;
      }
      break;
    }
    case 'S':
      if (c.held != Item::kSoup && c.held != Item::kThin) break;
      out.served += c.held == Item::kSoup;
      c.held = Item::kNone;
      break;
    default:
      break;
  }
}

}  // namespace

void Kitchen::open(const FloorPlan& p) {
  plan = &p;
  for (int i = 0; i < 2; ++i) cooks[i] = {p.start[i], kNorth, Item::kNone};
  pots.fill({});
  counters.assign(p.cell.size(), Item::kNone);
  served = 0;
}

int Kitchen::pot_at(int cell) const {
  const auto at = std::find(plan->pots.begin(), plan->pots.end(), cell);
  return at == plan->pots.end() ? -1 : static_cast<int>(at - plan->pots.begin());
}

Brought cook(Kitchen& k, const int64_t* actions, int cook_time, bool auto_cook) {
  Brought out;
  const int begun = begun_pots(k);  // at the step's start
  for (int i = 0; i < 2; ++i)
    if (actions[i] == kInteract) interact(k, i, cook_time, auto_cook, begun, out);
  std::array<int, 2> to{k.cooks[0].at, k.cooks[1].at};
  for (int i = 0; i < 2; ++i) {
    if (actions[i] > kWest) continue;
    k.cooks[i].faces = static_cast<int>(actions[i]);
    const int next = k.plan->step(to[i], k.cooks[i].faces);
    if (next >= 0 && k.plan->cell[next] == ' ') to[i] = next;
  }
  const bool swap = to[0] == k.cooks[1].at && to[1] == k.cooks[0].at;
  if (to[0] != to[1] && !swap)
    for (int i = 0; i < 2; ++i) k.cooks[i].at = to[i];
  for (size_t p = 0; p < k.plan->pots.size(); ++p) {
    Pot& pot = k.pots[p];
    if (auto_cook && pot.ticks < 0 && pot.onions == kFull) pot.ticks = 0;
    if (pot.ticks >= 0 && pot.ticks < cook_time) ++pot.ticks;
  }
  k.served += out.served;
  return out;
}

Style style_of(int64_t partner) {
  if (partner == 0) return {};
  Draws d(Rng(1910).split("partner", static_cast<uint64_t>(partner)));
  const int64_t role = d.below(4);  // half of them do all
  return {role != 1, role != 0, d.uniform(0, 0.5), d.uniform(0, 0.2)};
}

int64_t scripted_cook(const Kitchen& k, int who, int cook_time, bool auto_cook, const Style& style, double u1,
                      double u2) {
  if (u1 < style.lazy) return kStay;
  const auto anything = [&] { return static_cast<int64_t>(4096 * u2) % 4; };  // a direction
  if (u1 < style.lazy + style.stray) return anything();
  const Cook &me = k.cooks[who], &other = k.cooks[1 - who];
  const FloorPlan& plan = *k.plan;
  const auto n = static_cast<int>(plan.cell.size());
  // The nearest cell that will do.
  int goal = -1;
  int16_t steps = FloorPlan::kFar;
  const auto offer = [&](int cell) {
    if (plan.way[me.at][cell] < steps) steps = plan.way[me.at][cell], goal = cell;
  };
  const auto& sources = plan.nearest[me.at];
  const auto offer_items = [&](Item item) {
    for (int c = 0; c < n; ++c)
      if (k.counters[c] == item) offer(c);
  };
  int waiting = 0, cold = -1;  // pots that want a dish, and one that wants to be lit
  const auto pots = static_cast<int>(plan.pots.size());
  for (int p = 0; p < pots; ++p) {
    waiting += k.pots[p].ticks >= 0;
    if (k.pots[p].ticks < 0 && k.pots[p].onions == kFull) cold = plan.pots[p], waiting += 1;
  }
  switch (me.held) {
    case Item::kSoup:
    case Item::kThin:
      offer(sources[FloorPlan::kServing]);
      break;
    case Item::kDish:
      for (int p = 0; p < pots; ++p)
        if (k.ready(k.pots[p], cook_time)) offer(plan.pots[p]);
      for (int p = 0; p < pots && goal < 0; ++p)
        if (k.pots[p].ticks >= 0) offer(plan.pots[p]);
      break;
    case Item::kOnion:
      for (int p = 0; p < pots; ++p)
        if (k.pots[p].ticks < 0 && k.pots[p].onions < kFull) offer(plan.pots[p]);
      break;
    case Item::kNone: {
      if (!auto_cook && cold >= 0) offer(cold);
      const int dishes = (other.held == Item::kDish) + (other.held == Item::kSoup);
      if (goal < 0 && style.dishes && waiting > dishes) {
        offer_items(Item::kSoup);
        offer_items(Item::kDish);
        offer(sources[FloorPlan::kDishes]);
      }
      if (goal < 0 && style.onions && waiting < pots) {
        offer_items(Item::kOnion);
        offer(sources[FloorPlan::kOnions]);
      }
      break;
    }
  }
  if (goal < 0) {
    // Nothing to do: what is held is put down, so that the other may have it, or one moves out of the way.
    if (me.held == Item::kNone) return u2 < 0.3 ? anything() : kStay;
    for (int c : plan.counters)
      if (k.counters[c] == Item::kNone) offer(c);
    if (goal < 0) return kStay;
  }
  if (steps == 0 && plan.cell[goal] != ' ') {
    for (int d = 0; d < 4; ++d) {
      if (plan.step(me.at, d) != goal) continue;
      if (me.faces != d) return d;
      const int p = k.pot_at(goal);
      const bool wait = p >= 0 && me.held == Item::kDish && !k.ready(k.pots[p], cook_time);
      return wait ? kStay : kInteract;
    }
  }
  // Down the way, around the other where there is another as good. Where the other may come to the same cell,
  // one of the two lets it, by chance, or both would stay for ever.
  int64_t best = kStay;
  for (int64_t d = 0; d < 4; ++d) {
    const int next = plan.step(me.at, static_cast<int>(d));
    if (next < 0 || plan.cell[next] != ' ' || plan.way[next][goal] >= steps) continue;
    best = d;
    if (next == other.at) continue;
    const auto& beside = plan.floor[next];
    const bool contested = std::find(beside.begin(), beside.end(), other.at) != beside.end();
    return contested && u2 < 0.4 ? static_cast<int64_t>(kStay) : d;
  }
  return best != kStay && u2 < 0.5 ? anything() : best;
}

}  // namespace symma
