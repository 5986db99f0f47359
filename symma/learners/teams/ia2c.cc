// Independent advantage actor-critic: every player by itself.
// Mnih et al. 2016, arXiv:1602.01783; for teams Papoudakis et al. 2021, arXiv:2006.07869.
#include "symma/learners/teams/policy_gradient.h"

namespace symma {
namespace {

class Ia2c : public PolicyGradient {
 public:
  struct Options : PolicyGradientOptions {};

  Ia2c(const Options& o, const LearnerSetting& setting) : PolicyGradient(o, setting, false, "ia2c") {}
};

SYMMA_REGISTER(Learner, "ia2c", Ia2c, "independent advantage actor-critic for teams",
               "Mnih et al. 2016, arXiv:1602.01783; Papoudakis et al. 2021, arXiv:2006.07869");

}  // namespace
}  // namespace symma
