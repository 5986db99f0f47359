// What one kernel does whole for a learner (nn/kernels/maml_mlp.h): descent of a perceptron on labelled
// points, the meta-gradients of MAML, ANIL, iMAML and Reptile from it, and the gradient on points pooled.
// Each function that may give nothing does so where that kernel does not apply, and the caller then takes the
// general way, through autograd, to the same numbers within rounding.
#pragma once

#include <optional>

#include "symma/learners/rows.h"
#include "symma/nn/kernels/maml_mlp.h"
#include "symma/nn/kernels/mlp.h"
#include "symma/nn/kernels/mlp_features.h"
#include "symma/tasks/supervised.h"

namespace symma {

// Whether the kernel applies: the model is a perceptron, the batch holds labelled points and is judged by the
// standard loss, and rows are float32 or float64 on the CPU. Never while a CompositePath lives.
bool kernel_applies(const Model&, const Tensor& rows, const TaskBatch&);

// The gradient of the query loss in each row's start [b, Q], and that loss [b], by the way that the options
// name. `rates` is one number, or one for each row and parameter [b, P]. Of the options, the loss is set
// here.
struct FusedMaml {
  Gradients start;
  Tensor rates;  // [b, P]: the gradient in the rates; undefined unless asked for
};
std::optional<FusedMaml> fused_maml(const Model&, const Tensor& rows /*[b,Q]*/, const Tensor& rates,
                                    const TaskBatch&, MamlMlpOptions);

// The model's rows [b, P] after each of `steps` (ascending) steps of plain descent on the support loss; with
// `pull`, and one rate, on that plus pull / 2 |row - start|^2.
std::optional<std::vector<Tensor>> fused_descent(const Model&, const Tensor& rows /*[b,P]*/,
                                                 const Tensor& rates, const TaskBatch&,
                                                 std::span<const int64_t> steps, double pull = 0);

// The gradient of the loss on a task's points, support and query by halves, and that loss; by the kernel
// where it applies.
Gradients gradient_on_all(const Model&, const Tensor& rows /*[b,Q]*/, const TaskBatch&, Rng);

// Each agent's mean of that over its tasks [N, Q], and of the loss [N]. Where the kernel applies and no task
// is protected, several tasks of an agent are gone through as one.
Gradients pooled_gradient(const State&, const Model&, const TaskBatch&, Rng, const Guard& = {});

// For a head that is a formula, where the kernel applies: the gradient through features of all points, the
// support above the query, and the loss. `head` takes a FeatureRow of float or of double and gives its loss.
template <class Head>
Gradients through_features(const Model& model, const Tensor& rows, const SupervisedBatch& points,
                           const Head& head) {
  const auto x = [&](Stage stage) { return points.x(stage).to(rows.options()).flatten(2); };
  const Tensor both = at::cat({x(Stage::kSupport), x(Stage::kQuery)}, 1),
               loss = at::empty({rows.size(0)}, rows.options());
  const MlpShape& shape = dynamic_cast<const HasMlpShape&>(model).mlp_shape();
  const auto gradient = [&]<class T>(T /*of the rows*/) {
    return mlp_features_gradient<T>(rows, both, shape, [&](const FeatureRow<T>& row) {
      loss.data_ptr<T>()[row.row] = static_cast<T>(head(row));
    });
  };
  return {rows.scalar_type() == at::kFloat ? gradient(float{}) : gradient(double{}), loss};
}

// `descend` of rows.h, by the kernel where it applies.
std::vector<Tensor> descend(const Model&, const Tensor& rows, const TaskBatch&,
                            std::span<const int64_t> steps, const Descent&, Rng);

}  // namespace symma
