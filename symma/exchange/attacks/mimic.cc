// Mimic: all attackers send one honest agent's row, which then counts for too much. Karimireddy et al. 2022,
// arXiv:2006.09365.
#include "symma/exchange/attack.h"

namespace symma {
namespace {

class Mimic final : public Attack {
 public:
  struct Options {
    int64_t whom = 0;
    void fields(Fields& f) {
      f.add("whom", whom, "which of the honest rows, modulo their number").at_least(0);
    }
  };
  explicit Mimic(Options o) : o_(o) {}
  Tensor send(const Scene& s, Rng) const override {
    const Tensor rows = seen(s);
    return rows[o_.whom % rows.size(0)].clone();
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Attack, "mimic", Mimic, "one honest agent's row", "Karimireddy et al. 2022, arXiv:2006.09365");

}  // namespace
}  // namespace symma
