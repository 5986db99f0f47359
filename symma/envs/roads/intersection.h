// What a script of the intersection may look at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "symma/envs/roads/crossing.h"

namespace symma {

class CrossingView {
 public:
  virtual ~CrossingView() = default;
  virtual const std::vector<Car>& cars(int64_t copy) const = 0;
  virtual size_t car_of(int64_t copy, int64_t agent) const = 0;  // its place among them
};

}  // namespace symma
