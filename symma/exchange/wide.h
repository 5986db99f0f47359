// Runs a loop with the widest vectors that the machine has, in a library built for the plainest.
//
// The body is a lambda marked SYMMA_INLINE; it is compiled once for each instruction set and one of the
// copies is taken at run time. Every copy does the same operations on each element (contraction is off), so
// for loops that do not reduce across lanes the results are equal bit for bit.
#pragma once

#define SYMMA_INLINE __attribute__((always_inline))

namespace symma {

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)

template <class F>
[[gnu::target("avx512f,avx512vl,avx512dq,avx512bw,avx2,prefer-vector-width=512")]] void with_avx512(
    const F& f) {
  f();
}

template <class F>
[[gnu::target("avx2")]] void with_avx2(const F& f) {
  f();
}

template <class F>
void widest(const F& f) {
  static const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  static const bool avx2 = __builtin_cpu_supports("avx2");
  if (avx512) return with_avx512(f);
  if (avx2) return with_avx2(f);
  f();
}

#else

template <class F>
void widest(const F& f) {
  f();
}

#endif

}  // namespace symma
