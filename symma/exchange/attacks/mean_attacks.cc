// Attacks that turn the honest mean around. sign_flip: -mu. inner_product: -tau mu (Xie, Koyejo, Gupta 2019,
// "Fall of empires", arXiv:1903.03936): small enough to pass for honest, and still against the descent.
#include "symma/exchange/attack.h"

namespace symma {
namespace {

class SignFlip final : public Attack {
 public:
  using Options = NoOptions;
  explicit SignFlip(Options) {}
  Tensor send(const Scene& s, Rng) const override { return -seen(s).mean(0); }
};

class InnerProduct final : public Attack {
 public:
  struct Options {
    double tau = 2;
    void fields(Fields& f) { f.add("tau", tau, "how many times the honest mean, turned around").above(0); }
  };
  explicit InnerProduct(Options o) : o_(o) {}
  Tensor send(const Scene& s, Rng) const override { return -o_.tau * seen(s).mean(0); }

 private:
  Options o_;
};

SYMMA_REGISTER(Attack, "sign_flip", SignFlip, "minus the honest mean",
               "Li et al. 2019, arXiv:1811.03761 (RSA)");
SYMMA_REGISTER(Attack, "inner_product", InnerProduct, "minus tau times the honest mean",
               "Xie et al. 2019, arXiv:1903.03936");

}  // namespace
}  // namespace symma
