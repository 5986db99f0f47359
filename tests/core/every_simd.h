// What is compiled for several instruction sets, on each that this processor has.
#pragma once

#include <gtest/gtest.h>

#include "symma/core/processor.h"

namespace symma {

// Calls `f(level)` with each chosen, the plainest first, and puts back the one that was.
template <class F>
void on_every_simd(const F& f) {
  const Simd before = simd();
  for (const Simd level : kEverySimd) {
    if (!has_simd(level)) continue;
    SCOPED_TRACE(name_of(level));
    select_simd(level);
    f(level);
  }
  select_simd(before);
}

}  // namespace symma
