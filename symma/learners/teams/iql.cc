// Independent Q-learning: every player learns what its own actions are worth, as if it were alone.
// Tan 1993; with networks Tampuu et al. 2017, arXiv:1511.08779.
#include "symma/learners/teams/value_based.h"

namespace symma {
namespace {

class Alone : public Mixing {
 public:
  int64_t columns() const override { return 0; }
  Tensor init(std::span<const Rng> keys) const override {
    return at::empty({static_cast<int64_t>(keys.size()), 0});
  }
  Tensor loss(const Transitions& s, const Tensor&, const Tensor&) const override {
    const Tensor target = s.goal(s.reward, s.next_value);  // [R, M, A]
    const Tensor square = s.square(s.chosen(), target);
    if (!s.learning.defined()) return (square.mean(2) * s.weight).sum(1);
    // The mean over all that players did who were there.
    const Tensor share = s.learning * s.weight.unsqueeze(2);
    return (square * share).sum({1, 2}) / share.sum({1, 2}).clamp_min(1e-12);
  }
};

class Iql : public ValueBased {
 public:
  using Options = ValueOptions;
  Iql(const Options& o, const LearnerSetting& setting)
      : ValueBased(o, setting, std::make_unique<Alone>(), "iql") {}
};

SYMMA_REGISTER(Learner, "iql", Iql, "independent Q-learning of a team's players",
               "Tampuu et al. 2017, arXiv:1511.08779");

}  // namespace
}  // namespace symma
