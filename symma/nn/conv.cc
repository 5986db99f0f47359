// The convolutional net of few-shot learning: blocks of 3x3 convolution, stride 2, batch norm, ReLU; then the
// mean over places, then a linear head. Finn et al. 2017 (the strided variant for Omniglot); Vinyals et al.
// 2016.
//
// Rows are batched: each has its own filters (kernels/convolution.h). Batch norm's shift replaces the
// convolution's bias, which it would cancel.
//
// Batch norm's protocol is part of what a number means, so it has a name:
//   transductive: statistics of the batch at hand, at training and at evaluation (MAML's published code).
//   What is predicted for a query depends on the other queries. running: statistics of the batch while
//   learning; when judged, running means of what training saw, which travel in the row as buffers. Nothing
//   about other queries is used.
#include "symma/nn/init.h"
#include "symma/nn/kernels/convolution.h"
#include "symma/nn/kernels/norm.h"

namespace symma {
namespace {

constexpr double kEpsilon = 1e-5;
constexpr double kMomentum = 0.1;  // PyTorch's: running = 0.9 running + 0.1 batch

class Conv : public Model, public HasStatistics {
 public:
  struct Options {
    int64_t channels = 64;
    int64_t blocks = 4;
    std::string norm = "transductive";
    void fields(Fields& f) {
      f.add("channels", channels, "filters in each block").at_least(1);
      f.add("blocks", blocks, "convolutions, each halving the image").at_least(1).at_most(6);
      f.add("norm", norm, "batch norm's statistics when judged: those of the batch, or running ones")
          .one_of({"transductive", "running"});
    }
  };

  Conv(const Options& options, const ModelShape& shape) : options_(options), in_(shape.in) {
    if (in_.size() == 2) in_.push_back(1);
    if (in_.size() != 3)
      throw UserError("[model] kind", "\"conv\" takes images, and this task's inputs are not",
                      "use kind = \"mlp\"");
    int64_t c = in_[2];
    for (int64_t i = 0; i < options.blocks; ++i) {
      layout_.add(block(i) + ".weight", {9 * c, options.channels});
      layout_.add(block(i) + ".gamma", {options.channels});
      layout_.add(block(i) + ".beta", {options.channels});
      c = options.channels;
    }
    if (running()) {
      for (int64_t i = 0; i < options.blocks; ++i) {
        layout_.add(block(i) + ".running_mean", {c}, true);
        layout_.add(block(i) + ".running_var", {c}, true);
      }
    }
    layout_.add("head.weight", {c, shape.out});
    layout_.add("head.bias", {shape.out});
  }

  const Layout& layout() const override { return layout_; }

  // Xavier's uniform for filters, PyTorch's Linear for the head; gamma 1, beta 0.
  Tensor init(std::span<const Rng> keys) const override {
    const auto rows = static_cast<int64_t>(keys.size());
    Tensor theta = at::zeros({rows, layout_.size()}, at::kFloat);
    for (const auto& e : layout_.entries()) {
      const bool one = e.name.ends_with(".gamma") || e.name.ends_with(".running_var");
      if (one) theta.narrow(1, e.offset, e.size()).fill_(1);
      if (!e.name.ends_with(".weight")) continue;
      const bool head = e.name == "head.weight";
      const double fan_in = static_cast<double>(e.shape[0]), fan_out = 9.0 * static_cast<double>(e.shape[1]);
      const double bound = head ? 1 / std::sqrt(fan_in) : std::sqrt(6 / (fan_in + fan_out));
      for (int64_t r = 0; r < rows; ++r) fill_uniform(theta, layout_, e.name, r, bound, keys[r]);
    }
    return theta;
  }

  Tensor forward(const Tensor& theta, const Tensor& x, Mode mode) const override {
    const auto parts = layout_.split(theta);
    const Tensor f = run(parts, x, judged_by_running(mode), nullptr);
    return at::baddbmm(parts[parts.size() - 1].unsqueeze(1), f, parts[parts.size() - 2]);
  }

  Tensor features(const Tensor& theta, const Tensor& x, Mode mode) const override {
    return run(layout_.split(theta), x, judged_by_running(mode), nullptr);
  }

  Tensor observe(const Tensor& theta, const Tensor& x) const override {
    if (!running()) return theta;
    at::NoGradGuard no_grad;
    Tensor out = theta.clone();
    run(layout_.split(theta), x, false, &out);
    return out;
  }

  std::string protocol() const override { return options_.norm; }

 private:
  bool running() const { return options_.norm == "running"; }
  static std::string block(int64_t i) { return "block" + std::to_string(i); }

  bool judged_by_running(Mode mode) const { return mode == Mode::kEval && running(); }

  // Features [B, K, F] of rows that `parts` are the entries of. With `use_running`, batch norm takes the
  // row's running statistics; with `observed`, those of each block are moved toward the batch's.
  Tensor run(const std::vector<Tensor>& parts, const Tensor& x, bool use_running, Tensor* observed) const {
    const int64_t b = x.size(0), k = x.size(1);
    Tensor h = x.reshape({b * k, in_[0], in_[1], in_[2]});
    for (int64_t i = 0; i < options_.blocks; ++i) {
      const Tensor &weight = parts[3 * i], &gamma = parts[3 * i + 1], &beta = parts[3 * i + 2];
      const int64_t oh = (h.size(1) + 1) / 2, ow = (h.size(2) + 1) / 2, places = oh * ow;
      const Tensor y = kernels::convolution(h, weight);
      if (observed) {
        const Tensor mean = y.mean(1, true);
        const double n = static_cast<double>(k * places);
        blend(*observed, block(i) + ".running_mean", mean);
        blend(*observed, block(i) + ".running_var", (y - mean).square().sum(1, true) / std::max(1.0, n - 1));
      }
      if (use_running) {
        const Tensor mean = parts[3 * options_.blocks + 2 * i].unsqueeze(1).detach();
        const Tensor var = parts[3 * options_.blocks + 2 * i + 1].unsqueeze(1).detach();
        h = at::addcmul(beta.unsqueeze(1), y - mean, gamma.unsqueeze(1) * (var + kEpsilon).rsqrt()).relu();
      } else {
        h = norm_relu(y, gamma, beta, kEpsilon);
      }
      h = h.view({b * k, oh, ow, options_.channels});
    }
    return h.mean(at::IntArrayRef{1, 2}).view({b, k, options_.channels});
  }

  void blend(Tensor& rows, const std::string& name, const Tensor& value) const {
    const auto& e = layout_.at(name);
    Tensor part = rows.narrow(1, e.offset, e.size());
    part.lerp_(value.reshape({rows.size(0), e.size()}), kMomentum);
  }

  Options options_;
  std::vector<int64_t> in_;
  Layout layout_;
};

SYMMA_REGISTER(Model, "conv", Conv,
               "blocks of strided 3x3 convolution, batch norm and ReLU, then a linear head",
               "Finn et al. 2017, arXiv:1703.03400; Vinyals et al. 2016, arXiv:1606.04080");

}  // namespace
}  // namespace symma
