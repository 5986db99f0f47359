// The file of a model for devices: a list of named arrays that says all about itself. Little-endian, each
// part at a multiple of 8 bytes:
//
//   "symma-m1", int64 entries; for each entry: int64 key bytes, int64 type (1 text, 2 int64, 3 float64, 4
//   float32, 5 texts), int64 elements, the key, the elements. A text's elements are its bytes; texts are each
//   ended by a zero byte, and their elements are all those bytes.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace symma::runtime {

enum class Type : int64_t { kText = 1, kInt64 = 2, kFloat64 = 3, kFloat32 = 4, kTexts = 5 };

struct Entry {
  std::string_view key;
  Type type;
  int64_t size;  // elements
  const unsigned char* data;

  template <class T>
  T at(int64_t i) const {  // of numbers
    T x;
    std::memcpy(&x, data + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return x;
  }
  std::string_view text() const { return {reinterpret_cast<const char*>(data), static_cast<size_t>(size)}; }
};

inline int64_t element_size(Type t) {
  return t == Type::kInt64 || t == Type::kFloat64 ? 8 : t == Type::kFloat32 ? 4 : 1;
}

// A view of the bytes of such a file, 8-byte aligned. Nothing is trusted: `good` is false for a file that is
// cut short or none, and `use` is called only for entries that lie within it.
template <class Use>
bool read_entries(const unsigned char* bytes, int64_t size, const Use& use) {
  const auto number = [&](int64_t at) {
    int64_t x;
    std::memcpy(&x, bytes + at, 8);
    return x;
  };
  if (size < 16 || std::memcmp(bytes, "symma-m1", 8) != 0) return false;
  const int64_t entries = number(8);
  int64_t at = 16;
  const auto rounded = [](int64_t n) { return (n + 7) / 8 * 8; };
  for (int64_t i = 0; i < entries; ++i) {
    if (size - at < 24) return false;
    const int64_t key = number(at), type = number(at + 8), n = number(at + 16);
    at += 24;
    if (type < 1 || type > 5 || key < 0 || key > 4096 || n < 0 || n > size) return false;
    if (rounded(key) > size - at) return false;
    Entry e{{reinterpret_cast<const char*>(bytes + at), static_cast<size_t>(key)},
            static_cast<Type>(type),
            n,
            nullptr};
    at += rounded(key);
    const int64_t data = n * element_size(e.type);
    if (rounded(data) > size - at) return false;
    e.data = bytes + at;
    at += rounded(data);
    if (e.type == Type::kTexts && n > 0 && e.data[n - 1] != 0) return false;
    use(e);
  }
  return true;
}

}  // namespace symma::runtime
