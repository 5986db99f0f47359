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
#include <cstdlib>

#include "symma/learners/optimizers/learned.h"
#include "symma/nn/kernels/mlp.h"

namespace symma {
namespace {

class MlpRule : public Rule {
 public:
  struct Options {
    std::vector<int64_t> hidden{32, 32};
    std::vector<double> decays{0.5, 0.9, 0.99}, times{3, 10, 30, 100, 1000};
    std::vector<double> nominal;
    double square_decay = 0.95, scale = 0.1, power = 0, secant = 0;
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
      f.add("secant", secant,
            "first step size of a part whose later ones are Barzilai and Borwein's, which the network scales; "
            "0: none, and no secants are seen")
          .at_least(0);
    }
  };

  explicit MlpRule(Options o) : o_(std::move(o)) {
    if (!o_.nominal.empty() && o_.nominal.size() != o_.decays.size())
      throw UserError("[learner] nominal", "has another length than decays",
                      "give a step size for each decay");
    const auto in = static_cast<int64_t>(3 + 2 * o_.decays.size() + o_.times.size()) + (secants() ? kSecantFeatures : 0);
    net_ = make<ModelRegistry>("mlp", Json{{"hidden", o_.hidden}, {"activation", "relu"}},
                               ModelShape{{in}, 2 + static_cast<int64_t>(o_.nominal.size()) + (secants() ? 3 : 0)});
  }

  const Layout& layout() const override { return net_->layout(); }
  int64_t memory() const override {
    return static_cast<int64_t>(o_.decays.size()) + 1 + (secants() ? 2 + kPast : 0);
  }

  // The head starts small: so do steps, and magnitudes near e^0.
  Tensor init(int64_t rows, Rng rng) const override {
    Tensor phi = net_->init(rows, rng);
    phi.slice(1, layout().at("head.weight").offset) *= secants() ? std::atof(std::getenv("HEAD")) : 0.1;
    return phi;
  }

  Move move(const Tensor& phi, const Sight& see, const Tensor& memory) const override {
    const auto sizes = see.gradient.sizes();
    Look look = means(see, memory);
    if (secants()) add_secants(see, memory, look);
    const Tensor features = at::stack(look.features, 3).flatten(1, 2);
    const Tensor y = net_->forward(phi, features, Mode::kTrain);  // [G, C, 2 + nominal + secants]
    const auto answer = [&](int64_t k) { return y.select(2, k).view(sizes); };
    const auto factor = [&](int64_t k) { return answer(k).clamp(-10, 10).exp(); };
    Tensor step = o_.scale * answer(0) * factor(1);
    if (o_.power > 0) step = step * look.size.pow(o_.power);
    const auto n = static_cast<int64_t>(o_.nominal.size());
    for (int64_t i = 0; i < n; ++i) {
      if (o_.nominal[i] > 0) step = step - o_.nominal[i] * factor(2 + i) * look.next[i].view(sizes);
    }
    if (secants()) {
      // A row has one length: different ones for its coordinates would turn it.
      const auto of_row = [&](int64_t k) { return answer(k).mean(2, true); };
      const Tensor length = (look.brief + of_row(2 + n) + of_row(3 + n) * (look.wide - look.brief) +
                             of_row(4 + n) * (look.least - look.brief)).clamp(-16, 8).exp();
      step = step - length * see.gradient;
      look.next.push_back(step.flatten(1));
    }
    return {step, at::stack(look.next, 1)};
  }

 private:
  static constexpr int64_t kPast = 5, kSecantFeatures = 9;
  struct Look {
    std::vector<Tensor> features;  // [G, R, P] each
    std::vector<Tensor> next;      // the next memory, [G, R P] each
    Tensor size, brief, wide, least;
  };
  bool secants() const { return o_.secant > 0; }

  static Tensor row_rms(const Tensor& x) { return (x.square().mean(2, true) + 1e-20).sqrt(); }

  Look means(const Sight& see, const Tensor& memory) const {
    at::AutoGradMode mode(at::GradMode::is_enabled() && see.gradient.requires_grad());
    constexpr double kNothing = 1e-20;
    const auto sizes = see.gradient.sizes();  // [G, R, P]
    const Tensor t = (see.age + 1).unsqueeze(2);
    const Tensor& g = see.gradient;
    std::vector<Tensor> features, next;
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
    return {features, next, r, {}, {}};
  }

  void add_secants(const Sight& see, const Tensor& memory, Look& look) const {
    static const bool through = std::getenv("SECANT_GRAD") != nullptr;
    at::AutoGradMode mode(through && at::GradMode::is_enabled());
    const auto sizes = see.gradient.sizes();
    const int64_t slot = static_cast<int64_t>(o_.decays.size()) + 1;
    const auto kept = [&](int64_t k) { return memory.select(1, slot + k).view(sizes); };
    const Tensor first = (see.age < 0.5).unsqueeze(2);  // [G, R, 1]
    const Tensor g = see.gradient, before = kept(kPast), s = kept(kPast + 1), y = g - before;
    const auto dot = [](const Tensor& a, const Tensor& b) { return (a * b).sum(2, true); };
    const auto log = [](const Tensor& x) { return (x + 1e-36).log(); };
    const Tensor ss = dot(s, s), sy = dot(s, y), yy = dot(y, y), gg = dot(g, g), bb = dot(before, before);
    const double start = std::log(o_.secant);
    const auto bounded = [&](const Tensor& x) { return at::where(first, at::full_like(x, start), x.clamp(-16, 8)); };
    const Tensor brief = bounded(log(sy.abs()) - log(yy)), wide = bounded(log(ss) - log(sy.abs()));
    Tensor least = brief;
    std::vector<Tensor> past{brief.expand(sizes).flatten(1)};
    for (int64_t k = 0; k < kPast; ++k) {
      const Tensor it = kept(k);
      least = at::where((see.age > static_cast<double>(k) + 1.5).unsqueeze(2), at::minimum(least, it), least);
      if (k + 1 < kPast) past.push_back(it.flatten(1));
    }
    const auto add = [&](const Tensor& x) { look.features.push_back(at::where(first, at::zeros_like(x), x).expand(sizes)); };
    const auto cosine = [&](const Tensor& a, const Tensor& b, const Tensor& aa, const Tensor& b2) {
      return dot(a, b) / ((aa + 1e-36).sqrt() * (b2 + 1e-36).sqrt());
    };
    add((wide - brief) / 3);
    add((least - brief) / 3);
    add(sy.sign());
    add(brief / 5);
    add((log(ss) - log(bb)) / 6 - brief / 3);
    add((log(gg) - log(bb)) / 4);
    add(cosine(g, s, gg, ss));
    add(cosine(g, y, gg, yy));
    add(cosine(g, before, gg, bb));
    look.next.insert(look.next.end(), past.begin(), past.end());
    look.next.push_back(through ? g.flatten(1) : g.detach().flatten(1));
    look.brief = brief, look.wide = wide, look.least = least;
  }

  Options o_;
  std::unique_ptr<Model> net_;
};

SYMMA_REGISTER_RULE("mlp_optimizer", MlpRule,
                    "learns an optimiser: a perceptron over running means of the gradient",
                    "Metz et al. 2022, arXiv:2203.11860; Vicol et al. 2021, arXiv:2112.13835 (pes)");

}  // namespace
}  // namespace symma
