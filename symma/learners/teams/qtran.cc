// QTRAN-base: a joint value Q(s, u) learns by itself, and the players' values q_i are bent so that what is
// best for each is best for the team. Son et al. 2019, arXiv:1905.05408.
//
//   L = (Q(s,u) - r - g Q'(s',u'))^2 + w1 (sum_i q_i(u*_i) - Q(s,u*) + v(s))^2 + w2 min(0, sum_i q_i(u_i) -
//   Q(s,u) + v(s))^2
//
// with u* what each player would do, and Q a constant in the last two terms.
#include "symma/learners/teams/value_based.h"

namespace symma {
namespace {

class Transformed : public Mixing {
 public:
  Transformed(const TeamShape& s, int64_t hidden, double best, double other)
      : actions_(s.actions), best_(best), other_(other) {
    nets_.add({hidden, hidden}, s.state() + s.players * s.actions, 1);  // Q
    nets_.add({hidden, hidden}, s.state(), 1);                          // v
  }
  int64_t columns() const override { return nets_.columns(); }
  Tensor init(std::span<const Rng> keys) const override { return nets_.init(keys); }

  Tensor loss(const Transitions& s, const Tensor& mixer, const Tensor& target) const override {
    Tensor to, top;
    {
      at::NoGradGuard no_grad;
      to = s.goal(s.team_reward(), joint(target, s.next_state, s.next_action));
      top = s.values.detach().masked_fill(s.mask.logical_not(), -1e9).argmax(3);  // u*, [R, M, A]
    }
    const Tensor q = joint(mixer, s.state, s.action), q_top = joint(mixer, s.state, top).detach();
    const Tensor v = nets_.forward(1, mixer, s.state).squeeze(2);
    Tensor best = s.values.gather(3, top.unsqueeze(3)).squeeze(3);
    if (s.learning.defined()) best = best * s.learning;
    const Tensor at_top = best.sum(2) - q_top + v;
    const Tensor elsewhere = (s.chosen().sum(2) - q.detach() + v).clamp_max(0);
    return s.squared_error(q, to) +
           ((best_ * at_top.square() + other_ * elsewhere.square()) * s.weight).sum(1);
  }

 private:
  Tensor joint(const Tensor& row, const Tensor& state, const Tensor& action /*[R,M,A]*/) const {
    const Tensor u = at::one_hot(action, actions_).flatten(2).to(state.scalar_type());
    return nets_.forward(0, row, at::cat({state, u}, 2)).squeeze(2);
  }

  int64_t actions_;
  double best_, other_;
  Networks nets_;
};

class Qtran : public ValueBased {
 public:
  struct Options : ValueOptions {
    int64_t joint_hidden = 64;
    double best_weight = 1, other_weight = 1;
    void fields(Fields& f) {
      f.add("joint_hidden", joint_hidden, "width of the joint value's layers").at_least(1);
      f.add("best_weight", best_weight, "w1: of what players would do").at_least(0);
      f.add("other_weight", other_weight, "w2: of what they did").at_least(0);
      ValueOptions::fields(f);
    }
  };
  Qtran(const Options& o, const LearnerSetting& setting)
      : ValueBased(o, setting,
                   std::make_unique<Transformed>(TeamShape(setting, "qtran"), o.joint_hidden, o.best_weight,
                                                 o.other_weight),
                   "qtran") {}
};

SYMMA_REGISTER(Learner, "qtran", Qtran, "Q-learning of a team by a joint value that its players' agree with",
               "Son et al. 2019, arXiv:1905.05408");

}  // namespace
}  // namespace symma
