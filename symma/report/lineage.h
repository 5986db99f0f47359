// Who went on from whom in population-based training, as inline SVG: each agent's settings along the run, an
// edge for each copy, and the line of descent of the agent that ended best.
#pragma once

#include <string>

#include "symma/report/run.h"

namespace symma {

// The cards of a section; "" where the run was no population.
std::string lineage_html(const Run& run);

}  // namespace symma
