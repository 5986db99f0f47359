// The round loop: sample, learn, exchange, record, checkpoint.
#pragma once

#include <functional>
#include <string>

#include "symma/fleet/checkpoint.h"
#include "symma/fleet/experiment.h"

namespace symma {

struct Progress {
  int64_t round, rounds;
  double rounds_per_s, seconds_left;
  double loss;     // mean query loss since the last row of metrics.jsonl
  double score;    // the last validation's, after the most steps; NaN before the first
  bool logged;     // this round wrote a row of metrics.jsonl
  double epsilon;  // spent so far; NaN where nothing is protected
};

struct TrainHooks {
  std::function<void(const Progress&)> progress = [](const Progress&) {};
  std::function<bool()> stop = [] { return false; };  // asked after every round
};

struct RunOptions {
  std::string folder;
  bool resume = false, force = false;
  std::string device = "cpu";
};

// One round for all agents, without files. What their steps return is added to the state's sums.
void run_round(const Experiment&, RunState&);

// Trains to the last round, or until hooks.stop. Writes experiment.toml, metrics.jsonl,
// checkpoint.safetensors and TensorBoard's events in `run.folder`. Returns whether all rounds are done;
// `state` is where it stopped.
bool train(const Experiment&, const RunOptions& run, const TrainHooks&, RunState& state);

// The fleet on the tasks that its experiment asks for, and summary.json's object about that: what eval_json
// has, and "judged_on", which tasks these were.
EvalResult judge(const Experiment&, const State&, Split);
Json verdict(const Experiment&, const EvalResult&);

// Judges the fleet on the test tasks, and writes summary.json and gallery.json. Returns the summary.
Json conclude(const Experiment&, const RunOptions& run, const RunState&);

}  // namespace symma
