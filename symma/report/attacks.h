// Runs under attack side by side: the score under each attack by rule of aggregation.
#pragma once

#include <string>
#include <vector>

#include "symma/report/run.h"

namespace symma {

// A table with a row for each attack (and one for none) and a column for each rule, of the mean score after
// the most steps of adaptation, over the honest agents. Of several runs in one cell the last counts. Scores
// worse than 1.5 times that of the first run without attack are marked. "" where no run has hostile agents.
std::string attacks_html(const std::vector<Run>& runs);

}  // namespace symma
