// Which process this is, of how many, and which agents it owns.
//
// Who starts processes is somebody else's work: `symma train --processes`, torchrun (and Ray, which sets
// torchrun's variables), Slurm, Open MPI, MPICH and other launchers that speak PMI. They say in variables who
// a process is.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "symma/core/options.h"

namespace symma {

// [transport]: how processes of one fleet find each other and how long they wait. Where a fleet lives is no
// part of what the experiment is, and not kept with it.
struct TransportOptions {
  std::string first, key, members, fleet_key;
  std::string mode = "rounds";
  int64_t staleness = 10;
  double patience = 10, start = 120, slow = 60;
  void fields(Fields& f) {
    f.add(
        "first", first,
        "where the first process listens, as host:port; the launcher's variables say it where this is empty");
    f.add("key", key,
          "file of the fleet's secret, the same for all its processes; made by the first process of a user, "
          "in ~/.config/symma, where this is empty; with --stay the first process's own, by symma key");
    f.add("patience", patience,
          "seconds that a round waits for letters of a process that cannot be reached; one that can be is "
          "waited for however slow it is, a member of a fleet that others join as long as slow says")
        .at_least(0);
    f.add(
        "members", members,
        "of a fleet that others join (symma train --stay): file of who may, a line each: agents, public key, "
        "name");
    f.add("fleet_key", fleet_key,
          "public key of the first process of such a fleet, by which those who join know it");
    f.add("slow", slow,
          "seconds that a round waits in such a fleet for a member that can be reached, and is silent")
        .above(0);
    f.add("mode", mode,
          "rounds: each exchange waits for what the others say in it, and the bits are those of one process; "
          "free: takes the newest that has come, and waits for nobody who is not too far behind (strategy "
          "push-sum)")
        .one_of({"rounds", "free"});
    f.add("staleness", staleness, "rounds that a letter may be old where the mode is free").at_least(1);
    f.add("start", start, "seconds that processes wait for each other to come up").above(0);
  }
};

struct Launch {
  int64_t place = 0, places = 1;
  std::string host;    // of the first process; empty: this machine
  int64_t port = 0;    // that it listens at
  std::string secret;  // given by who started it; empty: the key file's
  std::string by;      // "torchrun"
};

// Reads a variable; null where it is not set.
using Variables = std::function<const char*(const char*)>;

// Nothing where no launcher started more than one process. Throws UserError for variables that make no sense.
std::optional<Launch> launched(const Variables&);

// The first name of a list of hosts as Slurm writes it: "node[03-07,9],other" begins with "node03".
std::string first_host(const std::string& list);

// Agents of each process, ascending and side by side: whole blocks of `block` agents where there are as many
// as processes, else single agents. Throws UserError where there are more processes than agents.
std::vector<std::vector<int64_t>> shares_of(int64_t agents, int64_t block, int64_t places);

}  // namespace symma
