// A table of logits, one row of it for each state: the policy that most of what is known about repeated games
// is known of. An input is a one-hot of the state, or any weights of states.
//
// With minimal = true the last action's logit is 0 and has no parameter, so that a table for two actions
// holds one number a state, whose sigmoid is the probability of the first: the form of Foerster et al. 2018,
// arXiv:1709.04326. Else every action has its own, as in Kim et al. 2021, arXiv:2011.00382. The two differ in
// how far a gradient step goes. There is no head.bias: it would be shared by all states.
#include "symma/core/normal.h"
#include "symma/nn/model.h"

namespace symma {
namespace {

class Tabular : public Model {
 public:
  struct Options {
    bool minimal = true;
    double std = 1;
    void fields(Fields& f) {
      f.add("minimal", minimal, "the last action's logit is 0, rather than a parameter");
      f.add("std", std, "deviation of the logits at the start, which are normal").at_least(0);
    }
  };

  Tabular(const Options& o, const ModelShape& shape) : o_(o), out_(shape.out) {
    for (int64_t n : shape.in) states_ *= n;
    layout_.add("head.weight", {states_, columns()});
  }

  const Layout& layout() const override { return layout_; }

  Tensor init(std::span<const Rng> keys) const override {
    const int64_t size = layout_.size();
    Tensor theta = at::empty({static_cast<int64_t>(keys.size()), size}, at::kFloat);
    auto* row = theta.data_ptr<float>();
    for (const Rng& key : keys) fill_normal(key.split("head.weight"), row, size), row += size;
    return theta.mul_(o_.std);
  }

  Tensor forward(const Tensor& theta, const Tensor& x, Mode mode) const override {
    const Tensor logits = at::bmm(features(theta, x, mode), theta.reshape({-1, states_, columns()}));
    return columns() == out_ ? logits : at::constant_pad_nd(logits, {0, 1});  // [B, K, out]
  }

  Tensor features(const Tensor& theta, const Tensor& x, Mode) const override {
    return x.reshape({x.size(0), x.size(1), states_}).to(theta.scalar_type());
  }

 private:
  int64_t columns() const { return o_.minimal ? out_ - 1 : out_; }

  Options o_;
  int64_t states_ = 1, out_;
  Layout layout_;
};

SYMMA_REGISTER(Model, "tabular", Tabular, "a table of logits, for inputs that are one of a few states",
               "Foerster et al. 2018, arXiv:1709.04326");

}  // namespace
}  // namespace symma
