// Letters between processes, over ZeroMQ with CURVE: every line is encrypted, and both ends are known by a
// key.
//
// Chosen by measurement: a row of 7 KB makes 8,000 round trips a second (gRPC 2,100, with mTLS 545); a
// process that dies blocks nobody, and one that comes back is joined again by itself. Every process listens
// at one address and has a line to each other; who has nothing to say to another sends nothing.
//
// Every process has a key of its own, and is by it who it is. Those of one fleet share a secret from which
// all their keys follow; or the first process has a list of keys, and whose agents each may speak for.
//
// Who is gone is not waited for longer than the fleet is patient, and not again; one that is back asks to be
// let in (transports/comings.h).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "symma/exchange/transport.h"
#include "symma/transports/comings.h"
#include "symma/transports/doors.h"
#include "symma/transports/free_running.h"

namespace symma {

struct Keyring {
  Key own{};               // secret
  std::vector<Key> known;  // public, of each place; at one that joins of the first alone
};

struct Meeting {
  int64_t place = 0;                        // which process this is
  std::vector<std::vector<int64_t>> parts;  // the agents of each; where agent 0 is, the server is
  std::string host = "127.0.0.1";           // of the first process
  int64_t port = 0;                         // at which it listens
  std::string secret;                       // of all; not read where there are keys
  double patience = 10;                     // seconds that are waited for a process that cannot be reached
  double start = 120;                       // seconds until all must have come up
  std::optional<Keyring> keys = {};
  bool stay = false;  // at the first: begins without those who are not there yet
  // Of one that joins: the agents that it would speak for. Its `parts` are empty; the first tells it all.
  std::vector<int64_t> joins = {};
  // What one that asks to come in says of what it would take part in; and at the first, why that will not do:
  // what was found, and the remedy.
  std::string about = {};
  std::function<std::optional<std::pair<std::string, std::string>>(const std::string& about)> refuses = {};
  // Seconds that are waited for another than the first that can be reached; 0: as long as it takes.
  double slow = 0;
  int64_t most_bytes = int64_t{1} << 32;  // of a message
};

class Lines : public Transport, public Newest, public Comings {
 public:
  // Agents of each process.
  virtual const std::vector<std::vector<int64_t>>& parts() const = 0;
  virtual int64_t place() const = 0;
};

// Waits until all processes are there, or until the first lets one in that comes later. Throws UserError
// where they do not come, where this one is refused, or the first one's address cannot be had. Used from one
// thread.
std::unique_ptr<Lines> meet(const Meeting&);

// A secret of 32 bytes as text.
std::string new_secret();

}  // namespace symma
