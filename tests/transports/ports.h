// Ports for tests: free when asked for, and below those that the system hands out itself.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace symma {

inline sockaddr_in here(int port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<uint16_t>(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

inline int free_port() {
  static int next = ::getpid();
  for (;;) {
    const int port = 20000 + next++ % 12000, s = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in a = here(port);
    const bool free = ::bind(s, reinterpret_cast<const sockaddr*>(&a), sizeof(a)) == 0;
    ::close(s);
    if (free) return port;
  }
}

}  // namespace symma
