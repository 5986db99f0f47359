#include "symma/learners/fused.h"

#include <algorithm>
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
          batch.kind() == Kind::kRegression ? y.to(rows.options()) : y.to(at::kLong),
          batch.weight(stage).defined() ? batch.shares(stage, rows.scalar_type()) : Tensor()};
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
  return !CompositePath::active() && dynamic_cast<const HasMlpShape*>(&model) &&
         typeid(batch) == typeid(SupervisedBatch) && rows.is_cpu() &&
         (rows.scalar_type() == at::kFloat || rows.scalar_type() == at::kDouble) &&
         points(batch).x(Stage::kSupport).size(1) > 0;
}

std::optional<FusedMaml> fused_maml(const Model& model, const Tensor& rows, const Tensor& rates,
                                    const TaskBatch& batch, MamlMlpOptions options) {
  if (!kernel_applies(model, rows, batch)) return std::nullopt;
  const SupervisedBatch& data = points(batch);
  options.loss = head_loss(data);
  const auto r = maml_mlp(rows, examples(data, Stage::kSupport, rows), examples(data, Stage::kQuery, rows),
                          rates, shape_of(model), options);
  FusedMaml out{{r.gradient, r.query_loss}, {}};
  if (options.rate_gradient) out.rates = r.rate_gradient.narrow(1, 0, model.layout().size());
  return out;
}

std::optional<std::vector<Tensor>> fused_descent(const Model& model, const Tensor& rows, const Tensor& rates,
                                                 const TaskBatch& batch, std::span<const int64_t> steps,
                                                 double pull) {
  if (!kernel_applies(model, rows, batch)) return std::nullopt;
  const SupervisedBatch& data = points(batch);
  return maml_mlp_adapt(rows, examples(data, Stage::kSupport, rows), rates, shape_of(model), head_loss(data),
                        steps, pull);
}

Gradients gradient_on_all(const Model& model, const Tensor& rows, const TaskBatch& tasks, Rng rng) {
  if (const auto fused =
          fused_maml(model, rows, at::zeros({}, at::kDouble), tasks, {.by = MetaGradient::kPooled}))
    return fused->start;
  const Tensor at = leaf(rows);
  const Tensor loss = (tasks.loss(at, Stage::kSupport, rng.split("support")) +
                       tasks.loss(at, Stage::kQuery, rng.split("query"))) /
                      2;
  return {row_gradient(loss, at, false), loss.detach()};
}

Gradients pooled_gradient(const State& state, const Model& model, const TaskBatch& batch, Rng rng,
                          const Guard& guard) {
  const auto mean = [&](const TaskBatch& all) {
    return gather(
        state, all, pieces_of(state, model, all.size()), rng,
        [&](const Tensor& rows, const TaskBatch& tasks, Rng own) {
          return gradient_on_all(model, rows, tasks, own);
        },
        guard);
  };
  if (guard.on() || !kernel_applies(model, state.theta, batch)) return mean(batch);
  // So many that what is done once for a row does not matter, and few enough for the cache, and for threads.
  constexpr int64_t kPoints = 256;
  const SupervisedBatch& tasks = points(batch);
  const int64_t each = tasks.size() / state.size(),
                of_one = tasks.x(Stage::kSupport).size(1) + tasks.x(Stage::kQuery).size(1);
  int64_t together = std::clamp<int64_t>(kPoints / of_one, 1, each);
  while (each % together != 0) --together;
  return together > 1 ? mean(*tasks.joined(together)) : mean(batch);
}

std::vector<Tensor> descend(const Model& model, const Tensor& start, const TaskBatch& batch,
                            std::span<const int64_t> steps, const Descent& how, Rng rng) {
  static constexpr int64_t kOne = 1;
  if (how.adam) return descend(start, batch, steps, how, rng);
  const auto down = [&](const Tensor& rows, double rate, std::span<const int64_t> until) {
    return fused_descent(model, rows, at::full({}, rate, at::kDouble), batch, until);
  };
  // All steps in one go, but for a first one that is of another size.
  const auto first = std::find_if(steps.begin(), steps.end(), [](int64_t k) { return k > 0; });
  const bool alike = how.later_lr == 0 || how.later_lr == how.inner_lr || first == steps.end();
  auto path = down(start, how.inner_lr, alike ? steps : std::span(&kOne, 1));
  if (!path) return descend(start, batch, steps, how, rng);
  if (alike) return *path;
  std::vector<Tensor> out(first - steps.begin(), start.detach());
  std::vector<int64_t> rest;
  for (auto k = first; k != steps.end(); ++k) rest.push_back(*k - 1);
  path = down((*path)[0], how.later_lr, rest);
  out.insert(out.end(), path->begin(), path->end());
  return out;
}

}  // namespace symma
