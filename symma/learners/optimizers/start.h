// Where optimisers start: compared ones must start alike.
#pragma once

#include "symma/learners/rows.h"

namespace symma {

struct Start {
  std::string start = "row";
  void fields(Fields& f) {
    f.add("start", start,
          "where the work on a task starts: at the agent's row, which stays as it was drawn, or at one drawn "
          "anew")
        .one_of({"row", "drawn"});
  }
  // [B, P] for B tasks of N agents. What is drawn goes by the agent's number and the task's key; of tasks
  // that were given, by which of its tasks it is.
  Tensor rows(const Model& model, const State& state, const TaskBatch& batch, Rng rng) const {
    const int64_t tasks = batch.size(), each = tasks / state.size();
    if (start != "drawn") return hand_out(state.theta.narrow(1, 0, model.layout().size()), tasks);
    const auto* keyed = dynamic_cast<const Keyed*>(&batch);
    const std::vector<Rng> of = keyed ? keyed->keys() : std::vector<Rng>();
    std::vector<Rng> keys;
    for (int64_t b = 0; b < tasks; ++b) {
      const int64_t agent = state.id.data_ptr<int64_t>()[b / each];
      keys.push_back(rng.split("agent", static_cast<uint64_t>(agent))
                         .split("task", of.empty() ? static_cast<uint64_t>(b % each) : of[b].key()));
    }
    return model.init(keys).to(state.theta.options());
  }
};

}  // namespace symma
