#include "symma/exchange/bits.h"

#include <algorithm>

namespace symma {

using Wide = unsigned __int128;

int radix_digits(uint64_t base) {
  int count = 0;
  for (Wide values = base; values <= Wide{1} << 64; values *= base) ++count;
  return count;
}

int radix_bits(uint64_t base, int count) {
  Wide values = 1;
  for (int i = 0; i < count; ++i) values *= base;
  int bits = 0;
  while (bits < 64 && Wide{1} << bits < values) ++bits;
  return bits;
}

void BitWriter::put_radix(std::span<const uint32_t> digits, uint64_t base) {
  const auto group = static_cast<size_t>(radix_digits(base));
  const int full = radix_bits(base, static_cast<int>(group));
  for (size_t i = 0; i < digits.size(); i += group) {
    const size_t count = std::min(group, digits.size() - i);
    uint64_t word = 0;
    for (size_t j = count; j-- > 0;) word = word * base + digits[i + j];
    put(word, count == group ? full : radix_bits(base, static_cast<int>(count)));
  }
}

void BitReader::get_radix(std::span<uint32_t> digits, uint64_t base) {
  const auto group = static_cast<size_t>(radix_digits(base));
  const int full = radix_bits(base, static_cast<int>(group));
  // Of a base below 2^32 a half of a word's digits is a number of 32 bits, which a product divides: n / base
  // is floor(n m / 2^64) with m = floor(2^64 / base) + 1 (Granlund and Montgomery 1994).
  const size_t half = group / 2;
  uint64_t power = 1;
  for (size_t j = 0; j < half; ++j) power *= base;
  const uint64_t inverse = ~uint64_t{0} / base + 1;
  const auto split = [&](uint64_t number, size_t count, uint32_t* to) {
    for (size_t j = 0; j < count; ++j) {
      const auto rest = static_cast<uint64_t>((Wide{number} * inverse) >> 64);
      to[j] = static_cast<uint32_t>(number - rest * base);
      number = rest;
    }
    return number == 0;
  };
  for (size_t i = 0; i < digits.size() && !failed_; i += group) {
    const size_t count = std::min(group, digits.size() - i);
    uint64_t word = get(count == group ? full : radix_bits(base, static_cast<int>(count)));
    uint32_t* to = &digits[i];
    if (count == group && group == 2 * half) {
      const uint64_t high = word / power;
      if (high >= power || !split(word - high * power, half, to) || !split(high, half, to + half))
        failed_ = true;
      continue;
    }
    for (size_t j = 0; j < count; ++j) {
      to[j] = static_cast<uint32_t>(word % base);
      word /= base;
    }
    if (word != 0) failed_ = true;
  }
}

}  // namespace symma
