// Runs a loop with the widest vectors that the machine has, in a library built for the plainest.
//
// The body is a lambda marked SYMMA_INLINE; it is compiled once for each instruction set and one of the
// copies is taken at run time. Every copy does the same operations on each element (contraction is off), so
// for loops that do not reduce across lanes the results are equal bit for bit.
#pragma once

#include <cstdint>

#define SYMMA_INLINE __attribute__((always_inline))

// Vectors stay inside functions that are inlined, so how they would be passed does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace symma {

// 64 bytes as one value. Where the machine's vectors are shorter it is several of them.
template <class T>
struct VectorOf {
  typedef T Type __attribute__((vector_size(64), may_alias));
  typedef T Loose __attribute__((vector_size(64), may_alias, aligned(alignof(T))));
};
template <class T>
using Vec = typename VectorOf<T>::Type;
template <class T>
using LooseVec = typename VectorOf<T>::Loose;
template <class T>
constexpr int64_t kLanes = 64 / sizeof(T);
struct alignas(64) CacheLine {
  char bytes[64];
};

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
