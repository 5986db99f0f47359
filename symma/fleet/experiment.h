// An experiment file, read: every part chosen, checked and built.
//
// Its top is the fleet (FleetOptions). Then come [task], [model] and [learner], each with a `kind` and that
// part's options; [exchange], with a `topology` and its options; [aggregator], [compression] and [faults],
// each with a `kind`; [server]; [privacy]; [population]; and [eval].
#pragma once

#include <memory>
#include <string>

#include "symma/core/options.h"
#include "symma/eval/evaluate.h"
#include "symma/exchange/exchange.h"
#include "symma/fleet/population.h"
#include "symma/learners/learner.h"
#include "symma/nn/model.h"
#include "symma/tasks/task.h"

namespace symma {

struct FleetOptions {
  std::string name, description;
  int64_t seed = 1, agents = 1, rounds = 1000, tasks = 4;
  bool same_start = true;
  std::string precision = "float32";
  int64_t log_every = 0, checkpoint_every = 0;
  void fields(Fields& f) {
    f.add("name", name, "of the experiment; the file's name unless set");
    f.add("description", description, "a line for people");
    f.add("seed", seed, "key of all randomness").at_least(0);
    f.add("agents", agents, "learners in the fleet").at_least(1);
    f.add("rounds", rounds, "each is one meta-update of every agent").at_least(1);
    f.add("tasks", tasks, "tasks an agent and round").at_least(1);
    f.add("same_start", same_start, "agents start from the same row, rather than each from its own");
    f.add("precision", precision, "type of all numbers learned").one_of({"float32", "float64"});
    f.add("log_every", log_every,
          "rounds from one row of metrics.jsonl to the next; 0: two hundred rows in a run")
        .at_least(0);
    f.add("checkpoint_every", checkpoint_every, "rounds from one checkpoint to the next; 0: twenty in a run")
        .at_least(0);
  }
  int64_t log_interval() const { return log_every > 0 ? log_every : std::max<int64_t>(1, rounds / 200); }
  int64_t checkpoint_interval() const {
    return checkpoint_every > 0 ? checkpoint_every : std::max<int64_t>(1, rounds / 20);
  }
};

struct Experiment {
  FleetOptions fleet;
  EvalOptions eval;
  PopulationOptions population;
  std::string task_kind, model_kind, learner_kind;
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<Learner> learner;
  TaskSpec spec;
  Exchange exchange;
  std::string toml;  // the file with every default filled in
  Json settings;     // the same, as an object of sections

  // Reads, checks and builds. Throws UserError.
  static Experiment build(const Config&);

  int64_t validation_interval() const {
    return eval.every > 0 ? eval.every : std::max<int64_t>(1, fleet.rounds / 20);
  }
  // Keys of what is drawn while exchanging.
  Rng exchange_key() const { return Rng(fleet.seed).split("exchange"); }
  // Over whom statistics are: the honest agents where some are not, else empty, for all.
  std::vector<int64_t> counted() const {
    return exchange.attack ? exchange.honest() : std::vector<int64_t>{};
  }
  // How batch norm was judged, in words; empty where it does not matter.
  std::string protocol() const;
};

}  // namespace symma
