#include "symma/learners/rows.h"

#include "symma/core/interrupt.h"
#include "symma/core/noise.h"
#include "symma/core/parallel.h"
#include "symma/learners/adam.h"

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
Tensor guarded(const Tensor& grad /*[b,Q]*/, const Tensor& id /*[n]*/, const Guard& guard, Rng rng) {
  const int64_t n = id.size(0);
  const Noise source = guard.seeded ? Noise::of_seed(rng) : Noise::of_system();
  // In double, and drawn in by what a product in float rounds off: no gradient is longer than the bound.
  const Tensor norm = grad.norm(2, 1, true, at::kDouble);
  const Tensor scale = (guard.clip * (1 - 1e-6) / norm.clamp_min(guard.clip)).to(grad.options());
  const Tensor clipped = at::where(norm.isfinite(), grad * scale, at::zeros({}, grad.options()));
  const int64_t each = grad.size(0) / n, q = grad.size(1);
  const std::vector<int64_t> ids = whole_numbers(id);
  Tensor sum = clipped.view({n, each, q}).sum(1);
  for (int64_t i = 0; i < n; ++i) {
    const Tensor noise = source.split("noise", static_cast<uint64_t>(ids[i])).normal({q});
    sum[i].add_(noise.to(sum.options()), guard.noise * guard.clip);
  }
  return sum / static_cast<double>(each);
}

// A device's memory may be too small for a piece, and how much a task takes is the learner's affair: then it
// is done by halves.
void as_memory_allows(Piece piece, const std::function<void(Piece)>& work) {
  const auto [begin, end] = piece;
  try {
    return work(piece);
  } catch (const c10::OutOfMemoryError&) {
    if (end - begin == 1) throw;
  }
  as_memory_allows({begin, begin + (end - begin) / 2}, work);
  as_memory_allows({begin + (end - begin) / 2, end}, work);
}

}  // namespace

Tensor hand_out(const Tensor& rows, int64_t tasks) {
  const int64_t n = rows.size(0);
  TORCH_CHECK(tasks % n == 0, tasks, " tasks for ", n, " agents: each must have as many");
  if (tasks == n) return rows;
  std::vector<int64_t> sizes = rows.sizes().vec();
  // One agent's row stands once in memory and is seen by all its tasks.
  if (n == 1) {
    sizes[0] = tasks;
    return rows.expand(sizes);
  }
  sizes.insert(sizes.begin() + 1, tasks / n);
  return rows.unsqueeze(1).expand(sizes).flatten(0, 1);
}

std::vector<int64_t> whole_numbers(const Tensor& t) {
  const Tensor all = t.cpu().contiguous();
  return {all.data_ptr<int64_t>(), all.data_ptr<int64_t>() + all.numel()};
}

Tensor by_agents(const Tensor& x, int64_t agents) {
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[0] /= agents;
  sizes.insert(sizes.begin(), agents);
  return x.reshape(sizes).mean(1);
}

std::vector<Piece> blocks_of(const State& state, const Model& model) {
  const int64_t n = state.size(), size = block_size(model);
  if (!state.theta.is_cpu()) return {{0, n}};
  const std::vector<int64_t> id = whole_numbers(state.id);
  std::vector<Piece> out;
  for (int64_t i = 0; i < n; ++i) {
    if (i == 0 || id[i] / size != id[i - 1] / size) out.push_back({i, i});
    out.back().end = i + 1;
  }
  return out;
}

std::vector<Piece> pieces_of(const State& state, const Model& model, int64_t tasks, int64_t most) {
  const int64_t each = tasks / state.size(),
                piece = most > 0 ? most : piece_size(model, state.theta.device());
  std::vector<Piece> out;
  for (const Piece& block : blocks_of(state, model)) {
    for (int64_t at = block.begin * each; at < block.end * each; at += piece)
      out.push_back({at, std::min(at + piece, block.end * each)});
  }
  return out;
}

Scores join(const std::vector<Scores>& parts) {
  Scores out;
  for (const auto& [name, first] : parts[0]) {
    std::vector<Tensor> scores;
    scores.reserve(parts.size());
    for (const Scores& part : parts) scores.push_back(part.at(name));
    out[name] = at::cat(scores, 0);
  }
  return out;
}

Scores in_blocks(State& state, const Model& model, const TaskBatch& batch,
                 const std::function<Scores(State&, const TaskBatch&)>& work) {
  const std::vector<Piece> blocks = blocks_of(state, model);
  if (blocks.size() == 1) return work(state, batch);
  const int64_t each = batch.size() / state.size();
  std::vector<State> parts;
  std::vector<Scores> told;
  // One after another: a block is large enough to keep the threads busy from within.
  for (const Piece& block : blocks) {
    parts.push_back(state.rows(block.begin, block.end));
    told.push_back(work(parts.back(), *batch.slice(block.begin * each, block.end * each)));
  }
  state = State::join(parts);
  return join(told);
}

Gradients gather(const State& state, const TaskBatch& batch, const std::vector<Piece>& pieces, Rng rng,
                 const std::function<Gradients(const Tensor&, const TaskBatch&, Rng)>& work,
                 const Guard& guard) {
  const int64_t b = batch.size(), n = state.size();
  const Tensor rows = hand_out(state.theta, b);
  Tensor grad, loss;  // [b, Q], [b]
  const auto whole = [&] {
    const auto all = work(rows, batch, rng);
    grad = all.grad, loss = all.loss;
  };
  const auto make_room = [&] {
    if (!grad.defined())
      grad = at::empty({b, rows.size(1)}, rows.options()), loss = at::empty({b}, rows.options());
  };
  const auto put = [&](Piece piece) {
    // Written in their places as they come: all pieces and all of them joined would be held otherwise.
    const auto [begin, end] = piece;
    const auto part = work(rows.slice(0, begin, end), *batch.slice(begin, end), rng);
    grad.slice(0, begin, end).copy_(part.grad.detach());
    loss.slice(0, begin, end).copy_(part.loss.detach());
  };
  if (!rows.is_cpu()) {  // a device has its own threads
    for (const Piece& piece : pieces) {
      as_memory_allows(piece, [&](Piece p) {
        if (p.end - p.begin == b) return whole();
        make_room();
        put(p);
      });
    }
  } else if (pieces.size() == 1) {
    whole();
  } else {
    make_room();
    parallel_for(static_cast<int64_t>(pieces.size()), 1, [&](int64_t at, int64_t) { put(pieces[at]); });
  }
  if (guard.on())
    return {guarded(grad.detach(), state.id, guard, rng.split("guard")), loss.view({n, b / n}).mean(1)};
  if (b == n) return {grad, loss};
  return {mean_of_tasks(grad.detach(), n), mean_of_tasks(loss.detach().view({b, 1}), n).view(n)};
}

std::vector<Tensor> walk(Tensor rows, std::span<const int64_t> steps,
                         const std::function<Tensor(const Tensor&, int64_t)>& step) {
  std::vector<Tensor> out;
  int64_t done = 0;
  for (int64_t until : steps) {
    for (; done < until; ++done) {
      check_interrupted();
      rows = step(rows, done);
    }
    out.push_back(rows);
  }
  return out;
}

std::vector<Tensor> descend(const Tensor& start, const TaskBatch& batch, std::span<const int64_t> steps,
                            const Descent& how, Rng rng) {
  Adam adam;
  return walk(start.detach(), steps, [&](const Tensor& rows, int64_t k) {
    const double lr = k > 0 && how.later_lr > 0 ? how.later_lr : how.inner_lr;
    const Tensor at = leaf(rows);
    const Tensor grad = row_gradient(batch.loss(at, Stage::kSupport, rng.split("step", k)), at, false);
    return how.adam ? adam.step(rows, grad, lr) : rows - lr * grad;
  });
}

}  // namespace symma
