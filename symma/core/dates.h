// Times of rows: numbers, or dates as people write them.
#pragma once

#include <optional>
#include <vector>

#include "symma/core/csv.h"

namespace symma {

// A column whose cells are all dates, in seconds since 1970 (UTC): 2017-01-31, with 22:00[:00[.5]] after a
// blank or a T, Z or +01:00 behind; 31.1.2017; 1/31/2017, or 31/1/2017 where some first number is past 12,
// or where `days_first` and no second one is. Nothing where a cell is none, or is missing.
std::optional<std::vector<double>> dates(const CsvFile&, size_t column, bool days_first = false);

// The same of a column of numbers or of dates. Throws UserError that names the first cell that is neither.
std::vector<double> times(const CsvFile&, size_t column, bool days_first = false);

// Whether a column holds dates that can only be read with the day first, as 31/1/2017: a file that goes with
// it is then read so, too.
bool days_first(const CsvFile&, size_t column);

}  // namespace symma
