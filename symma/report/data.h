// The numbers behind the page's charts, as the JSON that page.js reads.
#pragma once

#include <vector>

#include "symma/report/run.h"

namespace symma {

// {"runs": [{"name", "metric", "percent", "eval", "ood", "training", "validation", ...}], "groups": [...]}.
// Numbers are those of the run's files, unchanged; null where not finite. Of more than 2000 training rows,
// those with the least and the greatest loss of each stretch are kept, so that no spike is lost ("thinned":
// true then).
Json chart_data(const std::vector<Run>& runs);

// Whether a score of training is what was earned in worlds.
bool earned_score(const std::string& name);

// null where not finite.
Json json_of(double x);
Json list_of(const std::vector<double>& xs);

// Whether positive scores range so widely that only a logarithmic axis shows them.
bool wants_log(const std::vector<const Evaluation*>& all);

}  // namespace symma
