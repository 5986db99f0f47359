// Series: columns of numbers over time, read once from a CSV file and shared by all who ask for it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace symma {

class Series {
 public:
  // Reads a CSV file of numbers (core/csv.h). An empty cell is no number (NaN). A file that has not changed
  // is read once a process. Throws UserError for one that has no rows or holds a cell that is no number.
  static std::shared_ptr<const Series> load(const std::string& path);

  const std::string& path() const { return path_; }
  const std::vector<std::string>& names() const { return names_; }
  int64_t length() const { return length_; }
  bool has(const std::string& name) const;
  // A column, [length]. Throws UserError with the nearest name.
  const std::vector<double>& column(const std::string& name) const;
  // The same of a column that has a number in every row, between the bounds: UserError names the first row
  // that hasn't, and `unit`, what numbers are in.
  const std::vector<double>& whole(const std::string& name, double low, double high,
                                   const std::string& unit) const;
  std::string place(int64_t row, const std::string& column) const;  // "Building_1.csv:3: column month"

 private:
  std::string path_;
  std::vector<std::string> names_;
  std::vector<std::vector<double>> columns_;
  std::vector<int> lines_;  // in the file, of each row
  int64_t length_ = 0;
};

}  // namespace symma
