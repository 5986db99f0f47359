// Meta-PG: a start from which a chain of own policy gradient steps does well, while rivals' steps are taken
// as they come. Al-Shedivat et al. 2018, arXiv:1710.03641, as a baseline in Kim et al. 2021,
// arXiv:2011.00382.
#include "symma/learners/games/matches.h"

namespace symma {
namespace {

class MetaPg : public ChainLearner {
 public:
  using Options = ChainOptions;
  MetaPg(const Options& o, const LearnerSetting& setting)
      : ChainLearner(o, setting, Sees::kOwnSteps, "meta_pg") {}
};

SYMMA_REGISTER(Learner, "meta_pg", MetaPg,
               "learns a start for a chain of updates, through its own steps alone",
               "Al-Shedivat et al. 2018, arXiv:1710.03641");

}  // namespace
}  // namespace symma
