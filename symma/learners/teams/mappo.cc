// Multi-agent PPO: every player learns by the clipped objective, with a critic that sees what all see.
// Yu et al. 2022, arXiv:2103.01955.
#include "symma/learners/teams/policy_gradient.h"

namespace symma {
namespace {

class Mappo : public PolicyGradient {
 public:
  struct Options : PolicyGradientOptions {
    Options() { epochs = 4, clip = 0.2; }
    void fields(Fields& f) {
      f.add("epochs", epochs, "updates from each batch of episodes").at_least(1);
      f.add("clip", clip, "how far the ratio of new to old probabilities counts").above(0).below(1);
      PolicyGradientOptions::fields(f);
    }
  };

  Mappo(const Options& o, const LearnerSetting& setting) : PolicyGradient(o, setting, true, "mappo") {}
};

SYMMA_REGISTER(Learner, "mappo", Mappo, "PPO for teams with a centralised critic",
               "Yu et al. 2022, arXiv:2103.01955");

}  // namespace
}  // namespace symma
