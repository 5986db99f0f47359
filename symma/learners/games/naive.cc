// Naive learning: a player follows its own gradient, as if its rival stood still. Among personas this is
// REINFORCE on all of them pooled, Williams 1992; the chain of updates begins where that ends.
#include "symma/learners/games/matches.h"

namespace symma {
namespace {

class Naive : public ChainLearner {
 public:
  using Options = ChainOptions;
  Naive(const Options& o, const LearnerSetting& setting)
      : ChainLearner(o, setting, Sees::kNothing, "naive") {}
};

SYMMA_REGISTER(Learner, "naive", Naive, "follows its own gradient, as if its rival stood still",
               "Williams 1992; Foerster et al. 2018, arXiv:1709.04326");

}  // namespace
}  // namespace symma
