// QSGD: each value as sign and level, |x| level / s, rounded up or down at random so that the mean is right.
// Alistarh et al. 2017, arXiv:1610.02132. `int8` is the same with the largest magnitude in place of the norm
// and 127 levels, so that one value is one byte. Digits of base 2s + 1 are packed into words of 64 bits:
// about log2(2s + 1) bits a value.
//
// With few levels for its length a row is rounded by more than its own norm: E|x - C(x)|^2 = omega |x|^2 with
// omega > 1, and what feeds the error back (CHOCO-gossip, residuals) diverges. So the receiver takes
// C(x) / (1 + omega), which contracts by 1 / (1 + omega): Koloskova et al. 2019, arXiv:1902.00340, section 2.
#include <cmath>
#include <limits>

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
    const std::vector<double> x = values_of(row);
    const auto size = static_cast<int64_t>(x.size());
    BitWriter w;
    Draws draws(rng);
    for (int64_t begin = 0; begin < size; begin += width(size)) {
      const int64_t end = std::min(size, begin + width(size));
      const float unit = unit_of(x.data() + begin, end - begin);
      w.put_float(unit);
      std::vector<uint32_t> digits;
      for (int64_t i = begin; i < end; ++i) {
        int64_t level = 0;
        // A unit of 0, an infinity or a NaN leaves nothing to round.
        if (unit > 0 && std::isfinite(unit)) {
          const double place = std::abs(x[i]) / unit * static_cast<double>(levels_);
          level = static_cast<int64_t>(place + draws.uniform());
          level = std::min(level, levels_);
        }
        digits.push_back(static_cast<uint32_t>(levels_ + (x[i] < 0 ? -level : level)));
      }
      w.put_radix(digits, base());
    }
    return w.take();
  }

  Decoded decode(std::span<const uint8_t> bytes, int64_t size) const override {
    BitReader r(bytes);
    std::vector<double> values(size);
    const double shrunk = unbiased_ ? 1 : 1 / (1 + omega(size));
    for (int64_t begin = 0; begin < size; begin += width(size)) {
      const int64_t end = std::min(size, begin + width(size));
      const double unit = r.get_float();
      std::vector<uint32_t> digits(end - begin);
      r.get_radix(digits, base());
      if (r.failed()) return {{}, "a message of levels that ends early or holds a level out of range"};
      if (unit < 0) return {{}, "a message of levels with a negative norm"};
      for (int64_t i = begin; i < end; ++i)
        values[i] = shrunk * unit * (static_cast<double>(digits[i - begin]) - static_cast<double>(levels_)) /
                    static_cast<double>(levels_);
    }
    if (!r.finished()) return {{}, "a message of levels with bytes to spare"};
    return {row_of(values), ""};
  }

 private:
  uint64_t base() const { return 2 * static_cast<uint64_t>(levels_) + 1; }
  // By the paper's lemma 3.1 E|x - C(x)|^2 <= min(d / s^2, sqrt(d) / s) |x|^2; by the largest, d / (4 s^2).
  double omega(int64_t size) const {
    const double d = static_cast<double>(width(size)), s = static_cast<double>(levels_);
    return by_norm_ ? std::min(d / (s * s), std::sqrt(d) / s) : d / (4 * s * s);
  }
  int64_t width(int64_t size) const { return bucket_ > 0 ? std::min(bucket_, size) : size; }
  // Rounded up to a float, so that no value is above the last level.
  float unit_of(const double* x, int64_t n) const {
    double unit = 0;
    for (int64_t i = 0; i < n; ++i) {
      if (!std::isfinite(x[i])) return std::numeric_limits<float>::quiet_NaN();
      unit = by_norm_ ? std::hypot(unit, x[i]) : std::max(unit, std::abs(x[i]));
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
