// The optimiser of Andrychowicz et al. 2016, arXiv:1606.04474: layers of LSTM (Hochreiter & Schmidhuber
// 1997), the same for every coordinate and with a memory for each, over the coordinate's gradient.
//
//   [i, f, o, g] = W [x, h] + b,   c' = s(f) c + s(i) tanh(g),   h' = s(o) tanh(c'),   step = scale (w h' +
//   b)
//
// with s the logistic function. The gradient enters as (log|g| / p, sign g) where |g| >= e^-p and as (-1, e^p
// g) below (appendix A), or as it is. Coordinates stand last, so that the four gates lie in memory one after
// another.
#include <cmath>

#include "symma/learners/optimizers/learned.h"
#include "symma/nn/init.h"
#include "symma/nn/kernels/lstm.h"

namespace symma {
namespace {

class Lstm : public UpdateRule {
 public:
  struct Options {
    std::vector<int64_t> hidden{20, 20};
    double preprocess = 10, scale = 0.1;
    void fields(Fields& f) {
      f.add("hidden", hidden, "cells of each layer").at_least(1);
      f.add("preprocess", preprocess,
            "gradients enter as logarithm and sign, above e to minus this; 0: as they are")
          .at_least(0);
      f.add("scale", scale, "factor on the network's answer").above(0);
    }
  };

  explicit Lstm(Options o) : o_(std::move(o)) {
    int64_t in = o_.preprocess > 0 ? 2 : 1;
    for (size_t l = 0; l < o_.hidden.size(); ++l) {
      const int64_t h = o_.hidden[l];
      const std::string layer = "layer" + std::to_string(l);
      layout_.add(layer + ".weight", {4 * h, in + h});
      layout_.add(layer + ".bias", {4 * h, 1});
      sizes_.insert(sizes_.end(), {h, h});  // h and c
      memory_ += 2 * h;
      in = h;
    }
    layout_.add("head.weight", {1, in});
    layout_.add("head.bias", {1, 1});
  }

  const Layout& layout() const override { return layout_; }
  int64_t memory() const override { return memory_; }

  // PyTorch's bounds, but the forget gate starts open (Jozefowicz et al. 2015) and other biases at zero.
  Tensor init(std::span<const Rng> keys) const override {
    const auto rows = static_cast<int64_t>(keys.size());
    Tensor phi = at::zeros({rows, layout_.size()}, at::kFloat);
    for (int64_t r = 0; r < rows; ++r) {
      for (size_t l = 0; l <= o_.hidden.size(); ++l) {
        const bool head = l == o_.hidden.size();
        const int64_t h = o_.hidden[head ? l - 1 : l];
        const std::string layer = head ? "head" : "layer" + std::to_string(l);
        fill_uniform(phi, layout_, layer + ".weight", r, 1 / std::sqrt(static_cast<double>(h)), keys[r]);
        if (!head) phi[r].narrow(0, layout_.at(layer + ".bias").offset + h, h).fill_(1);
      }
    }
    return phi;
  }

  Move move(const Tensor& phi, const Sight& see, const Tensor& memory) const override {
    const int64_t g = phi.size(0), c = see.gradient.numel() / g;
    const auto part = layout_.split(phi);
    Tensor x = enter(see.gradient.reshape({g, 1, c}));
    // One operation for autograd, rather than one for each part.
    const std::vector<Tensor> held = at::split_with_sizes(memory, sizes_, 1);
    std::vector<Tensor> kept;
    for (size_t l = 0; l < o_.hidden.size(); ++l) {
      const Tensor z =
          at::baddbmm(part[2 * l + 1], part[2 * l], at::cat({x, held[2 * l]}, 1));  // [G, 4 H, C]
      kept.push_back(lstm_gates(z, held[2 * l + 1]));
      x = kept.back().narrow(1, 0, o_.hidden[l]);
    }
    const Tensor y = at::baddbmm(part[part.size() - 1], part[part.size() - 2], x);
    return {(o_.scale * y).view(see.gradient.sizes()), at::cat(kept, 1)};
  }

 private:
  Tensor enter(const Tensor& gradient) const {
    const double p = o_.preprocess;
    if (p == 0) return gradient;
    // Both branches of the paper's cases are these clamps.
    const Tensor size = ((gradient.abs() + 1e-30).log() / p).clamp_min(-1),
                 direction = (gradient * std::exp(p)).clamp(-1, 1);
    return at::cat({size, direction}, 1);
  }

  Options o_;
  Layout layout_;
  std::vector<int64_t> sizes_;
  int64_t memory_ = 0;
};

SYMMA_REGISTER_RULE("lstm_optimizer", Lstm, "learns an optimiser: an LSTM for each coordinate",
                    "Andrychowicz et al. 2016, arXiv:1606.04474; Vicol et al. 2021, arXiv:2112.13835 (pes)");

}  // namespace
}  // namespace symma
