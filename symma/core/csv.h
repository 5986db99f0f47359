// Tables of numbers and words in CSV files (RFC 4180), plain or gzipped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace symma {

// The cells of a table, end to end in one piece of memory: a vector of strings would take ten times the file.
class CsvRows {
 public:
  struct Row {
    const CsvRows& rows;
    size_t r;
    std::string operator[](size_t c) const { return std::string(rows.view(r, c)); }
  };
  size_t size() const { return width_ == 0 ? 0 : ends_.size() / width_; }
  Row operator[](size_t r) const { return {*this, r}; }
  std::string_view view(size_t r, size_t c) const {
    const size_t i = r * width_ + c, from = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(text_).substr(from, ends_[i] - from);
  }

 private:
  friend class CsvParser;
  size_t width_ = 0;
  std::string text_;
  std::vector<uint32_t> ends_;  // of each cell, row by row
};

struct CsvFile {
  std::string path;
  std::vector<std::string> header;
  CsvRows rows;
  std::vector<int> lines;  // the line in the file that each row starts on

  // Throws UserError for a file that cannot be read, is no UTF-8, has no header, one with a name twice or
  // without one, is ragged, or holds more than 25 million cells.
  static CsvFile load(const std::string& path);

  // Index of a column. Throws UserError with the nearest name.
  size_t column(const std::string& name) const;

  // The cell as a number that a float can hold. Throws UserError that names file, line and column.
  double number(size_t row, size_t column) const;
  bool missing(size_t row, size_t column) const;  // empty, or a word that stands for nothing: NA, NaN, ?

  std::string place(size_t row, size_t column) const;  // "few.csv:3: column y"
};

// A cell as RFC 4180 has it: in quotes where it holds a comma, a quote or a line's end.
std::string csv_cell(const std::string&);

// A word from a file, for a message of one line: shortened, without control characters.
std::string shown(std::string_view);

}  // namespace symma
