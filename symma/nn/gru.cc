// A gated recurrent unit over rows (Cho et al. 2014, arXiv:1406.1078):
//
//   u = relu(x E + e);   r = s(u Wr + h Vr), z = s(u Wz + h Vz), n = tanh(u Wn + r (h Vn));   h' = (1 - z) n
//   + z h; y = h' W + b
//
// with a bias on every product, as in PyTorch's GRUCell; s is the logistic function. The gates' products
// stand side by side, so a step is one batched product, and those of u are one for all steps. An input of
// sizes {T, D} is a sequence that is read to its end; one of {D} is a sequence of one.
//
// A sequence begins with an h of zeros, or with `memory`: then the row holds h too, as a buffer, and a policy
// can be handed on in the middle of what it has lived through. With `std`, outputs for n numbers are n means
// and one learned log deviation for each, as those of a "gaussian".
//
// With `span`, z's bias begins at log t, t ~ U[1, span - 1]: a cell forgets in about t steps (Tallec &
// Ollivier 2018, arXiv:1804.11188, section 3).
#include <cmath>

#include "symma/core/errors.h"
#include "symma/nn/init.h"
#include "symma/nn/kernels/gru.h"
#include "symma/nn/recurrent.h"

namespace symma {
namespace {

class Gru : public Model, public Recurrent {
 public:
  struct Options {
    int64_t hidden = 64;
    int64_t span = 0;
    bool memory = false;
    double std = 0;
    void fields(Fields& f) {
      f.add("hidden", hidden, "width of the input's layer and of the memory").at_least(1);
      f.add("memory", memory, "the row holds the memory that it begins with, which \"rl2\" needs");
      f.add("span", span,
            "steps of the longest thing to be remembered: z begins as far open as times up to that ask for; "
            "0: half open")
          .at_least(0);
      f.add("std", std,
            "of a policy over numbers: one learned deviation each, at the start; 0: deviations follow from "
            "what "
            "is seen")
          .at_least(0);
    }
  };

  Gru(const Options& o, const ModelShape& shape)
      : h_(o.hidden),
        span_(o.span),
        numbers_(o.std > 0 ? shape.out / 2 : 0),
        log_std_(std::log(o.std)),
        memory_(o.memory) {
    if (o.std > 0 && shape.out % 2 != 0) {
      throw UserError("[model] std", "deviations are of policies over numbers, and this task asks for none",
                      "leave std out, or use a world with continuous actions");
    }
    length_ = shape.in.size() == 2 ? shape.in[0] : 1;
    in_ = 1;
    for (int64_t n : shape.in) in_ *= n;
    in_ /= length_;
    if (memory_) layout_.add("memory", {h_}, true);
    if (numbers_ > 0) layout_.add("log_std", {numbers_});
    layout_.add("embed.weight", {in_, h_});
    layout_.add("embed.bias", {h_});
    layout_.add("input.weight", {h_, 3 * h_});  // r, z, n
    layout_.add("input.bias", {3 * h_});
    layout_.add("memory.weight", {h_, 3 * h_});
    layout_.add("memory.bias", {3 * h_});
    layout_.add("head.weight", {h_, shape.out - numbers_});
    layout_.add("head.bias", {shape.out - numbers_});
  }

  const Layout& layout() const override { return layout_; }

  Tensor init(std::span<const Rng> keys) const override {
    const auto rows = static_cast<int64_t>(keys.size());
    Tensor theta = at::empty({rows, layout_.size()}, at::kFloat);
    for (int64_t r = 0; r < rows; ++r) {
      if (memory_) layout_.view(theta, "memory")[r].zero_();
      if (numbers_ > 0) layout_.view(theta, "log_std")[r].fill_(log_std_);
      for (const auto& e : layout_.entries()) {
        if (e.offset < memory_ * h_ + numbers_) continue;
        const double fan = static_cast<double>(e.name.starts_with("embed") ? in_ : h_);
        fill_uniform(theta, layout_, e.name, r, 1 / std::sqrt(fan), keys[r]);
      }
      if (span_ < 3) continue;
      Draws times(keys[r].split("span"));
      float* z = layout_.view(theta, "input.bias")[r].data_ptr<float>() + h_;
      for (int64_t k = 0; k < h_; ++k)
        z[k] += static_cast<float>(std::log(times.uniform(1, static_cast<double>(span_ - 1))));
    }
    return theta;
  }

  Tensor forward(const Tensor& theta, const Tensor& x, Mode mode) const override {
    return head(parts(theta), features(theta, x, mode), theta);
  }

  Tensor features(const Tensor& theta, const Tensor& x, Mode) const override {
    const int64_t b = x.size(0), k = x.size(1);
    return states(theta, x.reshape({b, k, length_, in_}).transpose(1, 2), {}).select(1, length_ - 1);
  }

  int64_t hidden() const override { return h_; }

  Tensor first(const Tensor& theta) const override {
    return memory_ ? layout_.view(theta, "memory").detach() : at::zeros({theta.size(0), h_}, theta.options());
  }

  std::pair<Tensor, Tensor> advance(const Tensor& theta, const Tensor& x, const Tensor& h) const override {
    const auto p = parts(theta);
    const Tensor next = gru_states(gated_input(p, x).unsqueeze(1), p[4], p[5], h).squeeze(1);
    return {head(p, next, theta), next};
  }

  Tensor unroll(const Tensor& theta, const Tensor& x, const Tensor& h) const override {
    const Tensor all = states(theta, x, h);  // [B, T, K, H]
    const int64_t b = all.size(0), t = all.size(1), k = all.size(2);
    return head(parts(theta), all.reshape({b, t * k, h_}), theta).view({b, t, k, -1});
  }

 private:
  // The weights and biases, in the layout's order.
  std::vector<Tensor> parts(const Tensor& theta) const {
    auto all = layout_.split(theta);
    all.erase(all.begin(), all.end() - 8);
    return all;
  }

  // The outputs [B, K, out] of hidden states [B, K, H].
  Tensor head(const std::vector<Tensor>& p, const Tensor& h, const Tensor& theta) const {
    const Tensor y = at::baddbmm(p[7].unsqueeze(1), h, p[6]);
    if (numbers_ == 0) return y;
    return at::cat({y, layout_.view(theta, "log_std").unsqueeze(1).expand_as(y)}, 2);
  }

  // What the input gives to the three gates, [B, K, 3 H].
  Tensor gated_input(const std::vector<Tensor>& p, const Tensor& x) const {
    const Tensor u = at::baddbmm(p[1].unsqueeze(1), x, p[0]).relu();
    return at::baddbmm(p[3].unsqueeze(1), u, p[2]);
  }

  // The hidden state after each step from `h`, or from the first where it is undefined: [B, T, K, H].
  Tensor states(const Tensor& theta, const Tensor& x, const Tensor& h) const {
    const auto p = parts(theta);
    const int64_t b = x.size(0), t = x.size(1), k = x.size(2);
    const Tensor inputs = gated_input(p, x.reshape({b, t * k, in_})).view({b, t, k, 3 * h_});
    return gru_states(inputs, p[4], p[5], h.defined() ? h : first(theta).unsqueeze(1).expand({b, k, h_}));
  }

  int64_t h_, span_, in_, length_, numbers_;
  double log_std_;
  bool memory_;
  Layout layout_;
};

SYMMA_REGISTER(Model, "gru", Gru, "a gated recurrent unit, with a layer before and one after it",
               "Cho et al. 2014, arXiv:1406.1078");

}  // namespace
}  // namespace symma
