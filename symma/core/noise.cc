#include "symma/core/noise.h"

#include <sodium.h>

#include <cmath>
#include <cstring>
#include <numbers>

namespace symma {
namespace {

void start_sodium() {
  static const int ready = sodium_init();
  TORCH_CHECK(ready >= 0, "libsodium does not start");
}

// The first n words of the stream of `key`.
std::vector<uint64_t> key_stream(const Noise::Key& key, size_t n) {
  std::vector<uint64_t> words(n);
  const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = {};  // a key has this one stream
  crypto_stream_chacha20(reinterpret_cast<uint8_t*>(words.data()), n * sizeof(uint64_t), nonce, key.data());
  return words;
}

// In (0, 1), 53 bits: its logarithm is finite.
double open_unit(uint64_t word) {
  return (static_cast<double>(word >> 11) + 0.5) * 0x1p-53;
}

}  // namespace

Noise Noise::of_system() {
  start_sodium();
  Noise n;
  randombytes_buf(n.key_.data(), n.key_.size());
  return n;
}

Noise Noise::of_seed(Rng rng) {
  Noise n;
  n.seed_ = rng;
  return n;
}

Noise Noise::split(std::string_view name, uint64_t index) const {
  Noise out;
  if (seed_) {
    out.seed_ = seed_->split(name, index);
    return out;
  }
  crypto_generichash_state state;
  crypto_generichash_init(&state, key_.data(), key_.size(), out.key_.size());
  crypto_generichash_update(&state, reinterpret_cast<const uint8_t*>(&index), sizeof index);
  crypto_generichash_update(&state, reinterpret_cast<const uint8_t*>(name.data()), name.size());
  crypto_generichash_final(&state, out.key_.data(), out.key_.size());
  return out;
}

Tensor Noise::normal(at::IntArrayRef sizes) const {
  if (seed_) return symma::normal(*seed_, sizes, at::kDouble);
  Tensor out = at::empty(sizes, at::kDouble);
  double* to = out.data_ptr<double>();
  const auto n = static_cast<size_t>(out.numel());
  const std::vector<uint64_t> words = key_stream(key_, n + n % 2);
  for (size_t i = 0; i < n; i += 2) {  // Box and Muller 1958
    const double radius = std::sqrt(-2 * std::log(open_unit(words[i])));
    const double angle = 2 * std::numbers::pi * open_unit(words[i + 1]);
    to[i] = radius * std::cos(angle);
    if (i + 1 < n) to[i + 1] = radius * std::sin(angle);
  }
  return out;
}

std::vector<double> Noise::uniform(int64_t n) const {
  std::vector<double> out(n);
  if (seed_) {
    Draws draws(*seed_);
    for (double& x : out) x = draws.uniform();
    return out;
  }
  const std::vector<uint64_t> words = key_stream(key_, static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<double>(words[i] >> 11) * 0x1p-53;
  return out;
}

Noise::Key Noise::key() const {
  if (!seed_) return key_;
  Key out;
  for (uint64_t b = 0; b < 2; ++b) {
    const auto words = seed_->block(b);
    std::memcpy(out.data() + 16 * b, words.data(), 16);
  }
  return out;
}

}  // namespace symma
