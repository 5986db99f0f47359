// Batch norm's running statistics, for learners of models that keep them.
#pragma once

#include "symma/learners/learner.h"

namespace symma {

// Moves each agent's running statistics toward those of its tasks' queries, averaged over its tasks. Nothing
// where the model keeps none.
void observe_statistics(const Model&, State&, const TaskBatch&);

}  // namespace symma
