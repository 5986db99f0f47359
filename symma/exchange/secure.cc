#include "symma/exchange/secure.h"

#include <sodium.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace symma::secure {

void start() {
  static const int ready = sodium_init();
  TORCH_CHECK(ready >= 0, "libsodium does not start");
}

namespace {

constexpr uint64_t kPrime = (uint64_t{1} << 61) - 1;

uint64_t add(uint64_t a, uint64_t b) {
  const uint64_t s = a + b;
  return s >= kPrime ? s - kPrime : s;
}

uint64_t multiply(uint64_t a, uint64_t b) {
  const unsigned __int128 p = static_cast<unsigned __int128>(a) * b;
  return add(static_cast<uint64_t>(p & kPrime), static_cast<uint64_t>(p >> 61));
}

uint64_t power(uint64_t a, uint64_t e) {
  uint64_t out = 1;
  for (; e > 0; e >>= 1, a = multiply(a, a))
    if (e & 1) out = multiply(out, a);
  return out;
}

Key hash(const std::vector<std::span<const uint8_t>>& parts) {
  start();
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, 32);
  for (const auto& part : parts) crypto_generichash_update(&state, part.data(), part.size());
  Key out;
  crypto_generichash_final(&state, out.data(), out.size());
  return out;
}

uint64_t number_of(const uint8_t* b) {
  uint64_t x = 0;
  for (int i = 0; i < 8; ++i) x |= static_cast<uint64_t>(b[i]) << 8 * i;
  return x;
}

}  // namespace

uint64_t low_bits(int bits) {
  return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
}

std::array<uint8_t, 8> bytes_of(uint64_t x) {
  std::array<uint8_t, 8> out;
  for (int i = 0; i < 8; ++i) out[i] = static_cast<uint8_t>(x >> 8 * i);
  return out;
}

void add_stream(const Key& key, bool minus, std::vector<uint64_t>& numbers) {
  std::vector<uint64_t> stream(numbers.size());
  const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = {};
  crypto_stream_chacha20(reinterpret_cast<uint8_t*>(stream.data()), stream.size() * 8, nonce, key.data());
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] += minus ? -stream[i] : stream[i];
}

Key public_of(const Key& secret) {
  Key out;
  crypto_scalarmult_base(out.data(), secret.data());
  return out;
}

bool agree(const Key& secret, const Key& theirs, const char* purpose, uint64_t round, uint64_t a, uint64_t b,
           Key& out) {
  Key point;
  if (crypto_scalarmult(point.data(), secret.data(), theirs.data()) != 0) return false;
  const auto r = bytes_of(round), x = bytes_of(a), y = bytes_of(b);
  out = hash({point, {reinterpret_cast<const uint8_t*>(purpose), std::strlen(purpose)}, r, x, y});
  return true;
}

bool mask_key(const Key& secret, const Key& theirs, uint64_t round, int64_t u, int64_t v, Key& out) {
  return agree(secret, theirs, "mask", round, std::min(u, v), std::max(u, v), out);
}

Key commitment_of(const Key& seed) {
  return derive(seed, "commitment");
}

Key derive(const Key& seed, const std::string& label, uint64_t index) {
  const auto i = bytes_of(index);
  return hash({seed, i, {reinterpret_cast<const uint8_t*>(label.data()), label.size()}});
}

double FixedPoint::step() const {
  return range / (std::ldexp(1.0, precision - 1) - 1);
}

int FixedPoint::bits(int64_t agents) const {
  // The sum of all noises, twelve deviations of it, counts as so many rows more.
  const double n = static_cast<double>(agents),
               rows = n + 12 * static_cast<double>(noise) * std::sqrt(n) * step() / range;
  int more = 0;
  while (std::ldexp(1.0, more) < rows) ++more;
  TORCH_CHECK(precision >= 2 && precision <= 53 && precision + more <= 64, precision, " bits for ", agents,
              " agents");
  return precision + more;
}

std::vector<uint64_t> FixedPoint::encode(const Tensor& row, int64_t agents) const {
  const Tensor x = row.detach().to(at::kCPU, at::kDouble).contiguous();
  const double top = std::ldexp(1.0, precision - 1) - 1;
  const double* p = x.data_ptr<double>();
  const auto whole = [&](int64_t i, double scale) {
    return std::isnan(p[i]) ? 0 : std::llround(std::clamp(scale * p[i] / range, -1.0, 1.0) * top);
  };
  const auto fits = [&](double scale) {
    double square = 0;
    for (int64_t i = 0; i < x.numel(); ++i) {
      const auto v = static_cast<double>(whole(i, scale));
      square += v * v;
    }
    return std::sqrt(square) * step() <= norm * (1 - 1e-12);
  };
  double scale = 1;
  if (norm > 0 && !fits(scale)) {
    double low = 0;  // nothing fits always
    for (int k = 0; k < 30; ++k) {
      const double mid = (low + scale) / 2;
      (fits(mid) ? low : scale) = mid;
    }
    scale = low;
  }
  std::vector<uint64_t> out(x.numel());
  for (int64_t i = 0; i < x.numel(); ++i)
    out[i] = static_cast<uint64_t>(whole(i, scale)) & low_bits(bits(agents));
  return out;
}

Tensor FixedPoint::decode(const std::vector<uint64_t>& sum, int64_t agents) const {
  const int width = bits(agents);
  const double one = step();
  Tensor out = at::empty({static_cast<int64_t>(sum.size())}, at::kDouble);
  for (size_t i = 0; i < sum.size(); ++i) {
    // The highest bit is the sign.
    const auto whole = static_cast<int64_t>(sum[i] << (64 - width)) >> (64 - width);
    out.data_ptr<double>()[i] = static_cast<double>(whole) * one;
  }
  return out;
}

std::vector<Share> split_key(const Key& key, int64_t shares, int64_t threshold, const Key& seed) {
  start();
  TORCH_CHECK(1 <= threshold && threshold <= shares, threshold, " of ", shares, " shares");
  std::vector<Share> out(shares);
  for (int part = 0; part < 5; ++part) {
    std::vector<uint64_t> polynomial(threshold);
    for (int b = 0; b < 7 && 7 * part + b < 32; ++b)
      polynomial[0] |= static_cast<uint64_t>(key[7 * part + b]) << 8 * b;
    const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = {};
    // 61 bits are uniform below 2^61; the one value that is no element is drawn with a chance of 2^-61.
    std::vector<uint64_t> words(threshold);
    crypto_stream_chacha20(reinterpret_cast<uint8_t*>(words.data()), words.size() * 8, nonce,
                           derive(seed, "shares", part).data());
    for (int64_t i = 1; i < threshold; ++i) polynomial[i] = (words[i] & kPrime) % kPrime;
    for (int64_t s = 0; s < shares; ++s) {
      uint64_t value = 0;
      for (int64_t i = threshold; i-- > 0;)
        value = add(multiply(value, static_cast<uint64_t>(s + 1)), polynomial[i]);
      out[s][part] = value;
    }
  }
  return out;
}

Key join_key(const std::map<int64_t, Share>& shares, int64_t threshold) {
  TORCH_CHECK(static_cast<int64_t>(shares.size()) >= threshold, shares.size(), " shares of ", threshold);
  const auto end = std::next(shares.begin(), threshold);
  std::array<uint64_t, 5> secret{};
  for (auto a = shares.begin(); a != end; ++a) {
    // Lagrange's polynomial at 0.
    uint64_t above = 1, below = 1;
    for (auto b = shares.begin(); b != end; ++b) {
      if (a == b) continue;
      const auto x = static_cast<uint64_t>(a->first + 1), y = static_cast<uint64_t>(b->first + 1);
      above = multiply(above, y);
      below = multiply(below, add(y, kPrime - x));
    }
    const uint64_t weight = multiply(above, power(below, kPrime - 2));
    for (int part = 0; part < 5; ++part)
      secret[part] = add(secret[part], multiply(weight, a->second[part] % kPrime));
  }
  Key key{};
  for (int part = 0; part < 5; ++part)
    for (int b = 0; b < 7 && 7 * part + b < 32; ++b)
      key[7 * part + b] = static_cast<uint8_t>(secret[part] >> 8 * b);
  return key;
}

Bytes seal(const Shares& shares, const Key& key) {
  std::vector<uint8_t> plain;
  for (const Share& share : {shares.key, shares.seed})
    for (uint64_t x : share)
      for (uint8_t b : bytes_of(x)) plain.push_back(b);
  Bytes sealed(plain.size() + crypto_aead_chacha20poly1305_ietf_ABYTES);
  const uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {};
  crypto_aead_chacha20poly1305_ietf_encrypt(sealed.data(), nullptr, plain.data(), plain.size(), nullptr, 0,
                                            nullptr, nonce, key.data());
  return sealed;
}

bool open(const Bytes& sealed, const Key& key, Shares& out) {
  static_assert(kSealedBytes == 80 + crypto_aead_chacha20poly1305_ietf_ABYTES);
  uint8_t plain[80];
  const uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {};
  if (sealed.size() != kSealedBytes ||
      crypto_aead_chacha20poly1305_ietf_decrypt(plain, nullptr, nullptr, sealed.data(), sealed.size(),
                                                nullptr, 0, nonce, key.data()) != 0)
    return false;
  for (int i = 0; i < 5; ++i)
    out.key[i] = number_of(plain + 8 * i), out.seed[i] = number_of(plain + 40 + 8 * i);
  return true;
}

Result<std::vector<uint64_t>> unpack(const Setting& setting, const Bytes& bytes) {
  BitReader r(bytes);
  std::vector<uint64_t> out(setting.size);
  for (uint64_t& x : out) x = r.get(setting.bits);
  if (!r.finished())
    return {{},
            "a masked vector of " + std::to_string(bytes.size()) + " bytes for " +
                std::to_string(setting.size) + " values"};
  return {out, ""};
}

}  // namespace symma::secure
