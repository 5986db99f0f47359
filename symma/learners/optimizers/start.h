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
  // [B, P] for B tasks of N agents.
  Tensor rows(const Model& model, const Tensor& theta /*[N,>=P]*/, int64_t tasks, Rng rng) const {
    if (start == "drawn") return model.init(tasks, rng).to(theta.options());
    return hand_out(theta.narrow(1, 0, model.layout().size()), tasks);
  }
};

}  // namespace symma
