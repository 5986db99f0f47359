#include "symma/learners/evolution/evolution.h"

#include "symma/core/parallel.h"
#include "symma/learners/fused.h"
#include "symma/learners/rows.h"

namespace symma {

Evolution::Evolution(InnerLoop inner, std::unique_ptr<Strategy> strategy, const LearnerSetting& setting)
    : inner_(std::move(inner)), strategy_(std::move(strategy)), model_(setting.model) {}

State Evolution::init(int64_t agents, Rng rng) const {
  return strategy_->start(model_.init(agents, rng.split("model")));
}

Scores Evolution::step(State& state, const TaskBatch& batch, Rng rng) const {
  at::NoGradGuard no_grad;
  const Tensor asked = strategy_->ask(state, rng.split("ask"));  // [N, L, P]
  const int64_t n = asked.size(0), population = asked.size(1), b = batch.size();
  std::vector<Tensor> losses(population);
  const std::vector<int64_t> steps{inner_.inner_steps};
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
    if (auto path = fused_descent(model_, start, at::full({}, inner_.inner_lr, at::kDouble), batch, steps))
      return *path;
    at::AutoGradMode grad(true);
    return descend(start, batch, steps, {.inner_lr = inner_.inner_lr}, rng);
  }
  at::NoGradGuard no_grad;
  std::vector<Tensor> out;
  Tensor rows = start;
  int64_t done = 0;
  for (int64_t until : steps) {
    for (; done < until; ++done) {
      const Rng own = rng.split("step", done);
      const int64_t pairs = (inner_.inner_population + 1) / 2;
      const Tensor e =
          normal(own.split("directions"), {pairs, rows.size(1)}, rows.scalar_type()).to(rows.device());
      Tensor gradient = at::zeros_like(rows);
      for (int64_t i = 0; i < pairs; ++i) {
        const Tensor move = inner_.inner_sigma * e[i];
        const Tensor up = batch.loss(rows + move, Stage::kSupport, own.split("support")),
                     down = batch.loss(rows - move, Stage::kSupport, own.split("support"));
        gradient.add_((up - down).unsqueeze(1) * e[i]);
      }
      rows = rows - inner_.inner_lr / (2 * inner_.inner_sigma * static_cast<double>(pairs)) * gradient;
    }
    out.push_back(rows);
  }
  return out;
}

}  // namespace symma
