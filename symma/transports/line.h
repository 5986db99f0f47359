// A line on which messages go to another process, and what is known of it.
//
// ZeroMQ mends a line that breaks, but what was under way then may be lost, and one that was refused is not
// tried again. So the last messages are kept, and said again where the line comes back: those of the last
// three rounds, for one that has said a round of its own has heard all but the last two of ours.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "symma/exchange/bits.h"
#include "symma/exchange/transport.h"
#include "symma/transports/sockets.h"

namespace symma {

// The newest rounds of letters in a message, where it has such letters: of exchanges, and of meetings, which
// are numbered by themselves.
struct Upto {
  std::optional<int64_t> exchange, meeting;
  void see(const Letter&);
};

class Line {
 public:
  // Throws UserError where the address is none, or no line can be opened. `curve` outlives it.
  Line(const Curve& curve, const Key& server, std::string address);

  const std::string& address() const { return address_; }
  bool up() const { return up_; }                 // its other end can be reached
  bool refused() const { return refused_; }       // its other end does not know our key
  int broken() const { return broken_; }          // handshakes that failed for no reason that was told
  void* events() const { return events_.get(); }  // readable where `look` has something to hear
  void linger(int ms) const { set(push_, ZMQ_LINGER, ms); }  // for what is under way as it closes

  // Never waits: where a line is full, its other end is gone, or far behind.
  void send(Bytes message, const Upto&);
  // Goes out once the other end can be reached.
  void send_later(Bytes message, const Upto&);
  // Is not said again.
  void send_once(const Bytes& message) const;
  // None of what was sent is said again.
  void forget() { recent_.clear(); }
  // Hears what has become of it.
  void look();
  // Tries a line that was refused again, once some time has gone by: the other end may just not have been
  // told of us yet. Where no line can be opened, that is tried again too.
  void mend();

 private:
  void open();
  void keep(Bytes message, const Upto&);

  const Curve& curve_;
  Key server_;
  std::string address_;
  Socket push_, events_;
  std::deque<std::pair<Upto, Bytes>> recent_;
  Upto newest_;  // of what was sent last
  bool up_ = false, was_up_ = false, refused_ = false;
  bool behind_ = false;  // some of the last messages were not sent
  int broken_ = 0;
  std::chrono::steady_clock::time_point opened_;
};

}  // namespace symma
