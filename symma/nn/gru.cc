// A gated recurrent unit over rows (Cho et al. 2014, arXiv:1406.1078):
//
//   u = relu(x E + e);   r = s(u Wr + h Vr), z = s(u Wz + h Vz), n = tanh(u Wn + r (h Vn));   h' = (1 - z) n
//   + z h; y = h' W + b
//
// with a bias on every product, as in PyTorch's GRUCell; s is the logistic function. The gates' products
// stand side by side, so a step is one batched product, and those of u are one for all steps. An input of
// sizes {T, D} is a sequence that is read to its end; one of {D} is a sequence of one.
#include "symma/nn/init.h"
#include "symma/nn/recurrent.h"

namespace symma {
namespace {

class Gru : public Model, public Recurrent {
 public:
  struct Options {
    int64_t hidden = 64;
    void fields(Fields& f) {
      f.add("hidden", hidden, "width of the input's layer and of the memory").at_least(1);
    }
  };

  Gru(const Options& o, const ModelShape& shape) : h_(o.hidden) {
    length_ = shape.in.size() == 2 ? shape.in[0] : 1;
    in_ = 1;
    for (int64_t n : shape.in) in_ *= n;
    in_ /= length_;
    layout_.add("embed.weight", {in_, h_});
    layout_.add("embed.bias", {h_});
    layout_.add("input.weight", {h_, 3 * h_});  // r, z, n
    layout_.add("input.bias", {3 * h_});
    layout_.add("memory.weight", {h_, 3 * h_});
    layout_.add("memory.bias", {3 * h_});
    layout_.add("head.weight", {h_, shape.out});
    layout_.add("head.bias", {shape.out});
  }

  const Layout& layout() const override { return layout_; }

  Tensor init(int64_t rows, Rng rng) const override {
    Tensor theta = at::empty({rows, layout_.size()}, at::kFloat);
    for (int64_t r = 0; r < rows; ++r) {
      for (const auto& e : layout_.entries()) {
        const double fan = static_cast<double>(e.name.starts_with("embed") ? in_ : h_);
        fill_uniform(theta, layout_, e.name, r, 1 / std::sqrt(fan), rng.split("row", r));
      }
    }
    return theta;
  }

  Tensor forward(const Tensor& theta, const Tensor& x, Mode mode) const override {
    const auto p = layout_.split(theta);
    return at::baddbmm(p[7].unsqueeze(1), features(theta, x, mode), p[6]);
  }

  Tensor features(const Tensor& theta, const Tensor& x, Mode) const override {
    const int64_t b = x.size(0), k = x.size(1);
    return states(theta, x.reshape({b, k, length_, in_}).transpose(1, 2)).select(1, length_ - 1);
  }

  int64_t hidden() const override { return h_; }

  std::pair<Tensor, Tensor> advance(const Tensor& theta, const Tensor& x, const Tensor& h) const override {
    const auto p = layout_.split(theta);
    const Tensor next = gates(gated_input(p, x), h, p);
    return {at::baddbmm(p[7].unsqueeze(1), next, p[6]), next};
  }

  Tensor unroll(const Tensor& theta, const Tensor& x) const override {
    const auto p = layout_.split(theta);
    const Tensor h = states(theta, x);  // [B, T, K, H]
    const int64_t b = h.size(0), t = h.size(1), k = h.size(2);
    return at::baddbmm(p[7].unsqueeze(1), h.reshape({b, t * k, h_}), p[6]).view({b, t, k, -1});
  }

 private:
  // What the input gives to the three gates, [B, K, 3 H].
  Tensor gated_input(const std::vector<Tensor>& p, const Tensor& x) const {
    const Tensor u = at::baddbmm(p[1].unsqueeze(1), x, p[0]).relu();
    return at::baddbmm(p[3].unsqueeze(1), u, p[2]);
  }

  Tensor gates(const Tensor& input, const Tensor& h, const std::vector<Tensor>& p) const {
    const Tensor memory = at::baddbmm(p[5].unsqueeze(1), h, p[4]);  // [B, K, 3 H]
    const Tensor rz = (input.narrow(2, 0, 2 * h_) + memory.narrow(2, 0, 2 * h_)).sigmoid();
    const Tensor z = rz.narrow(2, h_, h_);
    const Tensor n =
        at::addcmul(input.narrow(2, 2 * h_, h_), rz.narrow(2, 0, h_), memory.narrow(2, 2 * h_, h_)).tanh();
    return n + z * (h - n);
  }

  // The hidden state after each step, [B, T, K, H].
  Tensor states(const Tensor& theta, const Tensor& x) const {
    const auto p = layout_.split(theta);
    const int64_t b = x.size(0), t = x.size(1), k = x.size(2);
    const auto inputs = gated_input(p, x.reshape({b, t * k, in_})).view({b, t, k, 3 * h_}).unbind(1);
    std::vector<Tensor> out;
    Tensor h = at::zeros({b, k, h_}, theta.options());
    for (const Tensor& input : inputs) out.push_back(h = gates(input, h, p));
    return at::stack(out, 1);
  }

  int64_t h_, in_, length_;
  Layout layout_;
};

SYMMA_REGISTER(Model, "gru", Gru, "a gated recurrent unit, with a layer before and one after it",
               "Cho et al. 2014, arXiv:1406.1078");

}  // namespace
}  // namespace symma
