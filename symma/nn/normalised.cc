// A network whose inputs are less their running mean and over their running deviation, held within
// +-`clip`. The statistics stand at the front of a row, as buffers: mean and variance of each input, and how
// many points they are of (Welford 1962; Chan et al. 1983). So a row plays alike wherever it is: in its
// learner, judged, in a checkpoint, or mixed with others'.
//
// Older points count less once `memory` points have been seen: means then follow what a policy that has
// changed sees. Andrychowicz et al. 2021, arXiv:2006.05990, find that policies over numbers need this.
#include "symma/nn/normalised.h"

#include <cmath>

#include "symma/core/errors.h"
#include "symma/nn/recurrent.h"

namespace symma {
namespace {

class Normalised : public Model, public HasInputStatistics {
 public:
  struct Options {
    Choice<ModelRegistry> network;
    double clip = 10, memory = 1e6;
    explicit Options(const std::string& kind = "mlp") : network(kind) {}
    void fields(Fields& f) {
      f.add("network", network, "the network that reads them, as a table");
      f.add("clip", clip, "largest normalised input").above(0);
      f.add("memory", memory, "points of which the statistics are at most; older ones fade").at_least(1);
    }
  };

  Normalised(const Options& o, const ModelShape& shape)
      : clip_(o.clip), memory_(o.memory), network_(o.network.build(shape)) {
    if (dynamic_cast<const HasInputStatistics*>(network_.get()))
      throw UserError("[model.network] kind", "is normalised already", "name another network");
    if (dynamic_cast<const HasStatistics*>(network_.get()) && shape.in.size() > 1)
      throw UserError("[model.network] kind", "keeps statistics of its own",
                      "use \"mlp\", \"gaussian\" or \"gru\"");
    for (int64_t n : shape.in) in_ *= n;
    layout_.add("input.mean", {in_}, true);
    layout_.add("input.variance", {in_}, true);
    layout_.add("input.count", {1}, true);
    own_ = layout_.size();
    for (const auto& e : network_->layout().entries()) layout_.add(e.name, e.shape, e.buffer);
  }

  const Layout& layout() const override { return layout_; }
  int64_t statistics() const override { return own_; }

  Tensor init(std::span<const Rng> keys) const override {
    const auto rows = static_cast<int64_t>(keys.size());
    Tensor own = at::zeros({rows, own_}, at::kFloat);
    own.narrow(1, in_, in_).fill_(1);
    return at::cat({own, network_->init(keys)}, 1);
  }

  Tensor forward(const Tensor& theta, const Tensor& x, Mode mode) const override {
    return network_->forward(rest(theta), normal(theta, x), mode);
  }
  Tensor features(const Tensor& theta, const Tensor& x, Mode mode) const override {
    return network_->features(rest(theta), normal(theta, x), mode);
  }

  Tensor count(const Tensor& theta, const Tensor& given, const Tensor& weight) const override {
    at::NoGradGuard no_grad;
    const auto real = at::TensorOptions().dtype(at::kDouble);
    const Tensor x = given.reshape({given.size(0), given.size(1), in_}).to(real),
                 w = weight.to(real).unsqueeze(2);                         // [B, K, 1]
    const Tensor n = w.sum(1), mean = (x * w).sum(1) / n.clamp_min(1);     // [B, 1], [B, in]
    const Tensor squares = ((x - mean.unsqueeze(1)).square() * w).sum(1);  // [B, in]
    const Tensor before = theta.narrow(1, 2 * in_, 1).to(real).clamp_max(memory_);
    const Tensor old_mean = theta.narrow(1, 0, in_).to(real),
                 old_variance = theta.narrow(1, in_, in_).to(real);
    const Tensor all = before + n, apart = mean - old_mean;
    const Tensor new_mean = old_mean + apart * n / all.clamp_min(1);
    const Tensor new_variance =
        (old_variance * before + squares + apart.square() * before * n / all.clamp_min(1)) / all.clamp_min(1);
    const Tensor now = at::cat({new_mean, new_variance, all}, 1);
    Tensor out = theta.clone();
    out.narrow(1, 0, own_).copy_(at::where(n > 0, now, theta.narrow(1, 0, own_).to(real)));
    return out;
  }

 protected:
  const Model& network() const { return *network_; }
  Tensor rest(const Tensor& theta) const { return theta.narrow(1, own_, theta.size(1) - own_); }
  // x [B, ..., in...], normalised by each row's statistics, which are constants to whoever learns.
  Tensor normal(const Tensor& theta, const Tensor& x) const {
    const Tensor own = theta.detach();
    const Tensor flat = x.reshape({x.size(0), -1, in_});
    const Tensor mean = own.narrow(1, 0, in_).unsqueeze(1),
                 deviation = (own.narrow(1, in_, in_).clamp_min(0) + 1e-8).sqrt().unsqueeze(1);
    return ((flat - mean) / deviation).clamp(-clip_, clip_).reshape(x.sizes());
  }

 private:
  double clip_, memory_;
  std::unique_ptr<Model> network_;
  int64_t in_ = 1, own_ = 0;
  Layout layout_;
};

class NormalisedRecurrent final : public Normalised, public Recurrent {
 public:
  struct Options : Normalised::Options {
    Options() : Normalised::Options("gru") {}
  };

  NormalisedRecurrent(const Options& o, const ModelShape& shape) : Normalised(o, shape) {
    recurrent_ = dynamic_cast<const Recurrent*>(&network());
    if (!recurrent_)
      throw UserError("[model.network] kind", "\"" + o.network.kind() + "\" remembers nothing",
                      "use \"gru\", or [model] kind = \"normalised\"");
  }

  int64_t hidden() const override { return recurrent_->hidden(); }
  Tensor first(const Tensor& theta) const override { return recurrent_->first(rest(theta)); }
  std::pair<Tensor, Tensor> advance(const Tensor& theta, const Tensor& x, const Tensor& h) const override {
    return recurrent_->advance(rest(theta), normal(theta, x), h);
  }
  Tensor unroll(const Tensor& theta, const Tensor& x, const Tensor& h) const override {
    return recurrent_->unroll(rest(theta), normal(theta, x), h);
  }

 private:
  const Recurrent* recurrent_;
};

class NormalisedPlain final : public Normalised {
 public:
  struct Options : Normalised::Options {};
  NormalisedPlain(const Options& o, const ModelShape& shape) : Normalised(o, shape) {
    if (dynamic_cast<const Recurrent*>(&network()))
      throw UserError("[model.network] kind", "\"" + o.network.kind() + "\" remembers",
                      "set [model] kind = \"normalised_recurrent\"");
  }
};

SYMMA_REGISTER(Model, "normalised", NormalisedPlain,
               "a network whose inputs are normalised by running statistics",
               "Andrychowicz et al. 2021, arXiv:2006.05990");
SYMMA_REGISTER(Model, "normalised_recurrent", NormalisedRecurrent, "the same of a network that remembers",
               "Andrychowicz et al. 2021, arXiv:2006.05990");

}  // namespace
}  // namespace symma
