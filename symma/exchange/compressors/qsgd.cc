// QSGD: each value as sign and level, |x| level / s, rounded up or down at random so that the mean is right.
// Alistarh et al. 2017, arXiv:1610.02132. `int8` is the same with the largest magnitude in place of the norm
// and 127 levels, so that one value is one byte. Digits of base 2s + 1 are packed into words of 64 bits:
// about log2(2s + 1) bits a value.
//
// With few levels for its length a row is rounded by more than its own norm: E|x - C(x)|^2 = omega |x|^2 with
// omega > 1, and what feeds the error back (CHOCO-gossip, residuals) diverges. So the receiver takes
// C(x) / (1 + omega), which contracts by 1 / (1 + omega): Koloskova et al. 2019, arXiv:1902.00340, section 2.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "symma/core/simd.h"
#include "symma/exchange/compressor.h"

namespace symma {
namespace {

class Levels : public Compressor {
 public:
  Levels(int64_t levels, int64_t bucket, bool by_norm, bool unbiased)
      : levels_(levels), bucket_(bucket), by_norm_(by_norm), unbiased_(unbiased) {}
  bool unbiased() const override { return unbiased_; }

  double contraction(int64_t size) const override {
    return unbiased_ ? std::max(0.0, 1 - omega(size)) : 1 / (1 + omega(size));
  }

  Bytes encode(const Tensor& row, Rng rng) const override {
    const Tensor held = values_of(row);
    const int64_t size = held.numel(), width = this->width(size), some = std::min(width, part());
    std::vector<double> drawn(some);
    std::vector<uint32_t> digits(some);
    Draws draws(rng);
    BitWriter w;
    for (int64_t begin = 0; begin < size; begin += width) {
      const int64_t end = std::min(size, begin + width);
      const double* x = held.data_ptr<double>();
      const float unit = unit_of(x + begin, end - begin);
      w.put_float(unit);
      for (int64_t at = begin; at < end; at += some) {
        const int64_t n = std::min(some, end - at);
        // Numbers are drawn for the values that are rounded: of all units but 0, an infinity or a NaN.
        if (unit > 0 && std::isfinite(unit)) {
          draws.uniforms(drawn.data(), n);
          round(x + at, unit, drawn.data(), n, digits.data());
        } else {
          std::fill_n(digits.begin(), n, static_cast<uint32_t>(levels_));
        }
        w.put_radix({digits.data(), static_cast<size_t>(n)}, base());
      }
    }
    return w.take();
  }

  Decoded decode(std::span<const uint8_t> bytes, int64_t size) const override {
    BitReader r(bytes);
    const Tensor out = at::empty({size}, at::kDouble);
    const int64_t width = this->width(size), some = std::min(width, part());
    std::vector<uint32_t> digits(some);
    const double shrunk = unbiased_ ? 1 : 1 / (1 + omega(size));
    for (int64_t begin = 0; begin < size; begin += width) {
      const int64_t end = std::min(size, begin + width);
      const double unit = r.get_float();
      for (int64_t at = begin; at < end; at += some) {
        const int64_t n = std::min(some, end - at);
        r.get_radix({digits.data(), static_cast<size_t>(n)}, base());
        if (r.failed()) return {{}, "a message of levels that ends early or holds a level out of range"};
        if (unit < 0) return {{}, "a message of levels with a negative norm"};
        widest([&]() SYMMA_INLINE {
          const uint32_t* from = digits.data();
          double* __restrict to = out.data_ptr<double>() + at;
          const auto top = static_cast<double>(levels_), scale = shrunk * unit;
          for (int64_t i = 0; i < n; ++i)
            to[i] = scale * (static_cast<double>(static_cast<int32_t>(from[i])) - top) / top;
        });
      }
    }
    if (!r.finished()) return {{}, "a message of levels with bytes to spare"};
    return {out, ""};
  }

 private:
  uint64_t base() const { return 2 * static_cast<uint64_t>(levels_) + 1; }
  // Values that are worked on at a time, whole words of them: what they take stays in the cache.
  int64_t part() const { return 256 * radix_digits(base()); }
  // |x| / unit in levels, up or down by `drawn`, as digits with 0 in the middle.
  void round(const double* x, double unit, const double* drawn, int64_t n, uint32_t* digits) const {
    widest([&]() SYMMA_INLINE {
      uint32_t* __restrict to = digits;
      const auto middle = static_cast<int32_t>(levels_);
      const auto top = static_cast<double>(levels_);
      for (int64_t i = 0; i < n; ++i) {
        const auto level = static_cast<int32_t>(std::min(std::abs(x[i]) / unit * top + drawn[i], top));
        to[i] = static_cast<uint32_t>(middle + (x[i] < 0 ? -level : level));
      }
    });
  }
  // By the paper's lemma 3.1 E|x - C(x)|^2 <= min(d / s^2, sqrt(d) / s) |x|^2; by the largest, d / (4 s^2).
  double omega(int64_t size) const {
    const double d = static_cast<double>(width(size)), s = static_cast<double>(levels_);
    return by_norm_ ? std::min(d / (s * s), std::sqrt(d) / s) : d / (4 * s * s);
  }
  int64_t width(int64_t size) const { return bucket_ > 0 ? std::min(bucket_, size) : size; }
  // Rounded up to a float, so that no value is above the last level. Numbers are over the largest before they
  // are squared, or squares of the smallest would be lost; sums go in one order, whatever the processor.
  float unit_of(const double* x, int64_t n) const {
    double most = 0;
    int64_t finite = 1;
    widest([&]() SYMMA_INLINE {
      double top = 0;
      int64_t all = 1;
      for (int64_t i = 0; i < n; ++i) {
        const double size = std::abs(x[i]);
        top = size > top ? size : top;
        all &= size <= std::numeric_limits<double>::max() ? 1 : 0;
      }
      most = top, finite = all;
    });
    if (finite == 0) return std::numeric_limits<float>::quiet_NaN();
    double unit = most;
    if (by_norm_ && most > 0) {
      constexpr int64_t kSums = kOfLine<double>;
      std::array<double, kSums> sums{};
      widest([&](auto bytes) SYMMA_INLINE {
        using V = LooseVec<double, bytes>;
        constexpr int64_t kAtOnce = kLanes<double, bytes>, kParts = kSums / kAtOnce;
        V all[kParts] = {};
        int64_t i = 0;
        for (; i + kSums <= n; i += kSums) {
          for (int64_t p = 0; p < kParts; ++p) {
            const V part = *reinterpret_cast<const V*>(x + i + p * kAtOnce) / most;
            all[p] += part * part;
          }
        }
        for (int64_t k = 0; k < kSums; ++k) sums[k] = all[k / kAtOnce][k % kAtOnce];
        for (; i < n; ++i) sums[i % kSums] += (x[i] / most) * (x[i] / most);
      });
      unit *= std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
    }
    const auto f = static_cast<float>(unit);
    return static_cast<double>(f) < unit ? std::nextafter(f, std::numeric_limits<float>::infinity()) : f;
  }

  int64_t levels_, bucket_;
  bool by_norm_, unbiased_;
};

class Qsgd final : public Levels {
 public:
  struct Options {
    int64_t levels = 16;
    int64_t bucket = 0;
    bool unbiased = false;
    void fields(Fields& f) {
      f.add("levels", levels, "s, the levels besides zero").at_least(1).at_most(1 << 20);
      f.add("bucket", bucket, "values that share a norm; 0 for all").at_least(0);
      f.add("unbiased", unbiased, "leave the mean right, rather than shrink so that fed-back errors die out");
    }
  };
  explicit Qsgd(Options o) : Levels(o.levels, o.bucket, true, o.unbiased) {}
};

class Int8 final : public Levels {
 public:
  struct Options {
    int64_t bucket = 1024;
    void fields(Fields& f) { f.add("bucket", bucket, "values that share a scale; 0 for all").at_least(0); }
  };
  explicit Int8(Options o) : Levels(127, o.bucket, false, true) {}
};

SYMMA_REGISTER(Compressor, "qsgd", Qsgd, "sign and random level of each value",
               "Alistarh et al. 2017, arXiv:1610.02132");
SYMMA_REGISTER(Compressor, "int8", Int8, "one byte a value, rounded at random",
               "Alistarh et al. 2017, arXiv:1610.02132, with the largest value as scale");

}  // namespace
}  // namespace symma
