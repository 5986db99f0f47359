#include "symma/transports/sockets.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "symma/core/errors.h"

namespace symma {
namespace {

Socket opened(const Curve& curve, int type) {
  Socket s(zmq_socket(curve.context, type));
  set(s, ZMQ_LINGER, 0);
  const double ms = 1000 * curve.patience;
  set(s, ZMQ_HEARTBEAT_IVL, static_cast<int>(std::clamp(ms / 5, 200.0, 2000.0)));
  set(s, ZMQ_HEARTBEAT_TIMEOUT, static_cast<int>(std::clamp(ms * 0.6, 1000.0, 10000.0)));
  set(s, ZMQ_SNDHWM, 256);
  set(s, ZMQ_RCVHWM, 256);
  set(s, ZMQ_CURVE_SECRETKEY, curve.own);
  return s;
}

}  // namespace

Socket Curve::inbox() const {
  Socket s = opened(*this, ZMQ_PULL);
  set(s, ZMQ_CURVE_SERVER, 1);
  zmq_setsockopt(s.get(), ZMQ_ZAP_DOMAIN, "symma", 5);
  zmq_setsockopt(s.get(), ZMQ_MAXMSGSIZE, &most_bytes, sizeof(most_bytes));
  return s;
}

Socket Curve::outbox(const Key& server) const {
  Socket s = opened(*this, ZMQ_PUSH);
  set(s, ZMQ_CURVE_PUBLICKEY, public_key(own));
  set(s, ZMQ_CURVE_SERVERKEY, server);
  return s;
}

std::string own_address(const std::string& host, int64_t port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_DGRAM;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0 || found == nullptr)
    throw UserError("transport.first", "\"" + host + "\" is the name of no machine",
                    "name the one on which the first process runs, as host:port");
  const int s = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in mine{};
  socklen_t size = sizeof(mine);
  const bool ok = ::connect(s, found->ai_addr, found->ai_addrlen) == 0 &&
                  ::getsockname(s, reinterpret_cast<sockaddr*>(&mine), &size) == 0;
  ::close(s);
  freeaddrinfo(found);
  if (!ok)
    throw UserError("transport.first", "no way leads from here to " + host,
                    "is this machine on its network?");
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &mine.sin_addr, text, sizeof(text));
  return text;
}

bool is_address(const std::string& s) {
  const std::string head = "tcp://";
  const size_t colon = s.rfind(':');
  if (!s.starts_with(head) || colon < head.size()) return false;
  in_addr host{};
  if (inet_pton(AF_INET, s.substr(head.size(), colon - head.size()).c_str(), &host) != 1) return false;
  const std::string port = s.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos)
    return false;
  const int n = std::atoi(port.c_str());
  return n > 0 && n < 65536;
}

}  // namespace symma
