#include "symma/exchange/discrete_gaussian.h"

#include <sodium.h>

#include <cmath>

namespace symma {
namespace {

using Wide = unsigned __int128;

// The words of a ChaCha20 stream, as they are asked for.
class Words {
 public:
  explicit Words(const secure::Key& key) : key_(key) { secure::start(); }
  uint64_t next() {
    if (at_ == block_.size()) refill();
    return block_[at_++];
  }

 private:
  void refill() {
    static_assert(crypto_stream_chacha20_NONCEBYTES == 8);
    const auto nonce = secure::bytes_of(block_number_++);
    crypto_stream_chacha20(reinterpret_cast<uint8_t*>(block_.data()), block_.size() * 8, nonce.data(),
                           key_.data());
    at_ = 0;
  }
  secure::Key key_;
  std::vector<uint64_t> block_ = std::vector<uint64_t>(512);
  size_t at_ = 512;
  uint64_t block_number_ = 0;
};

int bits_of(Wide x) {
  int n = 0;
  while (x > 0) ++n, x >>= 1;
  return n;
}

// Below m, each as often.
Wide below(Words& words, Wide m) {
  const int bits = bits_of(m - 1);
  if (bits == 0) return 0;
  for (;;) {
    Wide x = words.next();
    if (bits > 64) x |= static_cast<Wide>(words.next()) << 64;
    x &= bits == 128 ? ~Wide{0} : (Wide{1} << bits) - 1;
    if (x < m) return x;
  }
}

// True with chance a / b, a <= b.
bool chance(Words& words, Wide a, Wide b) {
  return below(words, b) < a;
}

// True with chance exp(-a / b): algorithm 1.
bool chance_of_exp(Words& words, Wide a, Wide b) {
  for (; a > b; a -= b)
    if (!chance_of_exp(words, 1, 1)) return false;
  uint64_t k = 1;
  // a / (b k), in two steps: b k need not fit.
  while (chance(words, a, b) && chance(words, 1, k)) ++k;
  return k % 2 == 1;
}

// Of the Laplace distribution over whole numbers with scale t: algorithm 2.
struct Signed {
  bool minus;
  uint64_t size;
};
Signed discrete_laplace(Words& words, uint64_t t) {
  for (;;) {
    const auto u = static_cast<uint64_t>(below(words, t));
    if (!chance_of_exp(words, u, t)) continue;
    uint64_t v = 0;
    while (chance_of_exp(words, 1, 1)) ++v;
    const bool minus = (words.next() & 1) != 0;
    if (minus && u == 0 && v == 0) continue;
    return {minus, u + t * v};
  }
}

}  // namespace

std::vector<int64_t> discrete_gaussian(const secure::Key& key, int64_t n, int64_t sigma) {
  TORCH_CHECK(1 <= sigma && sigma <= kMostDiscreteSigma, "a discrete Gaussian of sigma ", sigma);
  Words words(key);
  const auto s = static_cast<Wide>(sigma);
  const auto t = static_cast<uint64_t>(sigma) + 1;
  const Wide square = s * s, under = 2 * square * t * t;
  std::vector<int64_t> out(n);
  for (int64_t& x : out) {
    for (;;) {  // algorithm 3
      const Signed y = discrete_laplace(words, t);
      // What would be accepted with a chance below exp(-1900) does not fit.
      if (y.size > 63 * t) continue;
      const Wide yt = static_cast<Wide>(y.size) * t, apart = yt > square ? yt - square : square - yt;
      if (!chance_of_exp(words, apart * apart, under)) continue;
      x = y.minus ? -static_cast<int64_t>(y.size) : static_cast<int64_t>(y.size);
      break;
    }
  }
  return out;
}

int64_t share_of_noise(double sigma, int64_t agents) {
  const int64_t sure = secure::Setting::two_thirds(agents) - secure::Setting::helpers(agents);
  return static_cast<int64_t>(std::ceil(sigma / std::sqrt(static_cast<double>(sure))));
}

}  // namespace symma
