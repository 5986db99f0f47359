// Evolutionary meta-learning: each agent searches for the starting point from which adapting ends best. The
// outer loop is an evolution strategy and needs no gradient; nor does the inner one, with adapt =
// "evolution". Song et al. 2020, "ES-MAML: simple Hessian-free meta-learning", arXiv:1910.01215, algorithms 2
// and 3.
//
//   f(theta) = mean over tasks of query loss(U(theta)),   U(theta) = theta - inner_lr estimate of the support
//   gradient
//
// A strategy is a file here with a Strategy class; SYMMA_REGISTER_STRATEGY makes it a strategy for ask and
// tell, and a learner of the same name.
#pragma once

#include <fmt/format.h>

#include "symma/learners/evolution/strategy.h"

namespace symma {

struct InnerLoop {
  std::string adapt = "gradient";
  bool inner_normalise = false;
  int64_t inner_steps = 1, inner_population = 20;
  double inner_lr = 0.01, inner_sigma = 0.1;
  void fields(Fields& f) {
    f.add("adapt", adapt,
          "how the inner loop moves: by the task's gradient, by one that evolution estimates, or not")
        .one_of({"gradient", "evolution", "none"});
    f.add("inner_steps", inner_steps, "steps of the inner loop, while training").at_least(1);
    f.add("inner_lr", inner_lr, "step size of the inner loop").above(0);
    f.add("inner_population", inner_population, "queries of an estimate, in antithetic pairs (K)")
        .at_least(2);
    f.add("inner_normalise", inner_normalise,
          "the queries' losses count in units of their deviation, as in the authors' code");
    f.add("inner_sigma", inner_sigma, "standard deviation of those queries").above(0);
  }
};

// The learner that a strategy makes.
class Evolution : public Learner {
 public:
  // Throws UserError for a model of running statistics: a search would move them as if they were weights.
  Evolution(InnerLoop inner, std::unique_ptr<Strategy> strategy, const LearnerSetting& setting);
  State init(std::span<const Rng> keys, at::ScalarType) const override;
  // "loss" is the mean over an agent's candidates.
  Scores step(State&, const TaskBatch&, Rng) const override;
  std::vector<Tensor> adapt(const State&, const TaskBatch&, std::span<const int64_t> steps,
                            Rng) const override;

 private:
  Scores generation(State&, const TaskBatch&, Rng) const;
  std::vector<Tensor> move(const Tensor& rows, const TaskBatch&, std::span<const int64_t> steps, Rng) const;
  // The inner loop without a gradient, L rows on each task: [B, L, P] after each of `steps`.
  std::vector<Tensor> evolve(const Tensor& rows /*[B,L,P]*/, const TaskBatch&, std::span<const int64_t> steps,
                             Rng) const;

  InnerLoop inner_;
  std::unique_ptr<Strategy> strategy_;
  const Model& model_;
};

template <class S>
class EvolutionBy : public Evolution {
 public:
  struct Options {
    typename S::Options strategy;
    InnerLoop inner;
    void fields(Fields& f) {
      strategy.fields(f);
      inner.fields(f);
    }
  };
  EvolutionBy(const Options& o, const LearnerSetting& setting)
      : Evolution(o.inner, std::make_unique<S>(o.strategy), setting) {}
};

}  // namespace symma

#define SYMMA_REGISTER_STRATEGY(name, Class, summary, source) \
  SYMMA_REGISTER(Strategy, name, Class, summary, source);     \
  static const bool SYMMA_JOIN(learner_, __COUNTER__) =       \
      ::symma::LearnerRegistry::instance().add<EvolutionBy<Class>>("Learner", name, summary, source)
