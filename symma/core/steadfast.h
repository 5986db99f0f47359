// Work that others wait for is not given up in the middle, however long ago this process was asked to stop.
#pragma once

#include <atomic>

namespace symma {

inline std::atomic<int> steadfast{0};

// While one lives, `check_interrupted` (core/interrupt.h) throws nothing.
class Steadfast {
 public:
  Steadfast() noexcept { steadfast.fetch_add(1); }
  ~Steadfast() { steadfast.fetch_sub(1); }
  Steadfast(const Steadfast&) = delete;
  Steadfast& operator=(const Steadfast&) = delete;
};

}  // namespace symma
