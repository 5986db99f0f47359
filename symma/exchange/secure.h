// Secure aggregation: a server that learns the sum of vectors and nothing else of them, though agents drop
// out. What both sides are made of; the sides themselves are in secure_sides.h.
//
// Bonawitz et al. 2017, "Practical secure aggregation for privacy-preserving machine learning" (CCS), on
// libsodium: X25519, Ed25519, ChaCha20, ChaCha20-Poly1305, BLAKE2b. Agents are 0..agents-1. Sets of agents
// are ascending. A peer's wrong message is a fault, and a value.
#pragma once

#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "symma/core/tensor.h"
#include "symma/exchange/bits.h"

namespace symma::secure {

using Key = std::array<uint8_t, 32>;
using Agents = std::set<int64_t>;

// A key of its own for each name and index under `seed`.
Key derive(const Key& seed, const std::string& name, uint64_t index = 0);

// ---- Real numbers as whole ones modulo 2^bits.

struct FixedPoint {
  double range = 8;    // values beyond it are clipped
  int precision = 24;  // bits of a value, its sign among them
  // Rows are drawn in until they are no longer than this once they are rounded; 0: rounded as they are.
  double norm = 0;
  // Standard deviation of the noise that each row carries beside, in steps; 0: none.
  int64_t noise = 0;
  double step() const;  // what 1 stands for
  // The bits in which the sum of so many agents cannot wrap (with noise: but for a chance of 1e-30), at most
  // 64.
  int bits(int64_t agents) const;
  std::vector<uint64_t> encode(const Tensor& row /*[P]*/, int64_t agents) const;  // a NaN counts as 0
  Tensor decode(const std::vector<uint64_t>& sum, int64_t agents) const;          // [P] double
};

// ---- Shamir's secret sharing over the prime field of 2^61 - 1; a key of 32 bytes is five numbers below
// 2^56.

using Share = std::array<uint64_t, 5>;
// Share i is the polynomials' values at i + 1; any `threshold` of them give the key, fewer say nothing of it.
std::vector<Share> split_key(const Key& key, int64_t shares, int64_t threshold, const Key& seed);
// From shares by holder. What it gives for wrong shares is some other key.
Key join_key(const std::map<int64_t, Share>& shares, int64_t threshold);

// ---- The protocol.

struct Setting {
  int64_t agents = 2;
  int64_t threshold = 2;  // how many must be there at the end; more than half of the agents
  int64_t size = 1;       // P
  int bits = 32;          // numbers are modulo 2^bits
  uint64_t round = 0;     // keys of different rounds have nothing in common
  int64_t crowd = 2;      // the fewest vectors whose sum anybody may learn; of two each gives away the other
  // ceil(2 agents / 3): a third may be gone.
  static int64_t two_thirds(int64_t agents) { return (2 * agents + 2) / 3; }
  // The most that may help a server, where two thirds must be there.
  static int64_t helpers(int64_t agents) { return 2 * two_thirds(agents) - agents - 1; }
  bool sound() const {
    return 2 * threshold > agents && threshold <= agents && crowd <= agents && bits >= 1 && bits <= 64 &&
           size >= 1;
  }
};

template <class T>
struct Result {
  T value{};
  std::string fault;  // "" where all is well
  bool ok() const { return fault.empty(); }
};

struct Advert {
  Key seal_key, mask_key;  // public
  Key commitment;          // BLAKE2b of the self-mask's seed
};
using Adverts = std::map<int64_t, Advert>;
using Sealed = std::map<int64_t, Bytes>;  // by the other agent

struct Revealed {
  std::map<int64_t, Share> seed_shares, key_shares;  // of survivors; of those who dropped out
};

// The packed numbers of a masked message.
Result<std::vector<uint64_t>> unpack(const Setting&, const Bytes&);

// ---- What the sides do with keys.

void start();  // libsodium, before anything of it that is not called here
std::array<uint8_t, 8> bytes_of(uint64_t);
uint64_t low_bits(int bits);
Key public_of(const Key& secret);
Key commitment_of(const Key& self_seed);
// Adds the stream of `key` to the numbers, or takes it away, modulo 2^64; the caller cuts to its bits.
void add_stream(const Key& key, bool minus, std::vector<uint64_t>& numbers);
// The key that two agents share, bound to the round and to what it is for. False for a public key of small
// order.
bool agree(const Key& secret, const Key& theirs, const char* purpose, uint64_t round, uint64_t a, uint64_t b,
           Key& out);
bool mask_key(const Key& secret, const Key& theirs, uint64_t round, int64_t u, int64_t v, Key& out);

// The two shares that an agent gives each other one, under a key that seals this one message.
struct Shares {
  Share key{}, seed{};
};
constexpr size_t kSealedBytes = 2 * 5 * 8 + 16;
Bytes seal(const Shares&, const Key&);
bool open(const Bytes&, const Key&, Shares&);

}  // namespace symma::secure
