#include "symma/core/tensorboard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "symma/core/errors.h"
#include "symma/core/files.h"

namespace symma {
namespace {

// The table of the reflected polynomial 0x1EDC6F41, one byte at a time: records are a few dozen bytes.
constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? (c >> 1) ^ 0x82f63b78u : c >> 1;
    table[i] = c;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kTable = make_table();

// A checksum of data that holds checksums is weak; TFRecord therefore stores it rotated and shifted.
uint32_t masked(std::string_view bytes) {
  const uint32_t c = crc32c(bytes);
  return ((c >> 15) | (c << 17)) + 0xa282ead8u;
}

void put_fixed(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

// Protobuf keys are field << 3 | wire type: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.
void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_varint(out, static_cast<uint64_t>(field) << 3 | 2);
  put_varint(out, bytes.size());
  out += bytes;
}

std::string event_at(double wall_time, int64_t step) {
  if (wall_time < 0) {
    wall_time = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  }
  std::string event;
  put_varint(event, 1 << 3 | 1);
  put_fixed(event, std::bit_cast<uint64_t>(wall_time), 8);
  if (step != 0) {
    put_varint(event, 2 << 3 | 0);
    put_varint(event, static_cast<uint64_t>(step));
  }
  return event;
}

std::string host() {
  char name[256] = {};
  if (::gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "localhost";
  return name;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t c = ~0u;
  for (const char b : bytes) c = kTable[(c ^ static_cast<uint8_t>(b)) & 0xff] ^ (c >> 8);
  return ~c;
}

namespace {

// Reads a base-128 number at `at`, and moves on; false where the bytes end within it.
bool take_varint(std::string_view bytes, size_t& at, uint64_t& value) {
  value = 0;
  for (int shift = 0; at < bytes.size() && shift < 64; shift += 7) {
    const auto b = static_cast<uint8_t>(bytes[at++]);
    value |= static_cast<uint64_t>(b & 0x7f) << shift;
    if (b < 0x80) return true;
  }
  return false;
}

// The step of an event: field 2, 0 where it has none.
int64_t step_of(std::string_view event) {
  for (size_t at = 0; at < event.size();) {
    uint64_t key = 0, value = 0;
    if (!take_varint(event, at, key)) return 0;
    switch (key & 7) {
      case 0:
        if (!take_varint(event, at, value)) return 0;
        if (key >> 3 == 2) return static_cast<int64_t>(value);
        break;
      case 1:
        at += 8;
        break;
      case 2:
        if (!take_varint(event, at, value) || value > event.size() - at) return 0;
        at += value;
        break;
      case 5:
        at += 4;
        break;
      default:
        return 0;
    }
  }
  return 0;
}

uint64_t fixed_at(std::string_view bytes, size_t at, int count) {
  uint64_t value = 0;
  for (int i = 0; i < count; ++i)
    value |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[at + static_cast<size_t>(i)])) << (8 * i);
  return value;
}

}  // namespace

void forget_steps_from(const std::string& folder, int64_t step) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with("events.out.tfevents.") || !entry.is_regular_file())
      continue;
    const std::string all = read_file(entry.path());
    const std::string_view bytes = all;
    std::string kept;
    for (size_t at = 0; bytes.size() - at >= 16;) {
      const uint64_t size = fixed_at(bytes, at, 8);
      if (size > bytes.size() - at - 16) break;
      const std::string_view event = bytes.substr(at + 12, size);
      if (fixed_at(bytes, at + 12 + size, 4) != masked(event)) break;
      if (step_of(event) < step) kept += bytes.substr(at, size + 16);
      at += size + 16;
    }
    if (kept != all) write_file(entry.path(), kept);
  }
}

EventFile::EventFile(const std::string& folder, int64_t first_step) {
  static std::atomic<int> count{0};
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  path_ =
      fmt::format("{}/events.out.tfevents.{:010d}.{}.{}.{}", folder,
                  std::chrono::duration_cast<std::chrono::seconds>(now).count(), host(), ::getpid(), count++);
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) {
    throw UserError(path_, std::string("cannot be written: ") + std::strerror(errno),
                    "check that the folder exists and can be written");
  }
  std::string version = event_at(-1, 0);
  put_bytes(version, 3, "brain.Event:2");
  append(version);
  if (first_step >= 0) {  // session_log { status: START } tells readers to forget steps from here on
    std::string start = event_at(-1, first_step);
    put_bytes(start, 7, std::string_view("\x08\x01", 2));
    append(start);
  }
}

EventFile::~EventFile() {
  if (fd_ >= 0) ::close(fd_);
}

void EventFile::add(const std::string& tag, int64_t step, double value, double wall_time) {
  std::string scalar;
  put_bytes(scalar, 1, tag);
  put_varint(scalar, 2 << 3 | 5);
  put_fixed(scalar, std::bit_cast<uint32_t>(static_cast<float>(value)), 4);
  std::string summary;
  put_bytes(summary, 1, scalar);
  std::string event = event_at(wall_time, step);
  put_bytes(event, 5, summary);
  append(event);
}

void EventFile::append(const std::string& event) {
  std::string record;
  put_fixed(record, event.size(), 8);
  put_fixed(record, masked(record), 4);
  record += event;
  put_fixed(record, masked(event), 4);
  for (size_t at = 0; at < record.size();) {
    const ssize_t n = ::write(fd_, record.data() + at, record.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n < 0 ? errno : ENOSPC;
      if (fd_ >= 0) ::close(fd_);
      fd_ = -1;  // a constructor that throws runs no destructor
      throw UserError(path_, std::string("cannot be written: ") + std::strerror(error),
                      "free some space, then go on with --resume");
    }
    at += static_cast<size_t>(n);
  }
}

}  // namespace symma
