// Letters between processes, over ZeroMQ with CURVE: every line is encrypted, and both ends are known by a
// key.
//
// Chosen by measurement: a row of 7 KB makes 8,000 round trips a second (gRPC 2,100, with mTLS 545); a
// process that dies blocks nobody, and one that comes back is joined again by itself. Every process listens
// at one address and has a line to each other; who has nothing to say to another sends nothing.
//
// All processes of a fleet share a secret, from which the keys of both ends are derived; a program that does
// not know it is not let in.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "symma/exchange/transport.h"

namespace symma {

struct Meeting {
  int64_t place = 0;                        // which process this is
  std::vector<std::vector<int64_t>> parts;  // the agents of each; where agent 0 is, the server is
  std::string host = "127.0.0.1";           // of the first process
  int64_t port = 0;                         // at which it listens
  std::string secret;                       // never empty
  double patience = 10;                     // seconds that are waited for a process that cannot be reached
  double start = 120;                       // seconds until all must have come up
};

// Waits until all processes are there. Throws UserError where they do not come, or the first one's address
// cannot be had. Used from one thread.
std::unique_ptr<Transport> meet(const Meeting&);

// A secret of 32 bytes as text.
std::string new_secret();

}  // namespace symma
