#include "symma/core/dates.h"

#include <charconv>

#include "symma/core/errors.h"

namespace symma {
namespace {

// Reads a text from its beginning, a piece at a time.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool done() const { return text_.empty(); }
  bool mark(char c) {
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  // A whole number of `least` to `most` digits; -1 where there is none.
  int whole(size_t least, size_t most) {
    size_t n = 0;
    while (n < text_.size() && n < most && text_[n] >= '0' && text_[n] <= '9') ++n;
    if (n < least) return -1;
    int value = 0;
    std::from_chars(text_.data(), text_.data() + n, value);
    text_.remove_prefix(n);
    return value;
  }
  double fraction() {
    double value = 0, place = 1;
    while (!text_.empty() && text_[0] >= '0' && text_[0] <= '9') {
      value += (text_[0] - '0') * (place /= 10);
      text_.remove_prefix(1);
    }
    return value;
  }

 private:
  std::string_view text_;
};

// Days since 1970 of a date of the Gregorian calendar: years begin in March, so that leap days are last.
int64_t days(int64_t year, int month, int day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
  const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

bool exists(int year, int month, int day) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (year < 0 || month < 1 || month > 12 || day < 1) return false;
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return day <= kDays[month - 1] + (month == 2 && leap);
}

// The seconds after midnight that stand behind a date; nothing where what stands there is no time.
std::optional<double> clock(Reader& r) {
  if (r.done()) return 0;
  if (!r.mark('T') && !r.mark(' ')) return std::nullopt;
  const int hour = r.whole(1, 2);
  if (hour < 0 || hour > 24 || !r.mark(':')) return std::nullopt;
  const int minute = r.whole(2, 2);
  if (minute < 0 || minute > 59) return std::nullopt;
  double second = 0;
  if (r.mark(':')) {
    second = r.whole(2, 2);
    if (second < 0 || second > 60) return std::nullopt;
    if (r.mark('.')) second += r.fraction();
  }
  double seconds = hour * 3600 + minute * 60 + second;
  if (r.mark('Z') || r.done()) return r.done() ? std::optional(seconds) : std::nullopt;
  const int sign = r.mark('+') ? 1 : r.mark('-') ? -1 : 0;
  const int ahead = sign == 0 ? -1 : r.whole(2, 2);
  if (ahead < 0) return std::nullopt;
  r.mark(':');
  const int minutes = r.done() ? 0 : r.whole(2, 2);
  if (minutes < 0 || !r.done()) return std::nullopt;
  return seconds - sign * (ahead * 3600 + minutes * 60);
}

enum class Form { kYearFirst, kDots, kMonthFirst, kDayFirst };

std::optional<double> date(std::string_view cell, Form form) {
  while (!cell.empty() && cell.front() == ' ') cell.remove_prefix(1);
  while (!cell.empty() && cell.back() == ' ') cell.remove_suffix(1);
  Reader r(cell);
  int year = 0, month = 0, day = 0;
  if (form == Form::kYearFirst) {
    year = r.whole(4, 4);
    const char mark = r.mark('-') ? '-' : r.mark('/') ? '/' : 0;
    if (mark == 0) return std::nullopt;
    month = r.whole(1, 2);
    if (!r.mark(mark)) return std::nullopt;
    day = r.whole(1, 2);
  } else {
    const char mark = form == Form::kDots ? '.' : '/';
    const int first = r.whole(1, 2);
    if (!r.mark(mark)) return std::nullopt;
    const int second = r.whole(1, 2);
    if (!r.mark(mark)) return std::nullopt;
    year = r.whole(4, 4);
    month = form == Form::kMonthFirst ? first : second;
    day = form == Form::kMonthFirst ? second : first;
  }
  if (!exists(year, month, day)) return std::nullopt;
  const auto seconds = clock(r);
  if (!seconds) return std::nullopt;
  return static_cast<double>(days(year, month, day)) * 86400 + *seconds;
}

// Seconds of every cell; nothing where one is no date of the form.
std::optional<std::vector<double>> dates_of(const CsvFile& csv, size_t column, Form form) {
  std::vector<double> out;
  for (size_t r = 0; r < csv.rows.size(); ++r) {
    const auto at = date(csv.rows.view(r, column), form);
    if (!at) return std::nullopt;
    out.push_back(*at);
  }
  return out.empty() ? std::nullopt : std::optional(out);
}

}  // namespace

std::optional<std::vector<double>> dates(const CsvFile& csv, size_t column, bool days_first) {
  const Form usual = days_first ? Form::kDayFirst : Form::kMonthFirst,
             other = days_first ? Form::kMonthFirst : Form::kDayFirst;
  for (const Form form : {Form::kYearFirst, Form::kDots, usual, other}) {
    if (auto found = dates_of(csv, column, form)) return found;
  }
  return std::nullopt;
}

bool days_first(const CsvFile& csv, size_t column) {
  return !dates_of(csv, column, Form::kMonthFirst) && dates_of(csv, column, Form::kDayFirst);
}

std::vector<double> times(const CsvFile& csv, size_t column, bool days_first) {
  if (auto found = dates(csv, column, days_first)) return *found;
  std::vector<double> out;
  for (size_t r = 0; r < csv.rows.size(); ++r) {
    try {
      out.push_back(csv.number(r, column));
    } catch (const UserError&) {
      throw UserError(csv.place(r, column),
                      "\"" + shown(csv.rows.view(r, column)) +
                          "\" is no time: neither a number nor a date of one form with the others",
                      "write it as 2017-01-31 22:00, or as a number");
    }
  }
  return out;
}

}  // namespace symma
