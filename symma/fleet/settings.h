// An experiment file, read: what a person set, with every default filled in. Nothing is checked against
// anything else yet, and nothing is built.
//
// The sections are data (`sections`), and reading, the file that a run keeps, the schema for editors and the
// top of messages are made of it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "symma/core/options.h"
#include "symma/envs/script.h"
#include "symma/eval/evaluate.h"
#include "symma/exchange/exchange.h"
#include "symma/fleet/population.h"
#include "symma/learners/learner.h"
#include "symma/nn/model.h"
#include "symma/tasks/task.h"

namespace symma {

struct FleetOptions {
  std::string name, description;
  int64_t seed = 1, seeds = 1, agents = 1, rounds = 1000, tasks = 4;
  bool same_start = true;
  std::string precision = "float32";
  int64_t log_every = 0, checkpoint_every = 0;
  void fields(Fields& f) {
    f.add("name", name, "of the experiment; the file's name unless set");
    f.add("description", description, "a line for people");
    f.add("seed", seed, "key of all randomness").at_least(0);
    f.add("seeds", seeds,
          "independent repetitions of one agent, in one run: rows that never meet, judged with intervals "
          "over seeds")
        .at_least(1);
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

// [rival]: `kind` and the options of that Script, and these.
struct RivalOptions {
  std::vector<int64_t> players;
  void fields(Fields& f) {
    f.add("players", players,
          "whom it plays, in training too, while the others learn; none: it plays by itself, on the same "
          "test tasks")
        .at_least(0);
  }
};

// The parts that were chosen, each with its own options.
struct ChosenParts {
  Choice<TaskFamilyRegistry> task{"sinusoid"};
  Choice<ModelRegistry> model{"mlp"};
  Choice<LearnerRegistry> learner{"maml"};
  Choice<TopologyRegistry> topology{"none"};
  Choice<AggregatorRegistry> aggregator{"mean"};
  std::vector<Choice<PreAggregatorRegistry>> before;
  Choice<CompressorRegistry> compressor{"none"};
  Choice<AttackRegistry> attack{"sign_flip"};
  bool has_rival = false;
  Choice<ScriptRegistry> rival{"idle"};
};

struct Settings {
  FleetOptions fleet;
  EvalOptions eval;
  PopulationOptions population;
  ExchangeSettings sharing;
  RivalOptions rival;
  ChosenParts chosen;
  std::string toml;  // the file with every default filled in
  Json settings;     // the same, as an object of sections
  std::vector<std::string>
      let_lie;  // of options in the file that the parts chosen there do not have, a line each

  // Throws UserError for what is unknown, of a wrong type or out of range, and for what was laid over the
  // file and is an option of another part than the one chosen.
  static Settings read(const Config&);
  int64_t validation_interval() const {
    return eval.every > 0 ? eval.every : std::max<int64_t>(1, fleet.rounds / 20);
  }
  // Writes `toml` and `settings` anew, after a setting was filled in.
  void write_down();
};

// A section of an experiment file.
struct Section {
  std::string name;                  // "" is the top
  std::string doc;                   // what it is about
  std::function<void(Fields&)> own;  // options of its own; null where there are none
  std::string key;                   // the option that names its part: "kind"; "" where it has none
  std::string part_kind;             // of what kind the part is, as `symma list` has it
  Nested* part = nullptr;            // the part
  bool* present = nullptr;           // whether the file names the part; null: there is always one
  std::string list_kind = {};        // of what kind the parts are that an option of its own lists
  // Chooses those, once the section's own options are read; and has them.
  std::function<void(const Config&)> choose_listed = {};
  std::function<std::vector<Nested*>()> listed = {};
};
std::vector<Section> sections(Settings&);

// Of what was laid over the file, the keys that `Settings::read` refuses as options of parts that are not
// chosen: "learner.epochs".
std::vector<std::string> of_other_parts(const Config&);

// The JSON Schema (2020-12) of experiment files.
Json experiment_schema();

}  // namespace symma
