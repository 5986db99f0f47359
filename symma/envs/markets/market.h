// What a trader by rule may look at: its own limit, the book, and the margins that ZIP traders keep.
#pragma once

#include <cstdint>

#include "symma/core/rng.h"

namespace symma {

enum class Trader { kZiC, kZiU, kZip, kShaver, kGiveaway, kSniper };

class MarketView {
 public:
  virtual ~MarketView() = default;
  // What a trader of this kind would quote in the player's place; 0: it waits.
  virtual int64_t quote_of(int64_t copy, int64_t player, Trader, Draws&) const = 0;
  // The action that quotes this price, or the nearest that asks no less of the others.
  virtual int64_t action_of(int64_t copy, int64_t player, int64_t price) const = 0;
  virtual bool acts(int64_t copy, int64_t player) const = 0;  // it is its turn
};

}  // namespace symma
