// Value decomposition: the team's value is the sum of its players'. Sunehag et al. 2018, arXiv:1706.05296.
#include "symma/learners/teams/value_based.h"

namespace symma {
namespace {

class Sum : public Mixing {
 public:
  int64_t columns() const override { return 0; }
  Tensor init(std::span<const Rng> keys) const override {
    return at::empty({static_cast<int64_t>(keys.size()), 0});
  }
  Tensor loss(const Transitions& s, const Tensor&, const Tensor&) const override {
    const Tensor target = s.goal(s.team_reward(), s.next_value.sum(2));  // [R, M]
    return s.squared_error(s.chosen().sum(2), target);
  }
};

class Vdn : public ValueBased {
 public:
  using Options = ValueOptions;
  Vdn(const Options& o, const LearnerSetting& setting)
      : ValueBased(o, setting, std::make_unique<Sum>(), "vdn") {}
};

SYMMA_REGISTER(Learner, "vdn", Vdn, "Q-learning of a team whose value is the sum of its players'",
               "Sunehag et al. 2018, arXiv:1706.05296");

}  // namespace
}  // namespace symma
