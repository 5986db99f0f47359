#include "symma/learners/rows.h"

#include "symma/core/parallel.h"

namespace symma {
namespace {

// The mean over each agent's tasks, in their order: [B, Q] -> [N, Q]. at::mean takes several times as long
// for small rows.
Tensor mean_of_tasks(const Tensor& grad, int64_t n) {
  const int64_t each = grad.size(0) / n, q = grad.size(1);
  if (!grad.is_cpu() || !grad.is_contiguous()) return grad.view({n, each, q}).mean(1);
  Tensor out = at::empty({n, q}, grad.options());
  AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "mean of tasks", [&] {
    const scalar_t* from_all = grad.data_ptr<scalar_t>();
    scalar_t* to_all = out.data_ptr<scalar_t>();
    const auto scale = static_cast<scalar_t>(1.0 / static_cast<double>(each));
    parallel_for(n, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        scalar_t* __restrict to = to_all + i * q;
        std::copy_n(from_all + i * each * q, q, to);
        for (int64_t t = 1; t < each; ++t) {
          const scalar_t* __restrict from = from_all + (i * each + t) * q;
          for (int64_t c = 0; c < q; ++c) to[c] += from[c];
        }
        for (int64_t c = 0; c < q; ++c) to[c] *= scale;
      }
    });
  });
  return out;
}

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

Tensor hand_out(const Tensor& rows, int64_t tasks) {
  const int64_t n = rows.size(0);
  TORCH_CHECK(tasks % n == 0, tasks, " tasks for ", n, " agents: each must have as many");
  if (tasks == n) return rows;
  // One agent's row stands once in memory and is seen by all its tasks.
  if (n == 1) return rows.expand({tasks, rows.size(1)});
  return rows.repeat_interleave(tasks / n, 0);
}

int64_t piece_size(const Model& model) {
  // Small nets are bound by the cost of starting operations and want many rows; big ones by the cache and
  // want few.
  return std::clamp<int64_t>((int64_t{1} << 18) / model.layout().size(), 1, 256);
}

Gradients gather(const State& state, const TaskBatch& batch, int64_t piece, Rng rng,
                 const std::function<Gradients(const Tensor&, const TaskBatch&, Rng)>& work,
                 const Guard& guard) {
  const int64_t b = batch.size(), n = state.theta.size(0);
  const Tensor rows = hand_out(state.theta, b);
  const int64_t pieces = (b + piece - 1) / piece;
  Tensor grad, loss;  // [b, Q], [b]
  if (pieces > 1) grad = at::empty({b, rows.size(1)}, rows.options()), loss = at::empty({b}, rows.options());
  parallel_for(b, piece, [&](int64_t begin, int64_t end) {
    const Rng own = rng.split("piece", begin);
    if (pieces == 1) {
      const auto all = work(rows, batch, own);
      grad = all.grad, loss = all.loss;
      return;
    }
    // Written in their places as they come: all pieces and all of them joined would be held otherwise.
    const auto part = work(rows.slice(0, begin, end), *batch.slice(begin, end), own);
    grad.slice(0, begin, end).copy_(part.grad.detach());
    loss.slice(0, begin, end).copy_(part.loss.detach());
  });
  if (guard.on())
    return {guarded(grad.detach(), n, guard, rng.split("guard")), loss.view({n, b / n}).mean(1)};
  if (b == n) return {grad, loss};
  return {mean_of_tasks(grad.detach(), n), loss.view({n, b / n}).mean(1)};
}

std::vector<Tensor> descend(const Tensor& start, const TaskBatch& batch, std::span<const int64_t> steps,
                            const Descent& how, Rng rng) {
  std::vector<Tensor> out;
  Tensor rows = start.detach();
  Tensor m = at::zeros_like(rows), v = at::zeros_like(rows);
  int64_t done = 0;
  for (int64_t until : steps) {
    for (; done < until; ++done) {
      const double lr = done > 0 && how.later_lr > 0 ? how.later_lr : how.inner_lr;
      const Tensor at = leaf(rows);
      const Tensor grad = row_gradient(batch.loss(at, Stage::kSupport, rng.split("step", done)), at, false);
      if (how.adam) {
        const double t = static_cast<double>(done + 1);
        m = 0.9 * m + 0.1 * grad;
        v = 0.999 * v + 0.001 * grad.square();
        rows = rows - lr * (m / (1 - std::pow(0.9, t))) / ((v / (1 - std::pow(0.999, t))).sqrt() + 1e-8);
      } else {
        rows = rows - lr * grad;
      }
    }
    out.push_back(rows);
  }
  return out;
}

}  // namespace symma
