// Vectors, and code that is compiled for several processors, in a library built for the plainest.
//
//   SYMMA_CLONES     a function compiled for several processors, of which the loader picks one
//   widest(body)     a loop with the widest vectors that the machine has, picked at each call
//   Vec<T, Bytes>    so many bytes as one value; LooseVec is one that stands anywhere in memory
//
// Kernels of one instruction set are files of their own (nn/kernels/target_*.cc) over the same vectors.
// Contraction is off and the operations on each element are the same, so loops that do not reduce across
// lanes are equal bit for bit on every processor. Nothing here but types and what is inlined: a copy that the
// linker picks may run anywhere.
#pragma once

#include <cstdint>
#include <type_traits>

#include "symma/core/processor.h"

#define SYMMA_INLINE __attribute__((always_inline))

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SYMMA_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SYMMA_CLONES  // the resolver of clones runs before a sanitizer is ready
#endif

// Vectors stay inside functions that are inlined, so how they would be passed does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

// A root without a side effect, for loops that are to become vectors. GCC takes std::sqrt to set errno, and
// optimize("no-math-errno") on a function does not change what it believes of the declaration; this one does,
// together with that attribute.
extern "C" double sqrt(double) noexcept __attribute__((const));
extern "C" float sqrtf(float) noexcept __attribute__((const));

namespace symma {

SYMMA_INLINE inline double root(double x) {
  return ::sqrt(x);
}
SYMMA_INLINE inline float root(float x) {
  return ::sqrtf(x);
}

// Never longer than the registers of what it is compiled for: GCC takes longer ones apart so badly that loops
// were three to nine times slower.
template <class T, int Bytes>
struct VectorOf {
  typedef T Type __attribute__((vector_size(Bytes), may_alias));
  typedef T Loose __attribute__((vector_size(Bytes), may_alias, aligned(alignof(T))));
};
template <class T, int Bytes>
using Vec = typename VectorOf<T, Bytes>::Type;
template <class T, int Bytes>
using LooseVec = typename VectorOf<T, Bytes>::Loose;
template <class T, int Bytes>
constexpr int64_t kLanes = Bytes / sizeof(T);
struct alignas(64) CacheLine {
  char bytes[64];
};
template <class T>
constexpr int64_t kOfLine = sizeof(CacheLine) / sizeof(T);
// n numbers, and those that fill up the last line.
template <class T>
constexpr int64_t whole_lines(int64_t n) {
  return (n + kOfLine<T> - 1) / kOfLine<T> * kOfLine<T>;
}

// Memory laid out by cache lines, of which part p is seen, a register's worth. It begins at number
// p * kLanes<T, bytes> of a line.
template <class T, int bytes>
struct PartOfLines {
  using V = Vec<T, bytes>;
  static constexpr int64_t kParts = sizeof(CacheLine) / bytes;
  V* at;
  SYMMA_INLINE static PartOfLines of(void* lines, int64_t p) { return {static_cast<V*>(lines) + p}; }
  SYMMA_INLINE V& operator[](int64_t line) const { return at[line * kParts]; }
  SYMMA_INLINE PartOfLines from(int64_t line) const { return {at + line * kParts}; }
};

// The body of `widest` is a lambda marked SYMMA_INLINE: compiled once for each instruction set. It may take
// how many bytes that set's registers hold, a constant.
template <int bytes, class F>
SYMMA_INLINE inline void with_registers(const F& f) {
  if constexpr (std::is_invocable_v<const F&>)
    f();
  else
    f(std::integral_constant<int, bytes>());
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)

template <class F>
[[gnu::target("avx512f,avx512vl,avx512dq,avx512bw,avx2,prefer-vector-width=512")]] void with_avx512(
    const F& f) {
  with_registers<64>(f);
}

template <class F>
[[gnu::target("avx2")]] void with_avx2(const F& f) {
  with_registers<32>(f);
}

template <class F>
void widest(const F& f) {
  switch (simd()) {
    case Simd::kAvx512:
      return with_avx512(f);
    case Simd::kAvx2:
      return with_avx2(f);
    default:
      with_registers<16>(f);
  }
}

#else

template <class F>
void widest(const F& f) {
  with_registers<16>(f);
}

#endif

}  // namespace symma
