// ZeroMQ's handles as values, and addresses of this machine.
#pragma once

#include <zmq.h>

#include <cstdint>
#include <memory>
#include <string>

#include "symma/transports/doors.h"

namespace symma {

struct CloseContext {
  void operator()(void* p) const { zmq_ctx_term(p); }
};
struct CloseSocket {
  void operator()(void* p) const { zmq_close(p); }
};
using Context = std::unique_ptr<void, CloseContext>;
using Socket = std::unique_ptr<void, CloseSocket>;

inline void set(const Socket& s, int option, int value) {
  zmq_setsockopt(s.get(), option, &value, sizeof(value));
}
inline void set(const Socket& s, int option, const Key& value) {
  zmq_setsockopt(s.get(), option, value.data(), value.size());
}

// Makes the sockets of one process. It stands as a server of CURVE where others come in, and as a client of
// another's key where it goes out.
struct Curve {
  void* context = nullptr;
  Key own{};                // secret
  double patience = 10;     // seconds: who stands still is noticed before they are over
  int64_t most_bytes = -1;  // of a message; a frame that claims more is not read, and its line is closed

  Socket inbox() const;
  Socket outbox(const Key& server) const;
};

// The address of this machine that leads to `host`. Throws UserError where none does.
std::string own_address(const std::string& host, int64_t port);

// Whether one can listen there: in numbers, so that nothing is looked up, and no other kind of line is
// opened.
bool is_address(const std::string&);

}  // namespace symma
