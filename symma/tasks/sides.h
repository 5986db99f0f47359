// Which groups of a table are learned from, which choose, and which judge.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "symma/tasks/columns.h"
#include "symma/tasks/deal.h"

namespace symma {

struct SideOptions {
  double validation_fraction = 0.1, test_fraction = 0.2;
  std::string split = "auto";
  int64_t folds = 0, fold = 0, gap = 0, split_key = 0;
  std::vector<std::string> ood_groups;
  void fields(Fields&);
};

struct Sides {
  std::string split;                                  // "groups", "time" or "rows": what "auto" came to
  std::vector<int64_t> train, validation, test, ood;  // numbers of groups, ascending
};

// Cuts groups by their units. "groups": units at random, the same for every seed. "time": units in the order
// of their first times; training units that reach into what comes later, or nearer to it than `gap` of the
// file's times, are left out (purged: Lopez de Prado 2018, chapter 7). With `folds`, walks forward: of folds
// + 1 stretches of units number fold + 1 is the test, and what came before is learned from. "rows": every
// group is on all sides, and its rows are cut (`cut_rows`). With `folds`, "groups" and "rows" are
// cross-validated instead, and folds = the number of groups leaves one out. "auto" is "time" where groups
// have times and do not all share a moment, else "groups". `other_test`: the test is a file of its own.
// Throws UserError where too few are left; `path` is where they come from.
Sides cut_groups(const TableRows&, const Roles&, const SideOptions&, bool other_test, const std::string& path,
                 std::vector<std::string>& warnings);

// The rows of one group on each side, for split = "rows": in the order of time with a gap between, or by a
// fixed shuffle.
Parts cut_rows(const RowGroup&, const SideOptions&, bool ordered, bool other_test);

}  // namespace symma
