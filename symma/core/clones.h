// A function compiled for several processors, of which the loader picks one.
#pragma once

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SYMMA_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SYMMA_CLONES  // the resolver of clones runs before a sanitizer is ready
#endif

// A root without a side effect, for loops that are to become vectors. GCC takes std::sqrt to set errno, and
// optimize("no-math-errno") on a function does not change what it believes of the declaration; this one does,
// together with that attribute.
extern "C" double sqrt(double) noexcept __attribute__((const));
extern "C" float sqrtf(float) noexcept __attribute__((const));

namespace symma {
[[gnu::always_inline]] inline double root(double x) {
  return ::sqrt(x);
}
[[gnu::always_inline]] inline float root(float x) {
  return ::sqrtf(x);
}
}  // namespace symma
