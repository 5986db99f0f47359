// What one that would take part says to the first process, and what that answers: JSON in letters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "symma/exchange/bits.h"
#include "symma/transports/doors.h"

namespace symma {

struct Hello {
  std::string address;  // where it listens
  int64_t time = 0;     // how often it has asked
  std::vector<int64_t> agents;
  std::string about;  // what it would take part in
};

// How the fleet stands, as its first process tells it.
struct FleetTable {
  int64_t place = 0;  // whose this is
  std::vector<std::vector<int64_t>> parts;
  std::vector<std::string> where;  // each place listens; empty where nobody does
  std::vector<Key> keys;           // public, of each place
  std::vector<int64_t> lives;      // how often each was let in again (Letter::life)
  std::string entry;               // what it needs to take part; empty to those who begin with the fleet
};

struct Refusal {
  std::string why, remedy;
  bool later = false;  // may be none, a little later
};

Bytes bytes_of(const Hello&);
Bytes bytes_of(const FleetTable&);
Bytes bytes_of(const Refusal&);

// Nothing where the bytes are none: strangers write them.
std::optional<Hello> hello_of(const Bytes&);
std::optional<std::variant<FleetTable, Refusal>> answer_of(const Bytes&);

}  // namespace symma
