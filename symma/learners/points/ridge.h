// Ridge regression in closed form, many at once, for learners that set the last layer by a formula.
#pragma once

#include "symma/learners/learner.h"
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
  // What a point of the support counts, as a factor of its equation: [B, K, 1] double, undefined where all
  // count alike.
  Tensor root_weight(const SupervisedBatch&, const Tensor& like) const;

  Tensor head(const Tensor& rows) const;                              // [B, D, C] double
  Tensor with_head(const Tensor& rows, const Tensor& weights) const;  // [B, P], in the type of the rows

 private:
  const Model& model_;
  int64_t features_, out_;
  bool classes_;
};

}  // namespace symma
