#include "symma/transports/line.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "symma/core/errors.h"

namespace symma {
namespace {

constexpr int64_t kRounds = 3;
constexpr std::chrono::milliseconds kRefusedFor{300};

}  // namespace

Line::Line(const Curve& curve, const Key& server, std::string address)
    : curve_(curve), server_(server), address_(std::move(address)) {
  open();
}

void Line::open() {
  static std::atomic<int64_t> monitors = 0;
  opened_ = std::chrono::steady_clock::now();
  const auto none = [&] {
    return UserError("transport.first",
                     fmt::format("no line to {} can be opened ({})", address_, zmq_strerror(zmq_errno())),
                     "allow the process more open files: ulimit -n");
  };
  Socket push = curve_.outbox(server_), heard(zmq_socket(curve_.context, ZMQ_PAIR));
  if (!push || !heard) throw none();
  const std::string events = fmt::format("inproc://events-{}", ++monitors);
  const int watched = zmq_socket_monitor(push.get(), events.c_str(),
                                         ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                                             ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                                             ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
  set(heard, ZMQ_LINGER, 0);
  if (watched != 0 || zmq_connect(heard.get(), events.c_str()) != 0) throw none();
  if (zmq_connect(push.get(), address_.c_str()) != 0)
    throw UserError("transport.first", "\"" + address_ + "\" is no address", "write host:port");
  events_ = std::move(heard);
  push_ = std::move(push);
  up_ = was_up_ = refused_ = false;
  broken_ = 0;
}

void Line::mend() {
  if (!refused_ || std::chrono::steady_clock::now() - opened_ < kRefusedFor) return;
  try {
    open();
  } catch (const UserError&) {
    return;
  }
  behind_ = true;
}

void Upto::see(const Letter& letter) {
  const bool meets = letter.kind == Letter::Kind::kGather || letter.kind == Letter::Kind::kTold;
  std::optional<int64_t>& newest = meets ? meeting : exchange;
  newest = std::max(newest.value_or(letter.round), letter.round);
}

void Line::keep(Bytes message, const Upto& upto) {
  if (upto.exchange) newest_.exchange = upto.exchange;
  if (upto.meeting) newest_.meeting = upto.meeting;
  recent_.emplace_back(upto, std::move(message));
  std::erase_if(recent_, [&](const auto& kept) {
    const auto over = [](const std::optional<int64_t>& round, const std::optional<int64_t>& newest) {
      return !round || *round <= *newest - kRounds;
    };
    return over(kept.first.exchange, newest_.exchange) && over(kept.first.meeting, newest_.meeting);
  });
}

void Line::send(Bytes message, const Upto& upto) {
  keep(std::move(message), upto);
  send_once(recent_.back().second);
}

void Line::send_later(Bytes message, const Upto& upto) {
  keep(std::move(message), upto);
  behind_ = true;
}

void Line::send_once(const Bytes& message) const {
  zmq_send(push_.get(), message.data(), message.size(), ZMQ_DONTWAIT);
}

void Line::look() {
  for (;;) {
    uint8_t event[6];
    if (zmq_recv(events_.get(), event, sizeof(event), ZMQ_DONTWAIT) < 0) return;
    char address[1];
    zmq_recv(events_.get(), address, sizeof(address), 0);
    uint16_t what = 0;
    std::memcpy(&what, event, sizeof(what));
    up_ = what == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
    // Refused once is refused, whatever the line says as it closes.
    refused_ = !up_ && (refused_ || what == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);
    broken_ += what == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL || what == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL;
    if (!up_) continue;
    broken_ = 0;
    // What was under way as it broke may not have come: it is said again, and taken once.
    if (std::exchange(was_up_, true) || std::exchange(behind_, false))
      for (const auto& [upto, message] : recent_) send_once(message);
  }
}

}  // namespace symma
