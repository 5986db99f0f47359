// How well agents do on tasks they have not seen, after 0, 1, ... steps of adaptation.
#pragma once

#include <map>
#include <vector>

#include "symma/core/options.h"
#include "symma/eval/statistics.h"
#include "symma/learners/learner.h"
#include "symma/tasks/task.h"

namespace symma {

struct EvalOptions {
  int64_t tasks = 600;
  std::vector<int64_t> steps{0, 1, 5, 10};
  std::string from = "everyone";
  bool ood = false;
  int64_t every = 0, validation_tasks = 50, agents = 0;
  void fields(Fields& f) {
    f.add("tasks", tasks, "test tasks; every agent is judged on the same ones").at_least(1);
    f.add("steps", steps, "steps of adaptation after which agents are judged, ascending")
        .at_least(0)
        .at_most(10000);
    f.add("from", from, "test tasks are of the whole population, or each agent's of its own slice")
        .one_of({"everyone", "own"});
    f.add("agents", agents, "how many agents are judged, evenly spaced over the fleet; 0: all").at_least(0);
    f.add("ood", ood, "judge on out-of-distribution tasks too");
    f.add("every", every, "rounds from one validation to the next; 0: twenty in a run").at_least(0);
    f.add("validation_tasks", validation_tasks, "tasks of a validation while training").at_least(1);
  }
};

// What is judged.
struct Subject {
  const Learner& learner;
  const Model& model;
  const TaskFamily& family;
  const State& state;
  std::vector<int64_t> counted = {};  // places of those that statistics are over, the honest ones; empty: all
};

using ScoreTable = std::vector<std::vector<std::vector<double>>>;  // [agent][step][task]

struct EvalResult {
  Split split;
  std::string metric;
  std::vector<int64_t> steps;
  std::map<std::string, ScoreTable> all;  // every score of the tasks, by its name
  std::vector<int64_t> agents;            // the numbers of those who were judged, in the order of the tables
  std::vector<int64_t> counted;           // as the subject's
  // What each task is made of (tasks/named.h), [agent][task]; empty where every task is drawn anew.
  std::vector<std::vector<std::string>> names = {};
  int64_t ways = 0;  // classes of a task; 0 where there are none
  const ScoreTable& scores() const { return all.at(metric); }
};

// Every agent of `subject` on `tasks` tasks: the same ones for all, unless from = "own".
EvalResult evaluate(const Subject& subject, Split, int64_t tasks, const std::vector<int64_t>& steps,
                    bool own_slice, Rng);

// Each task's score after the steps of that place in `steps`, averaged over the agents that count: [tasks].
std::vector<double> task_means(const EvalResult&, size_t step);
// The same of another of its scores.
std::vector<double> task_means(const EvalResult&, size_t step, const std::string& metric);

// The groups that the tasks are of, by their names; a task on which agents were judged apart, each on one of
// its own, is of all of theirs. Empty where tasks have no names.
Groups groups_of(const EvalResult&);

// summary.json's object: mean, ci95, median, quartiles over tasks (each task's score averaged over the agents
// that count; over groups, where tasks share them), what adapting changed, in pairs, and each agent's means,
// of all agents.
Json eval_json(const EvalResult&, const TaskSpec&, const std::string& protocol);

// Some tasks to draw: curves before and after adaptation, images or points with predictions. gallery.json's
// object, null where there is nothing to draw. `row` is what a row of the subject's state is called.
Json gallery(const Subject& subject, Split, int64_t tasks, int64_t steps, Rng,
             const std::string& row = "agent");

}  // namespace symma
