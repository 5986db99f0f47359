// Advantage actor-critic of a team, with a critic that sees what all see.
// Papoudakis et al. 2021, arXiv:2006.07869.
#include "symma/learners/teams/policy_gradient.h"

namespace symma {
namespace {

class Maa2c : public PolicyGradient {
 public:
  struct Options : PolicyGradientOptions {};

  Maa2c(const Options& o, const LearnerSetting& setting) : PolicyGradient(o, setting, true, "maa2c") {}
};

SYMMA_REGISTER(Learner, "maa2c", Maa2c, "advantage actor-critic for teams with a centralised critic",
               "Papoudakis et al. 2021, arXiv:2006.07869");

}  // namespace
}  // namespace symma
