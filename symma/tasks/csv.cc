#include "symma/tasks/csv.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>

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
  constexpr size_t kMost = size_t{1} << 30;
  while ((n = gzread(in, buffer, sizeof buffer)) > 0 && text.size() <= kMost)
    text.append(buffer, static_cast<size_t>(n));
  // A file that ends early is read to its end without an error; closing it tells.
  const bool bad = n < 0, cut = gzclose(in) == Z_BUF_ERROR;
  if (bad || cut) throw UserError(path, "is a damaged gzip file", "fetch it again");
  if (text.size() > kMost) throw UserError(path, "holds more than a gigabyte", "cut it into smaller files");
  return text;
}

// The number of bytes of the UTF-8 character at `at`; 0 where there is none.
size_t character(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  const uint8_t first = byte(at);
  if (first < 0x80) return 1;
  const size_t size = first >= 0xc2 && first < 0xe0   ? 2
                      : first >= 0xe0 && first < 0xf0 ? 3
                      : first >= 0xf0 && first < 0xf5 ? 4
                                                      : 0;
  for (size_t i = 1; i < size; ++i)
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  const uint8_t second = byte(at + 1);
  const bool bad = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                   (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return bad ? 0 : size;
}

// Refuses what is no CSV file in UTF-8, and says what it is.
void check_text(const std::string& path, const std::string& text) {
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    throw UserError(path, "is UTF-16", "save it as UTF-8");
  if (text.find('\n') == std::string::npos && text.find('\r') != std::string::npos)
    throw UserError(path, "has CR line ends, as old Macs wrote them", "save it with LF or CRLF");
  int line = 1;
  for (size_t at = 0; at < text.size();) {
    const size_t size = character(text, at);
    if (size == 0)
      throw UserError(
          fmt::format("{}:{}", path, line),
          fmt::format("holds the byte {:#04x}, which is no UTF-8", static_cast<uint8_t>(text[at])),
          "save it as UTF-8");
    line += text[at] == '\n';
    at += size;
  }
  const std::string first = text.substr(0, text.find('\n'));
  if (first.find(',') == std::string::npos && first.find(';') != std::string::npos)
    throw UserError(path, "is separated by semicolons", "save it with commas");
}

void check_header(const CsvFile& csv) {
  for (size_t c = 0; c < csv.header.size(); ++c) {
    if (csv.header[c].empty())
      throw UserError(csv.path + ":1", fmt::format("column {} has no name", c + 1),
                      "name it, or leave it out (pandas: to_csv(..., index=False))");
    if (std::find(csv.header.begin(), csv.header.begin() + static_cast<std::ptrdiff_t>(c), csv.header[c]) !=
        csv.header.begin() + static_cast<std::ptrdiff_t>(c))
      throw UserError(csv.path + ":1", "column \"" + csv.header[c] + "\" is there twice",
                      "rename one of the two");
  }
}

}  // namespace

CsvFile CsvFile::load(const std::string& path) {
  std::string text = read_plain_or_gzip(path);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  check_text(path, text);
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
  check_header(csv);
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
  if (std::abs(value) > std::numeric_limits<float>::max())
    throw UserError(place(row, column), "\"" + rows[row][column] + "\" is too large for a float",
                    "write the column in another unit");
  return value;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += c;
    out += c;
  }
  return out + "\"";
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
  for (const auto& name : inputs) out.query_header += (out.query_header.empty() ? "" : ",") + csv_cell(name);
  const auto points = [&](const std::vector<size_t>& chosen, Tensor& x, Tensor* targets) {
    x = at::empty({1, static_cast<int64_t>(chosen.size()), static_cast<int64_t>(columns.size())},
                  at::kDouble);
    double* at_x = x.data_ptr<double>();
    for (size_t r : chosen) {
      for (size_t c : columns) *at_x++ = csv.number(r, c);
    }
    if (!targets) return;
    *targets = at::empty({1, static_cast<int64_t>(chosen.size()), 1}, at::kDouble);
    double* at_y = targets->data_ptr<double>();
    for (size_t r : chosen) *at_y++ = csv.number(r, y);
  };
  points(support, out.episode.support_x, &out.episode.support_y);
  points(query, out.episode.query_x, nullptr);
  out.episode.query_y = at::zeros({1, static_cast<int64_t>(query.size()), 1});
  for (size_t r : query) {
    std::string name;
    for (size_t c : columns) name += (c == columns.front() ? "" : ",") + csv_cell(csv.rows[r][c]);
    out.query_names.push_back(name);
  }
  return out;
}

}  // namespace symma
