// A multi-layer perceptron over rows: y = h W + b for each layer, an activation between layers.
//
// Weights stand as [in, out], so that a row's product with a few points streams over contiguous outputs. Initial values are
// U(-1/sqrt(in), 1/sqrt(in)) for weights and biases, as in PyTorch's Linear.
#include "symma/nn/init.h"

namespace symma {
namespace {

class Mlp : public Model {
 public:
  struct Options {
    std::vector<int64_t> hidden{40, 40};
    std::string activation = "relu";
    void fields(Fields& f) {
      f.add("hidden", hidden, "width of each hidden layer").at_least(1);
      f.add("activation", activation, "between layers").one_of({"relu", "tanh", "gelu", "identity"});
    }
  };

  Mlp(const Options& options, const ModelShape& shape) : options_(options) {
    int64_t in = 1;
    for (int64_t n : shape.in) in *= n;
    widths_.push_back(in);
    widths_.insert(widths_.end(), options.hidden.begin(), options.hidden.end());
    widths_.push_back(shape.out);
    for (size_t i = 0; i + 1 < widths_.size(); ++i) {
      layout_.add(name(i) + ".weight", {widths_[i], widths_[i + 1]});
      layout_.add(name(i) + ".bias", {widths_[i + 1]});
    }
  }

  const Layout& layout() const override { return layout_; }

  Tensor init(int64_t rows, Rng rng) const override {
    Tensor theta = at::empty({rows, layout_.size()}, at::kFloat);
    for (int64_t r = 0; r < rows; ++r) {
      for (size_t i = 0; i + 1 < widths_.size(); ++i) {
        const double bound = 1 / std::sqrt(static_cast<double>(widths_[i]));
        fill_uniform(theta, layout_, name(i) + ".weight", r, bound, rng.split("row", r));
        fill_uniform(theta, layout_, name(i) + ".bias", r, bound, rng.split("row", r));
      }
    }
    return theta;
  }

  Tensor forward(const Tensor& theta, const Tensor& x, Mode mode) const override {
    return layer(theta, features(theta, x, mode), widths_.size() - 2);
  }

  Tensor features(const Tensor& theta, const Tensor& x, Mode) const override {
    Tensor h = x.reshape({x.size(0), x.size(1), widths_[0]});
    for (size_t i = 0; i + 2 < widths_.size(); ++i) h = activate(layer(theta, h, i));
    return h;
  }

 private:
  std::string name(size_t i) const { return i + 2 == widths_.size() ? "head" : "layer" + std::to_string(i); }

  Tensor layer(const Tensor& theta, const Tensor& h, size_t i) const {
    return at::baddbmm(layout_.view(theta, name(i) + ".bias").unsqueeze(1), h, layout_.view(theta, name(i) + ".weight"));
  }

  Tensor activate(const Tensor& h) const {
    if (options_.activation == "relu") return h.relu();
    if (options_.activation == "tanh") return h.tanh();
    if (options_.activation == "gelu") return at::gelu(h);
    return h;
  }

  Options options_;
  std::vector<int64_t> widths_;
  Layout layout_;
};

SYMMA_REGISTER(Model, "mlp", Mlp, "a multi-layer perceptron", "Finn et al. 2017, arXiv:1703.03400 (1-40-40-1 for the sinusoid)");

}  // namespace
}  // namespace symma
