#include "symma/learners/batch_norm.h"

#include "symma/core/parallel.h"
#include "symma/learners/rows.h"
#include "symma/tasks/supervised.h"

namespace symma {

void observe_statistics(const Model& model, State& state, const TaskBatch& batch) {
  const auto* keeper = dynamic_cast<const HasStatistics*>(&model);
  const auto* points = dynamic_cast<const SupervisedBatch*>(&batch);
  if (!keeper || !points || keeper->protocol() != "running") return;
  at::NoGradGuard no_grad;
  const int64_t p = model.layout().size(), n = state.size(), b = batch.size();
  const Tensor rows = hand_out(state.theta.narrow(1, 0, p), b).contiguous();
  Tensor seen = at::empty_like(rows);
  const std::vector<Piece> pieces = pieces_of(state, model, b);
  parallel_for(static_cast<int64_t>(pieces.size()), 1, [&](int64_t at, int64_t) {
    at::NoGradGuard inner_no_grad;
    const auto [begin, end] = pieces[at];
    const Tensor x = points->x(Stage::kQuery).slice(0, begin, end).to(rows.options());
    seen.slice(0, begin, end).copy_(keeper->observe(rows.slice(0, begin, end), x));
  });
  seen = seen.view({n, b / n, p}).mean(1);
  Tensor theta = state.theta.clone();
  for (const auto& e : model.layout().entries()) {
    if (e.buffer) theta.narrow(1, e.offset, e.size()).copy_(seen.narrow(1, e.offset, e.size()));
  }
  state.theta = theta;
}

}  // namespace symma
