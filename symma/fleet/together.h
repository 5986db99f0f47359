// A run of several processes: each learns with its own agents, and the first writes down what all came to.
//
// Between two rows of the log processes meet by what their agents say to each other, and not otherwise. For a
// row, each makes known to the first what its agents did; the first answers whether to go on, and with whom.
// The bits are those of one process (tests/fleet/processes_test.cc).
//
// A fleet may be open: others than its first process are then other people's, each with a folder of its own.
// What they make known is looked at first, they cannot end the run, and those who want to leave do.
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
  // `shares` are the agents of each process, and `letters` what leads to the others. `run` names the run
  // where others than the first are other people's, with folders of their own, who come and go as they like.
  Party(int64_t place, std::vector<std::vector<int64_t>> shares, Transport& letters, std::string run = "")
      : place_(place),
        shares_(std::move(shares)),
        letters_(letters),
        comings_(dynamic_cast<Comings*>(&letters)),
        run_(std::move(run)) {}

  bool first() const { return place_ == 0; }
  int64_t places() const { return static_cast<int64_t>(shares_.size()); }
  const std::vector<int64_t>& agents() const { return shares_[place_]; }
  const std::vector<std::vector<int64_t>>& shares() const { return shares_; }
  int64_t place() const { return place_; }
  Transport& letters() { return letters_; }
  Comings* comings() { return comings_; }  // null where nobody comes later
  bool open() const { return !run_.empty(); }
  bool guest() const { return open() && !first(); }
  const std::string& run() const { return run_; }

  // Takes the newest letters of agents that have come, up to so many rounds old, and waits for no round; 0,
  // as it is without: waits.
  void run_free(int64_t staleness) { staleness_ = staleness; }
  int64_t staleness() const { return staleness_; }

  // What each process makes known, at the first; empty where nothing came, and elsewhere.
  std::vector<std::string> gather(const std::string& mine);
  // What the first tells each, at each; nothing where it did not come.
  std::optional<std::string> tell(const std::vector<std::string>& each);

  // What one that comes in has to say before it takes part, at the first: of each of them, "" where it did
  // not.
  std::vector<std::string> words(const std::vector<int64_t>& coming);
  void say(const std::string& word);

  // How often all have met; one that comes in is told.
  int64_t meetings() const { return meetings_; }
  void enter(const Entry& entry);

 private:
  void send(int64_t to, int64_t number, Letter::Kind, const std::string& text);
  // What the processes at these places, ascending, made known; "" of one that did not.
  std::vector<std::string> heard(int64_t number, const std::vector<int64_t>& places);
  int64_t place_;
  std::vector<std::vector<int64_t>> shares_;
  Transport& letters_;
  Comings* comings_;
  std::string run_;
  int64_t meetings_ = 0, staleness_ = 0;
};

// What several processes cannot do yet, in words. Throws UserError.
void check_together(const Experiment&, const RunOptions&, bool open = false);
// And where they run free.
void check_free(const Experiment&);

// As `train`; in the end `state` is that of the whole fleet at the first process, and of its own agents at
// the others. What is logged, saved and told to `hooks` is so at the first.
bool train_together(const Experiment&, const RunOptions& run, const TrainHooks&, Party&, RunState& state);

// The whole fleet judged, each process its own agents: at the first, what `conclude` takes.
std::vector<EvalResult> judge_together(const Experiment&, Party&, const State& own);

// Thrown where the first process has said what is wrong.
struct ToldElsewhere {};

}  // namespace symma
