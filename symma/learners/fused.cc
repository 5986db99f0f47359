#include "symma/learners/fused.h"

#include <typeinfo>

#include "symma/nn/kernels/mlp.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

HeadLoss head_loss(const SupervisedBatch& batch) {
  return batch.kind() == Kind::kRegression ? HeadLoss::kSquaredError : HeadLoss::kCrossEntropy;
}

Examples examples(const SupervisedBatch& batch, Stage stage, const Tensor& rows) {
  const Tensor x = batch.x(stage), y = batch.y(stage);
  return {x.to(rows.options()).flatten(2),
          batch.kind() == Kind::kRegression ? y.to(rows.options()) : y.to(at::kLong)};
}

const MlpShape& shape_of(const Model& model) {
  return dynamic_cast<const HasMlpShape&>(model).mlp_shape();
}

const SupervisedBatch& points(const TaskBatch& batch) {
  return static_cast<const SupervisedBatch&>(batch);
}

}  // namespace

bool kernel_applies(const Model& model, const Tensor& rows, const TaskBatch& batch) {
  // A class derived from SupervisedBatch may have a loss of its own.
  // The whole kernel moves rows in padded memory, which stays zero only where f(0) = 0: not for the sigmoid.
  return !CompositePath::active() && dynamic_cast<const HasMlpShape*>(&model) &&
         shape_of(model).activation != Activation::kSigmoid && typeid(batch) == typeid(SupervisedBatch) &&
         rows.is_cpu() && (rows.scalar_type() == at::kFloat || rows.scalar_type() == at::kDouble) &&
         points(batch).x(Stage::kSupport).size(1) > 0;
}

std::optional<FusedMaml> fused_maml(const Model& model, const Tensor& rows, const Tensor& rates,
                                    const TaskBatch& batch, MamlMlpOptions options) {
  if (!kernel_applies(model, rows, batch)) return std::nullopt;
  const SupervisedBatch& data = points(batch);
  if (data.weight(Stage::kQuery).defined() || data.weight(Stage::kSupport).defined()) return std::nullopt;
  options.loss = head_loss(data);
  const auto r = maml_mlp(rows, examples(data, Stage::kSupport, rows), examples(data, Stage::kQuery, rows),
                          rates, shape_of(model), options);
  FusedMaml out{{r.gradient, r.query_loss}, {}};
  if (options.rate_gradient) out.rates = r.rate_gradient.narrow(1, 0, model.layout().size());
  return out;
}

std::optional<std::vector<Tensor>> fused_descent(const Model& model, const Tensor& rows, const Tensor& rates,
                                                 const TaskBatch& batch, std::span<const int64_t> steps) {
  if (!kernel_applies(model, rows, batch)) return std::nullopt;
  const SupervisedBatch& data = points(batch);
  if (data.weight(Stage::kSupport).defined()) return std::nullopt;
  return maml_mlp_adapt(rows, examples(data, Stage::kSupport, rows), rates, shape_of(model), head_loss(data),
                        steps);
}

}  // namespace symma
