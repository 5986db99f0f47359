// The folder of a sweep, from its claim to its end: what the program, the Python package and Ray share.
#pragma once

#include <string>
#include <vector>

#include "symma/core/options.h"

namespace symma {

// In the words of who asks: a "file" or an "experiment"; "choose another --out", "replace it with --force".
struct SweepWords {
  std::string experiment, other, replace;
};

// Takes the folder for a sweep, whose axes may grow. `common` is what its runs have in common: {"experiment":
// text, "set": [settings laid over it]}. Throws UserError where the folder holds a run, or a sweep of
// something else; `force` removes the latter.
void claim_sweep(const std::string& folder, const Json& common, bool force, const SweepWords&);

// Whether a run's folder holds a run that is trained, judged and reported.
bool is_done(const std::string& folder);

struct SweptRun {
  std::string name;  // of its folder
  Json values;       // what sets it apart
  bool failed = false;
  std::string why = {};  // of a failure: what it said
};

struct SweepEnd {
  Json written;  // what sweep.json holds
  std::string table;
  std::vector<std::string> failed;  // "name: why"
};

// Judges the runs and writes sweep.json, sweep.csv and report.html, each whole or not at all. Throws
// UserError where all failed; `remedy` is what to do then.
SweepEnd end_sweep(const std::string& folder, const Json& common, const std::vector<std::string>& over,
                   const std::vector<SweptRun>& runs, const std::vector<std::string>& stopped_early,
                   const std::string& remedy);

}  // namespace symma
