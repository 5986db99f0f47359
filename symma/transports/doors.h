// Keys of the processes of a fleet, and the door that lets in those who have one.
//
// CURVE (X25519) knows both ends of a line by key; whoever comes through the door is from then on the place
// that its key belongs to, whatever it says of itself.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace symma {

using Key = std::array<uint8_t, 32>;

Key public_key(const Key& secret);
// The key of a place of a fleet whose processes share one secret.
Key key_of_place(const std::string& secret, int64_t place);
// 64 characters, and back; nothing where the text is no key.
std::string text_of(const Key&);
std::optional<Key> key_of(const std::string& text);

// Answers ZeroMQ's question who may come in (RFC 27), in a thread of its own, until its context ends.
class Doorkeeper {
 public:
  explicit Doorkeeper(void* context);
  // Whoever has this key is that place.
  void know(const Key& open, int64_t place);
  // The context must have been shut down.
  void join() { thread_.join(); }

 private:
  void answer(void* door);
  std::mutex mutex_;
  std::map<Key, int64_t> known_;
  std::thread thread_;
};

}  // namespace symma
