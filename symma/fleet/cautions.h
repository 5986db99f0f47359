// What is no fault of a file, and still is not what its writer may think.
#pragma once

#include <string>
#include <vector>

#include "symma/fleet/experiment.h"

namespace symma {

// A line each, for people: what the task family says of its data, and whether a rule of [aggregator] lets
// through the hostile agents of [faults], since `bad` allows for fewer than a node may gather.
std::vector<std::string> cautions(const Experiment&);

}  // namespace symma
