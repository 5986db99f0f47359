// The plan of a sweep: every combination of the values of some settings.
#pragma once

#include <string>
#include <vector>

#include "symma/core/options.h"

namespace symma {

// A setting and the values that it takes: "seed=1..5", "exchange.topology=none,ring,full",
// "model.hidden=[40,40],[64,64]".
struct Axis {
  std::string key;
  std::vector<std::string> values;  // as --set takes them
};

// Throws UserError that names `text` where it is no such line.
Axis read_axis(const std::string& text);

// The `over` of a file's [sweep] section, "" where there is none; and its `jobs`, 0 where there is none.
struct SweepOptions {
  std::vector<std::string> over;
  int64_t jobs = 0;
  void fields(Fields& f) {
    f.add("over", over,
          "settings and the values that they take, as \"seed=1..5\"; every combination is a run");
    f.add("jobs", jobs, "runs at a time; 0: one").at_least(0);
  }
};

struct Combination {
  // A folder's: "topology=ring,kind=maml,seed=3". It goes by this combination alone, and not by which others
  // there are: a value that no folder can be called has a hash after it.
  std::string name;
  std::vector<std::string> settings;  // "exchange.topology=ring", ...
  Json values = Json::object();       // {"exchange.topology": "ring", ...}
};

// All of them, the first axis slowest, seeds last whichever axis they are. Throws UserError where a key comes
// twice or there are more than ten thousand.
std::vector<Combination> combinations(std::vector<Axis>);

// The file with settings laid over it, each as `origin` takes them.
Config laid_over(Config file, const std::vector<std::string>& settings, const std::string& origin = "--set");

// Settings for all runs, as --set takes them, without those that are options of parts that the run of `own`
// does not have: with --over learner.kind=maml,reptile, learner.order=1 is for maml.
std::vector<std::string> fitting(const Config& file, const std::vector<std::string>& common,
                                 const std::vector<std::string>& own);

// The same for each of a sweep's runs. Throws UserError where a run's own setting is no option of its parts,
// or one for all runs of none's: such runs were the same run twice.
std::vector<std::vector<std::string>> fitting_each(const Config& file, const std::vector<std::string>& common,
                                                   const std::vector<Combination>& all);

// The first setting by which the run of a folder differs from what is asked for, "learner.order: 1, and 2 is
// asked for"; "" where it is the same run. Nothing is built. Throws UserError where the folder holds no run.
std::string other_settings(const std::string& folder, const Config& asked);

}  // namespace symma
