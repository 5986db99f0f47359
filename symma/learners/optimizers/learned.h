// Learned optimisers: a small network, the same for every coordinate, turns gradients into steps. What agents
// learn and share is this network.
//
//   (u_t, memory_t) = rule(phi, gradient of L_support at rows_t, memory_{t-1}),   rows_{t+1} = rows_t + u_t
//
// and phi descends the mean over t of L_support(rows_t), or of its logarithm, or the last logarithm.
// Andrychowicz et al. 2016, arXiv:1606.04474; the logarithm is Wichrowska et al. 2017's, arXiv:1703.04813,
// section 4.3.
//
// A round is one truncation: `unroll` steps of every task. Tasks stay for `steps` steps and then give way to
// new ones; until then they, their rows and the rule's memory live in State.own, as "kept.*" [N, T, ...].
//
// estimator = "unroll" goes back through the truncation. With order = 1 the gradients that the rule sees are
// held fixed, as in the paper. Then rows_t reach phi through sums of steps alone, so d L(rows_t) / d u_s for
// s < t is the gradient that the rule sees at t anyhow, and no second derivative of the task is taken. order
// = 2 goes through the gradients too: what a step does to later gradients counts.
//
// estimator = "pes" is persistent evolution strategies (Vicol et al. 2021, arXiv:2112.13835, algorithm 2):
// each task is worked on by phi + e and by phi - e, e ~ N(0, sigma^2) anew in each truncation, and
//
//   gradient = mean over tasks of xi (L(phi + e) - L(phi - e)) / (2 sigma^2),   xi = the sum of e since the
//   task began
//
// which is unbiased for the whole of `steps`, of the smoothed loss.
//
// A rule is a file here with an UpdateRule; SYMMA_REGISTER_RULE makes a learner of it.
#pragma once

#include "symma/learners/optimizers/start.h"
#include "symma/learners/outer.h"
#include "symma/learners/restored.h"

namespace symma {

// R rows in each of G groups; a group has its own phi.
struct Sight {
  Tensor gradient;  // [G, R, P]
  Tensor age;       // [G, R]: steps done on the task
};

struct Move {
  Tensor step;    // [G, R, P], differentiable in phi
  Tensor memory;  // [G, M, R P]
};

class UpdateRule {
 public:
  virtual ~UpdateRule() = default;
  virtual const Layout& layout() const = 0;                  // of phi, Q numbers
  virtual Tensor init(std::span<const Rng> keys) const = 0;  // [rows, Q]: row i drawn from keys[i] alone
  virtual int64_t memory() const = 0;                        // M numbers a coordinate, zero at the start
  virtual Move move(const Tensor& phi /*[G,Q]*/, const Sight&, const Tensor& memory /*[G,M,R P]*/) const = 0;
};

struct LearnedOptions {
  std::string estimator = "unroll", objective = "loss", from;
  int64_t unroll = 20, steps = 100, order = 1;
  double sigma = 0.01;
  Start start;
  OuterOptions outer{.clip_norm = 1};
  void fields(Fields& f) {
    f.add("estimator", estimator,
          "of the meta-gradient: through the truncation, or by persistent evolution strategies")
        .one_of({"unroll", "pes"});
    f.add("objective", objective,
          "what phi descends: the mean over steps of the loss or of its logarithm, or the logarithm after a "
          "truncation's last step")
        .one_of({"loss", "log", "last"});
    f.add("unroll", unroll, "steps of a truncation, which is a round").at_least(1);
    f.add("steps", steps, "steps on a task, a multiple of unroll").at_least(1);
    f.add("order", order, "of unroll: 1 holds the gradients that the rule sees fixed, 2 goes through them")
        .at_least(1)
        .at_most(2);
    f.add("sigma", sigma, "of pes: standard deviation of the perturbations").above(0);
    f.add("from", from,
          "folder of a run whose first agent's optimiser all agents start with; empty: a new one");
    start.fields(f);
    outer.fields(f);
  }
};

class LearnedOptimizer : public Learner, public Restored {
 public:
  LearnedOptimizer(LearnedOptions, std::unique_ptr<UpdateRule>, const LearnerSetting&);
  // Rows are [where to start [P], phi [Q]].
  State init(std::span<const Rng> keys, at::ScalarType) const override;
  // "loss" is the objective, before this round's update of phi.
  Scores step(State&, const TaskBatch&, Rng) const override;
  std::vector<Tensor> adapt(const State&, const TaskBatch&, std::span<const int64_t> steps,
                            Rng) const override;
  std::string fault(const State&) const override;

 private:
  struct Flight;
  struct Landing;
  int64_t sides() const { return o_.estimator == "pes" ? 2 : 1; }
  void renew(State&, const TaskBatch&, Rng) const;
  Landing fly(const Tensor& phi, Flight, const TaskBatch&, bool differentiate, Rng) const;
  Move advance(const Tensor& phi, const Flight&, const Tensor& gradient) const;

  LearnedOptions o_;
  std::unique_ptr<UpdateRule> rule_;
  const Model& model_;
  Tensor mask_;  // [P], 0 where a row holds a statistic; undefined where none does
  Tensor phi_;   // [Q], of `from`
  int64_t outputs_;
};

template <class R>
class LearnedBy : public LearnedOptimizer {
 public:
  struct Options {
    typename R::Options rule;
    LearnedOptions learned;
    void fields(Fields& f) {
      rule.fields(f);
      learned.fields(f);
    }
  };
  LearnedBy(const Options& o, const LearnerSetting& setting)
      : LearnedOptimizer(o.learned, std::make_unique<R>(o.rule), setting) {}
};

}  // namespace symma

#define SYMMA_REGISTER_RULE(name, Class, summary, source)                \
  [[maybe_unused]] static const bool SYMMA_JOIN(registered_, __LINE__) = \
      ::symma::LearnerRegistry::instance().add<LearnedBy<Class>>("Learner", name, summary, source)
