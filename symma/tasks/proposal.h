// What the columns of a table may be, told by their names and their cells: where a file of one's own begins.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "symma/tasks/columns.h"

namespace symma {

// A `table` task for a file, to be looked through by a person. Of each choice it says why.
struct Proposal {
  Roles roles;  // group, target, time, features, missing
  bool classes = false;
  int64_t groups = 0, fewest = 0, most = 0;  // groups, and the rows that the smallest and the largest have
  int64_t shots = 1, queries = 1;
  bool balanced = true;  // shots are of each class
  bool skip = false;     // some groups have too few rows for a task
  // Of each group the rows that shots are taken of; where they are of each class, of its rarest.
  std::vector<int64_t> sizes;
  int64_t short_groups() const {  // how many are too small for a task
    return std::count_if(sizes.begin(), sizes.end(), [&](int64_t n) { return n <= shots; });
  }
  size_t empty = 0;  // cells in its columns that hold nothing
  std::string split = "auto";
  std::map<std::string, std::string> why;                     // of each role that was given to a column
  std::vector<std::pair<std::string, std::string>> left_out;  // column: reason
};

// Roles that `given` names stay as they are, the others are chosen. Throws UserError for a column that isn't
// there, and where none can name groups, be predicted, or be predicted from.
Proposal propose(const CsvFile&, const Roles& given);

}  // namespace symma
