// A few of the values, the rest zero.
//
// top_k: the k of largest magnitude, as 32-bit floats; the gaps between their places in a Rice code (Rice and
// Plaunt 1971). random_k: k places drawn from a seed of 32 bits that goes with the message, so places cost
// nothing; with `scale` the values are multiplied by P / k, and the mean is right. Stich et al. 2018,
// "Sparsified SGD with memory", arXiv:1809.07599.
#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "symma/exchange/compressor.h"

namespace symma {
namespace {

struct KeepOptions {
  double fraction = 0.01;
  void fields(Fields& f) {
    f.add("fraction", fraction, "share of the values that is sent, one at least").above(0).at_most(1);
  }
  int64_t k(int64_t size) const {
    return std::clamp<int64_t>(std::llround(fraction * static_cast<double>(size)), 1, size);
  }
};

// Magnitudes as whole numbers that are in the same order; what is no number counts as infinite.
uint64_t magnitude(double x) {
  constexpr uint64_t kInfinite = 0x7ff0000000000000;
  return std::min(std::bit_cast<uint64_t>(x) & 0x7fffffffffffffff, kInfinite);
}

// The k-th largest magnitude, and how many are larger. Of many, their upper bits are counted first, so that
// few are left to be put in order.
struct Kth {
  uint64_t magnitude;
  int64_t larger;
};
Kth kth_largest(const double* x, int64_t size, int64_t k) {
  constexpr int kShift = 47;  // what is left are the exponent and five bits of the fraction
  constexpr uint64_t kBins = uint64_t{1} << (63 - kShift);
  const bool many = size >= static_cast<int64_t>(kBins);
  uint64_t bin = kBins;
  int64_t above = 0;
  std::vector<uint64_t> near;
  if (many) {
    std::vector<int64_t> count(kBins);
    for (int64_t i = 0; i < size; ++i) ++count[magnitude(x[i]) >> kShift];
    while (above + count[--bin] < k) above += count[bin];
    near.reserve(count[bin]);
  } else {
    near.reserve(size);
  }
  for (int64_t i = 0; i < size; ++i) {
    const uint64_t m = magnitude(x[i]);
    if (!many || m >> kShift == bin) near.push_back(m);
  }
  const auto at = near.begin() + (k - above - 1);
  std::nth_element(near.begin(), at, near.end(), std::greater<>());
  const uint64_t least = *at;
  return {least, above + std::count_if(near.begin(), at, [&](uint64_t m) { return m > least; })};
}

class TopK final : public Compressor {
 public:
  using Options = KeepOptions;
  explicit TopK(Options o) : o_(o) {}
  bool unbiased() const override { return false; }
  double contraction(int64_t size) const override {
    return static_cast<double>(o_.k(size)) / static_cast<double>(size);
  }

  Bytes encode(const Tensor& row, Rng) const override {
    const Tensor held = values_of(row);
    const double* x = held.data_ptr<double>();
    const int64_t size = held.numel();
    const auto [least, above] = kth_largest(x, size, o_.k(size));
    int64_t level = o_.k(size) - above;  // how many of the least that are sent: the first ones
    const int low = rice_bits(size);
    BitWriter w;
    int64_t next = 0;
    for (int64_t i = 0; i < size; ++i) {
      const uint64_t m = magnitude(x[i]);
      if (m < least || (m == least && level-- <= 0)) continue;
      w.put_rice(static_cast<uint64_t>(i - next), low);
      w.put_float(static_cast<float>(x[i]));
      next = i + 1;
    }
    return w.take();
  }

  Decoded decode(std::span<const uint8_t> bytes, int64_t size) const override {
    const int low = rice_bits(size);
    BitReader r(bytes);
    const Tensor out = at::zeros({size}, at::kDouble);
    double* values = out.data_ptr<double>();
    uint64_t next = 0;
    for (int64_t j = 0; j < o_.k(size); ++j) {
      const uint64_t place = next + r.get_rice(low, size);
      const float value = r.get_float();
      if (r.failed()) return {{}, "a sparse message that ends early"};
      if (place >= static_cast<uint64_t>(size))
        return {{}, "a sparse message with a place past the row's end"};
      values[place] = value;
      next = place + 1;
    }
    if (!r.finished()) return {{}, "a sparse message with bytes to spare"};
    return {out, ""};
  }

 private:
  // The best for gaps that are geometric with mean P / k: about log2 of their median.
  int rice_bits(int64_t size) const {
    const double gap = static_cast<double>(size) / static_cast<double>(o_.k(size));
    return std::max(0, static_cast<int>(std::lround(std::log2(std::max(1.0, 0.69 * gap)))));
  }
  Options o_;
};

class RandomK final : public Compressor {
 public:
  struct Options : KeepOptions {
    bool scale = false;
    void fields(Fields& f) {
      KeepOptions::fields(f);
      f.add("scale", scale, "multiply by P/k: unbiased, but no contraction");
    }
  };
  explicit RandomK(Options o) : o_(o) {}
  bool unbiased() const override { return o_.scale; }
  double contraction(int64_t size) const override {
    return o_.scale ? 0 : static_cast<double>(o_.k(size)) / static_cast<double>(size);
  }

  Bytes encode(const Tensor& row, Rng rng) const override {
    const Tensor held = values_of(row);
    const double* x = held.data_ptr<double>();
    const int64_t size = held.numel();
    const uint32_t seed = rng.block(0)[0];
    const double factor = o_.scale ? static_cast<double>(size) / static_cast<double>(o_.k(size)) : 1;
    BitWriter w;
    w.put(seed, 32);
    for (int64_t i : places(seed, size)) w.put_float(static_cast<float>(factor * x[i]));
    return w.take();
  }

  Decoded decode(std::span<const uint8_t> bytes, int64_t size) const override {
    const int64_t expected = 4 + 4 * o_.k(size);
    if (static_cast<int64_t>(bytes.size()) != expected)
      return {{},
              "a sparse message of " + std::to_string(bytes.size()) + " bytes instead of " +
                  std::to_string(expected)};
    BitReader r(bytes);
    const Tensor out = at::zeros({size}, at::kDouble);
    for (int64_t i : places(static_cast<uint32_t>(r.get(32)), size))
      out.data_ptr<double>()[i] = r.get_float();
    return {out, ""};
  }

 private:
  std::vector<int64_t> places(uint32_t seed, int64_t size) const {
    return Draws(Rng(seed).split("places")).choose(size, o_.k(size));
  }
  Options o_;
};

SYMMA_REGISTER(Compressor, "top_k", TopK, "the values of largest magnitude",
               "Stich et al. 2018, arXiv:1809.07599");
SYMMA_REGISTER(Compressor, "random_k", RandomK, "values at random places",
               "Stich et al. 2018, arXiv:1809.07599");

}  // namespace
}  // namespace symma
