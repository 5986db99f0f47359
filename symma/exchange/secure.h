// Secure aggregation: a server that learns the sum of vectors and nothing else of them, though agents drop
// out.
//
// Bonawitz et al. 2017, "Practical secure aggregation for privacy-preserving machine learning" (CCS), figure
// 4, for a server that follows the protocol (there is no consistency check by signatures), on libsodium:
// X25519, ChaCha20, ChaCha20-Poly1305, BLAKE2b. Four messages go up, each followed by one down:
//
//   advertise   two public keys, and a commitment to the self-mask's seed
//   share       Shamir shares of the mask key and of the seed, sealed for each peer
//   masked      y_u = x_u + PRG(b_u) + sum_{v > u} PRG(s_uv) - sum_{v < u} PRG(s_uv), modulo 2^bits
//   reveal      for each agent that sent its vector a share of its seed; for each that dropped out one of its
//   mask key
//
// An agent never gives both shares of one peer. The sum comes out as long as `threshold` agents reveal.
// Agents are 0..agents-1. Sets of agents are ascending. A peer's wrong message is a fault, and a value.
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
  // The bits in which the sum of so many agents cannot wrap, at most 64.
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
  // ceil(2 agents / 3): a third may be gone.
  static int64_t two_thirds(int64_t agents) { return (2 * agents + 2) / 3; }
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

class Agent {
 public:
  // All secrets follow from `seed`; a seed is used for one agent in one round.
  Agent(const Setting&, int64_t me, const Key& seed);
  Advert advertise() const;
  // Sealed shares for each other agent that advertised.
  Result<Sealed> share(const Adverts&) const;
  // The masked vector, packed, for the agents that shared (this one among them).
  Result<Bytes> mask(const Adverts&, const Agents& sharing, const std::vector<uint64_t>& values) const;
  // What the server needs once it says whose vectors came. `received` are the shares others sealed for this
  // agent. Refuses where fewer than the threshold are left.
  Result<Revealed> reveal(const Adverts&, const Agents& sharing, const Agents& survivors,
                          const Sealed& received) const;

 private:
  Setting setting_;
  int64_t me_;
  Key seal_secret_, mask_secret_, self_seed_, share_seed_;
};

// The sum over `masked` of the vectors, modulo 2^bits. `masked` came from agents of `sharing`, `revealed`
// from those of `masked`.
Result<std::vector<uint64_t>> unmask(const Setting&, const Adverts&, const Agents& sharing,
                                     const Sealed& masked, const std::map<int64_t, Revealed>& revealed);

// The packed numbers of a masked message.
Result<std::vector<uint64_t>> unpack(const Setting&, const Bytes&);

}  // namespace symma::secure
