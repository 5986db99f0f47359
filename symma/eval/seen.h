// A judgement said in other ways: in the data's own units, and apart for what was trained on.
#pragma once

#include "symma/eval/evaluate.h"
#include "symma/tasks/supervised.h"

namespace symma {

// Squared errors of standardised targets in the targets' own units: {"target", "scale", "mse", "ci95",
// "rmse"}, a list of S numbers each but for the first two. `eval` is eval_json's object.
Json in_units(const Json& eval, const Units&);

// The tasks that are made of what was trained on and those that are not, apart: {"trained_on": {"groups",
// "tasks", "mean", "ci95"}, "new": the same}. Null where none was trained on, or agents are judged on
// different tasks.
Json trained_and_new(const EvalResult&, const Remembers&, bool higher_is_better);

}  // namespace symma
