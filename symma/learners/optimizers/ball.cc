// A heavy ball (Polyak 1964) whose step size and momentum a small perceptron chooses anew at each step, one
// pair for a row, from how the row has gone so far.
//
//   step_t = -size e^a g_t / c_t + logistic(logit(momentum) + b) step_{t-1},   (a, b) = perceptron(features)
//
// With s the last step and y what it did to the gradient, |y|^2 / |s y| is a curvature (the inverse of
// Barzilai and Borwein's shorter step, 1988), and c_t is the steepest one seen, forgotten at e^-0.01 a step.
// So the ball starts as one made by hand. Features, with the steps done:
//
//   log of that curvature / c, log of |s y| / (|s|^2 c), log of |g|^2 / |g_{t-1}|^2, log of |s|^2 c^2 /
//   |g|^2, cos(s, y), cos(g, s) (whose sign restarts momentum by hand, O'Donoghue & Candes 2015,
//   arXiv:1204.3982), cos(g, g_{t-1})
//
// None changes when coordinates are turned, or when the function or its coordinates are multiplied by a
// number, and steps turn and grow with them: what is learned on one problem holds for these others. Only
// `first`, the size of the very first step, knows a scale.
#include <cmath>

#include "symma/learners/optimizers/learned.h"

namespace symma {
namespace {

constexpr int64_t kOfTheWay = 7;  // features but for the steps done

class Ball : public UpdateRule {
 public:
  struct Options {
    std::vector<int64_t> hidden{32, 32};
    std::vector<double> times{3, 10, 30, 100};
    double first = 0.01, size = 2, momentum = 0.8;
    void fields(Fields& f) {
      f.add("hidden", hidden, "width of each hidden layer").at_least(1);
      f.add("times", times, "scales on which the steps done are seen").above(0);
      f.add("first", first, "size of the first step, of the gradient's length").above(0);
      f.add("size", size, "of later steps before learning, divided by the steepest curvature seen").above(0);
      f.add("momentum", momentum, "before learning").above(0).below(1);
    }
  };

  explicit Ball(Options o) : o_(std::move(o)) {
    net_ = make<ModelRegistry>("mlp", Json{{"hidden", o_.hidden}, {"activation", "relu"}},
                               ModelShape{{kOfTheWay + static_cast<int64_t>(o_.times.size())}, 2});
  }

  const Layout& layout() const override { return net_->layout(); }
  // The gradient, the step, and the logarithm of the steepest curvature, which is a row's.
  int64_t memory() const override { return 3; }

  // The head starts small, and so the ball nearly as it was made.
  Tensor init(std::span<const Rng> keys) const override {
    Tensor phi = net_->init(keys);
    phi.slice(1, layout().at("head.weight").offset) *= 0.01;
    return phi;
  }

  Move move(const Tensor& phi, const Sight& see, const Tensor& memory) const override {
    const Tensor& g = see.gradient;  // [G, R, P]
    const auto kept = [&](int64_t k) { return memory.select(1, k).view(g.sizes()); };
    const Tensor before = kept(0), s = kept(1);
    const auto [features, steepest] = look(see, before, s, kept(2).narrow(2, 0, 1));
    const Tensor y = net_->forward(phi, features, Mode::kTrain);  // [G, R, 2]
    const double logit = std::log(o_.momentum / (1 - o_.momentum));
    const Tensor length = (y.narrow(2, 0, 1).clamp(-10, 10) - steepest).exp() * o_.size,
                 momentum = (y.narrow(2, 1, 1) + logit).sigmoid();
    const Tensor step = momentum * s - length * g;
    return {step, at::stack({g, step, steepest.expand_as(g)}, 1).flatten(2)};
  }

 private:
  // [G, R, features], and the logarithm of the steepest curvature, [G, R, 1].
  std::pair<Tensor, Tensor> look(const Sight& see, const Tensor& before, const Tensor& s,
                                 const Tensor& held) const {
    constexpr double kForget = 0.01, kNothing = 1e-36;
    const Tensor &g = see.gradient, y = g - before, t = see.age.unsqueeze(2);
    const auto dot = [](const Tensor& a, const Tensor& b) { return (a * b).sum(2, true); };
    const auto log = [](const Tensor& x) { return (x + kNothing).log(); };
    const auto root = [](const Tensor& x) { return (x + kNothing).sqrt(); };
    const Tensor gg = dot(g, g), bb = dot(before, before), ss = dot(s, s), yy = dot(y, y), sy = dot(s, y),
                 turn = log(sy.abs());
    const Tensor now = log(yy) - turn;
    const Tensor steepest = at::where(t < 0.5, at::full_like(now, std::log(o_.size / o_.first)),
                                      at::where(t < 1.5, now, at::maximum(held - kForget, now)));
    // Logarithms are of the order of ten, and features should be of that of one.
    const Tensor way =
        at::cat({(now - steepest) / 3, (turn - log(ss) - steepest) / 5, (log(gg) - log(bb)) / 4,
                 (log(ss) - log(gg)) / 6 + steepest / 3, sy / (root(ss) * root(yy)),
                 dot(g, s) / (root(gg) * root(ss)), dot(g, before) / (root(gg) * root(bb))},
                2);
    std::vector<Tensor> features{at::where(t < 0.5, at::zeros_like(way), way.clamp(-10, 10))};
    for (double scale : o_.times) features.push_back(((t + 1) / scale).tanh());
    return {at::cat(features, 2), steepest};
  }

  Options o_;
  std::unique_ptr<Model> net_;
};

SYMMA_REGISTER_RULE("ball_optimizer", Ball,
                    "learns an optimiser: a perceptron that steers a heavy ball by secants",
                    "Polyak 1964; Barzilai & Borwein 1988; after Wichrowska et al. 2017, arXiv:1703.04813");

}  // namespace
}  // namespace symma
