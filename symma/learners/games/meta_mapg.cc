// Meta-MAPG: a start from which a chain of policy gradient steps does well, among rivals whose steps it
// changes. Kim et al. 2021, arXiv:2011.00382: the own learning gradient and the peer learning gradient of
// theorem 1 are the derivatives of the two players' steps.
#include "symma/learners/games/matches.h"

namespace symma {
namespace {

class MetaMapg : public ChainLearner {
 public:
  using Options = ChainOptions;
  MetaMapg(const Options& o, const LearnerSetting& setting)
      : ChainLearner(o, setting, Sees::kAllSteps, "meta_mapg") {}
};

SYMMA_REGISTER(Learner, "meta_mapg", MetaMapg,
               "learns a start for a chain of updates, through its own steps and its rival's",
               "Kim et al. 2021, arXiv:2011.00382");

}  // namespace
}  // namespace symma
