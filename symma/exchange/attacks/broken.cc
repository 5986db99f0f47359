// Agents that are broken rather than hostile: noise about their own row; nothing but NaN or infinity.
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

SYMMA_REGISTER(Attack, "noise", Noise, "its own row with Gaussian noise",
               "Blanchard et al. 2017, arXiv:1703.02757 (the Gaussian attack)");
SYMMA_REGISTER(Attack, "nan", NotANumber, "NaN or infinity in place of values", "a broken agent, IEEE 754");

}  // namespace
}  // namespace symma
