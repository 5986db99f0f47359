// A multi-layer perceptron over rows: y = h W + b for each layer, an activation between layers.
//
// Weights stand as [in, out], so that a row's product with a few points streams over contiguous outputs.
// Initial values are U(-1/sqrt(in), 1/sqrt(in)) for weights and biases, as in PyTorch's Linear.
#include "symma/nn/kernels/mlp.h"
#include "symma/nn/init.h"

namespace symma {
namespace {

class Mlp : public Model, public HasMlpShape {
 public:
  struct Options {
    std::vector<int64_t> hidden{40, 40};
    std::string activation = "relu";
    void fields(Fields& f) {
      f.add("hidden", hidden, "width of each hidden layer").at_least(1);
      f.add("activation", activation, "between layers")
          .one_of({"relu", "tanh", "sigmoid", "gelu", "identity"});
    }
  };

  Mlp(const Options& options, const ModelShape& shape) {
    static const std::map<std::string, Activation> activations{{"relu", Activation::kRelu},
                                                               {"tanh", Activation::kTanh},
                                                               {"sigmoid", Activation::kSigmoid},
                                                               {"gelu", Activation::kGelu},
                                                               {"identity", Activation::kIdentity}};
    shape_.activation = activations.at(options.activation);
    std::vector<int64_t>& widths = shape_.widths;
    int64_t in = 1;
    for (int64_t n : shape.in) in *= n;
    widths.push_back(in);
    widths.insert(widths.end(), options.hidden.begin(), options.hidden.end());
    widths.push_back(shape.out);
    for (size_t i = 0; i + 1 < widths.size(); ++i) {
      layout_.add(name(i) + ".weight", {widths[i], widths[i + 1]});
      layout_.add(name(i) + ".bias", {widths[i + 1]});
    }
  }

  const Layout& layout() const override { return layout_; }
  const MlpShape& mlp_shape() const override { return shape_; }

  Tensor init(std::span<const Rng> keys) const override {
    const auto rows = static_cast<int64_t>(keys.size());
    Tensor theta = at::empty({rows, layout_.size()}, at::kFloat);
    const auto& widths = shape_.widths;
    for (int64_t r = 0; r < rows; ++r) {
      for (size_t i = 0; i + 1 < widths.size(); ++i) {
        const double bound = 1 / std::sqrt(static_cast<double>(widths[i]));
        fill_uniform(theta, layout_, name(i) + ".weight", r, bound, keys[r]);
        fill_uniform(theta, layout_, name(i) + ".bias", r, bound, keys[r]);
      }
    }
    return theta;
  }

  Tensor forward(const Tensor& theta, const Tensor& x, Mode) const override {
    return mlp_forward(theta, flat(x), shape_);
  }

  // The network without its head, whose last layer then has an activation too.
  Tensor features(const Tensor& theta, const Tensor& x, Mode) const override {
    if (shape_.widths.size() == 2) return flat(x);
    MlpShape body = shape_;
    body.widths.pop_back();
    const Tensor z = mlp_forward(theta, flat(x), body);
    switch (shape_.activation) {
      case Activation::kRelu:
        return z.relu();
      case Activation::kTanh:
        return z.tanh();
      case Activation::kSigmoid:
        return z.sigmoid();
      case Activation::kGelu:
        return at::gelu(z);
      case Activation::kIdentity:
        return z;
    }
    TORCH_CHECK(false, "no such activation");
  }

 private:
  std::string name(size_t i) const {
    return i + 2 == shape_.widths.size() ? "head" : "layer" + std::to_string(i);
  }

  Tensor flat(const Tensor& x) const { return x.reshape({x.size(0), x.size(1), shape_.widths[0]}); }

  MlpShape shape_;
  Layout layout_;
};

SYMMA_REGISTER(Model, "mlp", Mlp, "a multi-layer perceptron",
               "Finn et al. 2017, arXiv:1703.03400 (1-40-40-1 for the sinusoid)");

}  // namespace
}  // namespace symma
