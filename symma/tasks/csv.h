// A task of few examples from a CSV file.
#pragma once

#include <string>
#include <vector>

#include "symma/core/csv.h"
#include "symma/tasks/supervised.h"

namespace symma {

// One regression task from a file with columns `inputs` and `target`: rows with a target to learn from, rows
// with an empty target to predict. Where every row has a target, predictions are made for the same rows.
FewShot::Reading read_points(const CsvFile&, const std::vector<std::string>& inputs,
                             const std::string& target);

}  // namespace symma
