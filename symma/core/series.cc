#include "symma/core/series.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <mutex>
#include <string_view>

#include "symma/core/errors.h"

namespace symma {
namespace {

std::string read_plain_or_gzip(const std::string& path) {
  std::error_code ec;
  if (!std::filesystem::exists(path, ec)) throw UserError(path, "no such file", "check the path");
  if (std::filesystem::is_directory(path, ec)) throw UserError(path, "is a folder", "name a CSV file");
  gzFile in = gzopen(path.c_str(), "rb");
  if (!in) throw UserError(path, "cannot be read", "check its permissions");
  std::string text;
  char buffer[1 << 16];
  int n;
  while ((n = gzread(in, buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<size_t>(n));
  const bool bad = n < 0, cut = gzclose(in) == Z_BUF_ERROR;
  if (bad || cut) throw UserError(path, "is a damaged gzip file", "fetch it again");
  return text;
}

// The cells of a line; quotes around a cell are taken off.
std::vector<std::string_view> cells(std::string_view line) {
  std::vector<std::string_view> out;
  for (size_t at = 0;;) {
    const size_t comma = std::min(line.find(',', at), line.size());
    std::string_view cell = line.substr(at, comma - at);
    while (!cell.empty() && cell.front() == ' ') cell.remove_prefix(1);
    while (!cell.empty() && cell.back() == ' ') cell.remove_suffix(1);
    if (cell.size() >= 2 && cell.front() == '"' && cell.back() == '"') cell = cell.substr(1, cell.size() - 2);
    out.push_back(cell);
    if (comma == line.size()) return out;
    at = comma + 1;
  }
}

struct Kept {
  std::filesystem::file_time_type changed;
  uintmax_t size;
  std::weak_ptr<const Series> series;
};

}  // namespace

std::shared_ptr<const Series> Series::load(const std::string& path) {
  // What a file holds does not depend on who asked first, so that it is kept changes no result.
  static std::mutex lock;
  static std::map<std::string, Kept> kept;
  const std::lock_guard guard(lock);
  std::error_code ec;
  const auto changed = std::filesystem::last_write_time(path, ec);
  const uintmax_t size = ec ? 0 : std::filesystem::file_size(path, ec);
  if (const auto it = kept.find(path);
      !ec && it != kept.end() && it->second.changed == changed && it->second.size == size) {
    if (auto series = it->second.series.lock()) return series;
  }
  std::string text = read_plain_or_gzip(path);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  auto series = std::make_shared<Series>();
  series->path_ = path;
  int64_t line = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view row(text.data() + at, end - at);
    at = end + 1;
    ++line;
    if (!row.empty() && row.back() == '\r') row.remove_suffix(1);
    if (series->names_.empty()) {
      if (row.find(',') == std::string_view::npos && row.find(';') != std::string_view::npos)
        throw UserError(path, "is separated by semicolons", "save it with commas");
      for (const auto& cell : cells(row)) series->names_.emplace_back(cell);
      std::vector<std::string> sorted = series->names_;
      std::sort(sorted.begin(), sorted.end());
      const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
      if (twice != sorted.end())
        throw UserError(path + ":1", "column \"" + *twice + "\" is there twice", "rename one of the two");
      if (sorted.front().empty())
        throw UserError(path + ":1", "a column has no name", "name it, or leave it out");
      series->columns_.resize(series->names_.size());
      continue;
    }
    if (row.empty() && series->names_.size() > 1) continue;
    const auto found = cells(row);
    if (found.size() != series->names_.size()) {
      throw UserError(
          fmt::format("{}:{}", path, line),
          fmt::format("has {} cells where the header has {}", found.size(), series->names_.size()),
          "give every row one cell for each column");
    }
    for (size_t c = 0; c < found.size(); ++c) {
      double x = std::numeric_limits<double>::quiet_NaN();
      const char *from = found[c].data(), *to = from + found[c].size();
      if (from != to && *from == '+') ++from;
      if (!found[c].empty()) {
        const auto [stop, error] = std::from_chars(from, to, x);
        if (error != std::errc() || stop != to)
          throw UserError(series->place(series->length_, series->names_[c]),
                          fmt::format("\"{}\" is no number", found[c]),
                          "write numbers alone, with a decimal point");
      }
      series->columns_[c].push_back(x);
    }
    ++series->length_;
  }
  if (series->length_ == 0) throw UserError(path, "has no rows", "give it a header and rows of numbers");
  kept[path] = {changed, size, series};
  return series;
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
  return fmt::format("{}:{}: column {}", path_, row + 2, column);
}

TimeSplit split_by_time(int64_t length, double validation, double test, int64_t gap,
                        const std::string& place) {
  const auto share = [&](double s) {
    return static_cast<int64_t>(std::llround(s * static_cast<double>(length)));
  };
  TimeSplit out;
  out.test = {length - share(test), length};
  out.validation.end = out.test.begin - (out.test.size() > 0 ? gap : 0);
  out.validation.begin = out.validation.end - share(validation);
  out.train = {0, out.validation.begin - (out.validation.size() > 0 ? gap : 0)};
  if (out.train.end < 1)
    throw UserError(place, fmt::format("nothing of {} steps is left to learn from", length),
                    "give validation, test and the gap less");
  return out;
}

int64_t windows(const Stretch& s, int64_t size, int64_t stride) {
  return s.size() < size ? 0 : (s.size() - size) / stride + 1;
}

}  // namespace symma
