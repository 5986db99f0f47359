// Tables of numbers and words in CSV files (RFC 4180), plain or gzipped.
#pragma once

#include <string>
#include <vector>

#include "symma/tasks/supervised.h"

namespace symma {

struct CsvFile {
  std::string path;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  std::vector<int> lines;  // the line in the file that each row starts on

  // Throws UserError for a file that cannot be read, is no UTF-8, has no header, one with a name twice or
  // without one, or is ragged.
  static CsvFile load(const std::string& path);

  // Index of a column. Throws UserError with the nearest name.
  size_t column(const std::string& name) const;

  // The cell as a number that a float can hold. Throws UserError that names file, line and column.
  double number(size_t row, size_t column) const;

  std::string place(size_t row, size_t column) const;  // "few.csv:3: column y"
};

// A cell as RFC 4180 has it: in quotes where it holds a comma, a quote or a line's end.
std::string csv_cell(const std::string&);

// One regression task from a file with columns `inputs` and `target`: rows with a target to learn from, rows
// with an empty target to predict. Where every row has a target, predictions are made for the same rows.
FewShot::Reading read_points(const CsvFile&, const std::vector<std::string>& inputs,
                             const std::string& target);

}  // namespace symma
