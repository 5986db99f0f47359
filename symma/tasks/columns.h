// The columns of a table by their roles, and its rows read by them.
#pragma once

#include <string>
#include <vector>

#include "symma/core/tensor.h"
#include "symma/tasks/csv.h"

namespace symma {

// Names of columns; empty: no column has that role.
struct Roles {
  std::string target = {}, group = {}, agent = {}, time = {}, split_by = {}, weight = {};
  std::vector<std::string> features = {};  // what is predicted from
  std::vector<std::string> labels = {};    // the classes of the target, sorted; empty: it is a number
  // Of these values of the target is made "yes", of others "no"; empty: each is a class of its own.
  std::vector<std::string> positive = {};
  // "COLUMN=NUMBER": that number stands for a cell that was not measured.
  std::vector<std::string> unmeasured = {};
  std::string missing = "refuse";  // a cell that is empty: "refuse", "mean" (NaN until then), "row"
  bool days_first = false;  // times are dates that the training file has with the day first, as 31/1/2017
};

// The rows of one task.
struct RowGroup {
  std::string name;           // for people
  std::string unit;           // what never stands on two sides of a split: the value of split_by, or the name
  std::string holder;         // the value of agent, or empty
  std::vector<int64_t> rows;  // in the order of time, or of the file
  double first = 0, last = 0;  // times; 0 where there are none
};

struct TableRows {
  Tensor x;                      // [n, features] double; NaN where a cell is missing
  Tensor y;                      // [n] double: numbers, or classes by number
  Tensor weight;                 // [n] double; undefined where no column has the role
  std::vector<double> time;      // [n]; empty where no column has the role
  std::vector<RowGroup> groups;  // in the order in which the file names them
  int64_t left_out = 0;          // rows with a missing cell, under missing = "row"
};

// The group of each row, by number, in the order in which the file first names them.
struct Numbered {
  std::vector<size_t> of;
  size_t count = 0;
};
Numbered groups_in(const CsvFile&, size_t column);

// A warning where the line of names reads like one of data: every column of numbers is called by a number,
// and not all by whole ones, as years are. Empty where it does not.
std::string about_names(const CsvFile&);

// Whether a column of numbers rises from row to row in every group, of three rows or more.
bool rises(const CsvFile&, size_t column, const Numbered& groups);

// Fills roles.features where it is empty, with all columns that have no role and are no dates; and
// roles.labels where the target is a class. Adds to `warnings` that a column is a date or rises in every
// group, where no column has the role of time.
void choose_columns(const CsvFile&, bool classes, Roles&, std::vector<std::string>& warnings);

// Groups nest: equal names under another unit or holder are another task. Throws UserError for a cell that
// does not fit its column's role.
TableRows read_rows(const CsvFile&, const Roles&);

// How a table is standardised, by the rows that are trained on alone: what a test task looks like may not
// leak into training. A column without spread there is centred and not scaled, since any other value would be
// as far away as rounding is small.
struct Scales {
  Tensor shift, scale;         // [features] double
  std::vector<int64_t> holes;  // columns with missing cells; each gets a column that is 1 where one is
  double target_shift = 0, target_scale = 1;
  static Scales of(const TableRows&, const std::vector<int64_t>& rows, bool classes);
  // Columns as they are; no cell may be missing (UserError).
  static Scales none(const TableRows&);
  // [n, features] double, in place, to [n, features + holes] float. A missing cell becomes the mean.
  Tensor inputs(Tensor x) const;
  Tensor targets(const Tensor& y) const { return ((y - target_shift) / target_scale).to(at::kFloat); }
};

// One task from a file of examples: rows with a target to learn from, rows without one to predict; where
// every row has one, predictions are made for the same rows. Columns that name groups need not be there; rows
// of two groups are refused (UserError).
FewShot::Reading read_examples(const CsvFile&, const Roles&, const Scales&);

}  // namespace symma
