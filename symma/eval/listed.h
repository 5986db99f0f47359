// Agents judged on episodes that somebody listed, each as it is.
#pragma once

#include "symma/eval/evaluate.h"
#include "symma/tasks/episodes.h"

namespace symma {

// Every agent of `subject` on every episode of the list, in its order. Throws UserError for a query without a
// label.
EvalResult evaluate_listed(const Subject& subject, const EpisodeList&, const std::vector<int64_t>& steps,
                           Rng);

}  // namespace symma
