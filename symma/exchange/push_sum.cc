// Push-sum (Kempe, Dobra & Gehrke 2003; Nedic & Olshevsky 2015, arXiv:1303.2314), with running sums, which
// messages that are lost or late do no harm (Hadjicostis, Vaidya & Dominguez-Garcia 2016).
//
// Each agent has mass: its row times a weight, and that weight, 1 at the start. In an exchange it keeps a
// share of 1 / (degree + 1) of it, and pushes as much to each neighbour; its row is then its mass by its
// weight. What is said on an edge is the sum of all that was ever pushed along it: the receiver takes what
// that is more than what it has taken, so that a later message brings what an earlier one did not. Mass is
// nowhere made and nowhere lost: the mean of the rows by their weights, with what is under way, stays as it
// was, whoever is slow.
//
// An agent's own step moves its row, and so its mass by as much times its weight. It pushes once for each
// message that it has heard: one that is gone, or slower, would drain it, and mass that is under way learns
// nothing.
#include <algorithm>
#include <cstring>

#include "symma/core/parallel.h"
#include "symma/exchange/messages.h"

namespace symma {
namespace {

// What those elsewhere say, by edge [near]; nothing where nothing came that can be read.
std::vector<Arrival> sums_from_elsewhere(const ExchangeState& s, int64_t columns, Transport& elsewhere) {
  const Reach& r = *s.reach;
  std::vector<Arrival> out(r.near.size());
  const int64_t number = s.rounds + 1;
  for (const Letter& letter : elsewhere.collect(Letter::Kind::kSaid, number, r.halo).came) {
    const size_t size = static_cast<size_t>(columns) * sizeof(double);
    if (letter.bytes.size() != letter.to.size() * size) continue;
    for (size_t k = 0; k < letter.to.size(); ++k) {
      const int64_t i = r.place(letter.to[k]);
      if (i < 0) continue;
      const Tensor sum = at::empty({columns}, at::kDouble);
      std::memcpy(sum.data_ptr(), letter.bytes.data() + k * size, size);
      for (int64_t e = r.begin[i]; e < r.begin[i + 1]; ++e)
        if (r.near[e].id == letter.from) out[e] = {letter.round, true, sum};
    }
  }
  return out;
}

}  // namespace

Tensor push_sum(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng, Transport* elsewhere) {
  const Reach& r = *s.reach;
  const int64_t n = theta.size(0), q = theta.size(1), number = s.rounds + 1, bits = 64 * (q + 1);
  Tensor mass = at::cat({theta * s.push.weight, s.push.weight}, 1);
  const Tensor pushed = s.push.pushed.clone(), taken = s.push.taken.clone();
  for (int64_t i = 0; i < n; ++i) {
    const int64_t begin = r.begin[i], end = r.begin[i + 1];
    const double share = 1.0 / static_cast<double>(end - begin + 1);
    int64_t receivers = 0;
    for (int64_t e = begin; e < end; ++e) {
      if (s.rounds > 0 && s.push.heard[e] == s.push.answered[e]) continue;
      pushed[e].add_(mass[i], share);
      s.push.answered[e] = s.push.heard[e];
      ++receivers;
    }
    mass[i].mul_(1 - share * static_cast<double>(receivers));
  }
  s.push.pushed = pushed;
  std::vector<Arrival> outside(r.near.size());
  if (!r.halo.empty()) {
    for (const auto& [i, to] : r.outward) {
      Letter letter{r.ids[i], to, number, Letter::Kind::kSaid, {}};
      for (int64_t e = r.begin[i]; e < r.begin[i + 1]; ++e)
        if (r.place(r.near[e].id) < 0) letter.each.push_back(bytes_of_row(pushed[e], at::kDouble));
      elsewhere->send(std::move(letter));
    }
    outside = sums_from_elsewhere(s, q + 1, *elsewhere);
  }
  const Rng road = rng.split("carry");
  parallel_for(n, 1, [&](int64_t i, int64_t) {
    const int64_t id = r.ids[i];
    for (int64_t e = r.begin[i]; e < r.begin[i + 1]; ++e) {
      const auto [from, in] = r.near[e];
      const Passage passage = passage_of(x.faults, from, id, road);
      const int64_t place = r.place(from);
      Arrival sent = outside[e];
      if (place >= 0) {
        // The edge back, at the sender.
        const auto begin = r.near.begin() + r.begin[place], end = r.near.begin() + r.begin[place + 1];
        const auto back = std::find_if(begin, end, [&](const Near& near) { return near.id == id; });
        sent = {number, true, pushed[back - r.near.begin()]};
        s.bits[in] += sent_bits(passage, bits);
      } else {
        s.bits[in ^ 1] += sent_bits(passage_of(x.faults, id, from, road), bits);
      }
      const Arrival got = arrive(passage, sent, s.receiver.late.empty() ? nullptr : &s.receiver.late[in]);
      // An older message says nothing new, and a broken agent's numbers must not stay in what is kept.
      if (got.number <= s.push.heard[e] || !got.row.isfinite().all().item<bool>()) continue;
      s.push.heard[e] = got.number;
      // Who says less than before has begun anew.
      if ((got.row[q] >= taken[e][q]).item<bool>()) mass[i].add_(got.row - taken[e]);
      taken[e].copy_(got.row);
    }
  });
  s.push.taken = taken;
  s.push.weight = mass.narrow(1, q, 1).clone();
  return mass.narrow(1, 0, q) / s.push.weight;
}

}  // namespace symma
