// A small perceptron as an optimiser, the same for every coordinate, over running means of the gradient.
// After Metz et al. 2020, arXiv:2009.11243, and Metz et al. 2022, arXiv:2203.11860 (their "MLP" optimiser).
//
//   m_d = d m_d + (1 - d) g for each decay d,   v likewise of g^2,   both without bias towards zero
//   r = sqrt(v),   features = [g / r, m_d / r, cos(g, m_d), r / rms(r), log r, tanh(t / s) for each scale s]
//   step = scale direction exp(magnitude),   (direction, magnitude) = perceptron(features)
//
// rms and cos are over the coordinates of a row. Two features are not in those papers: with log r a step can
// fall with the gradient, as that of gradient descent does, and cos tells a row that swings across a valley.
// The value itself, which they have, is left out.
#include <cmath>

#include "symma/learners/optimizers/learned.h"
#include "symma/nn/kernels/mlp.h"

namespace symma {
namespace {

class MlpRule : public Rule {
 public:
  struct Options {
    std::vector<int64_t> hidden{32, 32};
    std::vector<double> decays{0.5, 0.9, 0.99}, times{3, 10, 30, 100, 1000};
    double square_decay = 0.95, scale = 0.1;
    void fields(Fields& f) {
      f.add("hidden", hidden, "width of each hidden layer").at_least(1);
      f.add("decays", decays, "of the running means of the gradient").at_least(0).below(1);
      f.add("square_decay", square_decay, "of the running mean of its square").at_least(0).below(1);
      f.add("times", times, "scales on which the steps done are seen").above(0);
      f.add("scale", scale, "factor on the network's answer").above(0);
    }
  };

  explicit MlpRule(Options o) : o_(std::move(o)) {
    const auto in = static_cast<int64_t>(3 + 2 * o_.decays.size() + o_.times.size());
    net_ =
        make<ModelRegistry>("mlp", Json{{"hidden", o_.hidden}, {"activation", "relu"}}, ModelShape{{in}, 2});
  }

  const Layout& layout() const override { return net_->layout(); }
  int64_t memory() const override { return static_cast<int64_t>(o_.decays.size()) + 1; }

  // The head starts small: so do steps, and magnitudes near e^0.
  Tensor init(int64_t rows, Rng rng) const override {
    Tensor phi = net_->init(rows, rng);
    phi.slice(1, layout().at("head.weight").offset) *= 0.1;
    return phi;
  }

  Move move(const Tensor& phi, const Sight& see, const Tensor& memory) const override {
    const auto [features, next] = look(see, memory);
    const Tensor y = net_->forward(phi, features, Mode::kTrain);  // [G, C, 2]
    const Tensor step = o_.scale * y.select(2, 0) * y.select(2, 1).clamp(-10, 10).exp();
    return {step.view(see.gradient.sizes()), next};
  }

 private:
  // [G, C, features] and the next memory. None of it depends on phi where gradients are held fixed.
  std::pair<Tensor, Tensor> look(const Sight& see, const Tensor& memory) const {
    at::AutoGradMode mode(at::GradMode::is_enabled() && see.gradient.requires_grad());
    constexpr double kNothing = 1e-20;
    const auto sizes = see.gradient.sizes();  // [G, R, P]
    const Tensor t = (see.age + 1).unsqueeze(2);
    const Tensor& g = see.gradient;
    std::vector<Tensor> features, next;
    const auto row_rms = [](const Tensor& x) { return (x.square().mean(2, true) + kNothing).sqrt(); };
    const auto mean_of = [&](const Tensor& x, double d, int64_t slot) {
      const Tensor m = (d * memory.select(1, slot)).view(sizes) + (1 - d) * x;
      next.push_back(m.flatten(1));
      return m / (1 - at::pow(d, t));
    };
    const auto n = static_cast<int64_t>(o_.decays.size());
    const Tensor r = (mean_of(g.square(), o_.square_decay, n) + kNothing).sqrt();
    features.push_back(g / r);
    const Tensor size = row_rms(g);
    for (int64_t i = 0; i < n; ++i) {
      const Tensor m = mean_of(g, o_.decays[i], i);
      features.push_back(m / r);
      features.push_back(((g * m).mean(2, true) / (size * row_rms(m))).expand(sizes));
    }
    std::rotate(next.begin(), next.begin() + 1, next.end());  // means first, then squares
    features.push_back(r / row_rms(r));
    features.push_back(r.log() / 5);
    for (double s : o_.times) features.push_back((t / s).tanh().expand(sizes));
    return {at::stack(features, 3).flatten(1, 2), at::stack(next, 1)};
  }

  Options o_;
  std::unique_ptr<Model> net_;
};

SYMMA_REGISTER_RULE("mlp_optimizer", MlpRule,
                    "learns an optimiser: a perceptron over running means of the gradient",
                    "Metz et al. 2022, arXiv:2203.11860; Vicol et al. 2021, arXiv:2112.13835 (pes)");

}  // namespace
}  // namespace symma
