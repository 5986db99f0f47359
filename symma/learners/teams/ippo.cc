// Independent PPO: every player learns by the clipped objective, with a critic that sees what the player
// sees. de Witt et al. 2020, arXiv:2011.09533.
#include "symma/learners/teams/policy_gradient.h"

namespace symma {
namespace {

class Ippo : public PolicyGradient {
 public:
  struct Options : PolicyGradientOptions {
    Options() { epochs = 4, clip = 0.2; }
    void fields(Fields& f) {
      f.add("epochs", epochs, "updates from each batch of episodes").at_least(1);
      f.add("clip", clip, "how far the ratio of new to old probabilities counts").above(0).below(1);
      PolicyGradientOptions::fields(f);
    }
  };

  Ippo(const Options& o, const LearnerSetting& setting) : PolicyGradient(o, setting, false, "ippo") {}
};

SYMMA_REGISTER(Learner, "ippo", Ippo, "independent PPO for teams", "de Witt et al. 2020, arXiv:2011.09533");

}  // namespace
}  // namespace symma
