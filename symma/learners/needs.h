// What learners need of their tasks and models, as data: said when a learner is built, so that a file which
// asks for what cannot be is refused while it is read.
#pragma once

#include <initializer_list>
#include <string>

#include "symma/learners/learner.h"

namespace symma {

enum class Need {
  kWorlds,      // [task] kind = "control", and its rewards
  kMatches,     // [task] kind = "games"
  kHands,       // ... of poker
  kPoints,      // labelled points
  kClasses,     // a classification
  kKept,        // tasks that can be stayed with over several rounds
  kChoices,     // actions that are chosen among
  kAllPlayers,  // no player whom a script plays
  kWholeTeams,  // worlds whose players stay to the end
  kAdvantages,  // [task] baseline = "linear"
  kFeedback,    // [task] feedback = true
  kFeatures,    // a model with a body and a head that makes all outputs
  kMemory,      // a model whose row holds what it remembers
  kNoRunning,   // a model without running statistics, for a learner that doesn't observe them (batch_norm.h)
};

// Throws UserError, which names the learner, for the first of the needs that is not met.
void need(const LearnerSetting&, const std::string& learner, std::initializer_list<Need>);

}  // namespace symma
