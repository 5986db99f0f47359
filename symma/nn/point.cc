// A point: a row is what the network answers, whatever it is asked. The last layer of a network without
// features, so all that a model must have is there, and a function of a point can be a task like any other.
#include "symma/nn/model.h"

namespace symma {
namespace {

class Point : public Model {
 public:
  struct Options {
    double std = 0.01;
    void fields(Fields& f) {
      f.add("std", std, "standard deviation of each coordinate at the start").at_least(0);
    }
  };

  Point(const Options& o, const ModelShape& shape) : std_(o.std), n_(shape.out) {
    layout_.add("head.weight", {0, n_});
    layout_.add("head.bias", {n_});
  }

  const Layout& layout() const override { return layout_; }

  Tensor init(std::span<const Rng> keys) const override {
    const auto rows = static_cast<int64_t>(keys.size());
    Tensor theta = at::empty({rows, n_}, at::kFloat);
    for (int64_t r = 0; r < rows; ++r) theta[r].copy_(std_ * normal(keys[r], {n_}));
    return theta;
  }

  Tensor forward(const Tensor& theta, const Tensor& x, Mode) const override {
    return theta.unsqueeze(1).expand({theta.size(0), x.size(1), n_});
  }

  Tensor features(const Tensor& theta, const Tensor& x, Mode) const override {
    return at::zeros({theta.size(0), x.size(1), 0}, theta.options());
  }

 private:
  double std_;
  int64_t n_;
  Layout layout_;
};

SYMMA_REGISTER(Model, "point", Point, "the row itself is the answer, for tasks that are functions of a point",
               "symma; an affine layer without inputs");

}  // namespace
}  // namespace symma
