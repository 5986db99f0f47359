#include "symma/exchange/secure.h"

#include <sodium.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace symma::secure {
namespace {

constexpr uint64_t kPrime = (uint64_t{1} << 61) - 1;
constexpr uint64_t kShareBytes = 2 * 5 * 8;

void start() {
  static const int ready = sodium_init();
  TORCH_CHECK(ready >= 0, "libsodium does not start");
}

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

uint64_t low_bits(int bits) {
  return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
}

// Adds `sign` times the stream of `key` to the numbers, modulo 2^64; the caller cuts to its bits.
void add_stream(const Key& key, bool minus, std::vector<uint64_t>& numbers) {
  std::vector<uint64_t> stream(numbers.size());
  const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = {};
  crypto_stream_chacha20(reinterpret_cast<uint8_t*>(stream.data()), stream.size() * 8, nonce, key.data());
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] += minus ? -stream[i] : stream[i];
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

std::array<uint8_t, 8> bytes_of(uint64_t x) {
  std::array<uint8_t, 8> out;
  for (int i = 0; i < 8; ++i) out[i] = static_cast<uint8_t>(x >> 8 * i);
  return out;
}

uint64_t number_of(const uint8_t* b) {
  uint64_t x = 0;
  for (int i = 0; i < 8; ++i) x |= static_cast<uint64_t>(b[i]) << 8 * i;
  return x;
}

Key public_of(const Key& secret) {
  Key out;
  crypto_scalarmult_base(out.data(), secret.data());
  return out;
}

// The key that two agents share, bound to the round and to what it is for. False for a public key of small
// order.
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

std::string name(int64_t agent) {
  return "agent " + std::to_string(agent);
}

Key commitment_of(const Key& seed) {
  return derive(seed, "commitment");
}

std::string missing(const Adverts& adverts, const Agents& agents) {
  for (int64_t a : agents)
    if (!adverts.count(a)) return name(a) + " did not advertise its keys";
  return "";
}

}  // namespace

Key derive(const Key& seed, const std::string& label, uint64_t index) {
  const auto i = bytes_of(index);
  return hash({seed, i, {reinterpret_cast<const uint8_t*>(label.data()), label.size()}});
}

int FixedPoint::bits(int64_t agents) const {
  int more = 0;
  while (int64_t{1} << more < agents) ++more;
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
    return std::sqrt(square) * (range / top) <= norm * (1 - 1e-12);
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
  const double top = std::ldexp(1.0, precision - 1) - 1;
  Tensor out = at::empty({static_cast<int64_t>(sum.size())}, at::kDouble);
  for (size_t i = 0; i < sum.size(); ++i) {
    // The highest bit is the sign.
    const auto whole = static_cast<int64_t>(sum[i] << (64 - width)) >> (64 - width);
    out.data_ptr<double>()[i] = static_cast<double>(whole) * (range / top);
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

Agent::Agent(const Setting& setting, int64_t me, const Key& seed)
    : setting_(setting),
      me_(me),
      seal_secret_(derive(seed, "seal")),
      mask_secret_(derive(seed, "mask")),
      self_seed_(derive(seed, "self")),
      share_seed_(derive(seed, "share")) {
  TORCH_CHECK(0 <= me && me < setting.agents && 2 * setting.threshold > setting.agents &&
                  setting.threshold <= setting.agents && setting.bits >= 1 && setting.bits <= 64 &&
                  setting.size >= 1,
              "secure aggregation of ", setting.agents, " agents, threshold ", setting.threshold, ", bits ",
              setting.bits);
}

Advert Agent::advertise() const {
  return {public_of(seal_secret_), public_of(mask_secret_), commitment_of(self_seed_)};
}

Result<Sealed> Agent::share(const Adverts& adverts) const {
  if (static_cast<int64_t>(adverts.size()) < setting_.threshold)
    return {{}, "too few agents advertised to go on"};
  const auto keys = split_key(mask_secret_, setting_.agents, setting_.threshold, derive(share_seed_, "key"));
  const auto seeds = split_key(self_seed_, setting_.agents, setting_.threshold, derive(share_seed_, "seed"));
  Sealed out;
  for (const auto& [to, advert] : adverts) {
    if (to == me_) continue;
    std::vector<uint8_t> plain;
    for (const Share& s : {keys[to], seeds[to]})
      for (uint64_t x : s)
        for (uint8_t b : bytes_of(x)) plain.push_back(b);
    Key key;
    if (!agree(seal_secret_, advert.seal_key, "seal", setting_.round, me_, to, key))
      return {{}, name(to) + " advertised a key of small order"};
    Bytes sealed(plain.size() + crypto_aead_chacha20poly1305_ietf_ABYTES);
    const uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {};  // the key seals this one message
    crypto_aead_chacha20poly1305_ietf_encrypt(sealed.data(), nullptr, plain.data(), plain.size(), nullptr, 0,
                                              nullptr, nonce, key.data());
    out[to] = std::move(sealed);
  }
  return {out, ""};
}

Result<Bytes> Agent::mask(const Adverts& adverts, const Agents& sharing,
                          const std::vector<uint64_t>& values) const {
  TORCH_CHECK(static_cast<int64_t>(values.size()) == setting_.size, values.size(), " values instead of ",
              setting_.size);
  if (static_cast<int64_t>(sharing.size()) < setting_.threshold)
    return {{}, "too few agents shared to go on"};
  if (!sharing.count(me_)) return {{}, "the server left " + name(me_) + " out of those who shared"};
  if (const std::string fault = missing(adverts, sharing); !fault.empty()) return {{}, fault};
  std::vector<uint64_t> sum = values;
  add_stream(derive(self_seed_, "stream"), false, sum);
  for (int64_t v : sharing) {
    if (v == me_) continue;
    Key key;
    if (!mask_key(mask_secret_, adverts.at(v).mask_key, setting_.round, me_, v, key))
      return {{}, name(v) + " advertised a key of small order"};
    add_stream(key, v < me_, sum);
  }
  BitWriter w;
  for (uint64_t x : sum) w.put(x, setting_.bits);
  return {w.take(), ""};
}

Result<Revealed> Agent::reveal(const Adverts& adverts, const Agents& sharing, const Agents& survivors,
                               const Sealed& received) const {
  if (static_cast<int64_t>(survivors.size()) < setting_.threshold)
    return {{}, "too few agents are left: the sum would say too much"};
  if (!std::includes(sharing.begin(), sharing.end(), survivors.begin(), survivors.end()))
    return {{}, "a survivor that never shared"};
  if (const std::string fault = missing(adverts, sharing); !fault.empty()) return {{}, fault};
  Revealed out;
  for (int64_t v : sharing) {
    Share key_share{}, seed_share{};
    if (v == me_) {
      key_share =
          split_key(mask_secret_, setting_.agents, setting_.threshold, derive(share_seed_, "key"))[me_];
      seed_share =
          split_key(self_seed_, setting_.agents, setting_.threshold, derive(share_seed_, "seed"))[me_];
    } else {
      const auto it = received.find(v);
      Key key;
      uint8_t plain[kShareBytes];
      const uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {};
      if (it == received.end() ||
          it->second.size() != kShareBytes + crypto_aead_chacha20poly1305_ietf_ABYTES ||
          !agree(seal_secret_, adverts.at(v).seal_key, "seal", setting_.round, v, me_, key) ||
          crypto_aead_chacha20poly1305_ietf_decrypt(plain, nullptr, nullptr, it->second.data(),
                                                    it->second.size(), nullptr, 0, nonce, key.data()) != 0)
        return {{}, "the shares from " + name(v) + " cannot be opened"};
      for (int i = 0; i < 5; ++i)
        key_share[i] = number_of(plain + 8 * i), seed_share[i] = number_of(plain + 40 + 8 * i);
    }
    if (survivors.count(v)) {
      out.seed_shares[v] = seed_share;
    } else {
      out.key_shares[v] = key_share;
    }
  }
  return {out, ""};
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

Result<std::vector<uint64_t>> unmask(const Setting& setting, const Adverts& adverts, const Agents& sharing,
                                     const Sealed& masked, const std::map<int64_t, Revealed>& revealed) {
  start();
  if (static_cast<int64_t>(revealed.size()) < setting.threshold)
    return {{}, "too few agents revealed their shares"};
  if (const std::string fault = missing(adverts, sharing); !fault.empty()) return {{}, fault};
  std::vector<uint64_t> sum(setting.size, 0);
  for (const auto& [u, bytes] : masked) {
    if (!sharing.count(u)) return {{}, name(u) + " sent a vector but never shared"};
    const auto numbers = unpack(setting, bytes);
    if (!numbers.ok()) return {{}, name(u) + ": " + numbers.fault};
    for (int64_t i = 0; i < setting.size; ++i) sum[i] += numbers.value[i];
  }
  for (int64_t v : sharing) {
    const bool survived = masked.count(v) > 0;
    std::map<int64_t, Share> shares;
    for (const auto& [u, r] : revealed) {
      const auto& from = survived ? r.seed_shares : r.key_shares;
      if (const auto it = from.find(v); it != from.end()) shares[u] = it->second;
    }
    if (static_cast<int64_t>(shares.size()) < setting.threshold) return {{}, "too few shares of " + name(v)};
    const Key secret = join_key(shares, setting.threshold);
    if (survived) {
      if (commitment_of(secret) != adverts.at(v).commitment)
        return {{}, "the shares of " + name(v) + "'s seed do not fit together"};
      add_stream(derive(secret, "stream"), true, sum);
      continue;
    }
    if (public_of(secret) != adverts.at(v).mask_key)
      return {{}, "the shares of " + name(v) + "'s key do not fit together"};
    for (const auto& [u, bytes] : masked) {
      Key key;
      if (!mask_key(secret, adverts.at(u).mask_key, setting.round, u, v, key))
        return {{}, name(u) + " advertised a key of small order"};
      add_stream(key, u < v, sum);  // what u added for v, taken away
    }
  }
  for (uint64_t& x : sum) x &= low_bits(setting.bits);
  return {sum, ""};
}

}  // namespace symma::secure
