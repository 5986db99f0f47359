// What a script of homes may look at.
#pragma once

#include <cstdint>

namespace symma {

class HomesView {
 public:
  virtual ~HomesView() = default;
  // Load less solar of a home, kWh, `ahead` hours after the last that was lived; the last hour's beyond the
  // end.
  virtual double draws(int64_t copy, int64_t home, int64_t ahead) const = 0;
  virtual int hour(int64_t copy) const = 0;         // 1..24, of the last that was lived
  virtual double capacity(int64_t copy) const = 0;  // kWh, of a new battery
  virtual int64_t numbers() const = 0;              // that a home sets
};

}  // namespace symma
