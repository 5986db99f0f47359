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
  // [B, P] for B tasks of N agents. What is drawn goes by the agent's number and which of its tasks it is.
  Tensor rows(const Model& model, const State& state, int64_t tasks, Rng rng) const {
    if (start != "drawn") return hand_out(state.theta.narrow(1, 0, model.layout().size()), tasks);
    std::vector<Rng> keys;
    for (int64_t i = 0; i < state.size(); ++i) {
      const auto own = split_keys(rng.split("agent", static_cast<uint64_t>(state.id.data_ptr<int64_t>()[i])),
                                  "task", tasks / state.size());
      keys.insert(keys.end(), own.begin(), own.end());
    }
    return model.init(keys).to(state.theta.options());
  }
};

}  // namespace symma
