// Everything a run needs to go on, in one safetensors file: "theta", what each agent keeps ("own.*"), what
// the exchange keeps ("exchange.*", "ledger.bits"), the scores not yet recorded ("log.*"), "counters" and
// "seconds". docs/files.md has the list.
#pragma once

#include <memory>
#include <string>

#include "symma/core/safetensors.h"
#include "symma/fleet/experiment.h"
#include "symma/fleet/folder_lock.h"

namespace symma {

struct RunState {
  State learner;
  ExchangeState exchange;
  int64_t round = 0;   // rounds done
  int64_t tasks = 0;   // learned from by all agents together
  double seconds = 0;  // spent on them
  // Since the last row of metrics.jsonl: the sums of what each agent's steps returned ("loss", and what else
  // its learner has to tell), [N] float64 each, and the rounds that it took part in, [N] float64.
  TensorDict sums;
  Tensor rounds;
  Json selection;  // what population-based training did in the last round; null where it did nothing
  std::shared_ptr<const FolderLock> lock;  // of the run's folder, while somebody trains in it
};

// A fresh fleet, before its first round.
RunState start_run(const Experiment&);
// A part of it, of these agents, ascending: without a server none of the others is made.
RunState start_run(const Experiment&, const std::vector<int64_t>& ids);

void save_checkpoint(const std::string& path, const Experiment&, const RunState&);

// Throws UserError for a file that is missing, cut short, foreign, or of another experiment.
RunState load_checkpoint(const std::string& path, const Experiment&);

// A process's part of a whole run, and the whole of several parts. What is counted for all, tasks and
// seconds, is with the agent of the lowest number.
RunState part_of(const Experiment&, const RunState& whole, const std::vector<int64_t>& ids);
RunState join(const Experiment&, const std::vector<RunState>& parts);

// A run, or a part of one, as what a file of it holds, and back: `fresh` is what a start of it looks like.
Safetensors file_of(const Experiment&, const RunState&);
RunState run_of(const Experiment&, RunState fresh, const Safetensors&, const std::string& place);

}  // namespace symma
