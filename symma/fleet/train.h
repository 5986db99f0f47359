// A run: rounds, its log, checkpoints, until it is done or stopped.
#pragma once

#include <functional>
#include <string>

#include "symma/fleet/log.h"
#include "symma/fleet/round.h"
#include "symma/fleet/summary.h"

namespace symma {

struct Progress {
  int64_t round, rounds;
  double rounds_per_s, seconds_left;
  double loss;   // mean query loss since the last row of metrics.jsonl
  double score;  // the last validation's, after the most steps; NaN before the first
  bool logged;   // this round wrote a row of metrics.jsonl
  // Spent so far, NaN where nothing is protected. Asked for where it is shown: it may take a while to find.
  std::function<double()> epsilon;
};

struct TrainHooks {
  std::function<void(const Progress&)> progress = [](const Progress&) {};
  std::function<bool()> stop = [] { return false; };  // asked after every round
  std::function<bool()> save = [] { return false; };  // the same: whether to save and go on
  std::vector<LogListener> listeners = {};            // beside metrics.jsonl and TensorBoard
  // Of a fleet in several processes: who came, and who is gone, in words.
  std::function<void(const std::string&)> news = [](const std::string&) {};
};

// Trains to the last round, or until hooks.stop, or until somebody asked for it (core/interrupt.h), which is
// heard within a round too: what that round did is then forgotten. Writes experiment.toml, metrics.jsonl,
// checkpoint.safetensors and TensorBoard's events in `run.folder`. Returns whether all is done; `state.round`
// is where it stopped and what was saved, and no more of `state` is to be used then.
bool train(const Experiment&, const RunOptions& run, const TrainHooks&, RunState& state);

}  // namespace symma
