// Everything a run needs to go on, in one safetensors file: "theta", what each agent keeps ("own.*"), what
// the exchange keeps ("exchange.*", "ledger.bits"), the scores not yet recorded ("log.*"), "counters" and
// "seconds". docs/files.md has the list.
#pragma once

#include <memory>
#include <string>

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

void save_checkpoint(const std::string& path, const Experiment&, const RunState&);

// Throws UserError for a file that is missing, cut short, foreign, or of another experiment.
RunState load_checkpoint(const std::string& path, const Experiment&);

}  // namespace symma
