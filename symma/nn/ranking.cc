// One network that scores each of several things alike, so that what was learned of one place holds for all:
// whoever chooses among things in no order need not learn it again for every place.
//
// An input is C numbers of context and n things of F numbers each. Thing k's output is f(context, the mean of
// all things, thing k), with one perceptron f for all (a layer of Deep Sets; Zaheer et al. 2017,
// arXiv:1703.06114). Outputs beyond the n-th, such as "wait", are linear in the context. To change the order
// of things changes the order of outputs, and nothing else.
#include "symma/core/errors.h"
#include "symma/nn/init.h"
#include "symma/nn/kernels/mlp.h"

#include <fmt/format.h>

namespace symma {
namespace {

class Ranking : public Model {
 public:
  struct Options {
    int64_t context = 0, thing = 0;
    std::vector<int64_t> hidden{32, 32};
    void fields(Fields& f) {
      f.add("context", context, "leading numbers of an input that belong to no thing").at_least(0);
      f.add("thing", thing, "numbers of each thing, which follow each other").at_least(0);
      f.add("hidden", hidden, "width of each hidden layer").at_least(1);
    }
  };

  Ranking(const Options& o, const ModelShape& shape) : context_(o.context), thing_(o.thing) {
    int64_t in = 1;
    for (int64_t n : shape.in) in *= n;
    in_ = in;
    things_ = thing_ > 0 ? (in - context_) / thing_ : 0;
    if (things_ < 1 || context_ + things_ * thing_ != in || things_ > shape.out)
      throw UserError(
          "[model] thing",
          fmt::format("an input of {} numbers with {} of context and {} a thing, and {} outputs", in,
                      context_, thing_, shape.out),
          "context + things * thing = input, with no more things than outputs (leave player_index out)");
    scorer_.widths.push_back(context_ + 2 * thing_);
    scorer_.widths.insert(scorer_.widths.end(), o.hidden.begin(), o.hidden.end());
    scorer_.widths.push_back(1);
    for (size_t i = 0; i + 1 < scorer_.widths.size(); ++i) {
      layout_.add(fmt::format("score{}.weight", i), {scorer_.widths[i], scorer_.widths[i + 1]});
      layout_.add(fmt::format("score{}.bias", i), {scorer_.widths[i + 1]});
    }
    layout_.add("head.weight", {context_ + 1, shape.out - things_});
    layout_.add("head.bias", {shape.out - things_});
  }

  const Layout& layout() const override { return layout_; }

  Tensor init(std::span<const Rng> keys) const override {
    const auto rows = static_cast<int64_t>(keys.size());
    Tensor theta = at::empty({rows, layout_.size()}, at::kFloat);
    for (int64_t r = 0; r < rows; ++r) {
      for (size_t i = 0; i + 1 < scorer_.widths.size(); ++i) {
        const double bound = 1 / std::sqrt(static_cast<double>(scorer_.widths[i]));
        fill_uniform(theta, layout_, fmt::format("score{}.weight", i), r, bound, keys[r]);
        fill_uniform(theta, layout_, fmt::format("score{}.bias", i), r, bound, keys[r]);
      }
      const double bound = 1 / std::sqrt(static_cast<double>(context_ + 1));
      fill_uniform(theta, layout_, "head.weight", r, bound, keys[r]);
      fill_uniform(theta, layout_, "head.bias", r, bound, keys[r]);
    }
    return theta;
  }

  Tensor forward(const Tensor& theta, const Tensor& given, Mode mode) const override {
    const Tensor x = flat(theta, given);
    const int64_t b = x.size(0), k = x.size(1);
    const Tensor things = x.narrow(2, context_, things_ * thing_).reshape({b, k, things_, thing_});
    const auto each = [&](const Tensor& t) { return t.unsqueeze(2).expand({b, k, things_, t.size(2)}); };
    const Tensor joined = at::cat({each(x.narrow(2, 0, context_)), each(things.mean(2)), things}, 3);
    const Tensor scores = mlp_forward(theta, joined.reshape({b, k * things_, scorer_.widths[0]}), scorer_);
    const Tensor rest = at::bmm(features(theta, given, mode), layout_.view(theta, "head.weight")) +
                        layout_.view(theta, "head.bias").unsqueeze(1);
    return at::cat({scores.reshape({b, k, things_}), rest}, 2);
  }

  // What the outputs beyond the things are made of: the context, and a 1.
  Tensor features(const Tensor& theta, const Tensor& given, Mode) const override {
    return at::constant_pad_nd(flat(theta, given).narrow(2, 0, context_), {0, 1}, 1);
  }

 private:
  Tensor flat(const Tensor& theta, const Tensor& x) const {
    return x.reshape({x.size(0), x.size(1), in_}).to(theta.scalar_type());
  }

  int64_t context_, thing_, things_ = 0, in_ = 0;
  MlpShape scorer_;
  Layout layout_;
};

SYMMA_REGISTER(Model, "ranking", Ranking, "one network that scores each of several things alike",
               "Zaheer et al. 2017, arXiv:1703.06114");

}  // namespace
}  // namespace symma
