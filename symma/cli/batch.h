// Many runs of one experiment file, each a process of its own in a folder of its own: a run that fails, or
// that the machine kills, costs no other.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "symma/core/options.h"

namespace symma {

struct Planned {
  std::string name;                   // of its folder
  std::vector<std::string> settings;  // "key=value", laid over the file
  Json values = Json::object();       // what sets it apart, key by key, for people
};

enum class Fate { kDone, kFailed, kStopped };  // kStopped: saved before its end, as asked

struct Outcome {
  Fate fate = Fate::kDone;
  bool ran = false;  // false: it was done already
  double seconds = 0;
  std::string why;  // of a failure: the last line that the run said
};

struct Batch {
  std::string file, folder;  // the experiment, and the folder that holds `runs/` and `logs/`
  int64_t jobs = 1;
  double until = 1;  // each run stops after this share of its rounds
  bool quiet = false;
  int threads = 0;  // of each run; 0: this program's, shared out
};

// Runs what is not done yet, goes on with what was begun, `jobs` at a time, and says on standard error how
// far it is. Outcomes stand in the order of the plan. Where this program is told to end (SIGINT, SIGTERM),
// the runs under way save and end, and it exits with 130 or 143; where it is killed, they are too.
std::vector<Outcome> run_batch(const Batch&, const std::vector<Planned>&);

}  // namespace symma
