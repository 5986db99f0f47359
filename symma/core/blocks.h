// Blocks of a stream, many at a time, in loops that a compiler can turn into vectors.
#pragma once

#include <cstdint>

#include "symma/core/simd.h"

namespace symma {

// Blocks `first` to `first` + n of the stream under `key`, as `philox` makes them one by one: word k of block
// first + j is w[k][j].
template <int64_t n>
SYMMA_INLINE inline void stream_blocks(uint64_t key, uint64_t first, uint32_t (&w)[4][n]) {
  for (int64_t j = 0; j < n; ++j) {
    const uint64_t block = first + static_cast<uint64_t>(j);
    uint32_t c0 = static_cast<uint32_t>(block), c1 = static_cast<uint32_t>(block >> 32), c2 = 0, c3 = 0;
    uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c0, p1 = uint64_t{0xCD9E8D57} * c2;
      c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
      c1 = static_cast<uint32_t>(p1);
      c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c3 = static_cast<uint32_t>(p0);
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    w[0][j] = c0, w[1][j] = c1, w[2][j] = c2, w[3][j] = c3;
  }
}

// Two words as a number of [0, 1) of 53 bits, as `Draws` has it. Halves are signed: every processor turns
// those into doubles many at a time.
SYMMA_INLINE inline double unit_of_words(uint32_t high, uint32_t low) {
  return (static_cast<double>(static_cast<int32_t>(high >> 5)) * 0x1p26 +
          static_cast<double>(static_cast<int32_t>(low >> 6))) *
         0x1p-53;
}

}  // namespace symma
