// The outer optimiser: each agent's own Adam or SGD on its row. Kingma & Ba 2015, arXiv:1412.6980.
#pragma once

#include "symma/learners/rows.h"

namespace symma {

struct OuterOptions {
  std::string optimizer = "adam";
  int64_t halve_every = 0;
  double meta_lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, clip_norm = 0, proximal = 0;
  void fields(Fields& f) {
    f.add("optimizer", optimizer, "of the outer loop, one for each agent").one_of({"adam", "sgd"});
    f.add("meta_lr", meta_lr, "step size of the outer loop").at_least(0);
    f.add("halve_every", halve_every,
          "outer steps in which the step size falls smoothly to a half; 0: it stays")
        .at_least(0);
    f.add("beta1", beta1, "Adam's decay of the mean gradient").at_least(0).below(1);
    f.add("beta2", beta2, "Adam's decay of the mean square").at_least(0).below(1);
    f.add("eps", eps, "Adam's guard against division by zero").above(0);
    f.add(
         "clip_norm", clip_norm,
         "longest gradient of an agent; longer ones are scaled down, and one that is not finite is left out; "
         "0: no limit")
        .at_least(0);
    f.add("proximal", proximal,
          "pull towards the row after the last exchange (FedProx's mu, Li et al. 2020, arXiv:1812.06127)")
        .at_least(0);
  }
};

// Adds what the optimiser keeps to state.own: "adam.m", "adam.v" [N, Q], and with a proximal term "anchor"
// [N, Q], which whoever exchanges rows sets to what they became.
void outer_init(const OuterOptions&, State&);

// Moves state.theta against `grad` [N, Q] and counts the step.
void outer_step(const OuterOptions&, State&, Tensor grad);

// One update of every agent: the gradient of each of its tasks by `work`, gathered as rows.h has it, the
// optimiser's step, and the statistics that rows carry. Gives "loss", [N].
Scores outer_update(const OuterOptions&, const Model&, const Guard&, State&, const TaskBatch&, Rng,
                    const std::function<Gradients(const Tensor& rows, const TaskBatch&, Rng)>& work);

}  // namespace symma
