// A run folder as the report sees it: summary.json, metrics.jsonl and, where there are, gallery.json,
// lineage.jsonl and roster.jsonl.
#pragma once

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "symma/core/options.h"
#include "symma/report/presence.h"

namespace symma {

// Scores over T unseen tasks after S numbers of adaptation steps. NaN where a score was null: not finite.
struct Evaluation {
  std::string split, metric, protocol;
  bool higher_is_better = false;
  int64_t tasks = 0;
  int64_t groups = 0;      // that the tasks are of; 0 where they share none
  std::string group_word;  // what a group is
  double chance =
      std::numeric_limits<double>::quiet_NaN();  // what guessing reaches; NaN where it is not known
  struct Rule {
    std::string name;
    double mean = 0, ci95 = 0;
  };
  std::vector<Rule> rules;                         // what simple rules reach on the same tasks
  Json change;                                     // what adapting changed; null where it is not known
  std::vector<int64_t> steps;                      // [S]
  std::vector<double> mean, ci95, median, q1, q3;  // [S] each; ci95 is half the interval's width
  std::vector<std::vector<double>> per_agent;      // [agents][S], or empty
  // Over agents, [S] each, or empty: interquartile means and their 95 % intervals.
  std::vector<double> agents_mean, agents_ci95, agents_iqm, agents_low, agents_high;
  bool percent() const { return metric == "accuracy"; }  // a share of 1, read as percent
};

struct Link {
  int64_t from = 0, to = 0;
  double bits = 0;
};

struct Communication {
  std::string topology, strategy;
  int64_t rounds = 0;
  double bits = 0;
  double disagreement = 0, lambda2 = 0;      // NaN where it is not known
  bool server = false;                       // then node number `agents` is the server
  int64_t directed_edges = 0;                // how many there are, listed or not
  std::vector<std::vector<double>> weights;  // [nodes][nodes], or empty
  std::vector<Link> links;                   // directed
};

struct Validation {
  double round = 0, seconds = 0, bits = 0, env_steps = 0;
  std::vector<double> mean;
  std::vector<double> iqm, low, high;  // over agents, with the 95 % interval; empty where not recorded
};

struct Training {  // one entry a row of metrics.jsonl
  std::vector<double> round, seconds, bits, loss, disagreement;
  std::vector<double> epsilon;  // spent so far; NaN where nothing is protected
  std::map<std::string, std::vector<double>>
      scores;                                       // what else the learner told: "return"; NaN in other rows
  std::vector<double> env_steps;                    // an agent's steps in its worlds; NaN where it has none
  std::vector<std::vector<double>> loss_per_agent;  // [rows][agents], or empty lists
  std::string metric;                               // of the validation
  std::vector<int64_t> steps;                       // of the validation
  std::vector<Validation> validation;
};

struct Generation {  // after a selection of population-based training; the first is the beginning
  double round = 0;
  std::vector<std::vector<double>> settings;  // [settings][agents]
  std::vector<double> score;                  // [agents], before it; empty in the first
  std::vector<int64_t> from;                  // [agents]: whom each goes on from; empty in the first
};

struct Population {
  std::vector<std::string> settings;  // their names
  std::vector<Generation> generations;
  int64_t best = 0;  // the agent that ended best on validation tasks
};

struct Run {
  std::string folder, name, version, description, device, task, model, learner;
  int64_t seed = 0, agents = 0, rounds = 0, parameters = 0, threads = 0;
  int64_t seeds = 1;         // independent repetitions of one agent, rather than agents beside each other
  int64_t rounds_asked = 0;  // 0 where the run ended
  double wall_s = 0, tasks_per_s = 0;
  bool finished = true;
  Json settings = Json::object();
  Json changed;  // {section: [keys]}: settings that are not at their defaults; null where it is not known
  std::vector<std::string> agent_share;  // [agents], or empty
  std::optional<Evaluation> eval, ood;
  Communication exchange;
  std::string attack;                        // of the hostile agents; "" where all are honest
  std::string hostile;                       // which agents, in words
  std::string rule;                          // of aggregation, with what comes before it
  std::string compression, privacy, secure;  // in words; "" for none
  Training training;
  std::optional<Population> population;
  std::optional<Presence> presence;  // of a fleet in several processes
  Json gallery;                      // null where there is none

  // What a row is called.
  std::string one() const { return seeds > 1 ? "repetition" : "agent"; }
  // Whether agents were judged each on tasks of its own slice, and not all on the same.
  bool of_own_slices() const {
    const Json::json_pointer from("/eval/from");
    return seeds == 1 && settings.contains(from) && settings.at(from) == "own";
  }
  bool shares() const { return exchange.bits > 0 || !exchange.links.empty() || exchange.directed_edges > 0; }
  std::string topology() const { return exchange.topology.empty() ? "none" : exchange.topology; }
};

// Throws UserError that names the file, what is wrong in it and the remedy.
Run read_run(const std::string& folder);

// Reads all, and gives runs of the same name distinct ones: the seed is added, or the folder's name, or a
// number.
std::vector<Run> read_runs(const std::vector<std::string>& folders);

}  // namespace symma
