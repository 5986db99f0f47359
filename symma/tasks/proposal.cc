#include "symma/tasks/proposal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <initializer_list>
#include <map>
#include <optional>
#include <unordered_set>

#include "symma/core/dates.h"
#include "symma/core/errors.h"

namespace symma {
namespace {

// A column, looked through once.
struct Column {
  bool numbers = true;  // all its cells, but for missing ones
  bool whole = true;    // and without fractions
  bool runs = true;     // rows with the same cell stand together
  bool counts = true;   // each number is above the one before
  std::optional<std::vector<double>> moments;
  size_t missing = 0, distinct = 0;
  // Cells that are no numbers, counted while they are few, and the row of the first.
  size_t odd = 0, first_odd = 0;
  size_t numeric = 0;  // those of them that a person reads as numbers: "0.53%", "1,234.5", "1e300"
};

// A number as people and spreadsheets write it.
bool reads_as_number(std::string_view cell) {
  const auto skip = [&](std::string_view any) {
    const size_t n = std::min(cell.find_first_not_of(any), cell.size());
    cell.remove_prefix(n);
    return n > 0;
  };
  const auto skip_word = [&](std::initializer_list<std::string_view> words) {
    for (const std::string_view w : words)
      if (cell.starts_with(w)) return cell.remove_prefix(w.size());
  };
  skip(" \t+-");
  skip_word({"$", "€", "£", "¥"});
  const bool digits = cell.find_first_of("0123456789") != std::string_view::npos && skip("0123456789.,' _");
  if (digits && !cell.empty() && (cell[0] == 'e' || cell[0] == 'E')) {
    cell.remove_prefix(1);
    skip("+-");
    if (!skip("0123456789")) return false;
  }
  skip(" \t");
  skip_word({"%", "‰", "$", "€", "£", "¥"});
  skip(" \t");
  return digits && cell.empty();
}

Column look_at(const CsvFile& csv, size_t c) {
  Column out;
  std::unordered_set<std::string_view> seen;
  double last = -INFINITY;
  for (size_t r = 0; r < csv.rows.size(); ++r) {
    const std::string_view cell = csv.rows.view(r, c);
    if (csv.missing(r, c)) {
      ++out.missing;
      out.counts = false;
      continue;
    }
    const bool fresh = seen.insert(cell).second;
    if (!fresh && r > 0 && csv.rows.view(r - 1, c) != cell) out.runs = false;
    if (20 * out.odd > csv.rows.size()) continue;  // a column of words
    try {
      const double x = csv.number(r, c);
      out.whole &= x == std::floor(x);
      out.counts &= x > last;
      last = x;
    } catch (const UserError&) {
      if (out.odd++ == 0) out.first_odd = r;
      out.numeric += reads_as_number(cell);
      out.numbers = out.whole = out.counts = false;
    }
  }
  out.distinct = seen.size();
  if (!out.numbers && out.missing == 0) out.moments = dates(csv, c);
  return out;
}

// The words of a column's name: "PatientID", "patient_id" and "Patient id" have the same.
std::vector<std::string> words_of(const std::string& name) {
  std::vector<std::string> out(1);
  char before = ' ';
  for (const char c : name) {
    const auto u = static_cast<unsigned char>(c);
    const bool letter = std::isalpha(u) || u >= 0x80;
    if (std::isupper(u) && !std::isupper(static_cast<unsigned char>(before))) out.emplace_back();
    if (letter)
      out.back() += static_cast<char>(u < 0x80 ? std::tolower(u) : u);
    else if (!out.back().empty())
      out.emplace_back();
    before = c;
  }
  std::erase(out, "");
  return out;
}

template <size_t N>
bool named(const std::string& column, const std::array<const char*, N>& words) {
  for (const auto& mine : words_of(column))
    for (const std::string word : words)
      if (mine == word || mine == word + "s") return true;
  return false;
}

constexpr std::array kGroupWords{
    "task",    "group",     "subject",  "patient",  "person",   "participant", "individual", "pupil",
    "student", "user",      "client",   "customer", "member",   "animal",      "plant",      "home",
    "house",   "household", "family",   "school",   "hospital", "clinic",      "ward",       "building",
    "site",    "station",   "sensor",   "device",   "machine",  "robot",       "engine",     "vehicle",
    "car",     "store",     "shop",     "well",     "plot",     "farm",        "field",      "city",
    "country", "region",    "county",   "district", "batch",    "lot",         "run",        "episode",
    "session", "series",    "compound", "ticker",   "symbol",   "id",          "name",       "患者",
    "病人",    "学校",      "医院",     "家庭",     "用户"};
constexpr std::array kTimeWords{"time", "date", "datetime", "timestamp", "moment", "when",   "day",
                                "days", "hour", "week",     "month",     "minute", "second", "year",
                                "t",    "step", "visit",    "cycle",     "时间",   "日期"};
constexpr std::array kTargetWords{"y",        "target", "label", "class", "outcome",
                                  "response", "output", "目标",  "标签"};
constexpr std::array kNumberWords{"id", "index", "row", "no", "nr", "number", "unnamed", "key"};

// How likely a column names the task of a row; 0 or less: it does not.
int names_groups(const CsvFile& csv, size_t c, const Column& of) {
  const auto rows = static_cast<double>(csv.rows.size());
  const bool names = (of.numbers && of.whole) || (!of.numbers && !of.moments);
  if (!names || of.distinct < 2 || rows < 3 * static_cast<double>(of.distinct)) return 0;
  int score = 1;
  if (named(csv.header[c], kGroupWords)) score += 50;
  if (!of.numbers) score += 20;
  if (of.runs) score += 20;
  if (of.distinct >= 6) score += 10;
  if (c == 0) score += 5;
  return score;
}

size_t choose_group(const CsvFile& csv, const std::vector<Column>& all, size_t target, std::string& why) {
  size_t best = SIZE_MAX;
  int most = 0;
  for (size_t c = 0; c < all.size(); ++c) {
    const int score = c == target ? 0 : names_groups(csv, c, all[c]);
    if (score > most) most = score, best = c;
  }
  if (best == SIZE_MAX)
    throw UserError(
        csv.path, "has no column whose names come again, to tell tasks apart by",
        "add one that says whose row each is, such as a patient or a home, or name it with --group");
  why = named(csv.header[best], kGroupWords) ? "by its name" : "for its values come again, row after row";
  return best;
}

// Whether groups begin together: then the number says how far along a row is, and not when.
bool from_its_own_start(const std::vector<double>& value, const Numbered& groups) {
  std::vector<double> first(groups.count, INFINITY), last(groups.count, -INFINITY);
  for (size_t r = 0; r < value.size(); ++r) {
    first[groups.of[r]] = std::min(first[groups.of[r]], value[r]);
    last[groups.of[r]] = std::max(last[groups.of[r]], value[r]);
  }
  return *std::max_element(first.begin(), first.end()) <= *std::min_element(last.begin(), last.end());
}

// Not the groups' column itself where it has a role already.
size_t choose_time(const CsvFile& csv, const std::vector<Column>& all, const std::vector<size_t>& taken,
                   const Numbered& groups, std::string& why) {
  for (const bool by_name : {true, false}) {
    for (size_t c = 0; c < all.size(); ++c) {
      if (std::find(taken.begin(), taken.end(), c) != taken.end() || all[c].missing > 0) continue;
      const bool is_named = named(csv.header[c], kTimeWords);
      if (by_name != is_named) continue;
      if (all[c].moments && all[c].distinct > groups.count) {
        why = "for its cells are dates";
        return c;
      }
      if (is_named && all[c].numbers && rises(csv, c, groups)) {
        why = "by its name, and it rises from row to row in every group";
        return c;
      }
    }
  }
  return SIZE_MAX;
}

bool can_be_class(const CsvFile& csv, const Column& of) {
  return of.distinct >= 2 && of.distinct <= std::min<size_t>(100, csv.rows.size() / 4);
}

// A column of numbers but for few cells, such as "<5" or "inf": a slip of the file, and no classes.
bool slipped(const CsvFile& csv, const Column& of) {
  return of.odd > 0 && 20 * of.odd <= csv.rows.size() - of.missing && !can_be_class(csv, of);
}

// Numbers that no program reads as such: to be mended, and no words.
bool misspelt(const CsvFile& csv, const Column& of) {
  return of.odd > 0 && of.numeric == of.odd && !of.moments && !can_be_class(csv, of);
}

// What is wrong with a column's first cell that is no number, for a message about the column.
std::string about_first_odd(const CsvFile& csv, const Column& of, size_t c) {
  try {
    csv.number(of.first_odd, c);
  } catch (const UserError& e) {
    return fmt::format("{} in line {}; {}", e.wrong(), csv.lines[of.first_odd], e.remedy());
  }
  return "";
}

size_t choose_target(const CsvFile& csv, const std::vector<Column>& all, size_t group, std::string& why) {
  const auto fits = [&](size_t c) {
    if (c == group || all[c].moments || all[c].distinct < 2 || all[c].missing * 2 > csv.rows.size())
      return false;
    if (all[c].numbers) return !(all[c].counts && all[c].whole);
    // What has to be mended is chosen, and refused with its place: another column is not what was meant.
    return can_be_class(csv, all[c]) || slipped(csv, all[c]) || misspelt(csv, all[c]);
  };
  for (size_t c = 0; c < all.size(); ++c) {
    if (!fits(c) || !named(csv.header[c], kTargetWords)) continue;
    why = "by its name";
    return c;
  }
  for (size_t c = all.size(); c-- > 0;) {
    if (!fits(c) || named(csv.header[c], kTimeWords)) continue;
    why = "as the last column that could be";
    return c;
  }
  for (size_t c = all.size(); c-- > 0;) {
    if (c == group || all[c].odd == 0 || all[c].moments) continue;
    throw UserError(
        csv.path,
        fmt::format(
            "has no column that could be predicted: column {} holds words, the first \"{}\" in line {}",
            shown(csv.header[c]), shown(csv.rows.view(all[c].first_odd, c)), csv.lines[all[c].first_odd]),
        "write them as numbers, or name a column with --target");
  }
  throw UserError(csv.path, "has no column that could be predicted", "add one, or name it with --target");
}

int64_t part(std::vector<int64_t> sizes, double share) {
  std::sort(sizes.begin(), sizes.end());
  return sizes[static_cast<size_t>(share * static_cast<double>(sizes.size() - 1))];
}

// Rows to learn from and to judge on, of groups as they are: nine of ten should have enough. Where that comes
// to few rows, up to a third of the groups are left out, and the others are learned from.
void choose_shots(const CsvFile& csv, const Numbered& groups, const std::vector<bool>& usable, size_t target,
                  Proposal& p) {
  std::vector<int64_t> rows(groups.count);
  std::map<std::string_view, std::vector<int64_t>> of_class;
  for (size_t r = 0; r < groups.of.size(); ++r) {
    if (!usable[r]) continue;
    ++rows[groups.of[r]];
    if (!p.classes) continue;
    auto& count = of_class[csv.rows.view(r, target)];
    count.resize(groups.count);
    ++count[groups.of[r]];
  }
  // A group none of whose rows can be used isn't there.
  std::vector<size_t> there;
  for (size_t g = 0; g < groups.count; ++g)
    if (rows[g] > 0) there.push_back(g);
  if (there.empty()) throw UserError(csv.path, "has no row whose cells are all there", "fill them in");
  const auto of_those = [&](const std::vector<int64_t>& sizes) {
    std::vector<int64_t> out;
    for (const size_t g : there) out.push_back(sizes[g]);
    return out;
  };
  rows = of_those(rows);
  p.groups = static_cast<int64_t>(rows.size());
  p.fewest = *std::min_element(rows.begin(), rows.end());
  p.most = *std::max_element(rows.begin(), rows.end());
  // Too few groups to keep some apart: each is learned from and judged on other rows of its own.
  const bool apart = rows.size() >= 8;
  if (!apart) p.split = "rows";
  std::vector<int64_t> have = rows;
  if (p.classes) {
    std::vector<int64_t> least(groups.count, INT64_MAX);
    for (const auto& [name, count] : of_class)
      for (size_t g = 0; g < groups.count; ++g) least[g] = std::min(least[g], count[g]);
    least = of_those(least);
    p.balanced = part(least, 0.1) >= (apart ? 3 : 6);
    if (p.balanced) have = least;
  }
  int64_t typical = 0;
  for (const double share : {apart ? 0.1 : 0., 0.2, 0.34}) {
    typical = std::max<int64_t>(2, apart ? part(have, share) : part(have, share) * 7 / 10);
    constexpr int64_t kEnough = 15;
    if (typical >= kEnough || (p.classes && p.balanced)) break;
  }
  p.sizes = have;
  p.shots = std::clamp<int64_t>(typical / 3, 1, p.classes && p.balanced ? 5 : 10);
  p.queries = std::clamp<int64_t>(typical - p.shots, 1, 10);
  p.skip = p.short_groups() > 0;
}

}  // namespace

Proposal propose(const CsvFile& csv, const Roles& given) {
  if (csv.rows.size() == 0) throw UserError(csv.path, "has a header and no rows", "give it data rows");
  Proposal p;
  p.roles = given;
  std::vector<Column> all;
  for (size_t c = 0; c < csv.header.size(); ++c) all.push_back(look_at(csv, c));
  const auto asked = [&](const std::string& name) { return name.empty() ? SIZE_MAX : csv.column(name); };
  size_t group = asked(given.group), target = asked(given.target), time = asked(given.time);
  const std::string named_so = "as you named it";
  std::string why_group = named_so, why_target = named_so, why_time = named_so;
  if (group == SIZE_MAX) group = choose_group(csv, all, target, why_group);
  if (target == SIZE_MAX) target = choose_target(csv, all, group, why_target);
  if (group == target)
    throw UserError(csv.path, "\"" + shown(csv.header[group]) + "\" is named as group and as target",
                    "name two columns");
  const Numbered groups = groups_in(csv, group);
  if (time == SIZE_MAX) time = choose_time(csv, all, {group, target}, groups, why_time);
  p.roles.group = csv.header[group], p.roles.target = csv.header[target];
  p.roles.time = time == SIZE_MAX ? "" : csv.header[time];
  if (slipped(csv, all[target]) || misspelt(csv, all[target]))
    csv.number(all[target].first_odd, target);  // refuses, with the place
  p.classes = !all[target].numbers || all[target].distinct == 2;

  const bool some_targets = all[target].missing > 0;
  bool holes = false;
  const auto leave_out = [&](size_t c, const std::string& why) {
    p.left_out.emplace_back(csv.header[c], why);
  };
  p.roles.features.clear();
  for (size_t c = 0; c < csv.header.size(); ++c) {
    if (c == group || c == target) continue;
    const double gone = static_cast<double>(all[c].missing) / static_cast<double>(csv.rows.size());
    const auto how_many = fmt::format("{:.0f} % of its cells are empty", 100 * gone);
    if (c == time) {
      if (all[c].numbers && from_its_own_start(times(csv, c), groups))
        p.roles.features.push_back(csv.header[c]);
      continue;
    }
    if (all[c].missing == csv.rows.size())
      leave_out(c, "all its cells are empty");
    else if (all[c].moments)
      leave_out(c, "holds dates");
    else if (slipped(csv, all[c]))
      leave_out(
          c, fmt::format("its cells are numbers but for {}, the first \"{}\" in line {}; mend or empty {}",
                         all[c].odd, shown(csv.rows.view(all[c].first_odd, c)), csv.lines[all[c].first_odd],
                         all[c].odd == 1 ? "it" : "them"));
    else if (misspelt(csv, all[c]))
      leave_out(c, about_first_odd(csv, all[c], c));
    else if (!all[c].numbers)
      leave_out(c, "holds words; write them as numbers to predict from them");
    else if (all[c].counts && all[c].whole && named(csv.header[c], kNumberWords))
      leave_out(c, "numbers the rows");
    else if (some_targets && gone > 0.2)
      leave_out(c, how_many);
    else
      p.roles.features.push_back(csv.header[c]), holes |= all[c].missing > 0;
  }
  // A time alone is better than nothing.
  if (p.roles.features.empty() && time != SIZE_MAX && all[time].numbers)
    p.roles.features.push_back(csv.header[time]);
  if (p.roles.features.empty())
    throw UserError(csv.path,
                    "has no column of numbers to predict \"" + shown(csv.header[target]) + "\" from",
                    "add one");
  for (const auto* role : {&p.roles.group, &p.roles.target}) p.empty += all[csv.column(*role)].missing;
  for (const auto& name : p.roles.features) p.empty += all[csv.column(name)].missing;
  p.roles.missing = some_targets || all[group].missing > 0 ? "row" : holes ? "mean" : "refuse";
  std::vector<bool> usable(csv.rows.size(), true);
  if (p.roles.missing == "row") {
    std::vector<size_t> needed{group, target};
    for (const auto& name : p.roles.features) needed.push_back(csv.column(name));
    for (size_t r = 0; r < csv.rows.size(); ++r)
      for (const size_t c : needed)
        if (csv.missing(r, c)) usable[r] = false;
  }
  choose_shots(csv, groups, usable, target, p);
  p.why = {{"group", why_group}, {"target", why_target}};
  if (time != SIZE_MAX) p.why["time"] = why_time;
  return p;
}

}  // namespace symma
