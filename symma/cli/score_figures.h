// What the runs of a scorecard say: each item as a figure with its interval, and what it is held against.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "symma/cli/score_plan.h"
#include "symma/eval/statistics.h"

namespace symma {

// Where the runs are, and what was laid over the file for all of them.
struct ScoreRuns {
  std::string file, folder;
  std::vector<std::string> settings;
  int64_t seeds = 3, rounds = 0;
  std::string of = "mean";  // or "median": what a seed's figure is, over its tasks
};

// The training that an item's figure is of, by the item that it is named after: items of equal settings share
// theirs, which is in runs/NAME,seed=N.
std::map<std::string, std::string> trained_as(const std::vector<ScoreItem>&);

// scorecard.json's "figures" of those items whose runs are done: as docs/files.md has them. What an item is
// held against has to be among them.
Json score_figures(const ScoreRuns&, const Experiment& base, const std::vector<ScoreItem>&);

// The score of the file's own runs before anything was learned of a task; null where nothing adapts.
Json before_adapting(const ScoreRuns&);

// Where a few tasks that went astray rule the mean of a seed of the file's own runs: {"seed", "mean",
// "median"}, else null.
Json ruled_by_few(const ScoreRuns&);

}  // namespace symma
