#include "symma/exchange/faults.h"

#include <utility>
#include <vector>

namespace symma {

Passage passage_of(const FaultOptions& f, int64_t from, int64_t to, Rng rng) {
  if (!f.gaps() && f.doubled == 0) return {};
  // Every coin is tossed for every message, so that one fault's chance moves no other fault.
  Draws d(rng.split("from", static_cast<uint64_t>(from)).split("to", static_cast<uint64_t>(to)));
  Passage out;
  out.lost = d.uniform() < f.lost;
  out.late = d.uniform() < f.late;
  out.doubled = d.uniform() < f.doubled;
  out.reordered = d.uniform() < f.reordered;
  out.cut = d.uniform() < f.cut;
  out.left = d.uniform();
  return out;
}

int64_t sent_bits(const Passage& f, int64_t bits) {
  const int64_t sent = f.cut ? static_cast<int64_t>(f.left * static_cast<double>(bits)) : bits;
  return f.doubled ? 2 * sent : sent;
}

Arrival arrive(const Passage& f, const Arrival& sent, Arrival* waiting) {
  // A receiver can tell a message that was cut short by its length, and drops it.
  const bool comes = sent.number > 0 && !f.lost && !f.cut;
  if (waiting == nullptr) return comes ? sent : Arrival{};
  std::vector<Arrival> mail;  // in order of arrival
  if (waiting->number > 0) mail.push_back(std::exchange(*waiting, {}));
  if (comes && f.late) {
    *waiting = {sent.number, sent.whole, sent.row.clone()};  // what is known of a sender moves on
  } else if (comes) {
    for (int copies = f.doubled ? 2 : 1; copies > 0; --copies) mail.push_back(sent);
  }
  if (f.reordered && mail.size() > 1) std::swap(mail.front(), mail.back());
  // Messages are numbered; a receiver takes the newest that has come, wherever it stands in the mail.
  Arrival best;
  for (const Arrival& a : mail)
    if (a.number > best.number) best = a;
  return best;
}

}  // namespace symma
