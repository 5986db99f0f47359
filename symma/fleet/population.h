// Population-based training: a fleet is a population whose agents differ in their settings, and which is
// selected along the run. Every `ready` rounds all are judged on the same unseen tasks; the worst copy a
// better one, all that it has learned with its settings, and go on from there with settings a little apart.
// So settings are searched while rows learn, and what is found is a schedule of them rather than a value.
//
// Jaderberg et al. 2017, "Population based training of neural networks", arXiv:1711.09846: algorithm 1;
// truncation selection, binary tournament, perturb and resample are section 4.1.1 and appendix A.
#pragma once

#include <vector>

#include "symma/core/options.h"
#include "symma/learners/learner.h"

namespace symma {

struct Experiment;

struct PopulationOptions {
  std::vector<std::string> settings;
  std::vector<double> low, high, factors{0.8, 1.2};
  std::string start = "file", select = "truncation";
  int64_t ready = 100, tasks = 100;
  double worst = 0.2, resample = 0;
  void fields(Fields& f) {
    f.add(
        "settings", settings,
        "options of the learner that each agent has its own of, such as [\"inner_lr\", \"meta_lr\"]; []: no "
        "population");
    f.add("low", low, "least value of each of them").above(0);
    f.add("high", high, "greatest value of each of them").above(0);
    f.add("start", start,
          "values in the beginning: the learner's, or each agent's drawn between low and high, evenly in the "
          "logarithm")
        .one_of({"file", "drawn"});
    f.add("ready", ready, "rounds from one selection to the next").at_least(1);
    f.add("tasks", tasks, "validation tasks on which agents are judged for it, new ones each time")
        .at_least(1);
    f.add("select", select,
          "who copies whom: the worst one of the best, or each one drawn at random if that is better")
        .one_of({"truncation", "tournament"});
    f.add("worst", worst, "share of the agents that copy, and of those that are copied, by truncation")
        .above(0)
        .at_most(0.5);
    f.add("factors", factors, "what each copied setting is multiplied by, one of these").above(0);
    f.add("resample", resample, "chance of drawing a copied setting anew between low and high instead")
        .at_least(0)
        .at_most(1);
  }
  bool on() const { return !settings.empty(); }
  bool due(int64_t round) const { return on() && round % ready == 0; }
};

// The chosen learner, with settings that differ by agent. Throws UserError where they are none of its
// numbers.
std::unique_ptr<Learner> population_learner(const Experiment&, const Config&, const LearnerSetting&);

// Whom each agent goes on from, [N]: itself, or the one that it copies. A score that is not finite is the
// worst.
std::vector<int64_t> choose_parents(const PopulationOptions&, const std::vector<double>& score /*[N]*/,
                                    bool higher_is_better, Rng);

// Settings of those who copied: moved by a factor or drawn anew, and kept between low and high. [N, S] to
// [N, S].
Tensor explore(const PopulationOptions&, const Tensor& settings, const std::vector<int64_t>& parents, Rng);

// Judges all agents, and lets the worst go on from better ones. Returns the line of lineage.jsonl: "round",
// "score" [N] before, "from" [N], "settings" after, [N] each by name.
Json select(const Experiment&, State&, int64_t round);

// The first such line: what the agents began with.
Json first_generation(const Experiment&, const State&);

// For summary.json: the agent that is best on the validation tasks, its settings, and its mean scores on the
// test tasks, which `key` draws.
Json population_summary(const Experiment&, const State&, Rng key);

}  // namespace symma
