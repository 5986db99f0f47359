// Supervised tasks: labelled points to learn from, and others to be judged on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "symma/tasks/named.h"
#include "symma/tasks/task.h"

namespace symma {

// B episodes. Regression targets are [B, K, out] floats, class labels [B, K] int64.
struct Episodes {
  Tensor support_x;  // [B, Ks, in...]
  Tensor support_y;
  Tensor query_x;  // [B, Kq, in...]
  Tensor query_y;
  // What each point counts, [B, Ks] and [B, Kq], above 0; 0 for a query that only fills the tensor, since a
  // task has fewer than others. Undefined where all count alike.
  Tensor support_weight, query_weight;
  // The labels' numbers among all training classes, [B, K] int64; undefined where a family has none.
  Tensor support_class, query_class;
  // The true curve, for drawing tasks with one input: [B, G, 1] each; undefined where a family has none.
  Tensor curve_x, curve_y;
  std::vector<std::string> titles;  // B of them, or empty
  std::vector<std::string> names;   // what each task is made of, B of them; empty where each is drawn anew
  std::vector<Rng> keys;            // what each was drawn from, B of them; empty where they were given
};

class SupervisedBatch : public TaskBatch, public Portable, public Named, public Keyed {
 public:
  static constexpr const char* kNeeded = "learns from labelled points, and this task has none";
  // `mode` is kTrain for tasks of the training split. Labels are judged by cross-entropy, numbers by squared
  // error.
  SupervisedBatch(const Model& model, Kind kind, Episodes data, Mode mode);

  int64_t size() const override;
  std::unique_ptr<TaskBatch> slice(int64_t begin, int64_t end) const override;
  Tensor loss(const Tensor& theta, Stage, Rng) const override;
  Scores score(const Tensor& theta, Rng) const override;
  TensorDict pack(Stage) const override;
  std::unique_ptr<TaskBatch> unpack(const TensorDict&) const override;
  std::vector<std::string> names() const override { return data_.names; }
  const std::vector<Rng>& keys() const override { return data_.keys; }

  const Episodes& data() const { return data_; }
  Kind kind() const { return kind_; }
  Mode mode() const { return mode_; }
  Tensor x(Stage s) const { return s == Stage::kSupport ? data_.support_x : data_.query_x; }
  Tensor y(Stage s) const { return s == Stage::kSupport ? data_.support_y : data_.query_y; }
  // What each point counts, [B, K]; undefined where all count alike.
  Tensor weight(Stage s) const { return s == Stage::kSupport ? data_.support_weight : data_.query_weight; }
  // Each point's share of a stage's loss, which is a weighted mean: [B, K], rows that are 1 together.
  Tensor shares(Stage, at::ScalarType) const;
  Tensor predict(const Tensor& theta, const Tensor& x) const;  // [B, K, out]: numbers, or logits

  // Every point, of support and query alike, as a task of its own whose support and query it is: B (Ks + Kq)
  // tasks, in the order of the tasks that they come from. Tasks of unequal size cannot be taken apart
  // (UserError).
  std::unique_ptr<SupervisedBatch> apart() const;
  // Each `together` tasks in turn as one, whose loss is their mean: B / together tasks, without names.
  std::unique_ptr<SupervisedBatch> joined(int64_t together) const;
  std::unique_ptr<SupervisedBatch> on(at::Device) const;
  // The labels of the listed tasks turned around: numbers change sign, label c of n becomes n - 1 - c. Those
  // of the query alone, which a step of adapting is judged by: with the support's a few-shot task would be
  // another honest one. Classes that mean the same in every task are turned around in both.
  std::unique_ptr<SupervisedBatch> flipped(const std::vector<int64_t>& tasks) const;

 private:
  const Model& model_;
  Kind kind_;
  Episodes data_;
  Mode mode_;
};

// The batch with its points on the device that rows are on, so that what many steps look at is carried over
// once. Another kind of batch, as it is.
std::unique_ptr<TaskBatch> carried_to(const Tensor& rows, std::unique_ptr<TaskBatch>);

// Mean cross-entropy of logits [B, K, n] with labels [B, K], or mean squared error with targets [B, K, n]:
// [B]. With `weight` [B, K], the weighted mean.
Tensor supervised_loss(Kind, const Tensor& output, const Tensor& target, const Tensor& weight = {});

// The mean over points of each [B, K], by `weight` [B, K] where it is defined: [B].
Tensor weighted_mean(const Tensor& each, const Tensor& weight);

// Optional: a family that can read a handful of examples of a new task from a CSV file, for `symma adapt`.
// Rows without a target become the query, with a target of zero.
class FewShot {
 public:
  virtual ~FewShot() = default;
  struct Reading {
    Episodes episode;                      // one task
    std::string query_header;              // the input columns, as in the file
    std::vector<std::string> query_names;  // the input cells of each query row
    std::vector<std::string> labels;  // the class names, in the order of the outputs; empty for regression
    std::vector<double> target_shift, target_scale;  // prediction = shift + scale * output; empty for none
  };
  virtual Reading read(const std::string& csv) const = 0;
};

// Optional: a family whose units can be accounted for in differential privacy.
class Accountable {
 public:
  virtual ~Accountable() = default;
  // Whether every task is drawn anew, so that no task and no example takes part in more than one. Otherwise a
  // task may come again in any round, and the examples of one task are distinct.
  virtual bool fresh() const = 0;
};

// Optional: words for what each agent holds, for people.
class Shares {
 public:
  virtual ~Shares() = default;
  virtual std::string share(int64_t agent) const = 0;
};

// Optional: a regression whose targets were standardised, number = shift + scale * target.
struct Units {
  std::string target;
  double shift = 0, scale = 1;
};
class InUnits {
 public:
  virtual ~InUnits() = default;
  virtual Units units() const = 0;
};

// Optional: what people should know about their data, a line each.
class Warns {
 public:
  virtual ~Warns() = default;
  virtual std::vector<std::string> warnings() const = 0;
};

}  // namespace symma
