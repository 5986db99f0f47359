// A counter-based random generator that is split by name and index, never advanced.
//
// Philox-4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). An `Rng` is a value: a
// 64-bit key. The same key gives the same numbers, whatever the thread, the process or the order of calls.
// To draw twice, split twice:
//
//   Rng round = rng.split("round", 17);
//   Tensor noise = normal(round.split("noise"), {4, 8});
#pragma once

#include <c10/core/ScalarType.h>
#include <c10/util/ArrayRef.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace at {
class Tensor;  // declared only: what reads runs draws too, and compiles without libtorch's headers
}

namespace symma {

// The 128-bit block at `counter` under `key`, as four words.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

class Rng {
 public:
  explicit Rng(uint64_t seed) : key_(seed) {}

  // An independent stream, named. Splits of equal names and indices are equal.
  Rng split(std::string_view name, uint64_t index = 0) const;

  // Four random words, number `block` of this stream.
  std::array<uint32_t, 4> block(uint64_t block) const;

  uint64_t key() const { return key_; }

 private:
  uint64_t key_;
};

// A run of numbers from one stream, for loops in plain C++. Draws in order; local to a function, never
// stored.
class Draws {
 public:
  explicit Draws(Rng rng) : rng_(rng) {}
  uint32_t word();
  double uniform();  // [0, 1), 53 bits
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  double normal();  // N(0, 1), Box-Muller
  // The next n of them, many times faster.
  void uniforms(double* out, int64_t n);
  void normals(double* out, int64_t n);
  int64_t below(int64_t n);                     // 0..n-1, unbiased (Lemire 2019); n >= 1
  std::vector<int64_t> permutation(int64_t n);  // of 0..n-1, Fisher-Yates
  // `k` distinct numbers of 0..n-1, in random order; k <= n.
  std::vector<int64_t> choose(int64_t n, int64_t k);

 private:
  Rng rng_;
  std::array<uint32_t, 4> words_{};  // block next_block_ - 1, of which `at_` words were taken
  uint64_t next_block_ = 0;
  int at_ = 4;
  bool have_spare_ = false;
  double spare_ = 0;
};

// Tensors of the given sizes on the CPU, in `type`.
at::Tensor uniform(Rng, c10::IntArrayRef sizes, double low, double high, c10::ScalarType type = c10::kFloat);
at::Tensor normal(Rng, c10::IntArrayRef sizes, c10::ScalarType type = c10::kFloat);

}  // namespace symma
