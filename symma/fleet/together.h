// A run of several processes: each learns with its own agents, and the first writes down what all came to.
//
// Between two rows of the log processes meet by what their agents say to each other, and not otherwise. For a
// row, each makes known to the first what its agents did; the first answers whether to go on, and with whom.
// The bits are those of one process (tests/fleet/processes_test.cc).
//
// A process that is gone is a letter that did not come. One that is back, with its own agents as it has them
// or as it last saved them, asks the first, and is let in at a row of the log (fleet/roster.h).
#pragma once

#include <optional>

#include "symma/fleet/placement.h"
#include "symma/fleet/roster.h"
#include "symma/fleet/train.h"
#include "symma/transports/comings.h"

namespace symma {

// One process of a fleet, as it sees itself.
class Party {
 public:
  // `shares` are the agents of each process, and `letters` what leads to the others.
  Party(int64_t place, std::vector<std::vector<int64_t>> shares, Transport& letters)
      : place_(place),
        shares_(std::move(shares)),
        letters_(letters),
        comings_(dynamic_cast<Comings*>(&letters)) {}

  bool first() const { return place_ == 0; }
  int64_t places() const { return static_cast<int64_t>(shares_.size()); }
  const std::vector<int64_t>& agents() const { return shares_[place_]; }
  const std::vector<std::vector<int64_t>>& shares() const { return shares_; }
  int64_t place() const { return place_; }
  Transport& letters() { return letters_; }
  Comings* comings() { return comings_; }  // null where nobody comes later

  // What each process makes known, at the first; empty where nothing came, and elsewhere.
  std::vector<std::string> gather(const std::string& mine);
  // What the first tells each, at each; nothing where it did not come.
  std::optional<std::string> tell(const std::vector<std::string>& each);

  // How often all have met; one that comes in is told.
  int64_t meetings() const { return meetings_; }
  void enter(const Entry& entry);

 private:
  int64_t place_;
  std::vector<std::vector<int64_t>> shares_;
  Transport& letters_;
  Comings* comings_;
  int64_t meetings_ = 0;
};

// What several processes cannot do yet, in words. Throws UserError.
void check_together(const Experiment&, const RunOptions&);

// As `train`; in the end `state` is that of the whole fleet at the first process, and of its own agents at
// the others. What is logged, saved and told to `hooks` is so at the first.
bool train_together(const Experiment&, const RunOptions& run, const TrainHooks&, Party&, RunState& state);

// The whole fleet judged, each process its own agents: at the first, what `conclude` takes.
std::vector<EvalResult> judge_together(const Experiment&, Party&, const State& own);

// Thrown where the first process has said what is wrong.
struct ToldElsewhere {};

}  // namespace symma
