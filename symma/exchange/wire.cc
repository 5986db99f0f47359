#include "symma/exchange/wire.h"

#include <bit>
#include <cstring>

namespace symma {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers travel as they lie in memory");

constexpr uint8_t kWithin = 1, kLists = 2, kRow = 4;

template <class T>
void put(Bytes& to, const T& value) {
  const auto* p = reinterpret_cast<const uint8_t*>(&value);
  to.insert(to.end(), p, p + sizeof(T));
}

size_t list_bytes(size_t receivers) {
  return (2 * receivers + 7) / 8;
}

}  // namespace

Bytes bytes_of_row(const Tensor& row, at::ScalarType type) {
  const Tensor flat = row.detach().to(at::kCPU, type).contiguous();
  const auto* p = static_cast<const uint8_t*>(flat.data_ptr());
  return {p, p + flat.nbytes()};
}

Bytes pack(const Content& c, at::ScalarType type) {
  Bytes out;
  const size_t row = c.row.defined() ? c.row.numel() * c10::elementSize(type) : 0;
  out.reserve(16 + list_bytes(c.behind.size()) + c.difference.size() + row);
  out.push_back(static_cast<uint8_t>(c.form));
  out.push_back(static_cast<uint8_t>((c.within ? kWithin : 0) | (c.behind.empty() ? 0 : kLists) |
                                     (c.row.defined() ? kRow : 0)));
  put(out, c.clip);
  if (!c.behind.empty()) {
    BitWriter lists;
    for (size_t i = 0; i < c.behind.size(); ++i) lists.put(c.behind[i], 1), lists.put(c.again[i], 1);
    const Bytes b = lists.take();
    out.insert(out.end(), b.begin(), b.end());
  }
  put(out, static_cast<uint32_t>(c.difference.size()));
  out.insert(out.end(), c.difference.begin(), c.difference.end());
  if (c.row.defined()) {
    const Bytes b = bytes_of_row(c.row, type);
    out.insert(out.end(), b.begin(), b.end());
  }
  return out;
}

std::optional<Content> unpack(std::span<const uint8_t> bytes, size_t receivers, int64_t columns,
                              at::ScalarType type) {
  const auto take = [&](size_t n) {
    const auto head = bytes.first(n);
    bytes = bytes.subspan(n);
    return head;
  };
  if (bytes.size() < 2 + sizeof(double)) return {};
  const uint8_t form = take(1)[0], flags = take(1)[0];
  if (form > static_cast<uint8_t>(Form::kDifference) || flags > (kWithin | kLists | kRow)) return {};
  Content c;
  c.form = static_cast<Form>(form);
  c.within = (flags & kWithin) != 0;
  std::memcpy(&c.clip, take(sizeof(double)).data(), sizeof(double));
  if ((flags & kLists) != 0) {
    if (bytes.size() < list_bytes(receivers)) return {};
    BitReader lists(take(list_bytes(receivers)));
    for (size_t i = 0; i < receivers; ++i) {
      c.behind.push_back(lists.get(1) != 0);
      c.again.push_back(lists.get(1) != 0);
    }
  }
  uint32_t length = 0;
  if (bytes.size() < sizeof(length)) return {};
  std::memcpy(&length, take(sizeof(length)).data(), sizeof(length));
  const size_t row = (flags & kRow) != 0 ? static_cast<size_t>(columns) * c10::elementSize(type) : 0;
  if (bytes.size() != length + row) return {};
  const auto difference = take(length);
  c.difference.assign(difference.begin(), difference.end());
  if (row > 0) {
    Tensor t = at::empty({columns}, type);
    std::memcpy(t.data_ptr(), bytes.data(), row);
    c.row = t.to(at::kDouble);
  }
  if (c.form == Form::kWhole && !c.row.defined()) return {};
  return c;
}

}  // namespace symma
