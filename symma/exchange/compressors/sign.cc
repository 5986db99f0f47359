// One bit a value: (|x|_1 / d) sign(x). A contraction with delta = |x|_1^2 / (d |x|^2) >= 1 / d.
// Karimireddy et al. 2019, "Error feedback fixes signSGD", arXiv:1901.09847.
#include <algorithm>
#include <cmath>

#include "symma/exchange/compressor.h"

namespace symma {
namespace {

class Sign final : public Compressor {
 public:
  using Options = NoOptions;
  explicit Sign(Options) {}
  bool unbiased() const override { return false; }
  double contraction(int64_t size) const override { return 1 / static_cast<double>(size); }
  Bytes encode(const Tensor& row, Rng) const override {
    const Tensor held = values_of(row);
    const std::span<const double> x{held.data_ptr<double>(), static_cast<size_t>(held.numel())};
    double sum = 0;
    for (double v : x) sum += std::abs(v);
    BitWriter w;
    w.put_float(static_cast<float>(sum / static_cast<double>(x.size())));
    for (size_t at = 0; at < x.size(); at += kWord) {
      const size_t n = std::min(kWord, x.size() - at);
      uint64_t word = 0;
      for (size_t k = 0; k < n; ++k) word |= static_cast<uint64_t>(x[at + k] < 0) << k;
      w.put(word, static_cast<int>(n));
    }
    return w.take();
  }
  Decoded decode(std::span<const uint8_t> bytes, int64_t size) const override {
    BitReader r(bytes);
    const double mean = r.get_float();
    const Tensor out = at::empty({size}, at::kDouble);
    const std::span<double> x{out.data_ptr<double>(), static_cast<size_t>(size)};
    for (size_t at = 0; at < x.size(); at += kWord) {
      const size_t n = std::min(kWord, x.size() - at);
      const uint64_t word = r.get(static_cast<int>(n));
      for (size_t k = 0; k < n; ++k) x[at + k] = (word >> k & 1) != 0 ? -mean : mean;
    }
    if (!r.finished())
      return {{},
              "a message of signs of " + std::to_string(bytes.size()) + " bytes for " + std::to_string(size) +
                  " values"};
    if (mean < 0) return {{}, "a message of signs with a negative mean"};
    return {out, ""};
  }

 private:
  static constexpr size_t kWord = 64;  // bits
};

SYMMA_REGISTER(Compressor, "sign", Sign, "the sign of each value and one mean magnitude",
               "Karimireddy et al. 2019, arXiv:1901.09847");

}  // namespace
}  // namespace symma
