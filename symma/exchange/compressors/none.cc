// No compression: each value as a float of 32 bits, or 16 (IEEE half, rounded to nearest, saturated at its
// largest).
#include <cstring>

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
    const Tensor x = values_of(row).to(at::kFloat);
    const auto* bytes = static_cast<const uint8_t*>(x.data_ptr());
    return {bytes, bytes + x.nbytes()};
  }
  Decoded decode(std::span<const uint8_t> bytes, int64_t size) const override {
    if (static_cast<int64_t>(bytes.size()) != 4 * size) return wrong_length(bytes.size(), 4 * size);
    const Tensor x = at::empty({size}, at::kFloat);
    std::memcpy(x.data_ptr(), bytes.data(), bytes.size());
    return {x.to(at::kDouble), ""};
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
    const Tensor x = values_of(row).clamp(-65504, 65504).to(at::kFloat).to(at::kHalf);  // a NaN stays one
    const auto* bytes = static_cast<const uint8_t*>(x.data_ptr());
    return {bytes, bytes + x.nbytes()};
  }
  Decoded decode(std::span<const uint8_t> bytes, int64_t size) const override {
    if (static_cast<int64_t>(bytes.size()) != 2 * size) return wrong_length(bytes.size(), 2 * size);
    const Tensor x = at::empty({size}, at::kHalf);
    std::memcpy(x.data_ptr(), bytes.data(), bytes.size());
    return {x.to(at::kDouble), ""};
  }
};

SYMMA_REGISTER(Compressor, "none", None, "each value as a 32-bit float", "IEEE 754");
SYMMA_REGISTER(Compressor, "half", Half, "each value as a 16-bit float", "IEEE 754");

}  // namespace
}  // namespace symma
