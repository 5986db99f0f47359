// Without libtorch's functions: what reads runs draws too. Tensors are drawn in uniform.cc and normal.cc.
#include "symma/core/rng.h"

#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "symma/core/elementary.h"

namespace symma {
namespace {

// FNV-1a, 64 bits: names are short and few, and the result goes through Philox.
uint64_t hash(std::string_view name) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (unsigned char c : name) h = (h ^ c) * 0x100000001b3ull;
  return h;
}

std::array<uint32_t, 2> words(uint64_t x) {
  return {static_cast<uint32_t>(x), static_cast<uint32_t>(x >> 32)};
}

// The last counter word keeps splitting and drawing apart.
constexpr uint32_t kDraw = 0, kSplit = 1;

}  // namespace

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0], p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
    k[0] += 0x9E3779B9;
    k[1] += 0xBB67AE85;
  }
  return c;
}

Rng Rng::split(std::string_view name, uint64_t index) const {
  const auto h = words(hash(name));
  const auto mid = philox({h[0], h[1], 0, kSplit}, words(key_));
  const auto i = words(index);
  const auto out = philox({i[0], i[1], 0, kSplit}, {mid[0], mid[1]});
  return Rng(uint64_t{out[1]} << 32 | out[0]);
}

std::array<uint32_t, 4> Rng::block(uint64_t block) const {
  const auto b = words(block);
  return philox({b[0], b[1], 0, kDraw}, words(key_));
}

uint32_t Draws::word() {
  if (at_ == 4) {
    words_ = rng_.block(next_block_++);
    at_ = 0;
  }
  return words_[at_++];
}

double Draws::uniform() {
  const uint64_t high = word() >> 5, low = word() >> 6;
  return static_cast<double>(high << 26 | low) * 0x1p-53;
}

double Draws::normal() {
  if (have_spare_) {
    have_spare_ = false;
    return spare_;
  }
  const double radius = std::sqrt(-2 * log_of(1 - uniform()));
  const Turn turn = turn_of(uniform());
  spare_ = radius * turn.sine;
  have_spare_ = true;
  return radius * turn.cosine;
}

int64_t Draws::below(int64_t n) {
  if (n < 1 || n > int64_t{1} << 32)
    throw std::logic_error("below: n = " + std::to_string(n) + " is outside 1..2^32");
  const auto range = static_cast<uint64_t>(n);
  const uint64_t reject = (uint64_t{1} << 32) % range;
  uint64_t m = uint64_t{word()} * range;
  while (static_cast<uint32_t>(m) < reject) m = uint64_t{word()} * range;
  return static_cast<int64_t>(m >> 32);
}

std::vector<int64_t> Draws::permutation(int64_t n) {
  return choose(n, n);
}

std::vector<int64_t> Draws::choose(int64_t n, int64_t k) {
  if (k > n) throw std::logic_error("choose: " + std::to_string(k) + " of " + std::to_string(n));
  std::vector<int64_t> items(n);
  std::iota(items.begin(), items.end(), int64_t{0});
  for (int64_t i = 0; i < k && i + 1 < n; ++i) std::swap(items[i], items[i + below(n - i)]);
  items.resize(k);
  return items;
}

}  // namespace symma
