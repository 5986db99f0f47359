// Bits into bytes and back, least significant first, on processors that keep words so too. A reader never
// reads past its end: it says so instead.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace symma {

static_assert(std::endian::native == std::endian::little);

using Bytes = std::vector<uint8_t>;

class BitWriter {
 public:
  void put(uint64_t value, int bits) {  // the lowest `bits` (0..64) of value
    if (bits < 64) value &= (uint64_t{1} << bits) - 1;
    word_ |= value << held_;
    held_ += bits;
    if (held_ < 64) return;
    flush(8);
    held_ -= 64;
    word_ = held_ > 0 ? value >> (bits - held_) : 0;
  }
  void put_float(float x) { put(std::bit_cast<uint32_t>(x), 32); }
  // Rice code: value >> low in unary, then the `low` lowest bits.
  void put_rice(uint64_t value, int low) {
    for (uint64_t i = value >> low; i > 0; --i) put(1, 1);
    put(0, 1);
    put(value, low);
  }
  // Numbers of 0..base-1, as many to 64 bits as there is room for.
  void put_radix(std::span<const uint32_t> digits, uint64_t base);
  Bytes take() {
    flush((held_ + 7) / 8);
    word_ = 0, held_ = 0;
    return std::move(bytes_);
  }

 private:
  void flush(int bytes) {
    uint8_t all[8];
    std::memcpy(all, &word_, 8);
    bytes_.insert(bytes_.end(), all, all + bytes);
  }

  Bytes bytes_;
  uint64_t word_ = 0;  // what is not among the bytes yet
  int held_ = 0;       // and its bits, fewer than 64
};

class BitReader {
 public:
  explicit BitReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  uint64_t get(int bits) {
    uint64_t value = 0;
    if (bits == 0) return value;
    if (at_ + bits > 8 * bytes_.size()) {
      failed_ = true;
      return 0;
    }
    const uint64_t first = at_ / 8, left = bytes_.size() - first;
    const int shift = static_cast<int>(at_ % 8);
    std::memcpy(&value, bytes_.data() + first, left < 8 ? left : 8);
    value >>= shift;
    if (shift + bits > 64) value |= static_cast<uint64_t>(bytes_[first + 8]) << (64 - shift);
    if (bits < 64) value &= (uint64_t{1} << bits) - 1;
    at_ += bits;
    return value;
  }
  float get_float() { return std::bit_cast<float>(static_cast<uint32_t>(get(32))); }
  uint64_t get_rice(int low, uint64_t limit) {
    uint64_t high = 0;
    while (get(1) == 1) {
      if (++high > (limit >> low)) failed_ = true;
      if (failed_) return 0;
    }
    return high << low | get(low);
  }
  void get_radix(std::span<uint32_t> digits, uint64_t base);
  bool failed() const { return failed_; }
  // All was read but the padding of the last byte, which is zero.
  bool finished() {
    if (failed_ || 8 * bytes_.size() - at_ >= 8) return false;
    return get(static_cast<int>(8 * bytes_.size() - at_)) == 0;
  }

 private:
  std::span<const uint8_t> bytes_;
  uint64_t at_ = 0;
  bool failed_ = false;
};

// How many digits of `base` >= 2 fit into 64 bits, and the bits that `count` of them take.
int radix_digits(uint64_t base);
int radix_bits(uint64_t base, int count);

}  // namespace symma
