// What a fleet of several processes makes known under secure aggregation. The first process is the server's,
// so what the others tell it for the log, for newcomers and in the end must hold no rows.
#pragma once

#include "symma/fleet/checkpoint.h"
#include "symma/fleet/folder.h"

namespace symma {

// That sums are of enough rows beside those that live with the server, and that no process knows more shares
// of distributed noise than its account allows for. Throws UserError.
void check_crowd(const Experiment&, const std::vector<std::vector<int64_t>>& shares);

// All rows, [N, Q], as the server has just told them to all; NaN where that is not what they are.
Tensor rows_as_told(const Experiment&, const RunState& own);

// What as many newcomers begin with, as numbers: what the server says, where that is all of a row, else null.
Json rows_to_begin_with(const RunState& own, size_t newcomers);

// Another process's agents in the end: as it wrote them to `file`, where this process may read it, else as
// the server has told them. `start` is how they started.
RunState part_shown(const Experiment&, const RunOptions&, const RunState& own, const RunState& start,
                    const std::string& file);

}  // namespace symma
