// Bits into bytes and back, least significant first. A reader never reads past its end: it says so instead.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace symma {

using Bytes = std::vector<uint8_t>;

class BitWriter {
 public:
  void put(uint64_t value, int bits) {  // the lowest `bits` (0..64) of value
    for (int done = 0; done < bits;) {
      if (used_ == 0) bytes_.push_back(0);
      const int room = 8 - used_, take = bits - done < room ? bits - done : room;
      bytes_.back() |= static_cast<uint8_t>(((value >> done) & ((1u << take) - 1)) << used_);
      used_ = (used_ + take) % 8;
      done += take;
    }
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
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
  int used_ = 0;  // bits used of the last byte, 0 when it is full
};

class BitReader {
 public:
  explicit BitReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  uint64_t get(int bits) {
    uint64_t value = 0;
    if (at_ + bits > 8 * bytes_.size()) {
      failed_ = true;
      return 0;
    }
    for (int done = 0; done < bits;) {
      const int used = static_cast<int>(at_ % 8), room = 8 - used,
                take = bits - done < room ? bits - done : room;
      value |= static_cast<uint64_t>((bytes_[at_ / 8] >> used) & ((1u << take) - 1)) << done;
      at_ += take;
      done += take;
    }
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
