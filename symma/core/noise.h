// Where the noise, the coins and the keys of privacy come from: the operating system. What follows from a
// seed hides nothing from whoever knows or guesses the seed; it is there for experiments that must be
// repeatable.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "symma/core/rng.h"

namespace symma {

// A value, split by name and index as an `Rng` is, but of 256 bits: streams of the system's are ChaCha20
// under keys that BLAKE2b derives from 32 bytes of `randombytes` (libsodium). It is never written to a file.
class Noise {
 public:
  using Key = std::array<uint8_t, 32>;
  static Noise of_system();   // another one at each call
  static Noise of_seed(Rng);  // the numbers of `symma::normal` and `Draws` under that key

  Noise split(std::string_view name, uint64_t index = 0) const;

  Tensor normal(at::IntArrayRef sizes) const;    // N(0, 1), double
  std::vector<double> uniform(int64_t n) const;  // [0, 1)
  Key key() const;                               // for a cipher

 private:
  std::optional<Rng> seed_;
  Key key_{};
};

}  // namespace symma
