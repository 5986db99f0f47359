#include "symma/learners/evolution/evolution.h"

#include "symma/core/parallel.h"
#include "symma/learners/fused.h"
#include "symma/learners/needs.h"
#include "symma/learners/rows.h"
#include "symma/tasks/control.h"

namespace symma {
namespace {

// The directions of an estimate: [B, pairs, P] where tasks have keys, each task its own, which all its rows
// share; else [1, pairs, P], which all tasks share.
Tensor queries(const TaskBatch& batch, int64_t pairs, const Tensor& rows, Rng rng) {
  const auto* worlds = dynamic_cast<const ControlBatch*>(&batch);
  std::vector<Tensor> out;
  for (int64_t b = 0; b < (worlds ? batch.size() : 1); ++b)
    out.push_back(normal(worlds ? rng.split("task", worlds->key(b).key()) : rng, {pairs, rows.size(2)},
                         rows.scalar_type()));
  return at::stack(out).to(rows.device());
}

// What rows [B, L, P] lose on each task, [B, L]. Worlds play all of them at once.
Tensor losses_of(const TaskBatch& batch, const Tensor& rows, Stage stage, Rng rng) {
  if (const auto* worlds = dynamic_cast<const ControlBatch*>(&batch)) return worlds->losses(rows, stage, rng);
  TORCH_CHECK(rows.size(1) == 1, "labelled points are learned from one row a task at a time");
  return batch.loss(rows.squeeze(1), stage, rng).unsqueeze(1);
}

}  // namespace

Evolution::Evolution(InnerLoop inner, std::unique_ptr<Strategy> strategy, const LearnerSetting& setting)
    : inner_(std::move(inner)), strategy_(std::move(strategy)), model_(setting.model) {
  need(setting, "an evolution strategy", {Need::kNoRunning});
}

State Evolution::init(std::span<const Rng> keys, at::ScalarType type) const {
  return strategy_->start(model_.init(split_each(keys, "model")).to(type));
}

Scores Evolution::step(State& state, const TaskBatch& batch, Rng rng) const {
  return in_blocks(state, model_, batch,
                   [&](State& block, const TaskBatch& tasks) { return generation(block, tasks, rng); });
}

Scores Evolution::generation(State& state, const TaskBatch& batch, Rng rng) const {
  at::NoGradGuard no_grad;
  const Tensor asked = strategy_->ask(state, rng.split("ask"));  // [N, L, P]
  const int64_t n = asked.size(0), population = asked.size(1), b = batch.size();
  std::vector<Tensor> losses(population);
  const std::vector<int64_t> steps{inner_.inner_steps};
  if (inner_.adapt == "evolution" && dynamic_cast<const ControlBatch*>(&batch)) {
    const Tensor rows = asked.repeat_interleave(b / n, 0);  // [B, L, P]
    const Tensor moved = evolve(rows, batch, steps, rng.split("inner"))[0];
    const Tensor loss =
        losses_of(batch, moved, Stage::kQuery, rng.split("query")).view({n, b / n, population}).mean(1);
    strategy_->tell(state, asked, loss);
    return {{"loss", loss.mean(1)}};
  }
  // Every candidate meets the same tasks with the same random numbers, so that they differ by merit alone.
  parallel_for(population, 1, [&](int64_t begin, int64_t) {
    at::NoGradGuard quiet;
    const Tensor rows = hand_out(asked.select(1, begin), b);
    const Tensor moved = move(rows, batch, steps, rng.split("inner"))[0];
    losses[begin] = batch.loss(moved, Stage::kQuery, rng.split("query")).view({n, b / n}).mean(1);
  });
  const Tensor loss = at::stack(losses, 1);  // [N, L]
  strategy_->tell(state, asked, loss);
  return {{"loss", loss.mean(1)}};
}

std::vector<Tensor> Evolution::adapt(const State& state, const TaskBatch& batch,
                                     std::span<const int64_t> steps, Rng rng) const {
  return move(hand_out(state.theta, batch.size()), batch, steps, rng);
}

std::vector<Tensor> Evolution::move(const Tensor& start, const TaskBatch& batch,
                                    std::span<const int64_t> steps, Rng rng) const {
  if (inner_.adapt == "none") return std::vector<Tensor>(steps.size(), start);
  if (inner_.adapt == "gradient") {
    at::AutoGradMode grad(true);
    return descend(model_, start, batch, steps, {.inner_lr = inner_.inner_lr}, rng);
  }
  std::vector<Tensor> out;
  for (const Tensor& rows : evolve(start.unsqueeze(1), batch, steps, rng)) out.push_back(rows.squeeze(1));
  return out;
}

std::vector<Tensor> Evolution::evolve(const Tensor& start, const TaskBatch& batch,
                                      std::span<const int64_t> steps, Rng rng) const {
  at::NoGradGuard no_grad;
  const int64_t pairs = (inner_.inner_population + 1) / 2;
  return walk(start, steps, [&](const Tensor& rows, int64_t k) {
    const Rng own = rng.split("step", k);
    const Tensor e = queries(batch, pairs, rows, own.split("directions"));
    Tensor gradient = at::zeros_like(rows), sum = at::zeros_like(rows.select(2, 0)),
           squares = at::zeros_like(sum);  // of the losses, [B, L]
    for (int64_t i = 0; i < pairs; ++i) {
      const Tensor way = e.narrow(1, i, 1), move = inner_.inner_sigma * way;
      const Tensor up = losses_of(batch, rows + move, Stage::kSupport, own.split("support")),
                   down = losses_of(batch, rows - move, Stage::kSupport, own.split("support"));
      gradient.add_((up - down).unsqueeze(2) * way);
      sum.add_(up + down), squares.add_(up.square() + down.square());
    }
    gradient.div_(2 * inner_.inner_sigma * static_cast<double>(pairs));
    if (inner_.inner_normalise) {
      const double n = 2 * static_cast<double>(pairs);
      const Tensor deviation = (squares / n - (sum / n).square()).clamp_min(0).sqrt();
      // Where all queries cost the same there is nowhere to go.
      gradient.div_(deviation.clamp_min(1e-12).unsqueeze(2)).mul_(deviation.gt(1e-6).unsqueeze(2));
    }
    return rows - inner_.inner_lr * gradient;
  });
}

}  // namespace symma
