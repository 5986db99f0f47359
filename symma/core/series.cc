#include "symma/core/series.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>

#include "symma/core/csv.h"
#include "symma/core/errors.h"
#include "symma/core/kept.h"

namespace symma {
namespace {

// The cell as a number, NaN where it is empty.
double number_in(const CsvFile& csv, size_t row, size_t column) {
  std::string_view cell = csv.rows.view(row, column);
  while (!cell.empty() && cell.front() == ' ') cell.remove_prefix(1);
  while (!cell.empty() && cell.back() == ' ') cell.remove_suffix(1);
  double x = std::numeric_limits<double>::quiet_NaN();
  if (cell.empty()) return x;
  const char *from = cell.data() + (cell.front() == '+'), *to = cell.data() + cell.size();
  const auto [stop, error] = std::from_chars(from, to, x);
  if (error != std::errc() || stop != to)
    throw UserError(csv.place(row, column), "\"" + shown(cell) + "\" is no number",
                    "write numbers alone, with a decimal point");
  return x;
}

}  // namespace

std::shared_ptr<const Series> Series::load(const std::string& path) {
  return kept<Series>(path, {path}, [&] {
    const CsvFile csv = CsvFile::load(path);
    if (csv.rows.size() == 0) throw UserError(path, "has no rows", "give it a header and rows of numbers");
    auto series = std::make_shared<Series>();
    series->path_ = path;
    series->names_ = csv.header;
    series->lines_ = csv.lines;
    series->length_ = static_cast<int64_t>(csv.rows.size());
    for (size_t c = 0; c < csv.header.size(); ++c) {
      std::vector<double>& column = series->columns_.emplace_back(csv.rows.size());
      for (size_t r = 0; r < csv.rows.size(); ++r) column[r] = number_in(csv, r, c);
    }
    return series;
  });
}

bool Series::has(const std::string& name) const {
  return std::find(names_.begin(), names_.end(), name) != names_.end();
}

const std::vector<double>& Series::column(const std::string& name) const {
  const auto at = std::find(names_.begin(), names_.end(), name);
  if (at == names_.end()) throw UserError(path_, "has no column \"" + name + "\"", suggestion(name, names_));
  return columns_[at - names_.begin()];
}

const std::vector<double>& Series::whole(const std::string& name, double low, double high,
                                         const std::string& unit) const {
  const std::vector<double>& x = column(name);
  for (int64_t t = 0; t < length_; ++t) {
    if (x[t] >= low && x[t] <= high) continue;
    throw UserError(place(t, name), std::isnan(x[t]) ? "is empty" : fmt::format("is {:g}", x[t]),
                    fmt::format("{:g} to {:g} {} would be right", low, high, unit));
  }
  return x;
}

std::string Series::place(int64_t row, const std::string& column) const {
  return fmt::format("{}:{}: column {}", path_, lines_[row], column);
}

}  // namespace symma
