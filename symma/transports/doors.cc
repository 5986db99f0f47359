#include "symma/transports/doors.h"

#include <sodium.h>
#include <zmq.h>

#include <algorithm>

#include "symma/core/tensor.h"

namespace symma {

Key public_key(const Key& secret) {
  TORCH_CHECK(sodium_init() >= 0, "libsodium does not start");
  Key open{};
  crypto_scalarmult_base(open.data(), secret.data());
  return open;
}

Key key_of_place(const std::string& secret, int64_t place) {
  TORCH_CHECK(sodium_init() >= 0, "libsodium does not start");
  Key out{};
  const std::string text = "symma place " + std::to_string(place) + " of " + secret;
  crypto_generichash(out.data(), out.size(), reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                     nullptr, 0);
  return out;
}

std::string text_of(const Key& key) {
  char text[2 * std::tuple_size_v<Key> + 1];
  sodium_bin2hex(text, sizeof(text), key.data(), key.size());
  return text;
}

std::optional<Key> key_of(const std::string& text) {
  Key key{};
  size_t n = 0;
  if (text.size() != 2 * key.size() ||
      sodium_hex2bin(key.data(), key.size(), text.data(), text.size(), nullptr, &n, nullptr) != 0)
    return {};
  return n == key.size() ? std::optional(key) : std::nullopt;
}

Doorkeeper::Doorkeeper(void* context) {
  void* door = zmq_socket(context, ZMQ_REP);
  TORCH_CHECK(zmq_bind(door, "inproc://zeromq.zap.01") == 0, zmq_strerror(zmq_errno()));
  thread_ = std::thread([this, door] {
    answer(door);
    zmq_close(door);
  });
}

void Doorkeeper::know(const Key& open, int64_t place) {
  const std::lock_guard lock(mutex_);
  known_[open] = place;
}

void Doorkeeper::answer(void* door) {
  for (;;) {
    std::vector<std::string> frames;
    int more = 1;
    while (more != 0) {
      zmq_msg_t m;
      zmq_msg_init(&m);
      if (zmq_msg_recv(&m, door, 0) < 0) {
        zmq_msg_close(&m);
        return;  // the context has ended
      }
      frames.emplace_back(static_cast<const char*>(zmq_msg_data(&m)), zmq_msg_size(&m));
      more = zmq_msg_more(&m);
      zmq_msg_close(&m);
    }
    // version, request, domain, address, identity, mechanism, key
    std::string name;
    Key key{};
    if (frames.size() == 7 && frames[5] == "CURVE" && frames[6].size() == key.size()) {
      std::copy(frames[6].begin(), frames[6].end(), key.begin());
      const std::lock_guard lock(mutex_);
      if (const auto it = known_.find(key); it != known_.end()) name = std::to_string(it->second);
    }
    const bool in = !name.empty();
    const std::string request = frames.size() > 1 ? frames[1] : "";
    const std::string reply[] = {"1.0", request, in ? "200" : "400", in ? "" : "not of this fleet", name, ""};
    for (size_t i = 0; i < 6; ++i)
      zmq_send(door, reply[i].data(), reply[i].size(), i + 1 < 6 ? ZMQ_SNDMORE : 0);
  }
}

}  // namespace symma
