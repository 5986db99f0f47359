// A fleet whose settings differ from agent to agent: each row learns as a learner with that row's settings
// does. They stand in the State, so that they may change along a run, are saved with it, and go where a row
// goes. Population-based training (fleet/population.h) is what changes them.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "symma/learners/descends.h"
#include "symma/learners/restored.h"

namespace symma {

// What others ask a learner for (Restored, Descends) is what a row's own learner answers. Personal learners
// are refused: a row that is copied would carry what its agent says to nobody.
class OwnSettings : public Learner, public Restored, public Descends {
 public:
  // State.own: [N, S] float64, the settings in the order of their names.
  static constexpr const char* kKey = "settings";

  // `draft` is any learner with what the file says of it; of its options, those called `names` (numbers) come
  // from the row instead, whole ones rounded. `start` [N, S] float64 is what they are in the beginning.
  OwnSettings(LearnerRegistry::DraftPtr draft, const std::vector<std::string>& names, Tensor start,
              const LearnerSetting& setting);

  State init(std::span<const Rng> keys, at::ScalarType) const override;
  Scores step(State&, const TaskBatch&, Rng) const override;
  std::vector<Tensor> adapt(const State&, const TaskBatch&, std::span<const int64_t> steps,
                            Rng) const override;
  std::string fault(const State&) const override;
  std::optional<DescentRule> descent(const State&, int64_t place) const override;

 private:
  std::unique_ptr<Learner> with(const Tensor& settings /*[S]*/) const;
  std::vector<std::unique_ptr<Learner>> of_rows(const State&) const;

  LearnerRegistry::DraftPtr draft_;
  mutable std::mutex filling_;  // the draft is filled in and built from by one thread at a time
  std::vector<Field::Target> targets_;
  Tensor start_;
  LearnerSetting setting_;
};

}  // namespace symma
