// What rules that need no training of agents reach on the tasks that agents are judged on: a learner is worth
// its work where it is better than they are.
#pragma once

#include <vector>

#include "symma/core/options.h"
#include "symma/tasks/task.h"

namespace symma {

// For regressions, the loss of
//   support_mean   the mean of the support's targets
//   last_value     the target of the support's last row: with a column of time, the latest that is known
//   pooled_ridge   one linear rule for all tasks, by ridge regression on training tasks
//   support_ridge  a linear rule for each task, by ridge regression on its support
//   both_added     pooled_ridge, and a ridge regression of what it leaves on the support
// where penalties are chosen on validation tasks. For classes, the accuracy of
//   support_majority   the most frequent class of the support
//   nearest_neighbour  the class of the nearest point of the support
// An object of name -> {mean, ci95} over the tasks, which are those that `evaluate` draws with the same key
// for each of `whose`; null where tasks are no labelled points, or have several numbers to predict.
Json simple_rules(const TaskFamily&, const Model&, Split, const std::vector<int64_t>& whose, int64_t tasks,
                  Rng);

}  // namespace symma
