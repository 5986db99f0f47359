// What a run came to.
#pragma once

#include "symma/fleet/folder.h"

namespace symma {

// A fleet of more agents than this is not listed agent by agent in the log and the summary.
inline constexpr int64_t kMostListed = 1000;

// The fleet on the tasks that its experiment asks for, and summary.json's object about that: what eval_json
// has, and "judged_on", which tasks these were.
EvalResult judge(const Experiment&, const State&, Split);
Json verdict(const Experiment&, const EvalResult&);

// The fleet on validation tasks, as a line of the log has it.
Json validate(const Experiment&, const State&);

// The same in parts: those of a state's agents whom the file asks to judge, and what all came to.
EvalResult judge_on_validation(const Experiment&, const State&);
Json validation_row(const Experiment&, const EvalResult&);
EvalResult join(const Experiment&, const std::vector<EvalResult>& parts);

// What each agent holds, in words, a list; empty where the family does not say.
Json agent_share(const Experiment&);

// Judges the fleet on the test tasks, unless it has been `judged`, and writes summary.json, scores.csv and
// gallery.json. Returns the summary. `told`, where there is one, is shown what is known of it once the fleet
// is judged, before anything is written.
Json conclude(const Experiment&, const RunOptions& run, const RunState&, std::vector<EvalResult> judged = {},
              const std::function<void(const Json& summary)>& told = {});

}  // namespace symma
