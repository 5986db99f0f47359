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

// The address of this machine that leads to `host`. Throws UserError where none does.
std::string own_address(const std::string& host, int64_t port);

// Whether one can listen there: in numbers, so that nothing is looked up, and no other kind of line is
// opened.
bool is_address(const std::string&);

}  // namespace symma
