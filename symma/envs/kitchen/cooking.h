// What happens in a kitchen within a step: Overcooked-AI's rules (Carroll et al. 2019, arXiv:1910.05789).
//
// Both interact first, the first cook before the second, then both move, then pots cook. Who would enter the
// other's new cell, or swap with the other, stays, and so does the other; who is blocked turns all the same.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "symma/envs/kitchen/layout.h"

namespace symma {

// A thin soup has fewer than three onions, and nobody has ordered it.
enum class Item : int8_t { kNone, kOnion, kDish, kSoup, kThin };
// What a cook does: directions first.
enum CookAction : int64_t { kNorth, kSouth, kEast, kWest, kStay, kInteract, kCookActions };

struct Cook {
  int at = 0, faces = 0;  // cell; direction
  Item held = Item::kNone;
};
struct Pot {
  int onions = 0, ticks = -1;  // ticks: steps cooked; -1: cold
};
struct Kitchen {
  const FloorPlan* plan = nullptr;
  std::array<Cook, 2> cooks;
  std::array<Pot, 4> pots;     // in the plan's order
  std::vector<Item> counters;  // [cells]
  int64_t served = 0;

  void open(const FloorPlan&);
  bool ready(const Pot& p, int cook_time) const { return p.ticks >= cook_time; }
  int pot_at(int cell) const;  // its number, or -1
};

// What a step brought: soups served, and what is shaped for: onions in pots, dishes taken while one is of
// use, soups taken from pots, by cook.
struct Brought {
  int served = 0;
  std::array<int, 2> onions{}, dishes{}, soups{};
};

// `auto_cook`: a pot of three onions cooks by itself; else a cook with empty hands lights it, at any number
// of onions, as overcooked-ai 1.1.0 has it.
Brought cook(Kitchen&, const int64_t* actions /*[2]*/, int cook_time, bool auto_cook);

// How a scripted cook is.
struct Style {
  bool onions = true, dishes = true;  // what it cares for; else it keeps out of the way
  double lazy = 0, stray = 0;         // how often it stays, or does anything
};
Style style_of(int64_t partner);
constexpr int64_t kPartners = 24;

// What a cook of that style does next: onions to pots, dishes when a pot is full, soups to be served.
int64_t scripted_cook(const Kitchen&, int who, int cook_time, bool auto_cook, const Style&, double u1,
                      double u2);

}  // namespace symma
