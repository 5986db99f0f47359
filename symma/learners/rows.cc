#include "symma/learners/rows.h"

#include "symma/core/parallel.h"

namespace symma {

Tensor hand_out(const Tensor& rows, int64_t tasks) {
  const int64_t n = rows.size(0);
  TORCH_CHECK(tasks % n == 0, tasks, " tasks for ", n, " agents: each must have as many");
  return tasks == n ? rows : rows.repeat_interleave(tasks / n, 0);
}

int64_t piece_size(const Model& model) {
  // Small nets are bound by the cost of starting operations and want many rows; big ones by the cache and
  // want few.
  return std::clamp<int64_t>((int64_t{1} << 18) / model.layout().size(), 1, 256);
}

namespace {

// Each agent's mean of its units' clipped gradients [N, Q], with noise on the sum. A gradient that is not
// finite counts as 0: how its norm would be bounded is not known.
Tensor guarded(const Tensor& grad /*[b,Q]*/, int64_t n, const Guard& guard, Rng rng) {
  const Tensor norm = grad.norm(2, 1, true);
  const Tensor clipped = at::where(norm.isfinite(), grad * (guard.clip / norm.clamp_min(guard.clip)),
                                   at::zeros({}, grad.options()));
  const int64_t each = grad.size(0) / n, q = grad.size(1);
  Tensor sum = clipped.view({n, each, q}).sum(1);
  for (int64_t i = 0; i < n; ++i) {
    const Tensor noise = normal(rng.split("noise", static_cast<uint64_t>(i)), {q}, at::kDouble);
    sum[i].add_(noise.to(sum.options()), guard.noise * guard.clip);
  }
  return sum / static_cast<double>(each);
}

}  // namespace

Gradients gather(const State& state, const TaskBatch& batch, int64_t piece, Rng rng,
                 const std::function<Gradients(const Tensor&, const TaskBatch&, Rng)>& work,
                 const Guard& guard) {
  const int64_t b = batch.size(), n = state.theta.size(0);
  const Tensor rows = hand_out(state.theta, b);
  const int64_t pieces = (b + piece - 1) / piece;
  std::vector<Gradients> parts(pieces);
  parallel_for(b, piece, [&](int64_t begin, int64_t end) {
    const Rng own = rng.split("piece", begin);
    parts[begin / piece] =
        pieces == 1 ? work(rows, batch, own) : work(rows.slice(0, begin, end), *batch.slice(begin, end), own);
  });
  std::vector<Tensor> grads, losses;
  for (auto& part : parts) {
    grads.push_back(part.grad);
    losses.push_back(part.loss);
  }
  const Tensor grad = pieces == 1 ? grads[0] : at::cat(grads),
               loss = pieces == 1 ? losses[0] : at::cat(losses);
  if (guard.on())
    return {guarded(grad.detach(), n, guard, rng.split("guard")), loss.view({n, b / n}).mean(1)};
  if (b == n) return {grad, loss};
  return {grad.view({n, b / n, -1}).mean(1), loss.view({n, b / n}).mean(1)};
}

std::vector<Tensor> descend(const Tensor& start, const TaskBatch& batch, std::span<const int64_t> steps,
                            const Descent& how, Rng rng) {
  std::vector<Tensor> out;
  Tensor rows = start.detach();
  Tensor m = at::zeros_like(rows), v = at::zeros_like(rows);
  int64_t done = 0;
  for (int64_t until : steps) {
    for (; done < until; ++done) {
      const Tensor at = leaf(rows);
      const Tensor grad = row_gradient(batch.loss(at, Stage::kSupport, rng.split("step", done)), at, false);
      if (how.adam) {
        const double t = static_cast<double>(done + 1);
        m = 0.9 * m + 0.1 * grad;
        v = 0.999 * v + 0.001 * grad.square();
        rows = rows -
               how.inner_lr * (m / (1 - std::pow(0.9, t))) / ((v / (1 - std::pow(0.999, t))).sqrt() + 1e-8);
      } else {
        rows = rows - how.inner_lr * grad;
      }
    }
    out.push_back(rows);
  }
  return out;
}

}  // namespace symma
