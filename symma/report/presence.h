// Who was there when, of a fleet in several processes: a lane for agents that were there and away alike,
// drawn from roster.jsonl.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "symma/report/waits.h"

namespace symma {

struct Presence {
  // In rounds. `out`: of the roster; else it was in it, and its letters did not come to somebody.
  struct Away {
    double from = 0, to = 0;
    bool out = false;
  };
  struct Entrance {
    double round = 0, of = 0;
    std::string with;  // "memory", "file" or "neighbours"
  };
  struct Lane {
    int64_t process = 0;
    std::vector<int64_t> agents;  // ascending; one past the last agent is the server
    std::vector<Away> away;       // those out of the roster first, each kind by time
    std::vector<Entrance> entrances;
    double stands = 0;  // the round at which they are in the end
  };
  struct Newcomer {
    double round = 0;
    std::vector<int64_t> agents;
    std::string scores;  // before they had learned anything, in words
  };
  double rounds = 0;
  std::vector<Lane> lanes;  // by process, then by agent
  std::vector<Newcomer> newcomers;
  std::vector<WaitsBetween> waits;
};

// What a run's folder says, so far or at the end; nothing of a run in one process. `rounds`: done. Throws
// UserError for lines that are not of symma.
std::optional<Presence> read_presence(const std::string& folder, double rounds);

// The cards of a section; "" where there is nothing to say. `agents`: of the fleet.
std::string presence_html(const std::optional<Presence>&, int64_t agents);

}  // namespace symma
