// Random quadratics: f(z) = |s W z - y|^2, W [D, D] and y [D] drawn for each task. Andrychowicz et al. 2016,
// arXiv:1606.04474, section 3.1. A point z is what the model answers; with the model "point" it is the row.
//
// A trap: the paper draws W and y from a normal distribution, its published code uniformly from [0, 1). There
// is one function, so what is learned from and what is judged on are the same.
#include <fmt/format.h>

#include "symma/core/errors.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

class QuadraticBatch : public TaskBatch, public Portable, public Keyed {
 public:
  // `w` [B, D, D] and `y` [B, D].
  QuadraticBatch(const Model& model, Tensor w, Tensor y, Mode mode, std::vector<Rng> keys = {})
      : model_(model), w_(std::move(w)), y_(std::move(y)), mode_(mode), keys_(std::move(keys)) {}

  int64_t size() const override { return w_.size(0); }

  std::unique_ptr<TaskBatch> slice(int64_t begin, int64_t end) const override {
    std::vector<Rng> keys;
    if (!keys_.empty()) keys.assign(keys_.begin() + begin, keys_.begin() + end);
    return std::make_unique<QuadraticBatch>(model_, w_.slice(0, begin, end), y_.slice(0, begin, end), mode_,
                                            std::move(keys));
  }

  Tensor loss(const Tensor& theta, Stage, Rng) const override {
    const Tensor z = model_.forward(theta, at::ones({size(), 1, 1}, theta.options()), mode_);  // [B, 1, D]
    const Tensor miss =
        at::baddbmm(y_.to(theta.options()).unsqueeze(2), w_.to(theta.options()), z.transpose(1, 2),
                    -1.0);  // [B, D, 1]
    return miss.square().sum(at::IntArrayRef{1, 2});
  }

  Scores score(const Tensor& theta, Rng rng) const override {
    at::NoGradGuard no_grad;
    const Tensor f = loss(theta, Stage::kQuery, rng);
    // Rounding can make it 0, whose logarithm no mean survives.
    return {{"loss", f}, {"log10_loss", f.clamp_min(1e-30).log10()}};
  }

  const std::vector<Rng>& keys() const override { return keys_; }

  TensorDict pack(Stage) const override { return {{"w", w_}, {"y", y_}}; }
  std::unique_ptr<TaskBatch> unpack(const TensorDict& tasks) const override {
    return std::make_unique<QuadraticBatch>(model_, tasks.at("w"), tasks.at("y"), mode_);
  }

 private:
  const Model& model_;
  Tensor w_, y_;
  Mode mode_;
  std::vector<Rng> keys_;
};

class Quadratics : public TaskFamily, public Shares {
 public:
  struct Options {
    int64_t dims = 10;
    std::string distribution = "normal";
    std::vector<double> scale{1.0, 1.0}, ood_scale{2.0, 2.0};
    void fields(Fields& f) {
      f.add("dims", dims, "coordinates of a point (D)").at_least(1);
      f.add("distribution", distribution,
            "of the elements of W and y: standard normal (the paper), or uniform in [0, 1) (its code)")
          .one_of({"normal", "uniform"});
      f.add("scale", scale,
            "range of the factor s on W, log-uniform; each agent holds an equal part. The curvature goes by "
            "its square")
          .above(0);
      f.add("ood_scale", ood_scale, "the same, of the out-of-distribution test").above(0);
    }
  };

  Quadratics(const Options& o, int64_t agents) : o_(o), agents_(agents) {
    for (const auto& [name, range] : {std::pair{"scale", &o.scale}, {"ood_scale", &o.ood_scale}}) {
      if (range->size() != 2 || !((*range)[0] <= (*range)[1]))
        throw UserError(std::string("[task] ") + name, "is not a range",
                        "write [low, high] with low <= high");
    }
  }

  TaskSpec spec() const override {
    return {.shape = {{1}, o_.dims}, .kind = Kind::kRegression, .metric = "log10_loss", .labels = false};
  }

  std::unique_ptr<TaskBatch> sample(const Model& model, std::span<const Ask> asks,
                                    Split split) const override {
    const auto b = static_cast<int64_t>(asks.size());
    const int64_t d = o_.dims;
    Tensor w = at::empty({b, d, d}), y = at::empty({b, d});
    float *ws = w.data_ptr<float>(), *ys = y.data_ptr<float>();
    const bool gaussian = o_.distribution == "normal";
    std::vector<double> all(d * d + d);
    for (int64_t i = 0; i < b; ++i) {
      Draws draws(asks[i].key.split(split_name(split)));
      const auto [low, high] = range(asks[i].agent, split);
      const double s = std::exp(draws.uniform(low, high));
      gaussian ? draws.normals(all.data(), d * d + d) : draws.uniforms(all.data(), d * d + d);
      for (int64_t j = 0; j < d * d; ++j) *ws++ = static_cast<float>(s * all[j]);
      for (int64_t j = d * d; j < d * d + d; ++j) *ys++ = static_cast<float>(all[j]);
    }
    return std::make_unique<QuadraticBatch>(model, w, y, split == Split::kTrain ? Mode::kTrain : Mode::kEval,
                                            keys_of(asks));
  }

  std::string share(int64_t agent) const override {
    const auto [low, high] = range(agent, Split::kTrain);
    return fmt::format("W times {:.3g} to {:.3g}", std::exp(low), std::exp(high));
  }

 private:
  // Of the logarithm of s.
  std::pair<double, double> range(int64_t agent, Split split) const {
    const auto& r = split == Split::kOod ? o_.ood_scale : o_.scale;
    const double low = std::log(r[0]), width = std::log(r[1]) - low;
    if (split == Split::kOod || agent == kEveryone) return {low, low + width};
    const double part = width / static_cast<double>(agents_);
    return {low + part * static_cast<double>(agent), low + part * static_cast<double>(agent + 1)};
  }

  Options o_;
  int64_t agents_;
};

SYMMA_REGISTER(TaskFamily, "quadratics", Quadratics, "random quadratic functions of a point, to be minimised",
               "Andrychowicz et al. 2016, arXiv:1606.04474");

}  // namespace
}  // namespace symma
