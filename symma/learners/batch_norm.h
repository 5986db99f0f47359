// Batch norm's running statistics, for learners of models that keep them.
#pragma once

#include "symma/learners/learner.h"

namespace symma {

// Moves each agent's running statistics toward those of its tasks' queries, averaged over its tasks. Nothing
// where the model keeps none.
void observe_statistics(const Model&, State&, const TaskBatch&);

// The batch as labelled points. Throws UserError that names the learner where it is something else.
const class SupervisedBatch& need_supervised(const TaskBatch&, const std::string& learner);

}  // namespace symma
