// Times of rows: numbers, or dates as people write them.
#pragma once

#include <optional>
#include <vector>

#include "symma/tasks/csv.h"

namespace symma {

// A column whose cells are all dates, in seconds since 1970 (UTC): 2017-01-31, with 22:00[:00[.5]] after a
// blank or a T, Z or +01:00 behind; 31.1.2017; 1/31/2017, or 31/1/2017 where some first number is past 12.
// Nothing where a cell is none, or is missing.
std::optional<std::vector<double>> dates(const CsvFile&, size_t column);

// The same of a column of numbers or of dates. Throws UserError that names the first cell that is neither.
std::vector<double> times(const CsvFile&, size_t column);

}  // namespace symma
