// The letters of secure aggregation as bytes. Numbers are little-endian; agents go by their number in the
// round, below `agents`, ascending and each once:
//
//   known      u8: whether its server lives with it; 32 bytes: its key
//   advert     two public keys, a commitment (32 bytes each), a signature (64)
//   adverts    for each: u32 agent, advert
//   shares     for each receiver: u32 agent, 96 bytes sealed
//   inbox      for each that a process has something for: u32 receiver, u32 sender, 96 bytes sealed
//   survivors  a bit for each agent
//   consents   for each: u32 agent, a signature
//   revealed   for each: u32 agent, u8: 1 for a share of its key and 0 for one of its seed, five u64
//
// Nothing is read where the bytes are not that, to the last, and nothing is allocated by what they claim. An
// empty letter says no: that an agent drops out, or that there will be no sum.
#pragma once

#include <optional>

#include "symma/exchange/secure_sides.h"

namespace symma::secure {

struct Introduction {
  bool with_server = false;
  Key key{};
};
using Inboxes = std::map<int64_t, Sealed>;  // by receiver, then by sender

Bytes write(const Introduction&);
Bytes write(const SignedAdvert&);
Bytes write(const SignedAdverts&);
Bytes write(const Sealed&);
Bytes write(const Inboxes&);
Bytes write(const Agents&, int64_t agents);
Bytes write(const Signature&);
Bytes write(const Consents&);
Bytes write(const Revealed&);

using Text = std::span<const uint8_t>;
std::optional<Introduction> read_introduction(Text);
std::optional<SignedAdvert> read_advert(Text);
std::optional<SignedAdverts> read_adverts(Text, int64_t agents);
std::optional<Sealed> read_shares(Text, int64_t agents);
std::optional<Inboxes> read_inboxes(Text, int64_t agents);
std::optional<Agents> read_survivors(Text, int64_t agents);
std::optional<Signature> read_consent(Text);
std::optional<Consents> read_consents(Text, int64_t agents);
std::optional<Revealed> read_revealed(Text, int64_t agents);

}  // namespace symma::secure
