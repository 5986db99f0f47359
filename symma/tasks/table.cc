// Tasks from a table: a group column of a CSV file names the task that each row belongs to. A few rows of a
// group are learned from, others of the same group are predicted.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <set>

#include "symma/tasks/columns.h"
#include "symma/tasks/csv.h"
#include "symma/tasks/deal.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

class Table : public TaskFamily,
              public FewShot,
              public HasColumns,
              public Shares,
              public Accountable,
              public Remembers,
              public OtherTests {
 public:
  struct Options {
    std::string path, test_path, group = "task", target = "y", kind = "regression";
    std::vector<std::string> features, ood_groups;
    int64_t shots = 10, queries = 10, test_queries = 100;
    double validation_fraction = 0.1, test_fraction = 0.2;
    void fields(Fields& f) {
      f.add("path", path, "CSV file with a header row, plain or gzipped");
      f.add("test_path", test_path,
            "CSV file whose groups, all of them, are the test in place of any in path");
      f.add("group", group, "column that names the task of a row");
      f.add("target", target, "column to predict");
      f.add("features", features, "columns to predict from; empty: all others");
      f.add("predict", kind, "what the target is").one_of({"regression", "classification"});
      f.add("shots", shots, "rows of a task to learn from; for classification, of each class").at_least(1);
      f.add("queries", queries, "rows of a task to be judged on, while training").at_least(1);
      f.add("test_queries", test_queries, "the most rows of a task to be judged on when evaluated")
          .at_least(1);
      f.add("validation_fraction", validation_fraction, "part of the groups kept for validation")
          .above(0)
          .below(1);
      f.add("test_fraction", test_fraction, "part of the groups kept for the test").at_least(0).below(1);
      f.add("ood_groups", ood_groups, "groups kept for the out-of-distribution test");
    }
  };

  Table(const Options& o, int64_t agents) : o_(o), agents_(agents) {
    if (o.path.empty()) throw UserError("[task] path", "is missing", "name a CSV file");
    load(CsvFile::load(o.path));
  }

  bool fresh() const override { return false; }

  TaskSpec spec() const override {
    const auto d = static_cast<int64_t>(features_.size());
    if (labels_.empty()) return {.shape = {{d}, 1}, .kind = Kind::kRegression, .metric = "mse"};
    const auto n = static_cast<int64_t>(labels_.size());
    return {.shape = {{d}, n},
            .kind = Kind::kClassification,
            .metric = "accuracy",
            .higher_is_better = true,
            .classes = n};
  }

  std::unique_ptr<TaskBatch> sample(const Model& model, std::span<const Ask> asks,
                                    Split split) const override {
    const bool train = split == Split::kTrain;
    const auto b = static_cast<int64_t>(asks.size());
    std::vector<std::vector<int64_t>> support(b), query(b);
    Episodes e;
    const auto wanted = static_cast<size_t>(train ? o_.queries : o_.test_queries);
    const size_t places = std::min(wanted, most_queries_);
    const bool unequal = fewest_queries_ < places;
    if (unequal) e.query_weight = at::zeros({b, static_cast<int64_t>(places)});
    for (int64_t i = 0; i < b; ++i) {
      Draws d(asks[i].key.split(split_name(split)));
      const auto& pool = groups_for(asks[i].agent, split);
      const Group& g = groups_[pool[d.below(static_cast<int64_t>(pool.size()))]];
      divide(g, d, support[i], query[i]);
      if (query[i].size() > places) query[i].resize(places);
      // Episodes of a batch stand in one tensor: a small group's rows come again in the places that are left,
      // and count nothing there.
      const size_t have = query[i].size();
      if (unequal) e.query_weight[i].narrow(0, 0, static_cast<int64_t>(have)).fill_(1);
      for (size_t k = have; k < places; ++k) query[i].push_back(query[i][k - have]);
      e.titles.push_back(fmt::format("{} = {}", o_.group, g.name));
      e.names.push_back(g.name);
    }
    take(support, e.support_x, e.support_y);
    take(query, e.query_x, e.query_y);
    if (!labels_.empty()) {
      e.support_class = e.support_y;
      e.query_class = e.query_y;
    }
    return std::make_unique<SupervisedBatch>(model, spec().kind, std::move(e),
                                             train ? Mode::kTrain : Mode::kEval);
  }

  Reading read(const std::string& path) const override {
    CsvFile csv = CsvFile::load(path);
    const size_t y = csv.column(o_.target);
    if (!labels_.empty()) {
      // Words of the target become their class numbers, which read_points takes like any number.
      for (size_t r = 0; r < csv.rows.size(); ++r) {
        std::string& cell = csv.rows[r][y];
        if (cell.empty()) continue;
        const auto it = std::find(labels_.begin(), labels_.end(), cell);
        if (it == labels_.end())
          throw UserError(csv.place(r, y), "\"" + cell + "\" is not a class of the training data",
                          suggestion(cell, labels_));
        cell = std::to_string(it - labels_.begin());
      }
    }
    Reading out = read_points(csv, features_, o_.target);
    Episodes& e = out.episode;
    for (Tensor* x : {&e.support_x, &e.query_x}) *x = ((*x - shift_) / scale_).to(at::kFloat);
    if (labels_.empty()) {
      e.support_y = ((e.support_y - target_shift_) / target_scale_).to(at::kFloat);
      out.target_shift = {target_shift_};
      out.target_scale = {target_scale_};
    } else {
      e.support_y = e.support_y.to(at::kLong).squeeze(2);
      e.query_y = e.query_y.to(at::kLong).squeeze(2);
      out.labels = labels_;
    }
    return out;
  }

  bool trained_on(const std::string& name) const override {
    return std::any_of(train_all_.begin(), train_all_.end(),
                       [&](int64_t g) { return groups_[g].name == name; });
  }

  void test_on(const std::string& path) override {
    test_ = append(CsvFile::load(path));
    measure();
  }

  std::vector<std::string> columns() const override {
    std::vector<std::string> out = features_;
    out.push_back(o_.target);
    return out;
  }

  std::string share(int64_t agent) const override {
    std::vector<std::string> names;
    for (int64_t g : groups_for(agent, Split::kTrain)) names.push_back(groups_[g].name);
    if (names.size() > 6) {
      const auto n = names.size();
      names.resize(5);
      names.push_back(fmt::format("... ({} in all)", n));
    }
    return fmt::format("{} {}", o_.group, fmt::join(names, ", "));
  }

 private:
  struct Group {
    std::string name;
    std::vector<int64_t> rows;
  };

  void load(const CsvFile& csv) {
    const size_t group = csv.column(o_.group), target = csv.column(o_.target);
    features_ = o_.features;
    if (features_.empty()) {
      for (size_t c = 0; c < csv.header.size(); ++c) {
        if (c != group && c != target) features_.push_back(csv.header[c]);
      }
    }
    if (features_.empty())
      throw UserError(o_.path + ":1", "has no column to predict from", "add feature columns");
    if (o_.kind == "classification") {
      std::set<std::string> seen;
      for (const auto& row : csv.rows) seen.insert(row[target]);
      labels_.assign(seen.begin(), seen.end());
    }
    append(csv);
    split_groups();
    normalise();
    if (!o_.test_path.empty()) test_ = append(CsvFile::load(o_.test_path));
    measure();
  }

  // The fewest and the most queries that a group has; groups that have none are refused.
  void measure() {
    for (const Group& g : groups_) {
      check(g);
      const auto queries =
          g.rows.size() - static_cast<size_t>(o_.shots) * std::max<size_t>(1, labels_.size());
      fewest_queries_ = std::min(fewest_queries_, queries);
      most_queries_ = std::max(most_queries_, queries);
    }
  }

  // Adds a file's rows, and its groups as new ones, whose numbers it returns.
  std::vector<int64_t> append(const CsvFile& csv) {
    const size_t group = csv.column(o_.group), target = csv.column(o_.target), known = groups_.size();
    std::vector<size_t> columns;
    for (const auto& name : features_) columns.push_back(csv.column(name));
    const auto n = static_cast<int64_t>(csv.rows.size()), first = x_.defined() ? x_.size(0) : 0;
    // Double until they are standardised: a float would round off what sets one Unix time apart from the
    // next.
    Tensor x = at::empty({n, static_cast<int64_t>(columns.size())}, at::kDouble),
           y = at::empty({n}, at::kDouble);
    double *at_x = x.data_ptr<double>(), *at_y = y.data_ptr<double>();
    std::map<std::string, size_t> number;
    for (int64_t r = 0; r < n; ++r) {
      for (size_t c : columns) *at_x++ = csv.number(r, c);
      const std::string& cell = csv.rows[r][target];
      if (labels_.empty()) {
        at_y[r] = csv.number(r, target);
      } else {
        const auto it = std::find(labels_.begin(), labels_.end(), cell);
        if (it == labels_.end())
          throw UserError(csv.place(r, target), "\"" + cell + "\" is not a class of the training data",
                          suggestion(cell, labels_));
        at_y[r] = static_cast<double>(it - labels_.begin());
      }
      const auto [it, fresh] = number.emplace(csv.rows[r][group], known + number.size());
      if (fresh) groups_.push_back({it->first, {}});
      groups_[it->second].rows.push_back(first + r);
    }
    if (shift_.defined()) standardise(x, y);
    x_ = first ? at::cat({x_, x}) : x;
    y_ = first ? at::cat({y_, y}) : y;
    std::vector<int64_t> added;
    for (size_t g = known; g < groups_.size(); ++g) added.push_back(static_cast<int64_t>(g));
    return added;
  }

  void check(const Group& g) const {
    if (labels_.empty()) {
      if (static_cast<int64_t>(g.rows.size()) > o_.shots) return;
      throw UserError(o_.path,
                      fmt::format("group \"{}\" has {} rows, and shots = {} need one more to judge", g.name,
                                  g.rows.size(), o_.shots),
                      "lower [task] shots, or leave the group out");
    }
    std::vector<int64_t> counts(labels_.size());
    for (int64_t r : g.rows) ++counts[static_cast<size_t>(y_[r].item<double>())];
    for (size_t c = 0; c < counts.size(); ++c) {
      if (counts[c] >= o_.shots + 1) continue;
      throw UserError(
          o_.path,
          fmt::format("group \"{}\" has {} rows of class \"{}\", and shots = {} need one more to judge",
                      g.name, counts[c], labels_[c], o_.shots),
          "lower [task] shots, or leave the group out");
    }
  }

  // Groups go to splits in an order that depends on their names' order in the file alone, so that a split is
  // the same for every seed and every run compares with every other.
  void split_groups() {
    std::vector<int64_t> rest;
    for (size_t g = 0; g < groups_.size(); ++g) {
      const bool ood =
          std::find(o_.ood_groups.begin(), o_.ood_groups.end(), groups_[g].name) != o_.ood_groups.end();
      (ood ? ood_ : rest).push_back(static_cast<int64_t>(g));
    }
    for (const auto& name : o_.ood_groups) {
      const bool found =
          std::any_of(groups_.begin(), groups_.end(), [&](const Group& g) { return g.name == name; });
      if (!found)
        throw UserError("[task] ood_groups",
                        fmt::format("\"{}\" is not in column {} of {}", name, o_.group, o_.path),
                        "name groups of the file");
    }
    const Fractions kept{o_.validation_fraction,
                         o_.test_path.empty() ? std::optional(o_.test_fraction) : std::nullopt};
    auto parts = part_items(rest, kept, "table",
                            fmt::format("{} has {} groups in column {}", o_.path, rest.size(), o_.group));
    validation_ = std::move(parts.validation);
    test_ = std::move(parts.test);
    train_ = deal_items(parts.train, agents_,
                        fmt::format("{} has {} training groups", o_.path, parts.train.size()));
    train_all_ = std::move(parts.train);
  }

  // Deviations [...] of numbers [rows, ...] around `mean`; 1 where there is none but rounding, for what has
  // no spread in training is centred and not scaled: any other value would be as far away as rounding is
  // small.
  static Tensor spread(const Tensor& x, const Tensor& mean) {
    const Tensor deviation = (x - mean).square().mean(0).sqrt();
    return at::where(deviation <= 1e-12 * mean.abs(), at::ones_like(deviation), deviation);
  }

  // Standardises by the training groups' rows alone: what a test task looks like may not leak into training.
  void normalise() {
    std::vector<int64_t> rows;
    for (int64_t g : train_all_) rows.insert(rows.end(), groups_[g].rows.begin(), groups_[g].rows.end());
    const Tensor index = at::tensor(rows, at::kLong);
    const Tensor x = x_.index_select(0, index), y = y_.index_select(0, index);
    shift_ = x.mean(0);
    scale_ = spread(x, shift_);
    if (labels_.empty()) {
      target_shift_ = y.mean().item<double>();
      target_scale_ = spread(y, y.mean(0)).item<double>();
    }
    standardise(x_, y_);
  }

  void standardise(Tensor& x, Tensor& y) const {
    x = ((x - shift_) / scale_).to(at::kFloat);
    if (labels_.empty()) y = (y - target_shift_) / target_scale_;
    y = y.to(at::kFloat);
  }

  const std::vector<int64_t>& groups_for(int64_t agent, Split split) const {
    const auto& pool = split == Split::kTrain        ? (agent == kEveryone ? train_all_ : train_[agent])
                       : split == Split::kValidation ? validation_
                       : split == Split::kTest       ? test_
                                                     : ood_;
    if (pool.empty()) {
      throw UserError(split == Split::kOod ? "[task] ood_groups" : "[task] test_fraction",
                      fmt::format("leaves no group for the {} tasks", split_name(split)),
                      "set it so that some groups are kept");
    }
    return pool;
  }

  void divide(const Group& g, Draws& d, std::vector<int64_t>& support, std::vector<int64_t>& query) const {
    const auto order = d.permutation(static_cast<int64_t>(g.rows.size()));
    std::vector<int64_t> taken(std::max<size_t>(1, labels_.size()));
    for (int64_t i : order) {
      const int64_t row = g.rows[i];
      int64_t& count = taken[labels_.empty() ? 0 : static_cast<size_t>(y_.data_ptr<float>()[row])];
      (count < o_.shots ? support : query).push_back(row);
      ++count;
    }
  }

  void take(const std::vector<std::vector<int64_t>>& rows, Tensor& x, Tensor& y) const {
    const auto b = static_cast<int64_t>(rows.size()), k = static_cast<int64_t>(rows[0].size());
    std::vector<int64_t> flat;
    for (const auto& r : rows) flat.insert(flat.end(), r.begin(), r.end());
    const Tensor index = at::tensor(flat, at::kLong);
    x = x_.index_select(0, index).view({b, k, x_.size(1)});
    y = y_.index_select(0, index).view({b, k});
    y = labels_.empty() ? y.unsqueeze(2) : y.to(at::kLong);
  }

  Options o_;
  int64_t agents_;
  std::vector<std::string> features_, labels_;  // labels_ is empty for regression
  Tensor x_, y_;                                // [rows, features], [rows], standardised
  Tensor shift_, scale_;
  double target_shift_ = 0, target_scale_ = 1;
  std::vector<Group> groups_;
  size_t fewest_queries_ = SIZE_MAX, most_queries_ = 0;  // that a group has, beside its shots
  std::vector<std::vector<int64_t>> train_;              // by agent
  std::vector<int64_t> train_all_, validation_, test_, ood_;
};

SYMMA_REGISTER(TaskFamily, "table", Table,
               "regression or classification of the rows of a CSV file, a group column names the task",
               "episodic few-shot learning, Vinyals et al. 2016, arXiv:1606.04080");

}  // namespace
}  // namespace symma
