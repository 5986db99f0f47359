#include "symma/tasks/columns.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "symma/core/dates.h"
#include "symma/core/errors.h"

namespace symma {
namespace {

constexpr size_t kMostName = 200;  // bytes of a group's name

// The name of a group, a holder or a class: it is printed, and written into files.
std::string name_in(const CsvFile& csv, size_t r, size_t c, const char* role) {
  const std::string_view cell = csv.rows.view(r, c);
  if (cell.find_first_not_of(" \t") == std::string_view::npos)
    throw UserError(csv.place(r, c), fmt::format("is empty, and names the {} of its row", role),
                    "fill it in, or leave the row out");
  if (cell.size() > kMostName)
    throw UserError(csv.place(r, c), fmt::format("is a name of {} bytes", cell.size()),
                    fmt::format("give the {} one of at most {}", role, kMostName));
  return std::string(cell);
}

// "COLUMN=NUMBER", taken apart.
std::pair<std::string, double> unmeasured_in(const std::string& one) {
  const size_t equals = one.rfind('=');
  const std::string number = equals == std::string::npos ? "" : one.substr(equals + 1);
  char* end = nullptr;
  const double value = std::strtod(number.c_str(), &end);
  if (number.empty() || *end != 0 || !std::isfinite(value))
    throw UserError("[task] unmeasured", "\"" + shown(one) + "\" is no column and number",
                    "write \"COLUMN=NUMBER\", such as \"cholesterol=0\"");
  return {one.substr(0, equals), value};
}

// Whether a cell is empty, or holds the number that says so in its column.
bool gone(const CsvFile& csv, const Roles& roles, size_t r, size_t c) {
  if (csv.missing(r, c)) return true;
  const std::string& name = csv.header[c];
  return std::any_of(roles.unmeasured.begin(), roles.unmeasured.end(), [&](const std::string& one) {
    return one.rfind('=') == name.size() && one.starts_with(name) &&
           csv.number(r, c) == unmeasured_in(one).second;
  });
}

void check_unmeasured(const CsvFile& csv, const Roles& roles) {
  for (const std::string& one : roles.unmeasured) {
    const std::string name = unmeasured_in(one).first;
    csv.column(name);
    if (std::find(roles.features.begin(), roles.features.end(), name) == roles.features.end())
      throw UserError("[task] unmeasured", "\"" + shown(name) + "\" is not predicted from",
                      "name a column of features");
  }
}

double value_in(const CsvFile& csv, const Roles& roles, size_t r, size_t c) {
  if (!gone(csv, roles, r, c)) return csv.number(r, c);
  if (roles.missing == "mean") return std::numeric_limits<double>::quiet_NaN();
  throw UserError(csv.place(r, c),
                  "\"" + shown(csv.rows.view(r, c)) +
                      (csv.missing(r, c) ? "\" is not a finite number" : "\" was not measured"),
                  "write a number such as 0.5, or set [task] missing = \"mean\" or \"row\"");
}

double target_in(const CsvFile& csv, const Roles& roles, size_t r, size_t c) {
  if (roles.labels.empty()) return csv.number(r, c);
  const std::string cell = csv.rows[r][c];
  if (!roles.positive.empty())
    return std::find(roles.positive.begin(), roles.positive.end(), cell) != roles.positive.end() ? 1 : 0;
  const auto it = std::lower_bound(roles.labels.begin(), roles.labels.end(), cell);
  if (it == roles.labels.end() || *it != cell)
    throw UserError(csv.place(r, c), "\"" + shown(cell) + "\" is not a class of the training data",
                    roles.labels.size() > 20 ? "" : suggestion(shown(cell), roles.labels));
  return static_cast<double>(it - roles.labels.begin());
}

double weight_in(const CsvFile& csv, size_t r, size_t c) {
  const double w = csv.number(r, c);
  if (w <= 0)
    throw UserError(csv.place(r, c), fmt::format("is {}, and a weight is above 0", w),
                    "leave rows out that count nothing");
  return w;
}

}  // namespace

Numbered groups_in(const CsvFile& csv, size_t column) {
  std::map<std::string_view, size_t> number;
  Numbered out;
  for (size_t r = 0; r < csv.rows.size(); ++r)
    out.of.push_back(number.emplace(csv.rows.view(r, column), number.size()).first->second);
  out.count = number.size();
  return out;
}

std::string about_names(const CsvFile& csv) {
  bool any = false, fraction = false;
  for (size_t c = 0; c < csv.header.size(); ++c) {
    try {
      if (csv.rows.size() == 0 || csv.missing(0, c)) continue;
      csv.number(0, c);
    } catch (const UserError&) {
      continue;  // a column of words: its name says nothing
    }
    const std::string& name = csv.header[c];
    double value = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value);
    if (error != std::errc() || end != name.data() + name.size()) return "";
    any = true;
    fraction |= value != std::floor(value) || value < 0;
  }
  if (!any || !fraction) return "";
  const std::vector<std::string> first(csv.header.begin(),
                                       csv.header.begin() + std::min<size_t>(3, csv.header.size()));
  return fmt::format(
      "the first line of {} is taken for names, and reads like data ({}{}): if it is, put a line of names "
      "before it",
      csv.path, shown(fmt::format("{}", fmt::join(first, ", "))), csv.header.size() > 3 ? ", ..." : "");
}

bool rises(const CsvFile& csv, size_t column, const Numbered& groups) {
  std::vector<double> last(groups.count, -std::numeric_limits<double>::infinity());
  std::vector<size_t> seen(groups.count);
  bool told = false;
  for (size_t r = 0; r < csv.rows.size(); ++r) {
    if (csv.missing(r, column)) return false;
    double value = 0;
    try {
      value = csv.number(r, column);
    } catch (const UserError&) {
      return false;
    }
    if (value <= last[groups.of[r]]) return false;
    last[groups.of[r]] = value;
    told |= ++seen[groups.of[r]] >= 3;
  }
  return told;
}

void choose_columns(const CsvFile& csv, bool classes, Roles& roles, std::vector<std::string>& warnings) {
  if (const std::string odd = about_names(csv); !odd.empty()) warnings.push_back(odd);
  std::set<size_t> taken;
  for (const auto& [key, name] : {std::pair{"target", &roles.target},
                                  {"group", &roles.group},
                                  {"agent", &roles.agent},
                                  {"time", &roles.time},
                                  {"split_by", &roles.split_by},
                                  {"weight", &roles.weight}}) {
    if (name->empty()) continue;
    const size_t c = csv.column(*name);
    // The target and the weight are numbers of a row of their own; names may be of several things.
    const bool alone = name == &roles.target || name == &roles.weight;
    const bool new_one = taken.insert(c).second;
    if (!new_one && (alone || *name == roles.target))
      throw UserError(std::string("[task] ") + key, "\"" + shown(*name) + "\" has another role",
                      "name a column of its own");
  }
  if (!roles.time.empty()) roles.days_first = days_first(csv, csv.column(roles.time));
  const size_t group = csv.column(roles.group), target = csv.column(roles.target);
  const Numbered groups = groups_in(csv, group);
  const bool choose = roles.features.empty();
  for (size_t c = 0; c < csv.header.size(); ++c) {
    if (taken.contains(c)) continue;
    const bool used =
        std::find(roles.features.begin(), roles.features.end(), csv.header[c]) != roles.features.end();
    const bool is_date = dates(csv, c).has_value();
    if (choose && !is_date) roles.features.push_back(csv.header[c]);
    if (!roles.time.empty()) continue;
    const char* how = is_date ? "is a date" : rises(csv, c, groups) ? "rises in every group" : nullptr;
    if (how)
      warnings.push_back(fmt::format(
          "column {} {}{}, and rows are shuffled: if later rows are to be predicted from earlier ones, set "
          "[task] time = \"{}\"",
          shown(csv.header[c]), how, is_date && !used ? " and not predicted from" : "",
          shown(csv.header[c])));
  }
  if (roles.features.empty())
    throw UserError(csv.path + ":1", "has no column to predict from", "add feature columns");
  for (const auto& name : roles.features)
    if (name == roles.target)
      throw UserError("[task] features", "\"" + shown(name) + "\" is the target", "leave it out");
  check_unmeasured(csv, roles);
  if (!classes) {
    if (!roles.positive.empty())
      throw UserError("[task] positive", "names classes, and the target is a number",
                      "set predict = \"classification\"");
    return;
  }
  std::set<std::string> seen;
  for (size_t r = 0; r < csv.rows.size(); ++r)
    if (!csv.missing(r, target)) seen.insert(name_in(csv, r, target, "class"));
  for (const std::string& one : roles.positive) {
    if (!seen.contains(one))
      throw UserError("[task] positive",
                      "\"" + shown(one) + "\" is not in column " + shown(roles.target) + " of " + csv.path,
                      seen.size() > 20 ? "" : suggestion(shown(one), {seen.begin(), seen.end()}));
  }
  if (!roles.positive.empty()) {
    roles.labels = {"no", "yes"};
  } else {
    roles.labels.assign(seen.begin(), seen.end());
  }
}

TableRows read_rows(const CsvFile& csv, const Roles& roles) {
  std::vector<size_t> columns;
  for (const auto& name : roles.features) columns.push_back(csv.column(name));
  const auto optional = [&](const std::string& name) { return name.empty() ? SIZE_MAX : csv.column(name); };
  const size_t target = csv.column(roles.target), group = csv.column(roles.group),
               holder = optional(roles.agent), unit = optional(roles.split_by),
               weight = optional(roles.weight);
  // Rows that count, under missing = "row".
  std::vector<size_t> kept;
  TableRows out;
  for (size_t r = 0; r < csv.rows.size(); ++r) {
    bool whole = true;
    if (roles.missing == "row") {
      for (const size_t c : columns) whole = whole && !gone(csv, roles, r, c);
      for (const size_t c : {target, group, holder, unit, weight})
        whole = whole && (c == SIZE_MAX || !csv.missing(r, c));
    }
    if (whole) kept.push_back(r);
  }
  out.left_out = static_cast<int64_t>(csv.rows.size() - kept.size());
  const auto n = static_cast<int64_t>(kept.size());
  out.x = at::empty({n, static_cast<int64_t>(columns.size())}, at::kDouble);
  out.y = at::empty({n}, at::kDouble);
  if (weight != SIZE_MAX) out.weight = at::empty({n}, at::kDouble);
  double *at_x = out.x.data_ptr<double>(), *at_y = out.y.data_ptr<double>();
  if (!roles.time.empty()) {
    const std::vector<double> all = times(csv, csv.column(roles.time), roles.days_first);
    for (const size_t r : kept) out.time.push_back(all[r]);
  }
  std::map<std::string, size_t> number;  // of "unit, holder, group"
  for (int64_t i = 0; i < n; ++i) {
    const size_t r = kept[i];
    for (const size_t c : columns) *at_x++ = value_in(csv, roles, r, c);
    if (csv.missing(r, target))
      throw UserError(csv.place(r, target),
                      roles.labels.empty()
                          ? "\"" + shown(csv.rows.view(r, target)) + "\" is not a finite number"
                          : "is empty",
                      "write the target, or set [task] missing = \"row\"");
    at_y[i] = target_in(csv, roles, r, target);
    if (weight != SIZE_MAX) out.weight.data_ptr<double>()[i] = weight_in(csv, r, weight);
    const std::string name = name_in(csv, r, group, "group"),
                      whose = holder == SIZE_MAX ? "" : name_in(csv, r, holder, "agent"),
                      side = unit == SIZE_MAX ? "" : name_in(csv, r, unit, "unit of the split");
    const auto [it, fresh] = number.emplace(side + '\n' + whose + '\n' + name, out.groups.size());
    if (fresh) {
      const bool nested = unit != SIZE_MAX && unit != group;
      RowGroup g;
      g.name = nested ? side + ", " + name : name;
      g.unit = unit == SIZE_MAX ? "" : side;
      g.holder = whose;
      out.groups.push_back(std::move(g));
    }
    out.groups[it->second].rows.push_back(i);
  }
  // The same name under another holder is another task, and is told apart.
  std::map<std::string, int> times_seen;
  for (const auto& g : out.groups) ++times_seen[g.name];
  for (auto& g : out.groups) {
    if (times_seen[g.name] > 1 && g.name != g.holder) g.name = g.holder + ", " + g.name;
    if (g.unit.empty()) g.unit = g.name;
    if (out.time.empty()) continue;
    std::stable_sort(g.rows.begin(), g.rows.end(),
                     [&](int64_t a, int64_t b) { return out.time[a] < out.time[b]; });
    g.first = out.time[g.rows.front()];
    g.last = out.time[g.rows.back()];
  }
  return out;
}

Scales Scales::of(const TableRows& all, const std::vector<int64_t>& rows, bool classes) {
  const Tensor index = at::tensor(rows, at::kLong);
  const Tensor x = all.x.index_select(0, index), y = all.y.index_select(0, index);
  const auto spread = [](const Tensor& around, const Tensor& mean) {
    const Tensor deviation = around.square().mean(0).sqrt();
    return at::where(deviation <= 1e-12 * mean.abs(), at::ones_like(deviation), deviation);
  };
  Scales s;
  const Tensor gone = x.isnan(), holes = gone.any(0);
  if (holes.any().item<bool>()) {
    const Tensor there = gone.logical_not().to(at::kDouble), count = there.sum(0).clamp_min(1);
    s.shift = x.masked_fill(gone, 0).sum(0) / count;
    const Tensor deviation = ((x - s.shift).masked_fill(gone, 0).square().sum(0) / count).sqrt();
    s.scale = at::where(deviation <= 1e-12 * s.shift.abs(), at::ones_like(deviation), deviation);
    for (int64_t c = 0; c < holes.size(0); ++c)
      if (holes[c].item<bool>()) s.holes.push_back(c);
  } else {
    s.shift = x.mean(0);
    s.scale = spread(x - s.shift, s.shift);
  }
  if (!classes) {
    const Tensor mean = y.mean(0);
    s.target_shift = mean.item<double>();
    s.target_scale = spread(y - mean, mean).item<double>();
  }
  return s;
}

Scales Scales::none(const TableRows& all) {
  if (all.x.isnan().any().item<bool>())
    throw UserError("[task] missing", "is \"mean\", and columns that stay as they are have none",
                    "set standardise = true, or missing = \"row\"");
  return {at::zeros({all.x.size(1)}, at::kDouble), at::ones({all.x.size(1)}, at::kDouble), {}, 0, 1};
}

Tensor Scales::inputs(Tensor x) const {
  const Tensor gone = x.isnan();
  const Tensor whole = x.sub_(shift).div_(scale).masked_fill_(gone, 0).to(at::kFloat);
  if (holes.empty()) return whole;
  return at::cat({whole, gone.index_select(1, at::tensor(holes, at::kLong)).to(at::kFloat)}, 1);
}

FewShot::Reading read_examples(const CsvFile& csv, const Roles& roles, const Scales& scales) {
  std::vector<size_t> columns, support, query;
  for (const auto& name : roles.features) columns.push_back(csv.column(name));
  const size_t target = csv.column(roles.target);
  // Rows of two tasks would be adapted to as one, which is neither.
  for (const std::string& role : {roles.group, roles.agent, roles.split_by}) {
    const auto named = std::find(csv.header.begin(), csv.header.end(), role);
    if (role.empty() || named == csv.header.end()) continue;
    const auto c = static_cast<size_t>(named - csv.header.begin());
    for (size_t r = 1; r < csv.rows.size(); ++r)
      if (csv.rows.view(r, c) != csv.rows.view(0, c))
        throw UserError(csv.place(r, c),
                        fmt::format("\"{}\" after \"{}\": a task is of one {}", shown(csv.rows.view(r, c)),
                                    shown(csv.rows.view(0, c)), shown(role)),
                        "give each a file of its own, or leave the column out");
  }
  for (size_t r = 0; r < csv.rows.size(); ++r) {
    if (csv.missing(r, target)) {
      query.push_back(r);
    } else if (roles.missing != "row" || std::none_of(columns.begin(), columns.end(),
                                                      [&](size_t c) { return gone(csv, roles, r, c); })) {
      support.push_back(r);
    }
  }
  if (support.empty())
    throw UserError(csv.path, "has no row with a " + shown(roles.target),
                    "give at least one example to learn from");
  if (query.empty()) query = support;
  FewShot::Reading out;
  Episodes& e = out.episode;
  const auto inputs = [&](const std::vector<size_t>& rows) {
    Tensor x =
        at::empty({static_cast<int64_t>(rows.size()), static_cast<int64_t>(columns.size())}, at::kDouble);
    double* at = x.data_ptr<double>();
    for (const size_t r : rows)
      for (const size_t c : columns) *at++ = value_in(csv, roles, r, c);
    return scales.inputs(x).unsqueeze(0);
  };
  e.support_x = inputs(support), e.query_x = inputs(query);
  const auto k = static_cast<int64_t>(support.size()), n = static_cast<int64_t>(query.size());
  Tensor y = at::empty({k}, at::kDouble);
  for (int64_t i = 0; i < k; ++i) y.data_ptr<double>()[i] = target_in(csv, roles, support[i], target);
  if (roles.labels.empty()) {
    e.support_y = scales.targets(y).view({1, k, 1});
    e.query_y = at::zeros({1, n, 1});
    out.target_shift = {scales.target_shift};
    out.target_scale = {scales.target_scale};
  } else {
    e.support_y = y.to(at::kLong).unsqueeze(0);
    e.query_y = at::zeros({1, n}, at::kLong);
    out.labels = roles.labels;
  }
  if (!e.support_x.isfinite().all().item<bool>() || !e.query_x.isfinite().all().item<bool>())
    throw UserError(csv.path, "has numbers that are too far from those that were trained on for a float",
                    "check the columns' units");
  if (!roles.weight.empty() &&
      std::find(csv.header.begin(), csv.header.end(), roles.weight) != csv.header.end()) {
    const size_t weight = csv.column(roles.weight);
    e.support_weight = at::empty({1, k});
    for (int64_t i = 0; i < k; ++i)
      e.support_weight.data_ptr<float>()[i] = static_cast<float>(weight_in(csv, support[i], weight));
  }
  std::vector<std::string> cells;
  for (const auto& name : roles.features) cells.push_back(csv_cell(name));
  out.query_header = fmt::format("{}", fmt::join(cells, ","));
  for (const size_t r : query) {
    cells.clear();
    for (const size_t c : columns) cells.push_back(csv_cell(csv.rows[r][c]));
    out.query_names.push_back(fmt::format("{}", fmt::join(cells, ",")));
  }
  return out;
}

}  // namespace symma
