// One exchange under secure aggregation: the protocol of secure.h, run between the agents of this process and
// their server, message by message.
//
// Agents whose vector does not arrive have dropped out after sharing their keys, which is the stage that
// costs most to mend. Keys come from the system, and the sum does not depend on them.
#include "symma/exchange/messages.h"
#include "symma/exchange/privacy.h"
#include "symma/exchange/secure.h"

namespace symma {

Tensor secure_sum(const Exchange& x, ExchangeState& s, const Tensor& rows, const std::vector<int64_t>& who,
                  const std::vector<bool>& arrived, Rng rng) {
  const auto n = static_cast<int64_t>(who.size());
  const int64_t threshold = secure::Setting::two_thirds(n);
  std::vector<int64_t> stayed;  // places in `who`
  for (int64_t u = 0; u < n; ++u)
    if (arrived[who[u]]) stayed.push_back(u);
  if (n < 2 || static_cast<int64_t>(stayed.size()) < threshold) return {};
  // Noise that the server adds hides a row of the clipping bound's length, and rounding must not lengthen it.
  const double bound = x.privacy.at_server() ? s.clip : 0;
  const secure::FixedPoint fixed{bound > 0 ? std::min(bound, x.server.range) : x.server.range,
                                 static_cast<int>(x.server.precision), bound};
  const secure::Setting setting{n, threshold, rows.size(1), fixed.bits(n), static_cast<uint64_t>(s.rounds)};
  const auto up = [&](int64_t u, size_t bytes) { s.bits[2 * who[u]] += 8 * static_cast<int64_t>(bytes); };
  const auto down = [&](int64_t u, size_t bytes) {
    s.bits[2 * who[u] + 1] += 8 * static_cast<int64_t>(bytes);
  };

  const secure::Key root = noise_for(x.privacy, rng).key();
  std::vector<secure::Agent> agents;
  secure::Adverts adverts;
  secure::Agents everyone;
  for (int64_t u = 0; u < n; ++u) {
    agents.emplace_back(setting, u, secure::derive(root, "agent", static_cast<uint64_t>(u)));
    adverts[u] = agents.back().advertise();
    everyone.insert(u);
    up(u, sizeof(secure::Advert));
    down(u, sizeof(secure::Advert) * static_cast<size_t>(n - 1));
  }
  std::map<int64_t, secure::Sealed> inbox;  // by receiver, then by sender
  for (int64_t u = 0; u < n; ++u) {
    const auto sealed = agents[u].share(adverts);
    TORCH_CHECK(sealed.ok(), "secure aggregation, sharing: ", sealed.fault);
    for (const auto& [v, bytes] : sealed.value) {
      up(u, bytes.size());
      down(v, bytes.size());
      inbox[v][u] = bytes;
    }
  }
  secure::Sealed masked;
  secure::Agents survivors;
  for (int64_t u : stayed) {
    const auto message = agents[u].mask(adverts, everyone, fixed.encode(rows[who[u]], n));
    TORCH_CHECK(message.ok(), "secure aggregation, masking: ", message.fault);
    masked[u] = message.value;
    survivors.insert(u);
    up(u, message.value.size());
  }
  std::map<int64_t, secure::Revealed> revealed;
  for (int64_t u : stayed) {
    const auto shares = agents[u].reveal(adverts, everyone, survivors, inbox[u]);
    TORCH_CHECK(shares.ok(), "secure aggregation, revealing: ", shares.fault);
    revealed[u] = shares.value;
    down(u, static_cast<size_t>((n + 7) / 8));  // who is still there, a bit each
    up(u, sizeof(secure::Share) * (shares.value.seed_shares.size() + shares.value.key_shares.size()));
  }
  const auto sum = secure::unmask(setting, adverts, everyone, masked, revealed);
  TORCH_CHECK(sum.ok(), "secure aggregation, unmasking: ", sum.fault);
  return fixed.decode(sum.value, n);
}

}  // namespace symma
