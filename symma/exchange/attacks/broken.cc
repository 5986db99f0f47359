// Agents that are broken rather than hostile: noise about their own row; nothing but NaN or infinity; the row
// that they said first, for ever; nothing at all; and honest rows learned from labels that are wrong.
#include <cmath>
#include <limits>

#include "symma/exchange/attack.h"

namespace symma {
namespace {

class Noise final : public Attack {
 public:
  struct Options {
    double sd = 1;
    void fields(Fields& f) { f.add("sd", sd, "standard deviation of the noise on each value").above(0); }
  };
  explicit Noise(Options o) : o_(o) {}
  Tensor send(const Scene& s, Rng rng) const override {
    return s.own.detach() + o_.sd * normal(rng.split("noise"), {s.own.size(0)}, s.own.scalar_type());
  }

 private:
  Options o_;
};

class NotANumber final : public Attack {
 public:
  struct Options {
    std::string value = "nan";
    double share = 1;
    void fields(Fields& f) {
      f.add("value", value, "what the values become").one_of({"nan", "inf", "-inf"});
      f.add("share", share, "share of the values that are hit").above(0).at_most(1);
    }
  };
  explicit NotANumber(Options o) : o_(std::move(o)) {}
  Tensor send(const Scene& s, Rng rng) const override {
    const double inf = std::numeric_limits<double>::infinity();
    const double v = o_.value == "nan"   ? std::numeric_limits<double>::quiet_NaN()
                     : o_.value == "inf" ? inf
                                         : -inf;
    if (o_.share == 1) return at::full_like(s.own.detach(), v);
    return s.own.detach().masked_fill(uniform(rng.split("hit"), {s.own.size(0)}, 0, 1) < o_.share, v);
  }

 private:
  Options o_;
};

class Stale final : public Attack {
 public:
  using Options = NoOptions;
  explicit Stale(Options) {}
  Tensor send(const Scene& s, Rng) const override {
    return s.first.defined() ? s.first.detach().clone() : s.own.detach().clone();
  }
};

class Silent final : public Attack {
 public:
  using Options = NoOptions;
  explicit Silent(Options) {}
  Tensor send(const Scene&, Rng) const override { return {}; }
};

class LabelFlip final : public Attack, public PoisonsLabels {
 public:
  using Options = NoOptions;
  explicit LabelFlip(Options) {}
  Tensor send(const Scene& s, Rng) const override { return s.own.detach().clone(); }
};

SYMMA_REGISTER(Attack, "stale", Stale, "the row that it said first, for ever", "a broken agent");
SYMMA_REGISTER(Attack, "silent", Silent, "nothing", "a broken agent: fail-stop");
SYMMA_REGISTER(Attack, "label_flip", LabelFlip,
               "an honest row, learned from tasks whose queries have targets with the sign turned, or labels "
               "counted from the end; their support is right",
               "Fang et al. 2020, arXiv:1911.11815");
SYMMA_REGISTER(Attack, "noise", Noise, "its own row with Gaussian noise",
               "Blanchard et al. 2017, arXiv:1703.02757 (the Gaussian attack)");
SYMMA_REGISTER(Attack, "not_finite", NotANumber, "NaN or infinity in place of values",
               "a broken agent, IEEE 754");

}  // namespace
}  // namespace symma
