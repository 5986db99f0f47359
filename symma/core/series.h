// Series: columns of numbers over time, read once from a CSV file and shared by all who ask for it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace symma {

class Series {
 public:
  // Reads a file of comma-separated numbers under a header, plain or gzipped. An empty cell is no number
  // (NaN). A file that has not changed is read once a process. Throws UserError for one that cannot be read,
  // is ragged, has no header or rows, or holds a cell that is no number.
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
  int64_t length_ = 0;
};

// Steps [begin, end) of a series.
struct Stretch {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

// A series cut by time: what is learned from comes first, then what is validated on, then the test, with
// `gap` steps between them that none sees, so that no window of one reaches into another. The shares of
// validation and test are of the whole. Throws UserError, which names `place`, where nothing is left to learn
// from.
struct TimeSplit {
  Stretch train, validation, test;
};
TimeSplit split_by_time(int64_t length, double validation, double test, int64_t gap,
                        const std::string& place);

// How many windows of `size` steps, one every `stride` steps, lie within the stretch.
int64_t windows(const Stretch&, int64_t size, int64_t stride);

}  // namespace symma
