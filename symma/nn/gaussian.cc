// A policy over numbers: a perceptron gives the means, and the standard deviations are the same for every
// input, learned with the rest of the row or held. Duan et al. 2016, arXiv:1604.06778; Finn et al. 2017,
// arXiv:1703.03400.
//
// The output for n numbers is [means, log deviations], 2 n wide, as worlds with continuous actions read it. A
// plain "mlp" or "gru" of that width has deviations that depend on the input.
#include "symma/nn/gaussian.h"

#include <cmath>

#include "symma/core/errors.h"
#include "symma/nn/model.h"

namespace symma {
namespace {

class Gaussian : public Model, public HasGaussianShape {
 public:
  struct Options {
    std::vector<int64_t> hidden{100, 100};
    std::string activation = "relu";
    double std = 1;
    bool learn_std = true;
    void fields(Fields& f) {
      f.add("hidden", hidden, "width of each hidden layer; none: means are linear").at_least(1);
      f.add("activation", activation, "between layers").one_of({"relu", "tanh", "gelu", "identity"});
      f.add("std", std, "standard deviation at the start").above(0);
      f.add("learn_std", learn_std, "deviations are parameters, rather than constants");
    }
  };

  Gaussian(const Options& o, const ModelShape& shape)
      : log_std_(std::log(o.std)), n_(shape.out / 2), learned_(o.learn_std ? n_ : 0) {
    if (shape.out % 2 != 0) {
      throw UserError("[model] kind", "\"gaussian\" is a policy over numbers, and this task asks for none",
                      "use \"mlp\", or a world with continuous actions");
    }
    means_ = make<ModelRegistry>("mlp", Json{{"hidden", o.hidden}, {"activation", o.activation}},
                                 ModelShape{shape.in, n_});
    if (learned_ > 0) layout_.add("log_std", {n_});
    for (const auto& e : means_->layout().entries()) layout_.add(e.name, e.shape);
  }

  const Layout& layout() const override { return layout_; }

  Tensor init(std::span<const Rng> keys) const override {
    const auto rows = static_cast<int64_t>(keys.size());
    return at::cat({at::full({rows, learned_}, log_std_, at::kFloat), means_->init(keys)}, 1);
  }

  Tensor forward(const Tensor& theta, const Tensor& x, Mode mode) const override {
    const Tensor y = means_->forward(of_means(theta), x, mode);  // [B, K, n]
    const Tensor deviation =
        learned_ > 0 ? theta.narrow(1, 0, n_).unsqueeze(1).expand_as(y) : at::full_like(y, log_std_);
    return at::cat({y, deviation}, 2);
  }

  Tensor features(const Tensor& theta, const Tensor& x, Mode mode) const override {
    return means_->features(of_means(theta), x, mode);
  }

  GaussianShape gaussian_shape() const override {
    return {dynamic_cast<const HasMlpShape&>(*means_).mlp_shape(), learned_, log_std_};
  }

 private:
  Tensor of_means(const Tensor& theta) const { return theta.narrow(1, learned_, means_->layout().size()); }

  double log_std_;
  int64_t n_, learned_;
  std::unique_ptr<Model> means_;
  Layout layout_;
};

SYMMA_REGISTER(Model, "gaussian", Gaussian,
               "a policy over numbers: a perceptron's means, and one deviation each",
               "Duan et al. 2016, arXiv:1604.06778");

}  // namespace
}  // namespace symma
