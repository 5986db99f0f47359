// QMIX: the team's value grows with each of its players'. Rashid et al. 2018, arXiv:1803.11485.
//
//   Q = |w2(s)|^T elu(|W1(s)|^T q + b1(s)) + v(s),   W1, w2, b1 and v are networks of what all players see
#include "symma/learners/teams/value_based.h"

namespace symma {
namespace {

class Monotonic : public Mixing {
 public:
  Monotonic(const TeamShape& s, int64_t embed, int64_t hyper) : players_(s.players), embed_(embed) {
    nets_.add({hyper}, s.state(), players_ * embed);  // W1
    nets_.add({}, s.state(), embed);                  // b1
    nets_.add({hyper}, s.state(), embed);             // w2
    nets_.add({embed}, s.state(), 1);                 // v
  }
  int64_t columns() const override { return nets_.columns(); }
  Tensor init(std::span<const Rng> keys) const override { return nets_.init(keys); }

  Tensor loss(const Transitions& s, const Tensor& mixer, const Tensor& target) const override {
    Tensor to;
    {
      at::NoGradGuard no_grad;
      to = s.goal(s.team_reward(), mix(target, s.next_value, s.next_state));
    }
    return s.squared_error(mix(mixer, s.chosen(), s.state), to);
  }

 private:
  Tensor mix(const Tensor& row, const Tensor& q /*[R,M,A]*/, const Tensor& state /*[R,M,S]*/) const {
    const int64_t r = q.size(0), m = q.size(1);
    const Tensor w1 = nets_.forward(0, row, state).abs().view({r, m, players_, embed_});
    const Tensor hidden =
        at::elu((q.unsqueeze(3) * w1).sum(2) + nets_.forward(1, row, state));  // [R, M, embed]
    return (hidden * nets_.forward(2, row, state).abs()).sum(2) + nets_.forward(3, row, state).squeeze(2);
  }

  int64_t players_, embed_;
  Networks nets_;
};

class Qmix : public ValueBased {
 public:
  struct Options : ValueOptions {
    int64_t embed = 32, hypernet = 64;
    void fields(Fields& f) {
      f.add("embed", embed, "width of the mixing network").at_least(1);
      f.add("hypernet", hypernet, "width of the networks that make its weights").at_least(1);
      ValueOptions::fields(f);
    }
  };
  Qmix(const Options& o, const LearnerSetting& setting)
      : ValueBased(o, setting, std::make_unique<Monotonic>(TeamShape(setting, "qmix"), o.embed, o.hypernet),
                   "qmix") {}
};

SYMMA_REGISTER(Learner, "qmix", Qmix, "Q-learning of a team whose value grows with each player's",
               "Rashid et al. 2018, arXiv:1803.11485");

}  // namespace
}  // namespace symma
