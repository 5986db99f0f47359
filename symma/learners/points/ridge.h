// Ridge regression in closed form, many at once, for learners that set the last layer by a formula.
#pragma once

#include <optional>

#include "symma/learners/outer.h"
#include "symma/learners/points/ridge_row.h"
#include "symma/tasks/supervised.h"

namespace symma {

// For inputs Z [B, K, D] of each row: what (Z^T Z + I)^-1 says of targets and of new inputs. Worked out from
// the smaller of Z^T Z and Z Z^T (Woodbury's identity), in double, and differentiable. A row whose matrix has
// no Cholesky factor, since it is not finite, gives NaN.
class Ridge {
 public:
  explicit Ridge(const Tensor& z);
  // argmin_M |Z M - R|^2 + |M|^2 = (Z^T Z + I)^-1 Z^T R, for R [B, K, C]: [B, D, C] double.
  Tensor weights(const Tensor& r) const;
  // v (Z^T Z + I)^-1 v^T for each input of v [B, Q, D]: [B, Q] double.
  Tensor spread(const Tensor& v) const;

 private:
  Tensor z_;       // [B, K, D]
  Tensor factor_;  // of Z^T Z + I [B, D, D], or of Z Z^T + I [B, K, K]
  bool dual_;      // the second
};

// The last layer as a regression on what the body makes of points. Its bias is the weight of one more
// feature, which is 1.
class HeadRegression {
 public:
  HeadRegression(const LearnerSetting&);

  int64_t inputs() const { return features_ + 1; }  // D
  int64_t outputs() const { return out_; }          // C
  bool classes() const { return classes_; }

  // Of the points of a stage, in double: features and a one [B, K, D].
  Tensor features(const Tensor& rows /*[B, >= P]*/, const SupervisedBatch&, Stage) const;
  // Numbers, or labels as one-hot vectors: [B, K, C] double.
  Tensor targets(const SupervisedBatch&, Stage, const Tensor& like) const;
  // What a point of the support counts, as a factor of its equation: [B, K, 1] double; one 1 where all count
  // alike.
  Tensor root_weight(const SupervisedBatch&, const Tensor& like) const;

  Tensor head(const Tensor& rows) const;                              // [B, D, C] double
  Tensor with_head(const Tensor& rows, const Tensor& weights) const;  // [B, P], in the type of the rows

 private:
  const Model& model_;
  int64_t features_, out_;
  bool classes_;
};

// A learner whose last layer is a solution, and whose row is learned through it: [model, more].
class SolvedHead : public Learner, public Guarded {
 public:
  Scores step(State&, const TaskBatch&, Rng) const override;
  // There is nothing to descend: one step is the solution, and further steps change nothing.
  std::vector<Tensor> adapt(const State&, const TaskBatch&, std::span<const int64_t> steps,
                            Rng) const override;
  bool guards_examples() const override { return false; }

 protected:
  SolvedHead(const std::string& name, const OuterOptions&, const LearnerSetting&);

  // What one task's query is judged by: numbers [Kq, C] or labels [Kq], and each point's share of the loss
  // [Kq].
  struct Targets {
    const double* numbers;
    const int64_t* labels;
    const double* share;
  };
  // The query loss of one task by plain loops, from `of` with z and y set, the row's last layer [D, C] and
  // what follows the model [M]. Leaves dL/dz in of.dz whole, and puts dL/d both in their places.
  virtual double row_loss(RidgeRow& of, const Targets&, const double* head, const double* more, double* dhead,
                          double* dmore) const = 0;

  // For row_loss, where the head and of.output are in logits by a factor. What the penalty pulls to is the
  // head; on the way back its slope is set, and that of the factor added to.
  static void pull_to_head(RidgeRow& of, const double* head, double factor);
  static void pull_back(const RidgeRow& of, double factor, double* dhead, double& dfactor);
  // The loss of classes; its slope takes the place of of.output, and that in the factor is added.
  static double class_loss(RidgeRow& of, const Targets&, double factor, double& dfactor);

  // The last layer that the support makes: [b, D, C] double; for classes in logits.
  virtual Tensor solution(const Tensor& rows, const SupervisedBatch&) const = 0;
  virtual Tensor query_loss(const Tensor& rows, const SupervisedBatch&) const = 0;  // [b]

  State start(std::span<const Rng> keys, at::ScalarType, const Tensor& more /*[M]*/) const;
  int64_t model_size() const { return model_.layout().size(); }

  const HeadRegression regression_;

 private:
  // Where a kernel gives the features and the support's points make a small system.
  std::optional<Gradients> by_rows(const Tensor& rows, const SupervisedBatch&) const;

  const std::string name_;
  const OuterOptions outer_;
  const Model& model_;
  const Guard guard_;
};

}  // namespace symma
