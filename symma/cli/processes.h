// Several processes of one fleet: started on this machine, or met where a launcher has started them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "symma/exchange/transport.h"
#include "symma/fleet/experiment.h"
#include "symma/fleet/placement.h"

namespace symma {

// The words of a program to start, as execv takes them: pointers into `words`, and a null.
std::vector<char*> argv_of(std::vector<std::string>& words);

// Starts this program so many times, with the same words but --processes and --threads, and waits until the
// fleet is done. Returns the first one's exit status.
int start_processes(int64_t processes, int threads);

// The lines to the others of a fleet that `launch` started. Throws UserError where they do not come.
std::unique_ptr<Transport> meet_others(const Launch&, const TransportOptions&,
                                       const std::vector<std::vector<int64_t>>& shares);

// A place of the network, such as 10.0.0.5:7000 or tcp://10.0.0.5:7000. Throws UserError, of `place`.
std::pair<std::string, int64_t> host_and_port(const std::string& address, const std::string& place);

// How many processes of the fleet are on this machine, as the launcher says; 1 where it does not.
int64_t processes_here();

}  // namespace symma
