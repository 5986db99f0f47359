#include "symma/core/csv.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <set>

#include "symma/core/errors.h"

namespace symma {
namespace {

// What a file may hold: a few megabytes of gzip could fill any memory.
constexpr size_t kMostText = size_t{1} << 30, kMostCells = 25'000'000, kMostCellText = size_t{256} << 20,
                 kMostColumns = 100'000, kMostName = 1000, kMostCell = size_t{1} << 20;

// Refuses what would hang or cannot be opened, and says why.
void check_file(const std::string& path) {
  std::error_code ec;
  const auto status = std::filesystem::status(path, ec);
  switch (status.type()) {
    case std::filesystem::file_type::regular:
      return;
    case std::filesystem::file_type::not_found:
      throw UserError(path, "no such file", "check the path");
    case std::filesystem::file_type::directory:
      throw UserError(path, "is a folder", "name a CSV file");
    case std::filesystem::file_type::none:
    case std::filesystem::file_type::unknown:
      throw UserError(path, "cannot be read: " + ec.message(),
                      ec == std::errc::too_many_symbolic_link_levels ? "check where its links lead"
                      : ec == std::errc::filename_too_long           ? "check the path"
                                                                     : "check its permissions");
    default:
      throw UserError(path, "is a pipe or a device", "name a file; what a pipe holds can be saved in one");
  }
}

}  // namespace

// Checks, byte by byte, that a text is UTF-8 (Unicode 15, table 3-7).
class Utf8 {
 public:
  bool takes(uint8_t byte) {
    if (left_ == 0) {
      begin_ = byte;
      if (byte < 0x80) return byte != 0;
      left_ = byte >= 0xc2 && byte < 0xe0   ? 1
              : byte >= 0xe0 && byte < 0xf0 ? 2
              : byte >= 0xf0 && byte < 0xf5 ? 3
                                            : 0;
      low_ = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
      high_ = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
      return left_ > 0;
    }
    const bool good = byte >= low_ && byte <= high_;
    low_ = 0x80, high_ = 0xbf, --left_;
    return good;
  }
  bool whole() const { return left_ == 0; }
  uint8_t begin() const { return begin_; }  // of the character at hand: what is wrong where the next byte is

 private:
  int left_ = 0;
  uint8_t begin_ = 0, low_ = 0x80, high_ = 0xbf;
};

// Takes a file byte by byte, so that its text never stands in memory as a whole.
class CsvParser {
 public:
  explicit CsvParser(CsvFile& csv) : csv_(csv) {}

  void take(uint8_t byte) {
    if (!utf8_.takes(byte)) {
      if (byte == 0) fail("holds a byte 0, as UTF-16 has", "save it as UTF-8");
      fail(fmt::format("holds the byte {:#04x}, which is no UTF-8", utf8_.begin()), "save it as UTF-8");
    }
    const char c = static_cast<char>(byte);
    // A CR belongs to a line's end, or is one where old Macs wrote the file.
    if (after_cr_ && c != '\n') fail("has CR line ends, as old Macs wrote them", "save it with LF or CRLF");
    after_cr_ = false;
    if (c == '\n') ++line_;
    if (after_quote_) {
      after_quote_ = false;
      if (c == '"') {
        put(c);
        return;
      }
      quoted_ = false;
    } else if (quoted_) {
      if (c == '"') {
        after_quote_ = true;
      } else {
        put(c);
      }
      return;
    }
    if (c == '"' && cell_ == 0 && !was_quoted_) {
      quoted_ = was_quoted_ = any_ = true;
    } else if (c == ',') {
      end_cell();
      any_ = true;
    } else if (c == '\n') {
      end_row();
    } else if (c == '\r') {
      after_cr_ = true;
    } else {
      put(c);
      any_ = true;
    }
  }

  void end() {
    if (quoted_ && !after_quote_) fail_row("has a quote that is not closed", "close it");
    if (!utf8_.whole()) fail("ends within a character of UTF-8", "fetch it again");
    if (any_) end_row();
    if (csv_.header.empty()) throw UserError(csv_.path, "is empty", "give it a header row and data rows");
  }

 private:
  [[noreturn]] void fail(const std::string& wrong, const std::string& remedy) const {
    throw UserError(fmt::format("{}:{}", csv_.path, line_), wrong, remedy);
  }
  [[noreturn]] void fail_row(const std::string& wrong, const std::string& remedy) const {
    throw UserError(fmt::format("{}:{}", csv_.path, row_line_), wrong, remedy);
  }

  void put(char c) {
    if (++cell_ > kMostCell)
      fail_row("has a cell of more than a megabyte", "close its quote, or leave the column out");
    if (width() > 0 && cells_ >= width()) return;  // one cell too many: it will be told how many
    csv_.rows.text_ += c;
  }

  size_t width() const { return csv_.rows.width_; }

  void end_cell() {
    cell_ = 0;
    was_quoted_ = false;
    CsvRows& rows = csv_.rows;
    ++cells_;
    if (width() == 0) {
      if (cells_ > kMostColumns)
        fail_row(fmt::format("has more than {} columns", kMostColumns), "give fewer");
      csv_.header.push_back(rows.text_);
      rows.text_.clear();
      return;
    }
    if (cells_ > width()) return;
    if (rows.ends_.size() >= kMostCells || rows.text_.size() > kMostCellText)
      throw UserError(csv_.path,
                      fmt::format("holds more than {} million cells, or {} MB in them", kMostCells / 1000000,
                                  kMostCellText >> 20),
                      "cut it into smaller files");
    rows.ends_.push_back(static_cast<uint32_t>(rows.text_.size()));
  }

  void end_row() {
    CsvRows& rows = csv_.rows;
    const bool blank = cells_ == 0 && cell_ == 0 && !was_quoted_;
    if (blank) {
      // Nothing was written down of a line without a cell.
    } else if (width() == 0) {
      end_cell();
      check_header();
      rows.width_ = csv_.header.size();
    } else {
      end_cell();
      if (cells_ != width())
        fail_row(fmt::format("has {} cells where the header has {}", cells_, width()),
                 "give every row one cell for each column");
      csv_.lines.push_back(row_line_);
    }
    cells_ = 0;
    any_ = false;
    row_line_ = line_;
  }

  void check_header() const {
    if (csv_.header.size() == 1)
      for (const auto& [mark, name] : {std::pair{';', "semicolons"}, {'\t', "tabs"}})
        if (csv_.header[0].find(mark) != std::string::npos)
          throw UserError(csv_.path, fmt::format("is separated by {}", name), "save it with commas");
    std::set<std::string> seen;
    for (size_t c = 0; c < csv_.header.size(); ++c) {
      const std::string& name = csv_.header[c];
      if (name.find_first_not_of(" \t") == std::string::npos)
        throw UserError(csv_.path + ":1", fmt::format("column {} has no name", c + 1),
                        "name it, or leave it out (pandas: to_csv(..., index=False))");
      if (name.size() > kMostName)
        throw UserError(csv_.path + ":1",
                        fmt::format("the name of column {} has {} bytes", c + 1, name.size()),
                        fmt::format("give it one of at most {}", kMostName));
      if (!seen.insert(name).second)
        throw UserError(csv_.path + ":1", "column \"" + shown(name) + "\" is there twice",
                        "rename one of the two");
    }
  }

  CsvFile& csv_;
  Utf8 utf8_;
  bool quoted_ = false, after_quote_ = false, was_quoted_ = false, any_ = false, after_cr_ = false;
  int line_ = 1, row_line_ = 1;
  size_t cell_ = 0, cells_ = 0;  // bytes of this cell, cells of this row that are done
};

CsvFile CsvFile::load(const std::string& path) {
  check_file(path);
  // gzread also reads files that are not compressed.
  gzFile in = gzopen(path.c_str(), "rb");
  if (!in) throw UserError(path, "cannot be read", "check its permissions");
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> closes(in, [](gzFile file) { return gzclose(file); });
  const auto damaged = [&] { return UserError(path, "is a damaged gzip file", "fetch it again"); };
  CsvFile csv{path, {}, {}, {}};
  CsvParser parser(csv);
  std::array<uint8_t, size_t{1} << 16> buffer;
  size_t total = 0;
  int n;
  while ((n = gzread(in, buffer.data(), buffer.size())) > 0) {
    const uint8_t *at = buffer.data(), *end = at + n;
    if (total == 0) {
      if (n >= 2 && ((at[0] == 0xff && at[1] == 0xfe) || (at[0] == 0xfe && at[1] == 0xff)))
        throw UserError(path, "is UTF-16", "save it as UTF-8");
      if (n >= 3 && at[0] == 0xef && at[1] == 0xbb && at[2] == 0xbf) at += 3;  // a byte order mark
    }
    total += static_cast<size_t>(n);
    if (total > kMostText) throw UserError(path, "holds more than a gigabyte", "cut it into smaller files");
    for (; at < end; ++at) parser.take(*at);
  }
  // A gzip that ends early is read to its end without an error; the last call's state tells.
  int state = Z_OK;
  (void)gzerror(in, &state);
  if (n < 0 || state == Z_BUF_ERROR) throw damaged();
  parser.end();
  return csv;
}

size_t CsvFile::column(const std::string& name) const {
  for (size_t i = 0; i < header.size(); ++i) {
    if (header[i] == name) return i;
  }
  std::vector<std::string> names;
  for (const auto& h : header)
    if (h.size() <= 100 && names.size() < 1000) names.push_back(h);
  std::string remedy = name.size() > 100 ? "" : nearest(name, names);
  if (!remedy.empty()) {
    remedy = "did you mean " + shown(remedy) + "?";
  } else {
    const bool more = header.size() > 12;
    names.clear();
    for (size_t i = 0; i < std::min<size_t>(12, header.size()); ++i) names.push_back(shown(header[i]));
    remedy = fmt::format("one of {}{}", fmt::join(names, ", "), more ? ", ..." : "");
  }
  throw UserError(path + ":1", "has no column \"" + shown(name) + "\"", remedy);
}

std::string CsvFile::place(size_t row, size_t column) const {
  return fmt::format("{}:{}: column {}", path, lines[row], shown(header[column]));
}

double CsvFile::number(size_t row, size_t column) const {
  const std::string_view whole = rows.view(row, column);
  std::string_view cell = whole;
  const auto first = cell.find_first_not_of(" \t"), last = cell.find_last_not_of(" \t");
  cell = first == std::string_view::npos ? std::string_view() : cell.substr(first, last - first + 1);
  if (cell.size() > 1 && cell[0] == '+' && cell[1] != '-' && cell[1] != '+') cell.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  const bool all = end == cell.data() + cell.size();
  // What is past a double is told in the same words as what is past a float; what is too small is zero.
  if (error == std::errc::result_out_of_range && all) {
    const auto e = cell.find_first_of("eE");
    if (e != std::string_view::npos && cell.substr(e + 1).starts_with('-')) return 0;
    value = std::numeric_limits<double>::max();
  } else if (error != std::errc() || !all || !std::isfinite(value)) {
    throw UserError(place(row, column), "\"" + shown(whole) + "\" is not a finite number",
                    "write a number such as 0.5");
  }
  if (std::abs(value) > std::numeric_limits<float>::max())
    throw UserError(place(row, column), "\"" + shown(whole) + "\" is too large for a float",
                    "write the column in another unit");
  return value;
}

bool CsvFile::missing(size_t row, size_t column) const {
  const std::string_view cell = rows.view(row, column);
  const auto first = cell.find_first_not_of(" \t");
  if (first == std::string_view::npos) return true;
  const std::string_view word = cell.substr(first, cell.find_last_not_of(" \t") - first + 1);
  if (word.size() > 5) return false;
  for (const char* none :
       {"NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NAN", "-nan", "NULL", "null", "None", "?"})
    if (word == none) return true;
  return false;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out(1, '"');
  for (const char c : text) {
    if (c == '"') out += c;
    out += c;
  }
  return out.append(1, '"');
}

std::string shown(std::string_view text) {
  constexpr size_t kMost = 60;
  size_t size = std::min(text.size(), kMost);
  while (size < text.size() && size > 0 && (static_cast<uint8_t>(text[size]) & 0xc0) == 0x80) --size;
  std::string out(text.substr(0, size));
  for (char& c : out)
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) c = ' ';
  return size < text.size() ? out + "..." : out;
}

}  // namespace symma
