// A small perceptron as an optimiser, the same for every coordinate, over running means of the gradient.
// After Metz et al. 2020, arXiv:2009.11243, and Metz et al. 2022, arXiv:2203.11860 (their "MLP" optimiser).
//
//   m_d = d m_d + (1 - d) g for each decay d,   v likewise of g^2,   both without bias towards zero
//   r = sqrt(v),   features = [g / r, m_d / r, cos(g, m_d), r / rms(r), log r, tanh(t / s) for each scale s]
//   step = scale r^power direction exp(magnitude) - sum_d nominal_d exp(size_d) m'_d,   m' with the bias,
//   (direction, magnitude, sizes) = perceptron(features)
//
// The second term, if asked for, is heavy-ball momentum where sizes are zero, as they nearly are at the
// start: learning begins from an optimiser that works. Harrison et al. 2022, arXiv:2209.11208 ("nominal
// terms").
//
// rms and cos are over the coordinates of a row. Not in those papers: log r and r^power, with which steps can
// fall as the gradient does, and cos, which tells a row that swings across a valley.
// The value itself, which they have, is left out.
#include <cmath>

#include "symma/learners/optimizers/learned.h"
#include "symma/nn/kernels/mlp.h"

namespace symma {
namespace {

class MlpRule : public UpdateRule {
 public:
  struct Options {
    std::vector<int64_t> hidden{32, 32};
    std::vector<double> decays{0.5, 0.9, 0.99}, times{3, 10, 30, 100, 1000};
    std::vector<double> nominal;
    double square_decay = 0.95, scale = 0.1, power = 0;
    void fields(Fields& f) {
      f.add("hidden", hidden, "width of each hidden layer").at_least(1);
      f.add("decays", decays, "of the running means of the gradient").at_least(0).below(1);
      f.add("square_decay", square_decay, "of the running mean of its square").at_least(0).below(1);
      f.add("times", times, "scales on which the steps done are seen").above(0);
      f.add("scale", scale, "factor on the network's answer").above(0);
      f.add("power", power, "of the gradient's size in a step: 0 as Adam's, 1 as that of gradient descent")
          .at_least(0);
      f.add("nominal", nominal,
            "step sizes of a part made by hand, one for each decay, which the network scales; empty: none")
          .at_least(0);
    }
  };

  explicit MlpRule(Options o) : o_(std::move(o)) {
    if (!o_.nominal.empty() && o_.nominal.size() != o_.decays.size())
      throw UserError("[learner] nominal", "has another length than decays",
                      "give a step size for each decay");
    const auto in = static_cast<int64_t>(3 + 2 * o_.decays.size() + o_.times.size());
    net_ = make<ModelRegistry>("mlp", Json{{"hidden", o_.hidden}, {"activation", "relu"}},
                               ModelShape{{in}, 2 + static_cast<int64_t>(o_.nominal.size())});
  }

  const Layout& layout() const override { return net_->layout(); }
  int64_t memory() const override { return static_cast<int64_t>(o_.decays.size()) + 1; }

  // The head starts small: so do steps, and magnitudes near e^0.
  Tensor init(std::span<const Rng> keys) const override {
    Tensor phi = net_->init(keys);
    phi.slice(1, layout().at("head.weight").offset) *= 0.1;
    return phi;
  }

  Move move(const Tensor& phi, const Sight& see, const Tensor& memory) const override {
    const auto [features, next, size] = look(see, memory);
    const Tensor y = net_->forward(phi, features, Mode::kTrain);  // [G, C, 2 + nominal]
    const auto answer = [&](int64_t k) { return y.select(2, k).view(see.gradient.sizes()); };
    Tensor step = o_.scale * answer(0) * answer(1).clamp(-10, 10).exp();
    if (o_.power > 0) step = step * size.pow(o_.power);
    for (size_t i = 0; i < o_.nominal.size(); ++i) {
      const auto k = static_cast<int64_t>(i);
      if (o_.nominal[i] > 0)
        step = step - o_.nominal[i] * answer(2 + k).clamp(-10, 10).exp() *
                          next.select(1, k).view(see.gradient.sizes());
    }
    return {step, next};
  }

 private:
  // [G, C, features], the next memory and r. None of it depends on phi where gradients are held fixed.
  std::tuple<Tensor, Tensor, Tensor> look(const Sight& see, const Tensor& memory) const {
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
    return {at::stack(features, 3).flatten(1, 2), at::stack(next, 1), r};
  }

  Options o_;
  std::unique_ptr<Model> net_;
};

SYMMA_REGISTER_RULE("mlp_optimizer", MlpRule,
                    "learns an optimiser: a perceptron over running means of the gradient",
                    "Metz et al. 2022, arXiv:2203.11860; Vicol et al. 2021, arXiv:2112.13835 (pes)");

}  // namespace
}  // namespace symma
