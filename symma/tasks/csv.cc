#include "symma/tasks/csv.h"

#include <fmt/format.h>
#include <zlib.h>

#include <charconv>
#include <filesystem>

#include "symma/core/errors.h"

namespace symma {
namespace {

// gzread also reads files that are not compressed.
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
  const bool bad = n < 0;
  gzclose(in);
  if (bad) throw UserError(path, "is a damaged gzip file", "fetch it again");
  return text;
}

}  // namespace

CsvFile CsvFile::load(const std::string& path) {
  std::string text = read_plain_or_gzip(path);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  CsvFile csv{path, {}, {}, {}};
  std::vector<std::string> row;
  std::string cell;
  bool quoted = false, any = false;
  int line = 1, row_line = 1;
  const auto end_row = [&] {
    row.push_back(std::move(cell));
    cell.clear();
    const bool blank = row.size() == 1 && row[0].empty();
    if (!blank) {
      if (csv.header.empty()) {
        csv.header = row;
      } else if (row.size() != csv.header.size()) {
        throw UserError(fmt::format("{}:{}", path, row_line),
                        fmt::format("has {} cells where the header has {}", row.size(), csv.header.size()),
                        "give every row one cell for each column");
      } else {
        csv.rows.push_back(row);
        csv.lines.push_back(row_line);
      }
    }
    row.clear();
    any = false;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') ++line;
    if (quoted) {
      if (c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
        cell += '"';
        ++i;
      } else if (c == '"') {
        quoted = false;
      } else {
        cell += c;
      }
      continue;
    }
    if (c == '"' && cell.empty()) {
      quoted = true;
      any = true;
    } else if (c == ',') {
      row.push_back(std::move(cell));
      cell.clear();
      any = true;
    } else if (c == '\n') {
      end_row();
      row_line = line;
    } else if (c != '\r') {
      cell += c;
      any = true;
    }
  }
  if (quoted)
    throw UserError(fmt::format("{}:{}", path, row_line), "has a quote that is not closed", "close it");
  if (any) end_row();
  if (csv.header.empty()) throw UserError(path, "is empty", "give it a header row and data rows");
  return csv;
}

size_t CsvFile::column(const std::string& name) const {
  for (size_t i = 0; i < header.size(); ++i) {
    if (header[i] == name) return i;
  }
  throw UserError(path + ":1", "has no column \"" + name + "\"", suggestion(name, header));
}

std::string CsvFile::place(size_t row, size_t column) const {
  return fmt::format("{}:{}: column {}", path, lines[row], header[column]);
}

double CsvFile::number(size_t row, size_t column) const {
  std::string cell = rows[row][column];
  const auto first = cell.find_first_not_of(" \t+"), last = cell.find_last_not_of(" \t");
  cell = first == std::string::npos ? "" : cell.substr(first, last - first + 1);
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc() || end != cell.data() + cell.size() || !std::isfinite(value)) {
    throw UserError(place(row, column), "\"" + rows[row][column] + "\" is not a finite number",
                    "write a number such as 0.5");
  }
  return value;
}

FewShot::Reading read_points(const CsvFile& csv, const std::vector<std::string>& inputs,
                             const std::string& target) {
  std::vector<size_t> columns;
  for (const auto& name : inputs) columns.push_back(csv.column(name));
  const size_t y = csv.column(target);
  std::vector<size_t> support, query;
  for (size_t r = 0; r < csv.rows.size(); ++r) {
    (csv.rows[r][y].find_first_not_of(" \t") == std::string::npos ? query : support).push_back(r);
  }
  if (support.empty())
    throw UserError(csv.path, "has no row with a " + target, "give at least one example to learn from");
  if (query.empty()) query = support;
  FewShot::Reading out;
  for (const auto& name : inputs) out.query_header += (out.query_header.empty() ? "" : ",") + name;
  const auto points = [&](const std::vector<size_t>& chosen, Tensor& x, Tensor* targets) {
    x = at::empty({1, static_cast<int64_t>(chosen.size()), static_cast<int64_t>(columns.size())});
    float* at_x = x.data_ptr<float>();
    for (size_t r : chosen) {
      for (size_t c : columns) *at_x++ = static_cast<float>(csv.number(r, c));
    }
    if (!targets) return;
    *targets = at::empty({1, static_cast<int64_t>(chosen.size()), 1});
    float* at_y = targets->data_ptr<float>();
    for (size_t r : chosen) *at_y++ = static_cast<float>(csv.number(r, y));
  };
  points(support, out.episode.support_x, &out.episode.support_y);
  points(query, out.episode.query_x, nullptr);
  out.episode.query_y = at::zeros({1, static_cast<int64_t>(query.size()), 1});
  for (size_t r : query) {
    std::string name;
    for (size_t c : columns) name += (name.empty() ? "" : ",") + csv.rows[r][c];
    out.query_names.push_back(name);
  }
  return out;
}

}  // namespace symma
