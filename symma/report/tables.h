// The page's tables, and the one for the terminal.
#pragma once

#include <string>
#include <vector>

#include "symma/report/run.h"

namespace symma {

// Steps x (mean with interval, median, quartiles).
std::string evaluation_table(const Evaluation& e);
// Agent, what it holds, its score after each number of steps.
std::string agents_table(const Run& run);
std::string settings_tables(const Run& run);
// One row a run: score after each number of steps, bits sent.
std::string comparison_html(const std::vector<Run>& runs);
// Score beside what is promised about one unit; "" where no run protects any.
std::string privacy_html(const std::vector<Run>& runs);
std::string comparison_text(const std::vector<Run>& runs);

// What a reader must know before trusting the mean; "" when there is nothing to say.
std::string caution(const Evaluation& e);

}  // namespace symma
