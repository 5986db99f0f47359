#include "symma/tasks/sides.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "symma/core/errors.h"
#include "symma/core/rng.h"

namespace symma {
namespace {

struct Unit {
  std::string name;
  std::vector<int64_t> groups;
  double first, last;
};

std::vector<Unit> units_of(const TableRows& rows) {
  std::vector<Unit> units;
  std::map<std::string, size_t> number;
  for (size_t g = 0; g < rows.groups.size(); ++g) {
    const RowGroup& group = rows.groups[g];
    const auto [it, fresh] = number.emplace(group.unit, units.size());
    if (fresh) units.push_back({group.unit, {}, group.first, group.last});
    Unit& unit = units[it->second];
    unit.groups.push_back(static_cast<int64_t>(g));
    unit.first = std::min(unit.first, group.first);
    unit.last = std::max(unit.last, group.last);
  }
  return units;
}

// Whether all of them share a moment, as patients do who are counted from their own admission: there is no
// order of time between such.
bool share_a_moment(const std::vector<Unit>& units) {
  double latest_first = -INFINITY, earliest_last = INFINITY;
  for (const Unit& u : units) {
    latest_first = std::max(latest_first, u.first);
    earliest_last = std::min(earliest_last, u.last);
  }
  return latest_first <= earliest_last;
}

Fractions fractions(const SideOptions& o, bool other_test) {
  return {o.validation_fraction, other_test ? std::nullopt : std::optional(o.test_fraction)};
}

// Leaves out of `early` what reaches into `late`, or comes nearer to it than `gap` of the file's times.
int64_t purge(std::vector<int64_t>& early, const std::vector<int64_t>& late, const std::vector<Unit>& units,
              const std::vector<double>& moments, int64_t gap) {
  const auto place = [&](double time) {
    return std::lower_bound(moments.begin(), moments.end(), time) - moments.begin();
  };
  double begin = INFINITY;
  for (const int64_t u : late) begin = std::min(begin, units[u].first);
  return static_cast<int64_t>(
      std::erase_if(early, [&](int64_t u) { return place(begin) - place(units[u].last) <= gap; }));
}

// Of folds + 1 stretches of the units, as equal as can be at the end, number fold + 1 is the test.
Parts walk_forward(const std::vector<int64_t>& units, const SideOptions& o, const std::string& have) {
  const auto n = static_cast<int64_t>(units.size()), stretch = n / (o.folds + 1);
  if (stretch == 0)
    throw UserError("[task] folds", fmt::format("is {}, and {}", o.folds, have),
                    fmt::format("set it to {} or fewer", std::max<int64_t>(1, n - 1)));
  const auto begin = units.end() - (o.folds - o.fold) * stretch;
  Parts parts = part_in_order({units.begin(), begin}, {o.validation_fraction, std::nullopt},
                              fmt::format("{} come before fold {}", begin - units.begin(), o.fold));
  parts.test.assign(begin, begin + stretch);
  return parts;
}

Parts by_time(const std::vector<Unit>& units, std::vector<int64_t> rest, const TableRows& rows,
              const SideOptions& o, bool other_test, const std::string& have,
              std::vector<std::string>& warnings) {
  std::stable_sort(rest.begin(), rest.end(),
                   [&](int64_t a, int64_t b) { return units[a].first < units[b].first; });
  Parts parts =
      o.folds > 0 ? walk_forward(rest, o, have) : part_in_order(rest, fractions(o, other_test), have);
  std::vector<double> moments = rows.time;
  std::sort(moments.begin(), moments.end());
  moments.erase(std::unique(moments.begin(), moments.end()), moments.end());
  int64_t purged = 0;
  if (!parts.test.empty()) {
    purged += purge(parts.validation, parts.test, units, moments, o.gap);
    purged += purge(parts.train, parts.test, units, moments, o.gap);
  }
  if (!parts.validation.empty()) purged += purge(parts.train, parts.validation, units, moments, o.gap);
  if (parts.train.empty() || parts.validation.empty())
    throw UserError(
        "[task] split",
        "is by time, and every group reaches into the time of those that judge, or too near to it",
        "set it to \"groups\" (other groups judge) or \"rows\" (later rows of each group do), or "
        "lower gap");
  if (purged > 0)
    warnings.push_back(
        fmt::format("{} of {} groups reach into the time of those that judge, or nearer to it than "
                    "the gap, and are left out",
                    purged, rest.size()));
  return parts;
}

Parts shuffled_parts(const std::vector<int64_t>& items, const SideOptions& o, bool other_test,
                     const std::string& name, const std::string& have) {
  return o.folds > 0 ? fold_items(items, o.folds, o.fold, o.validation_fraction, name, have, o.split_key)
                     : part_items(items, fractions(o, other_test), name, have, o.split_key);
}

}  // namespace

void SideOptions::fields(Fields& f) {
  f.add("validation_fraction", validation_fraction, "part of the groups kept for validation")
      .above(0)
      .below(1);
  f.add("test_fraction", test_fraction, "part of the groups kept for the test").at_least(0).below(1);
  f.add("ood_groups", ood_groups,
        "groups (of split_by, where it is set) kept for the out-of-distribution test");
  f.add(
       "split", split,
       "what is kept apart: groups at random, those that come last in time, or rows of every group; auto: by "
       "time where groups follow each other in it")
      .one_of({"auto", "groups", "time", "rows"});
  f.add("folds", folds,
        "test on one of so many parts: stretches of time, and train on what came before (walk forward); or "
        "of groups or rows, where split says so (cross-validation); 0: do not")
      .at_least(0);
  f.add("split_key", split_key, "another number, another random split; the same for every seed").at_least(0);
  f.add("fold", fold, "which of the folds is the test, from 0").at_least(0);
  f.add("gap", gap, "with time: rows between what is learned from and what is judged on").at_least(0);
}

Sides cut_groups(const TableRows& rows, const Roles& roles, const SideOptions& o, bool other_test,
                 const std::string& path, std::vector<std::string>& warnings) {
  const std::vector<Unit> units = units_of(rows);
  Sides sides;
  sides.split = o.split;
  const bool timed = !roles.time.empty();
  if (sides.split == "auto")
    sides.split = timed && (o.folds > 0 || !share_a_moment(units)) ? "time" : "groups";
  if (sides.split == "time" && !timed)
    throw UserError("[task] split", "is by time, and no column has that role", "name it: time = \"COLUMN\"");
  if (o.folds > 0 && o.split == "auto" && sides.split != "time")
    throw UserError("[task] folds", "walk forward in time, and no column has that role",
                    "set time = \"COLUMN\"; or split = \"groups\" or \"rows\", to cross-validate");
  if (o.folds > 0 && sides.split == "rows" && timed)
    throw UserError("[task] folds", "are parts of rows in any order, and rows have times",
                    "set split = \"time\" or \"groups\", or leave time out");
  if (o.folds > 0 && other_test)
    throw UserError("[task] folds", "are tests of their own, and test_path is set", "leave one of them out");
  if (o.fold > 0 && o.fold >= o.folds)
    throw UserError("[task] fold", fmt::format("is {}, and folds are {}", o.fold, o.folds),
                    "folds are counted from 0");
  if (o.gap > 0 && !timed)
    throw UserError("[task] gap", "is of time, and no column has that role", "name it: time = \"COLUMN\"");

  const std::string& by = roles.split_by.empty() ? roles.group : roles.split_by;
  std::vector<int64_t> rest, ood;
  for (size_t u = 0; u < units.size(); ++u) {
    const bool kept =
        std::find(o.ood_groups.begin(), o.ood_groups.end(), units[u].name) != o.ood_groups.end();
    (kept ? ood : rest).push_back(static_cast<int64_t>(u));
  }
  for (const auto& name : o.ood_groups) {
    if (std::none_of(units.begin(), units.end(), [&](const Unit& u) { return u.name == name; }))
      throw UserError("[task] ood_groups",
                      fmt::format("\"{}\" is not in column {} of {}", shown(name), by, path),
                      "name groups of the file");
  }
  const std::string have = fmt::format("{} has {} groups by column {}", path, rest.size(), by);
  Parts parts;
  if (sides.split == "rows") {
    if (rest.empty()) throw UserError("[task] path", have, "give it groups to train on");
    parts = {rest, rest, other_test ? std::vector<int64_t>() : rest};
  } else if (sides.split == "time") {
    parts = by_time(units, rest, rows, o, other_test, have, warnings);
  } else {
    // By their names' order in the file alone, so that a split is the same for every seed and every run
    // compares with every other.
    parts = shuffled_parts(rest, o, other_test, "table", have);
  }
  const auto groups = [&](const std::vector<int64_t>& of_units) {
    std::vector<int64_t> out;
    for (const int64_t u : of_units) out.insert(out.end(), units[u].groups.begin(), units[u].groups.end());
    std::sort(out.begin(), out.end());
    return out;
  };
  sides.train = groups(parts.train), sides.validation = groups(parts.validation);
  sides.test = groups(parts.test), sides.ood = groups(ood);
  return sides;
}

Parts cut_rows(const RowGroup& g, const SideOptions& o, bool ordered, bool other_test) {
  const std::string have = fmt::format("group \"{}\" has {} rows", shown(g.name), g.rows.size());
  if (!ordered) return shuffled_parts(g.rows, o, other_test, "rows of " + g.name, have);
  Parts parts = part_in_order(g.rows, fractions(o, other_test), have);
  for (auto* early : {&parts.train, &parts.validation}) {
    const bool last = early == &parts.validation && parts.test.empty();
    if (!last) early->resize(std::max<int64_t>(0, static_cast<int64_t>(early->size()) - o.gap));
  }
  return parts;
}

}  // namespace symma
