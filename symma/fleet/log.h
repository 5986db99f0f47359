// A line of the log: what is known of a run at a round.
#pragma once

#include <functional>
#include <optional>

#include "symma/fleet/account.h"
#include "symma/fleet/checkpoint.h"
#include "symma/fleet/experiment.h"

namespace symma {

// As docs/files.md has it of metrics.jsonl. `seconds` is the time of the run so far; `validation` the object
// that validate gave, null where this round has none.
Json log_row(const Experiment&, const RunState&, const Account&, double seconds, const Json& validation);

// What steps returned since the last line is forgotten.
void forget_sums(RunState&);

// The score that validation ended with, after the most steps of adapting; not a number where it is not
// finite.
double score_of(const Json& validation);

// Whoever wants to hear of every line: files, TensorBoard, a notebook.
using LogListener = std::function<void(const Json& row)>;

class EventFile;
LogListener to_tensorboard(EventFile&, const std::string& metric);

}  // namespace symma
