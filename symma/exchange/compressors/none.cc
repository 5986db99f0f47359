// No compression: each value as a float of 32 bits, or 16 (IEEE half, rounded to nearest, saturated at its
// largest).
#include <c10/util/Half.h>

#include <cmath>

#include "symma/exchange/compressor.h"

namespace symma {
namespace {

Decoded wrong_length(size_t bytes, int64_t expected) {
  return {{}, "a message of " + std::to_string(bytes) + " bytes instead of " + std::to_string(expected)};
}

class None final : public Compressor {
 public:
  using Options = NoOptions;
  explicit None(Options) {}
  bool unbiased() const override { return false; }  // by a rounding to float
  double contraction(int64_t) const override { return 1 - 1e-12; }
  Bytes encode(const Tensor& row, Rng) const override {
    BitWriter w;
    for (double v : values_of(row)) w.put_float(static_cast<float>(v));
    return w.take();
  }
  Decoded decode(std::span<const uint8_t> bytes, int64_t size) const override {
    if (static_cast<int64_t>(bytes.size()) != 4 * size) return wrong_length(bytes.size(), 4 * size);
    BitReader r(bytes);
    std::vector<double> values(size);
    for (double& v : values) v = r.get_float();
    return {row_of(values), ""};
  }
};

class Half final : public Compressor {
 public:
  using Options = NoOptions;
  explicit Half(Options) {}
  bool unbiased() const override { return false; }
  // Relative to 2^-11 within the range of normal numbers; below 6e-5 and above 65504 nothing is promised.
  double contraction(int64_t) const override { return 1 - 0x1p-20; }
  Bytes encode(const Tensor& row, Rng) const override {
    BitWriter w;
    for (double v : values_of(row)) {
      const double inside = v > 65504 ? 65504 : v < -65504 ? -65504 : v;  // a NaN stays one
      w.put(c10::Half(static_cast<float>(inside)).x, 16);
    }
    return w.take();
  }
  Decoded decode(std::span<const uint8_t> bytes, int64_t size) const override {
    if (static_cast<int64_t>(bytes.size()) != 2 * size) return wrong_length(bytes.size(), 2 * size);
    BitReader r(bytes);
    std::vector<double> values(size);
    for (double& v : values)
      v = static_cast<float>(c10::Half(static_cast<uint16_t>(r.get(16)), c10::Half::from_bits()));
    return {row_of(values), ""};
  }
};

SYMMA_REGISTER(Compressor, "none", None, "each value as a 32-bit float", "IEEE 754");
SYMMA_REGISTER(Compressor, "half", Half, "each value as a 16-bit float", "IEEE 754");

}  // namespace
}  // namespace symma
