// What processes of a fleet make known to the first, and what it makes of that: for a row of the log, and
// where agents were judged.
//
// Other processes may be other people's. What they send is looked at before it is used: a parcel that is not
// of the form that it should have is one that did not come.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "symma/fleet/checkpoint.h"
#include "symma/fleet/summary.h"

namespace symma {

// Tensors as the bytes of a letter, and back: nothing where they are none.
std::string letter_of(const TensorDict&);
std::optional<TensorDict> tensors_in(const std::string& bytes);

void put_text(TensorDict& to, const std::string& name, const std::string& text);

// What a process makes known for a row of the log; `stop`: that it was asked to end. Under secure aggregation
// no row: the first process is the server's.
TensorDict account_of(const Experiment&, const RunState&, bool log, bool stop);

// Scores as tensors, and back: nothing where these are no scores of some of `agents`, after as many steps
// and, where `like` has any, of the same names and tasks.
void put_scores(TensorDict& to, const std::string& prefix, const EvalResult&);
std::optional<EvalResult> scores_in(const TensorDict&, const std::string& prefix, const Experiment&, Split,
                                    const std::vector<int64_t>& agents, const EvalResult* like);

// The state of a process's agents, [theta, what they keep ...]; nothing where the bytes are not that.
std::optional<RunState> state_in(const Experiment&, const RunState& start, const std::string& bytes);

// The whole fleet, as far as a row of the log speaks of it. Of a process that is gone the rows are those it
// was last known with, and count for nothing since.
class Overview {
 public:
  Overview(const Experiment&, const std::vector<std::vector<int64_t>>& shares);

  // What came for a row; those that make no sense are emptied, and the scores of a validation are kept.
  void add(std::vector<std::string>& parcels, bool log, bool judged);
  // Which processes have been asked to end.
  const std::vector<bool>& ending() const { return ending_; }
  std::vector<EvalResult> validation() const;
  // What else a process put into its parcel, as text; "" where it did not.
  std::string note(int64_t place, const std::string& name) const;

  // Rows as they were last known, [N, Q].
  Tensor theta() const { return joined("theta"); }
  // For each agent of a process the mean row of its neighbours elsewhere that have been heard of, or of all
  // these: what a newcomer begins with.
  Json beside(int64_t place) const;
  RunState run(const RunState& own) const;

 private:
  Tensor joined(const std::string& name) const;
  bool fits(const TensorDict& now, size_t place, bool log) const;
  const Experiment& e_;
  const std::vector<std::vector<int64_t>>& shares_;
  std::vector<TensorDict> last_, now_;
  std::vector<std::optional<EvalResult>> scores_;
  std::vector<bool> ending_;
  std::set<int64_t> heard_;
};

}  // namespace symma
