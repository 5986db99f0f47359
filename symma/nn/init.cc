#include "symma/nn/init.h"

namespace symma {

void fill_uniform(Tensor& theta, const Layout& layout, const std::string& name, int64_t row, double bound,
                  Rng rng) {
  const auto& e = layout.at(name);
  theta[row].narrow(0, e.offset, e.size()).copy_(uniform(rng.split(name), {e.size()}, -bound, bound));
}

}  // namespace symma
