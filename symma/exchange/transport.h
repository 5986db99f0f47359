// Letters between agents, and what carries them from one process to another.
//
// A transport knows addresses and bytes, never rows. Agents are numbered over the whole fleet, and a server
// is the number after the last agent. What stays inside a process is never made a letter.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "symma/exchange/bits.h"

namespace symma {

// One letter to all of `to`; it is carried once to each process in which some of these live.
struct Letter {
  // What it is for. A process waits for one kind at a time.
  enum class Kind : uint8_t {
    kScene,   // an honest agent's row, to a hostile agent elsewhere: attackers know everything
    kSaid,    // what an agent says, to its neighbours or to the server
    kAnswer,  // what the server hands back
    kGather,  // from a process to the first: what it makes known of itself
    kTold,    // from the first process to the others
    // Secure aggregation (secure_sum.cc), in the order in which they go. Up from each agent, but for the
    // first, which goes straight to all the others; down to all.
    kKnown,
    kAdvert,
    kAdverts,
    kShares,
    kInbox,
    kMasked,
    kSurvivors,
    kConsent,
    kConsents,
    kReveal,
  };
  static constexpr Kind kLast = Kind::kReveal;
  int64_t from = 0;
  std::vector<int64_t> to;
  int64_t round = 0;
  Kind kind = Kind::kSaid;
  Bytes bytes;
  // What is for each of `to` alone, in its order: empty, or one for each. A process gets those of the
  // receivers that are there, behind `bytes`, one after another, and `to` is then these.
  std::vector<Bytes> each = {};
  // Seconds that whoever collected it waited for it. It does not travel; 0 within one process.
  double waited = 0;
  // How often its sender's process had been let in again as it said this. Who was out of reach may have gone
  // on by itself, further than the others, and begins anew where they are: then it says a round twice.
  int64_t life = 0;
};

// Who is there. It changes between exchanges alone.
struct Roster {
  int64_t epoch = 0;
  std::vector<int64_t> ids;  // ascending
};

// What came, ascending by sender, and from whom nothing did: a letter that did not come is a value.
struct Post {
  std::vector<Letter> came;
  std::vector<int64_t> missing;
};

class Transport {
 public:
  virtual ~Transport() = default;
  virtual Roster roster() = 0;
  // Never waits. A letter to one who is gone is dropped.
  virtual void send(Letter) = 0;
  // The letters of this kind and round from each of `from`, which are elsewhere. Waits for them, and at most
  // as long as the transport is patient.
  virtual Post collect(Letter::Kind, int64_t round, std::span<const int64_t> from) = 0;
};

}  // namespace symma
