// A run that is there already, built again from its folder.
#pragma once

#include <string>
#include <vector>

#include "symma/fleet/experiment.h"

namespace symma {

// The experiment of a run folder, with settings laid over it. Throws UserError where the folder holds no run.
Experiment open_experiment(const std::string& folder, const std::vector<std::string>& settings);

// Throws UserError where --agent names nobody of the fleet.
void check_agent(const Experiment&, int64_t agent);

}  // namespace symma
