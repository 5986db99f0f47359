// Letters of one process to another as the bytes of one message. Numbers are little-endian:
//
//   "symma-2\n", place of the sender u32, its life u32; then letters: from i64, round i64, kind u8, receivers
//   u32, their addresses i64 each, length u64, that many bytes
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "symma/exchange/transport.h"

namespace symma {

void put_letter(Bytes& to, const Letter&);
Bytes sealed(int64_t place, int64_t life, const Bytes& letters);

struct Opened {
  int64_t place = 0, life = 0;
  std::vector<Letter> letters;  // of that life
};
// Nothing where the bytes are no message between `places` processes with addresses below `addresses`. What
// they claim is checked before anything of that size is allocated.
// A message may say kWhoeverKnows for its place: its sender does not know it yet.
inline constexpr int64_t kWhoeverKnows = 0xFFFFFFFF;
std::optional<Opened> open(std::span<const uint8_t> message, int64_t places, int64_t addresses);

}  // namespace symma
