// The two sides of secure aggregation, as they stand on different machines: an agent, who trusts nobody but
// the keys that the roster names, and a server, who may lie.
//
// Bonawitz et al. 2017, figure 4, with what its authors add against a server that does not keep to the
// protocol. Five messages go up, each followed by one down:
//
//   advertise   two public keys and a commitment to the self-mask's seed, signed
//   share       Shamir shares of the mask key and of the seed, sealed for each peer
//   masked      y_u = x_u + PRG(b_u) + sum_{v > u} PRG(s_uv) - sum_{v < u} PRG(s_uv), modulo 2^bits
//   consent     whose vectors came, as the server says, signed (the consistency check)
//   reveal      for each agent that sent its vector a share of its seed; for each that dropped out one of its
//   mask key
//
// A side answers each stage once, and in this order. An agent reveals once `threshold` agents have signed the
// same list as it has: a server that tells two halves different lists gets no sum of either, as long as fewer
// than 2 threshold - agents of them help it. It never gives both shares of one peer.
//
// What comes from outside is checked before it is used: ids, sizes, signatures, stages. What is wrong is a
// fault, in words, and leaves the side as it was.
#pragma once

#include <optional>

#include "symma/exchange/secure.h"

namespace symma::secure {

using Signature = std::array<uint8_t, 64>;

// What an agent is known by: Ed25519.
struct Identity {
  Key seed;  // secret
  Key known_as() const;
};
// Who may take part, and by which public key each is known. Agreed on beforehand, by other means.
using Roster = std::map<int64_t, Key>;

struct SignedAdvert {
  Advert keys;
  Signature signature;
};
using SignedAdverts = std::map<int64_t, SignedAdvert>;
SignedAdvert sign(const Setting&, int64_t who, const Identity&, const Advert&);
using Consents = std::map<int64_t, Signature>;

// Adverts that are all right: known ids, a signature each, no key twice, enough of them. Checking is each
// agent's own business; agents of one process may share what was checked.
class CheckedAdverts {
 public:
  static Result<CheckedAdverts> check(const Setting&, const Roster&, const SignedAdverts&);
  const Adverts& keys() const { return keys_; }

 private:
  Adverts keys_;
};

// Enough signatures of survivors under one list of them.
class CheckedConsents {
 public:
  static Result<CheckedConsents> check(const Setting&, const Roster&, const Agents& survivors,
                                       const Consents&);
  const Agents& survivors() const { return survivors_; }

 private:
  Agents survivors_;
};

class AgentSide {
 public:
  // `seed` is new for each round: all of the round's secrets follow from it.
  AgentSide(const Setting&, int64_t me, const Identity&, const Key& seed);
  Result<SignedAdvert> advertise();
  Result<Sealed> share(const CheckedAdverts&);  // sealed shares for each other agent that advertised
  // The masked vector, packed, for those whose shares came, and this agent.
  Result<Bytes> mask(const Sealed& received, const std::vector<uint64_t>& values /*[P]*/);
  Result<Signature> consent(const Agents& survivors);
  // Shares that cannot be opened are left out: others have some of the same.
  Result<Revealed> reveal(const CheckedConsents&);
  // Whose could not; known after `reveal`.
  const Agents& unopened() const { return unopened_; }

 private:
  enum class Stage { kAdvertise, kShare, kMask, kConsent, kReveal, kDone };
  std::string not_now(Stage) const;  // "" where the stage is due
  Setting setting_;
  int64_t me_;
  Identity identity_;
  Key seal_secret_, mask_secret_, self_seed_, share_seed_;
  Stage stage_ = Stage::kAdvertise;
  Adverts adverts_;
  Shares own_;  // of its own secrets
  Sealed received_;
  Agents sharing_, survivors_, unopened_;
};

class ServerSide {
 public:
  ServerSide(const Setting&, Roster);
  // What an agent sent. "" where it was taken, else the fault.
  std::string advertised(int64_t from, const SignedAdvert&);
  std::string shared(int64_t from, const Sealed&);
  std::string masked(int64_t from, const Bytes&);
  std::string consented(int64_t from, const Signature&);
  std::string revealed(int64_t from, const Revealed&);
  // Each closes a stage: what to hand down, or why there will be no sum.
  Result<SignedAdverts> adverts();
  Result<std::map<int64_t, Sealed>> shares();  // by receiver, then by sender
  Result<Agents> survivors();
  Result<Consents> consents();
  Result<std::vector<uint64_t>> sum();  // [P], modulo 2^bits
  // Whose shares were wrong, as far as the others' made up for them; known after `sum`.
  const Agents& liars() const { return liars_; }

 private:
  enum class Stage { kAdverts, kShares, kMasked, kConsents, kReveals, kDone };
  std::string not_taken(int64_t from, Stage, bool again) const;
  std::string cannot_close(Stage, size_t have, const char* what) const;  // "" where the stage can be closed
  Result<Key> join(int64_t of, bool survived);
  Setting setting_;
  Roster roster_;
  Stage stage_ = Stage::kAdverts;
  SignedAdverts adverts_;
  std::map<Key, int64_t> owner_;      // whose key each is
  std::map<int64_t, Sealed> sealed_;  // by sender, then by receiver
  std::map<int64_t, std::vector<uint64_t>> masked_;
  Agents survivors_, liars_;
  Consents consents_;
  std::map<int64_t, Revealed> revealed_;
};

}  // namespace symma::secure
