// Tasks from a table: a group column of a CSV file names the task that each row belongs to. A few rows of a
// group are learned from, others of the same group are predicted. With a column of time what is learned from
// comes before what is predicted.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "symma/core/files.h"
#include "symma/core/record.h"
#include "symma/tasks/columns.h"
#include "symma/tasks/deal.h"
#include "symma/tasks/has_columns.h"
#include "symma/tasks/known.h"
#include "symma/tasks/sides.h"
#include "symma/tasks/signature.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

constexpr size_t kSplits = 4;
size_t at(Split split) {
  return static_cast<size_t>(split);
}

class Table : public TaskFamily,
              public FewShot,
              public HasColumns,
              public Shares,
              public Accountable,
              public Remembers,
              public OtherTests,
              public Warns,
              public InUnits,
              public HasSignature,
              public KeepsData {
 public:
  struct Options {
    std::string path, test_path, known, kind = "regression", short_groups = "refuse";
    Roles roles{.target = "y", .group = "task"};
    int64_t shots = 10, queries = 10, test_queries = 100, skip = 0;
    std::vector<int64_t> support;
    bool balanced = true, standardise = true;
    SideOptions sides;
    void fields(Fields& f) {
      f.add("path", path, "CSV file with a header row, plain or gzipped");
      f.add("test_path", test_path,
            "CSV file whose groups, all of them, are the test in place of any in path");
      f.add("known", known,
            "a run's data.json, in place of reading path before tasks are drawn; set by symma");
      f.add("group", roles.group, "column that names the task of a row");
      f.add("target", roles.target, "column to predict");
      f.add("features", roles.features, "columns to predict from; empty: all that have no role");
      f.add("agent", roles.agent,
            "column that names who holds a row: its values are dealt to the agents in turn");
      f.add("time", roles.time, "column of times (numbers or dates): what is learned from comes first");
      f.add("split_by", roles.split_by,
            "column whose values stay on one side of the split with all their groups, as a home with its "
            "weeks");
      f.add("weight", roles.weight, "column that says how much a row counts");
      f.add("predict", kind, "what the target is").one_of({"regression", "classification"});
      f.add("positive", roles.positive,
            "values of the target that are \"yes\", where all others are \"no\"; empty: each is a class");
      f.add("unmeasured", roles.unmeasured,
            "numbers that stand for an empty cell, as \"COLUMN=NUMBER\": \"cholesterol=0\"");
      f.add("missing", roles.missing,
            "cells that are empty or NA: refused, set to the column's mean (and a column is added that says "
            "where), or "
            "their rows left out")
          .one_of({"refuse", "mean", "row"});
      f.add(
          "standardise", standardise,
          "columns and target are centred and scaled by what is trained on; else they stay as they are, for "
          "models that know their units");
      f.add("shots", shots, "rows of a task to learn from; for classification, of each class").at_least(1);
      f.add("support", support,
            "places of the rows of a group that are learned from when judged, from 1, in the order of time "
            "or of "
            "the file; empty, and while training: shots are drawn")
          .at_least(1);
      f.add("skip", skip, "rows at the beginning of each group that are left out").at_least(0);
      f.add("balanced", balanced, "shots are of each class, for classification; else as the rows come");
      f.add("queries", queries, "rows of a task to be judged on, while training").at_least(1);
      f.add("test_queries", test_queries, "the most rows of a task to be judged on when evaluated")
          .at_least(1);
      f.add("short_groups", short_groups, "groups with too few rows").one_of({"refuse", "skip"});
      sides.fields(f);
    }
  };

  Table(const Options& o, int64_t agents) : o_(o), agents_(agents) {
    if (o.path.empty()) throw UserError("[task] path", "is missing", "name a CSV file");
    if (!o.support.empty() && o.sides.split == "rows")
      throw UserError("[task] support", "names rows of a group, and split = \"rows\" cuts them",
                      "leave one of them out");
    if (std::set(o.support.begin(), o.support.end()).size() != o.support.size())
      throw UserError("[task] support", "names a row twice", "name each once");
    if (o.known.empty())
      load(o.path, o.test_path);
    else
      recall(parse_json(read_file(o.known)));
  }

  // The columns and the scales are all that a prediction needs; groups that were trained on are known by a
  // hash of their names.
  Json known() const override {
    std::vector<Source> sources{source_of(o_.path)};
    if (!o_.test_path.empty()) sources.push_back(source_of(o_.test_path));
    Json trained = Json::array();
    if (!by_rows_)  // else groups are judged on rows of their own
      for (const auto& unit : trained_) trained.push_back(hash_of(unit.data(), unit.size()));
    return {{"sources", to_json(sources)},
            {"features", o_.roles.features},
            {"labels", o_.roles.labels},
            {"shift", numbers_of(scales_.shift)},
            {"scale", numbers_of(scales_.scale)},
            {"holes", scales_.holes},
            {"target_shift", scales_.target_shift},
            {"target_scale", scales_.target_scale},
            {"days_first", o_.roles.days_first},
            {"trained", trained}};
  }

  bool fresh() const override { return false; }
  std::vector<std::string> warnings() const override { return warnings_; }
  Units units() const override { return {o_.roles.target, scales_.target_shift, scales_.target_scale}; }

  Signature signature() const override {
    Signature s;
    s.form = "columns of numbers", s.inputs = o_.roles.features, s.target = o_.roles.target,
    s.labels = o_.roles.labels;
    s.input_shift = numbers_of(scales_.shift), s.input_scale = numbers_of(scales_.scale);
    for (const int64_t hole : scales_.holes) {
      s.inputs.push_back(o_.roles.features[hole] + " is missing");
      s.input_shift.push_back(0), s.input_scale.push_back(1);
    }
    if (!classes()) s.target_shift = {scales_.target_shift}, s.target_scale = {scales_.target_scale};
    return s;
  }

  TaskSpec spec() const override {
    const auto d = static_cast<int64_t>(o_.roles.features.size() + scales_.holes.size());
    if (!classes()) return {.shape = {{d}, 1}, .kind = Kind::kRegression, .metric = "mse"};
    return {.shape = {{d}, static_cast<int64_t>(o_.roles.labels.size())},
            .kind = Kind::kClassification,
            .metric = "accuracy",
            .higher_is_better = true};
  }

  std::unique_ptr<TaskBatch> sample(const Model& model, std::span<const Ask> asks,
                                    Split split) const override {
    find(split);
    const bool train = split == Split::kTrain;
    const auto b = static_cast<int64_t>(asks.size());
    std::vector<Rows> rows(b);
    Episodes e;
    const size_t places = std::min(wanted(split), most_[at(split)]);
    const bool unequal = fewest_[at(split)] < places;
    if (unequal || weight_.defined()) e.query_weight = at::zeros({b, static_cast<int64_t>(places)});
    for (int64_t i = 0; i < b; ++i) {
      Draws d(asks[i].key.split(split_name(split)));
      const auto& pool = groups_for(asks[i].agent, split);
      const Group& g = groups_[pool[d.below(static_cast<int64_t>(pool.size()))]];
      rows[i] = divide(g, split, d);
      auto& query = rows[i].query;
      if (query.size() > places) query.resize(places);
      // Episodes of a batch stand in one tensor: a small group's rows come again in the places that are left,
      // and count nothing there.
      const size_t have = query.size();
      if (e.query_weight.defined()) e.query_weight[i].narrow(0, 0, static_cast<int64_t>(have)).fill_(1);
      for (size_t k = have; k < places; ++k) query.push_back(query[k - have]);
      e.titles.push_back(fmt::format("{} = {}", o_.roles.group, g.of.name));
      e.names.push_back(g.of.unit);
    }
    take(rows, &Rows::support, e.support_x, e.support_y, e.support_weight);
    Tensor weight;
    take(rows, &Rows::query, e.query_x, e.query_y, weight);
    if (weight.defined()) e.query_weight = e.query_weight * weight;
    if (classes()) {
      e.support_class = e.support_y;
      e.query_class = e.query_y;
    }
    e.keys = keys_of(asks);
    return std::make_unique<SupervisedBatch>(model, spec().kind, std::move(e),
                                             train ? Mode::kTrain : Mode::kEval);
  }

  Reading read(const std::string& path) const override {
    return read_examples(CsvFile::load(path), o_.roles, scales_);
  }

  bool trained_on(const std::string& name) const override {
    if (recalled_.contains(hash_of(name.data(), name.size()))) return true;
    return again_.contains(name) || (!by_rows_ && trained_.contains(name));
  }

  void test_on(const std::string& path) override {
    if (!o_.known.empty() && !loaded_) {
      try {
        find(Split::kTrain);
      } catch (const UserError&) {
        elsewhere_ = true;  // its own data aren't here, and it can do without
      }
    }
    TableRows rows = usable(CsvFile::load(path));
    const auto known = learned_rows();
    const auto first = static_cast<int64_t>(groups_.size());
    add(rows, path, true);
    again_.clear();
    auto& test = pool_[at(Split::kTest)];
    test.clear();
    for (auto g = first; g < static_cast<int64_t>(groups_.size()); ++g) {
      const Group& group = groups_[g];
      test.push_back(g);
      // By its name, or by rows that are the same under whatever name.
      size_t same = 0;
      for (const int64_t r : group.of.rows) same += known.contains(bytes_of(r));
      if (trained_.contains(group.of.unit) || 2 * same >= group.of.rows.size()) again_.insert(group.of.unit);
    }
    if (!elsewhere_) deal();
    measure();
  }

  std::vector<std::string> columns() const override {
    std::vector<std::string> out = o_.roles.features;
    out.push_back(o_.roles.target);
    return out;
  }

  std::string share(int64_t agent) const override {
    find(Split::kTrain);
    const std::string& column = !o_.roles.agent.empty()      ? o_.roles.agent
                                : !o_.roles.split_by.empty() ? o_.roles.split_by
                                                             : o_.roles.group;
    std::vector<std::string> names;
    for (int64_t g : groups_for(agent, Split::kTrain)) {
      const std::string& name = owner(groups_[g].of);
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    if (names.size() > 6) {
      const auto n = names.size();
      names.resize(5);
      names.push_back(fmt::format("... ({} in all)", n));
    }
    return fmt::format("{} {}", column, fmt::join(names, ", "));
  }

 private:
  static std::vector<double> numbers_of(const Tensor& t) {
    return {t.data_ptr<double>(), t.data_ptr<double>() + t.numel()};
  }

  // A file's rows, in groups that a task can be made of. What is too short is left out before groups are
  // split, and is then no side's.
  TableRows usable(const CsvFile& csv) {
    TableRows rows = read_rows(csv, o_.roles);
    for (RowGroup& g : rows.groups) {
      g.rows.erase(g.rows.begin(), g.rows.begin() + std::min<int64_t>(o_.skip, std::ssize(g.rows)));
      // A group begins with what is left of it.
      if (!rows.time.empty() && !g.rows.empty()) g.first = rows.time[g.rows.front()];
    }
    std::erase_if(rows.groups, [&](const RowGroup& g) { return !long_enough(rows, g, csv.path); });
    count_left_out(rows, csv.path);
    return rows;
  }

  void load(const std::string& path, const std::string& test_path) {
    const CsvFile csv = CsvFile::load(path);
    choose_columns(csv, o_.kind == "classification", o_.roles, warnings_);
    TableRows rows = usable(csv);
    const bool other = !test_path.empty();
    const Sides sides = cut_groups(rows, o_.roles, o_.sides, other, path, warnings_);
    by_rows_ = sides.split == "rows";
    std::vector<int64_t> learned;
    for (const int64_t g : sides.train) {
      const RowGroup& group = rows.groups[g];
      const auto& own = by_rows_ ? cut_rows(group, o_.sides, ordered(), other).train : group.rows;
      learned.insert(learned.end(), own.begin(), own.end());
    }
    scales_ = o_.standardise ? Scales::of(rows, learned, classes()) : Scales::none(rows);
    add(rows, path, false);
    pool_ = {sides.train, sides.validation, sides.test, sides.ood};
    deal();
    for (const int64_t g : pool_[at(Split::kTrain)]) trained_.insert(groups_[g].of.unit);
    loaded_ = true;
    if (other) test_on(test_path);
    measure();
  }

  // What known() says, without the rows.
  void recall(const Json& known) {
    try {
      sources_ = sources_in(known, o_.known);
      known.at("features").get_to(o_.roles.features);
      known.at("labels").get_to(o_.roles.labels);
      const auto shift = known.at("shift").get<std::vector<double>>(),
                 scale = known.at("scale").get<std::vector<double>>();
      known.at("holes").get_to(scales_.holes);
      scales_.shift = at::tensor(shift, at::kDouble), scales_.scale = at::tensor(scale, at::kDouble);
      known.at("target_shift").get_to(scales_.target_shift);
      known.at("target_scale").get_to(scales_.target_scale);
      o_.roles.days_first = known.value("days_first", false);  // not there in runs of before
      for (const Json& unit : known.at("trained")) recalled_.insert(unit.get<std::string>());
      const auto columns = o_.roles.features.size();
      bool fits = columns > 0 && shift.size() == columns && scale.size() == columns && sources_.size() > 0;
      for (const int64_t hole : scales_.holes)
        fits = fits && hole >= 0 && hole < static_cast<int64_t>(columns);
      if (!fits)
        throw UserError(o_.known, "is not what symma train wrote there", "restore it, or train again");
    } catch (const nlohmann::json::exception&) {
      throw UserError(o_.known, "is not what symma train wrote there", "restore it, or train again");
    }
  }

  // Reads what a run recalled, once tasks of it are wanted. Judged on other data, it may do without.
  void find(Split split) const {
    if (o_.known.empty() || (elsewhere_ && split == Split::kTest)) return;
    const std::lock_guard lock(finding_);
    if (loaded_) return;
    const auto at = locate(sources_);
    const_cast<Table*>(this)->load(at[0], at.size() > 1 ? at[1] : "");
  }

  struct Group {
    RowGroup of;
    Parts side;          // for split = "rows"
    bool whole = false;  // of another file: all its rows are a task's, whatever the split
  };
  struct Rows {
    std::vector<int64_t> support, query;
  };

  bool classes() const { return !o_.roles.labels.empty(); }
  bool ordered() const { return !o_.roles.time.empty(); }
  bool by_class() const { return classes() && o_.balanced; }
  size_t classes_to_fill() const { return by_class() ? o_.roles.labels.size() : 1; }
  size_t wanted(Split split) const {
    return static_cast<size_t>(split == Split::kTrain ? o_.queries : o_.test_queries);
  }
  static const std::string& owner(const RowGroup& g) { return g.holder.empty() ? g.unit : g.holder; }

  // The rows of the support among `rows`, in their order, and where it ends; nothing where they are too few.
  // The class of a row is told by `y`.
  std::optional<size_t> fill(const std::vector<int64_t>& rows, const auto& y, std::vector<int64_t>& support,
                             std::vector<int64_t>* rest) const {
    std::vector<int64_t> taken(classes_to_fill());
    size_t full = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      int64_t& count = taken[by_class() ? static_cast<size_t>(y(rows[i])) : 0];
      if (count < o_.shots) {
        support.push_back(rows[i]);
        full += ++count == o_.shots;
        if (full == taken.size() && !rest) return i + 1;
      } else if (rest) {
        rest->push_back(rows[i]);
      }
    }
    return full == taken.size() ? std::optional(rows.size()) : std::nullopt;
  }

  // How many queries are left of `rows` when the support is taken from them; -1 where that cannot be filled.
  int64_t queries_of(const std::vector<int64_t>& rows, const auto& y, bool judged) const {
    if (judged && !o_.support.empty()) {
      const auto n = std::ssize(rows);
      const bool there = *std::max_element(o_.support.begin(), o_.support.end()) <= n;
      return there ? n - std::ssize(o_.support) : -1;
    }
    std::vector<int64_t> support, rest;
    const auto end = fill(rows, y, support, ordered() ? nullptr : &rest);
    if (!end) return -1;
    return ordered() ? std::max<int64_t>(0, static_cast<int64_t>(rows.size() - *end) - o_.sides.gap)
                     : static_cast<int64_t>(rest.size());
  }

  // Whether a task can be made of the group; where not, it is skipped or refused.
  bool long_enough(const TableRows& rows, const RowGroup& g, const std::string& path) {
    const double* of = rows.y.data_ptr<double>();
    const auto y = [&](int64_t r) { return of[r]; };
    const bool named = queries_of(g.rows, y, true) > 0;
    if (named && queries_of(g.rows, y, false) > 0) return true;
    if (o_.short_groups == "skip") {
      ++skipped_;
      return false;
    }
    if (!named && !o_.support.empty())
      throw UserError(
          path,
          fmt::format("group \"{}\" has {} rows, and support names row {}", shown(g.name), g.rows.size(),
                      *std::max_element(o_.support.begin(), o_.support.end())),
          "name rows that every group has, and leave one to judge, or set short_groups = \"skip\"");
    const std::string need = o_.sides.gap > 0 ? fmt::format(" after a gap of {}", o_.sides.gap) : "";
    const char* remedy = "lower [task] shots, or leave the group out (short_groups = \"skip\")";
    if (by_class()) {
      for (size_t c = 0; c < o_.roles.labels.size(); ++c) {
        const auto n = std::count_if(g.rows.begin(), g.rows.end(),
                                     [&](int64_t r) { return of[r] == static_cast<double>(c); });
        if (n > o_.shots || (n == o_.shots && ordered())) continue;
        throw UserError(
            path,
            fmt::format("group \"{}\" has {} rows of class \"{}\", and shots = {} need one more to judge",
                        shown(g.name), n, shown(o_.roles.labels[c]), o_.shots),
            remedy);
      }
    }
    throw UserError(path,
                    fmt::format("group \"{}\" has {} rows, and shots = {} need one more to judge{}",
                                shown(g.name), g.rows.size(), o_.shots, need),
                    remedy);
  }

  void count_left_out(const TableRows& rows, const std::string& path) {
    if (rows.left_out > 0)
      warnings_.push_back(
          fmt::format("{} rows of {} have a missing cell, and are left out", rows.left_out, path));
    if (skipped_ > 0)
      warnings_.push_back(fmt::format("{} groups of {} have too few rows for shots = {}, and are left out",
                                      skipped_, path, o_.shots));
    skipped_ = 0;
    if (rows.groups.empty())
      throw UserError(path, "has no group that a task can be made of",
                      "lower [task] shots, or give more rows");
  }

  // Adds a file's rows and groups, standardised.
  void add(TableRows& rows, const std::string& path, bool whole) {
    const int64_t first = x_.defined() ? x_.size(0) : 0;
    Tensor x = scales_.inputs(rows.x), y = classes() ? rows.y.to(at::kFloat) : scales_.targets(rows.y);
    const Tensor fits = x.isfinite().all(1).logical_and(y.isfinite());
    if (!fits.all().item<bool>())
      throw UserError(path, "has numbers that are too far from those that are trained on for a float",
                      "write the column in another unit");
    const auto append = [&](Tensor& all, const Tensor& more) { all = first ? at::cat({all, more}) : more; };
    append(x_, x);
    append(y_, y);
    if (rows.weight.defined()) append(weight_, rows.weight.to(at::kFloat));
    for (RowGroup& g : rows.groups) {
      for (int64_t& r : g.rows) r += first;
      Group group{std::move(g), {}, whole};
      if (by_rows_ && !whole) group.side = cut_rows(group.of, o_.sides, ordered(), !o_.test_path.empty());
      groups_.push_back(std::move(group));
    }
  }

  // Who holds which groups: owners of training groups in turn, and with them what they hold on other sides.
  void deal() {
    std::vector<std::string> owners;
    std::map<std::string, int64_t> number;
    for (const int64_t g : pool_[at(Split::kTrain)])
      if (number.emplace(owner(groups_[g].of), owners.size()).second) owners.push_back(owner(groups_[g].of));
    std::vector<int64_t> all(owners.size());
    std::iota(all.begin(), all.end(), 0);
    const char* what = o_.roles.agent.empty() ? "training groups" : "holders of training groups";
    const auto dealt = deal_items(all, agents_, fmt::format("{} has {} {}", o_.path, owners.size(), what));
    std::vector<int64_t> agent_of(owners.size());
    for (int64_t a = 0; a < agents_; ++a)
      for (const int64_t i : dealt[a]) agent_of[i] = a;
    for (size_t s = 0; s < kSplits; ++s) {
      hands_[s].clear();
      // Without a column that says so, groups that nobody trains on are nobody's: all are judged on all.
      if (s != at(Split::kTrain) && o_.roles.agent.empty() && !by_rows_) continue;
      hands_[s].resize(agents_);
      for (const int64_t g : pool_[s]) {
        const auto it = number.find(owner(groups_[g].of));
        if (it != number.end()) hands_[s][agent_of[it->second]].push_back(g);
      }
    }
  }

  const std::vector<int64_t>& rows_of(const Group& g, Split split) const {
    if (!by_rows_ || g.whole) return g.of.rows;
    return split == Split::kTrain        ? g.side.train
           : split == Split::kValidation ? g.side.validation
                                         : g.side.test;
  }
  // Whether a task's support is of other rows of the group than those it is judged on: what is known by then.
  bool apart(const Group& g, Split split) const { return by_rows_ && !g.whole && split != Split::kTrain; }

  // The fewest and the most queries that a group has on each side.
  void measure() {
    const float* of = y_.data_ptr<float>();
    const auto y = [&](int64_t r) { return of[r]; };
    for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest, Split::kOod}) {
      size_t &fewest = fewest_[at(split)], &most = most_[at(split)];
      fewest = SIZE_MAX, most = 0;
      for (const int64_t number : pool_[at(split)]) {
        const Group& g = groups_[number];
        const int64_t of_training =
            queries_of(apart(g, split) ? g.side.train : rows_of(g, split), y, split != Split::kTrain);
        const int64_t n = apart(g, split) && of_training >= 0 ? static_cast<int64_t>(rows_of(g, split).size())
                                                              : of_training;
        if (n <= 0)
          throw UserError(
              o_.path,
              fmt::format("group \"{}\" has {} rows for {}, too few for shots = {}", shown(g.of.name),
                          rows_of(g, split).size(), split_name(split), o_.shots),
              "lower [task] shots, or leave the group out");
        fewest = std::min(fewest, static_cast<size_t>(n));
        most = std::max(most, static_cast<size_t>(n));
      }
    }
  }

  const std::vector<int64_t>& groups_for(int64_t agent, Split split) const {
    const auto& pool = pool_[at(split)];
    if (pool.empty()) {
      throw UserError(split == Split::kOod ? "[task] ood_groups" : "[task] test_fraction",
                      fmt::format("leaves no group for the {} tasks", split_name(split)),
                      "set it so that some groups are kept");
    }
    if (agent == kEveryone || hands_[at(split)].empty()) return pool;
    const auto& own = hands_[at(split)][agent];
    if (own.empty())
      throw UserError(
          "[eval] from",
          fmt::format("is \"own\", and agent {} holds no group for the {} tasks", agent, split_name(split)),
          "judge on everyone's, keep more groups, or set [task] split = \"rows\"");
    return own;
  }

  Rows divide(const Group& g, Split split, Draws& d) const {
    const float* of = y_.data_ptr<float>();
    const auto y = [&](int64_t r) { return of[r]; };
    const auto shuffled = [&](const std::vector<int64_t>& rows) {
      std::vector<int64_t> out;
      for (const int64_t i : d.permutation(static_cast<int64_t>(rows.size()))) out.push_back(rows[i]);
      return out;
    };
    Rows out;
    const auto& rows = rows_of(g, split);
    if (apart(g, split)) {
      // By then the training rows are known: some of them, or in time the last of them.
      std::vector<int64_t> known = g.side.train;
      if (ordered()) {
        std::reverse(known.begin(), known.end());
      } else {
        known = shuffled(known);
      }
      (void)fill(known, y, out.support, nullptr);
      if (ordered()) std::reverse(out.support.begin(), out.support.end());
      out.query = ordered() ? rows : shuffled(rows);
      return out;
    }
    if (!o_.support.empty() && split != Split::kTrain) {
      std::vector<int64_t> rest;
      for (size_t i = 0; i < rows.size(); ++i) {
        const bool named = std::ranges::find(o_.support, static_cast<int64_t>(i) + 1) != o_.support.end();
        (named ? out.support : rest).push_back(rows[i]);
      }
      out.query = shuffled(rest);
      return out;
    }
    if (!ordered()) {
      (void)fill(shuffled(rows), y, out.support, &out.query);
      return out;
    }
    const size_t end = *fill(rows, y, out.support, nullptr) + static_cast<size_t>(o_.sides.gap);
    const auto later = static_cast<int64_t>(rows.size() - end), most = static_cast<int64_t>(wanted(split));
    if (split == Split::kTrain && later > most) {
      for (const int64_t i : d.choose(later, most)) out.query.push_back(rows[end + i]);
    } else {
      out.query.assign(rows.begin() + static_cast<std::ptrdiff_t>(end), rows.end());
    }
    return out;
  }

  void take(const std::vector<Rows>& rows, std::vector<int64_t> Rows::*which, Tensor& x, Tensor& y,
            Tensor& weight) const {
    const auto b = static_cast<int64_t>(rows.size()), k = static_cast<int64_t>((rows[0].*which).size());
    std::vector<int64_t> flat;
    for (const auto& r : rows) flat.insert(flat.end(), (r.*which).begin(), (r.*which).end());
    const Tensor index = at::tensor(flat, at::kLong);
    x = x_.index_select(0, index).view({b, k, x_.size(1)});
    y = y_.index_select(0, index).view({b, k});
    y = classes() ? y.to(at::kLong) : y.unsqueeze(2);
    if (weight_.defined()) weight = weight_.index_select(0, index).view({b, k});
  }

  // A row as bytes, to find it again in another file.
  std::string bytes_of(int64_t r) const {
    const auto* x = reinterpret_cast<const char*>(x_.data_ptr<float>() + r * x_.size(1));
    const auto* y = reinterpret_cast<const char*>(y_.data_ptr<float>() + r);
    return std::string(x, sizeof(float) * static_cast<size_t>(x_.size(1))) + std::string(y, sizeof(float));
  }
  std::set<std::string> learned_rows() const {
    std::set<std::string> out;
    for (const int64_t g : pool_[at(Split::kTrain)])
      for (const int64_t r : rows_of(groups_[g], Split::kTrain)) out.insert(bytes_of(r));
    return out;
  }

  Options o_;
  int64_t agents_, skipped_ = 0;
  std::vector<std::string> warnings_;
  Scales scales_;
  Tensor x_, y_, weight_;  // [rows, inputs], [rows], standardised; [rows], or undefined
  std::vector<Group> groups_;
  bool by_rows_ = false;
  std::array<std::vector<int64_t>, kSplits> pool_;                // groups by split
  std::array<std::vector<std::vector<int64_t>>, kSplits> hands_;  // the same by agent; empty: all have all
  std::array<size_t, kSplits> fewest_{}, most_{};                 // queries that a group has
  std::set<std::string> trained_, again_;  // units trained on; those of another file that were
  // Of a run that is opened again: its files, hashes of the names of units trained on, whether the files have
  // been read, and whether it is judged where they are not.
  std::vector<Source> sources_;
  std::set<std::string> recalled_;
  mutable std::mutex finding_;
  bool loaded_ = false, elsewhere_ = false;
};

SYMMA_REGISTER(TaskFamily, "table", Table,
               "regression or classification of the rows of a CSV file, a group column names the task",
               "episodic few-shot learning, Vinyals et al. 2016, arXiv:1606.04080");

}  // namespace
}  // namespace symma
