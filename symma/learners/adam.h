// Adam on rows: every row has a clock of its own. Kingma & Ba 2015, arXiv:1412.6980, algorithm 1.
//
//   m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2,
//   row <- row - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)
#pragma once

#include <vector>

#include "symma/learners/learner.h"

namespace symma {

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
};

// One step against `grad` [R, Q]; row i takes its t[i]-th, of size lr[i]. Writes into the memory of rows and
// moments where nobody else can see it.
void adam_step(const AdamOptions&, Tensor& rows, Tensor& m, Tensor& v, const Tensor& grad,
               const std::vector<double>& lr /*[R]*/, const Tensor& t /*[R] int64, from 1*/);

// Adam of learners that make several updates a step: moments in own["adam.m"], own["adam.v"] [N, Q], and a
// clock of its own in own["adam.t"] [N].
void adam_init(State&);
void adam_step(State&, const Tensor& grad /*[N,Q]*/, const std::vector<double>& lr /*[N]*/,
               const AdamOptions& = {});

// The same for rows that start together and are not kept, as in an inner loop.
class Adam {
 public:
  explicit Adam(AdamOptions o = {}) : o_(o) {}
  Tensor step(const Tensor& rows, const Tensor& grad, double lr);

 private:
  AdamOptions o_;
  Tensor m_, v_;
  int64_t t_ = 0;
};

}  // namespace symma
