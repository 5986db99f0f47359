#include "symma/transports/envelope.h"

#include <bit>
#include <cstring>
#include <string_view>

namespace symma {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers travel as they lie in memory");

constexpr std::string_view kMagic = "symma-2\n";

template <class T>
void put(Bytes& to, T value) {
  const auto* p = reinterpret_cast<const uint8_t*>(&value);
  to.insert(to.end(), p, p + sizeof(T));
}

class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : left_(bytes) {}
  template <class T>
  bool get(T& value) {
    if (left_.size() < sizeof(T)) return false;
    std::memcpy(&value, left_.data(), sizeof(T));
    left_ = left_.subspan(sizeof(T));
    return true;
  }
  bool take(uint64_t n, std::span<const uint8_t>& bytes) {
    if (left_.size() < n) return false;
    bytes = left_.first(n);
    left_ = left_.subspan(n);
    return true;
  }
  bool done() const { return left_.empty(); }

 private:
  std::span<const uint8_t> left_;
};

}  // namespace

void put_letter(Bytes& to, const Letter& letter) {
  put(to, letter.from);
  put(to, letter.round);
  put(to, static_cast<uint8_t>(letter.kind));
  put(to, static_cast<uint32_t>(letter.to.size()));
  for (const int64_t address : letter.to) put(to, address);
  put(to, static_cast<uint64_t>(letter.bytes.size()));
  to.insert(to.end(), letter.bytes.begin(), letter.bytes.end());
}

Bytes sealed(int64_t place, int64_t life, const Bytes& letters) {
  Bytes out(kMagic.begin(), kMagic.end());
  out.reserve(kMagic.size() + 8 + letters.size());
  put(out, static_cast<uint32_t>(place));
  put(out, static_cast<uint32_t>(life));
  out.insert(out.end(), letters.begin(), letters.end());
  return out;
}

std::optional<Opened> open(std::span<const uint8_t> message, int64_t places, int64_t addresses) {
  Reader in(message);
  std::span<const uint8_t> magic;
  uint32_t place = 0, life = 0;
  if (!in.take(kMagic.size(), magic) || std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0 ||
      !in.get(place) || !in.get(life) || (place >= places && place != kWhoeverKnows))
    return {};
  Opened out{place, life, {}};
  const auto known = [&](int64_t address) { return address >= -places && address < addresses; };
  while (!in.done()) {
    Letter letter;
    letter.life = life;
    uint8_t kind = 0;
    uint32_t receivers = 0;
    uint64_t length = 0;
    if (!in.get(letter.from) || !in.get(letter.round) || !in.get(kind) || !in.get(receivers)) return {};
    if (!known(letter.from) || kind > static_cast<uint8_t>(Letter::kLast)) return {};
    letter.kind = static_cast<Letter::Kind>(kind);
    std::span<const uint8_t> list, bytes;
    if (!in.take(uint64_t{receivers} * sizeof(int64_t), list) || !in.get(length) || !in.take(length, bytes))
      return {};
    letter.to.resize(receivers);
    if (receivers > 0) std::memcpy(letter.to.data(), list.data(), list.size());
    for (const int64_t address : letter.to)
      if (!known(address)) return {};
    letter.bytes.assign(bytes.begin(), bytes.end());
    out.letters.push_back(std::move(letter));
  }
  return out;
}

}  // namespace symma
