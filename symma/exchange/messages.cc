#include "symma/exchange/messages.h"

#include <algorithm>

#include "symma/core/parallel.h"
#include "symma/exchange/gossip.h"
#include "symma/exchange/privacy.h"
#include "symma/exchange/rows.h"

namespace symma {
namespace {

constexpr int64_t kSilent = 8;  // bits of a message that says: I have not moved

// The honest rows that agent i's message will be mixed with: its neighbours', or all where there is a server.
Scene scene_of(const Exchange& x, const Tensor& rows, const std::vector<int64_t>& who, int64_t i) {
  std::vector<int64_t> company;
  if (x.graph.server) {
    company = who;
  } else {
    company.push_back(i);
    for (const auto& [a, b] : x.graph.edges)
      if (a == i || b == i) company.push_back(a == i ? b : a);
    std::sort(company.begin(), company.end());
  }
  std::vector<Tensor> honest;
  for (int64_t j : company)
    if (!x.hostile(j)) honest.push_back(rows[j]);
  const auto all = static_cast<int64_t>(company.size()), good = static_cast<int64_t>(honest.size());
  return {honest.empty() ? Tensor() : at::stack(honest), rows[i], all, all - good, {}};
}

// One agent's message through the compressor, at its place in the tables of what is kept.
struct Line {
  const Exchange& x;
  int64_t whole;  // bits of a row that is not compressed

  int64_t speak_parameters(const Tensor& row, Tensor known, Tensor& memory, Rng rng) const {
    if (!known.any().item<bool>()) {
      known.copy_(row);
      return whole;
    }
    if (!moved_enough(row, known, x.compression.threshold)) return kSilent;
    const Bytes bytes = encode(*x.compressor, row - known, memory, rng);
    known.add_(decode_own(*x.compressor, bytes, row.size(0)));
    return 8 * static_cast<int64_t>(bytes.size());
  }

  int64_t speak_update(Tensor row, const Tensor& reference, Tensor residual, Tensor& memory, Rng rng) const {
    if (x.compression.threshold > 0 &&
        !moved_enough(reference + row + residual, reference, x.compression.threshold)) {
      residual.add_(row);
      row.zero_();
      return kSilent;
    }
    const Sent sent = send_with_feedback(*x.compressor, row, residual, memory, rng);
    // A broken agent's NaN must not stay in what is kept.
    residual.copy_(sent.residual.nan_to_num(0, 0, 0));
    row.copy_(sent.row);
    return 8 * static_cast<int64_t>(sent.bytes.size());
  }
};

}  // namespace

Said speak(const Exchange& x, ExchangeState& s, const Tensor& wanted, const std::vector<int64_t>& who,
           Rng rng, const Tensor& base) {
  const int64_t n = wanted.size(0), q = wanted.size(1);
  Said said{wanted.clone(), {}, std::vector<bool>(n, false), std::vector<int64_t>(n, 0), 0};
  if (x.privacy.agents()) {
    const double bound = s.kept.at("clip").item<double>();
    const std::vector<double> squares = squared_distances_to(wanted, {});
    for (int64_t i : who) said.whole += squares[i] <= bound * bound;
    said.rows = clip_rows(wanted, bound).rows;
    if (x.privacy.where == "local") {
      const Noise noise = noise_for(x.privacy, rng);
      for (int64_t i : who)
        said.rows[i] += x.privacy.noise * bound * noise.split("noise", static_cast<uint64_t>(i)).normal({q});
    }
  }
  if (base.defined()) said.rows.add_(base);
  if (s.kept.contains("first") && s.rounds == 0) s.kept["first"] = said.rows.clone();
  const Tensor honest = said.rows.clone();
  for (int64_t i : who) {
    said.there[i] = true;
    if (!x.hostile(i)) continue;
    Scene scene = scene_of(x, honest, who, i);
    if (s.kept.contains("first")) scene.first = s.kept.at("first")[i];
    const Tensor row = x.attack->send(scene, rng.split("attack", i));
    said.there[i] = row.defined();
    if (row.defined()) said.rows[i] = row;
  }
  const Line line{x, q * 8 * s.number_bytes};
  said.spoken = said.rows;
  if (!x.compressor) {
    for (int64_t i : who) said.bits[i] = said.there[i] ? line.whole : 0;
    return said;
  }
  const bool updates = x.updates() && !base.defined();
  const char* name = updates ? "residual" : "known";
  Tensor kept = s.kept.at(name).clone();
  std::vector<Tensor> memory(n);
  const auto memory_of = [](int64_t i) { return "memory." + std::to_string(i); };
  for (int64_t i : who)
    if (s.kept.contains(memory_of(i))) memory[i] = s.kept.at(memory_of(i));
  const Tensor reference = updates ? s.reference.to(at::kCPU, at::kDouble) : Tensor();
  parallel_for(static_cast<int64_t>(who.size()), 1, [&](int64_t at, int64_t) {
    const int64_t i = who[at];
    if (!said.there[i]) return;
    const Rng own = rng.split("encode", i);
    said.bits[i] = updates ? line.speak_update(said.rows[i], reference[i], kept[i], memory[i], own)
                           : line.speak_parameters(said.rows[i], kept[i], memory[i], own);
  });
  s.kept[name] = kept;
  for (int64_t i : who)
    if (memory[i].defined()) s.kept[memory_of(i)] = memory[i];
  if (!updates) said.rows = kept;
  return said;
}

Arrival carry(const Exchange& x, ExchangeState& s, int64_t at, const Tensor& row, int64_t bits, Rng rng) {
  const FaultOptions& f = x.faults;
  // Every coin is tossed for every message, so that one fault's chance moves no other fault.
  Draws d(rng.split("edge", at));
  const bool lost = d.uniform() < f.lost, late = d.uniform() < f.late, doubled = d.uniform() < f.doubled,
             reordered = d.uniform() < f.reordered, cut = d.uniform() < f.cut;
  const double left = d.uniform();  // of a message that is cut short
  if (row.defined()) {
    const int64_t sent = cut ? static_cast<int64_t>(left * static_cast<double>(bits)) : bits;
    s.bits[at] += doubled ? 2 * sent : sent;
  }
  // A receiver can tell a message that was cut short by its length, and drops it.
  const bool comes = row.defined() && !lost && !cut;
  const int64_t number = s.rounds + 1;
  if (!s.kept.contains("late")) return comes ? Arrival{number, row} : Arrival{};
  std::vector<Arrival> mail;  // in order of arrival
  Tensor store = s.kept.at("late"), numbers = s.kept.at("late.number");
  int64_t& waiting = numbers.data_ptr<int64_t>()[at];
  if (waiting > 0) mail.push_back({waiting, store[at].clone()});
  waiting = 0;
  if (comes && late) {
    store[at].copy_(row);
    waiting = number;
  } else if (comes) {
    for (int copies = doubled ? 2 : 1; copies > 0; --copies) mail.push_back({number, row});
  }
  if (reordered && mail.size() > 1) std::swap(mail.front(), mail.back());
  // Messages are numbered; a receiver takes the newest that has come, wherever it stands in the mail.
  Arrival best;
  for (const Arrival& a : mail)
    if (a.number > best.number) best = a;
  return best;
}

Tensor combine(const Exchange& x, const std::vector<Tensor>& rows, const Tensor& centre, Rng rng) {
  Inputs in{at::stack(rows), x.aggregation.bad, centre};
  for (size_t k = 0; k < x.before.size(); ++k) {
    in.bad = std::min(in.bad, x.before[k]->most_bad(in.rows.size(0)));
    in = prepare(*x.before[k], in, rng.split("before", k));
  }
  if (!x.aggregator) return in.rows.mean(0);
  in.bad = std::min(in.bad, x.aggregator->most_bad(in.rows.size(0)));
  return aggregate(*x.aggregator, in, rng.split("aggregate"));
}

namespace {

// Whether the receiver at the end of a directed edge knows its sender's row, where `arrived` is the number of
// the newest message that came: compressed messages are differences, of which some may have been missed.
bool knows(ExchangeState& s, int64_t at, int64_t arrived) {
  int64_t& heard = s.kept.at("heard").data_ptr<int64_t>()[at];
  const int64_t asked = s.kept.at("asked").data_ptr<int64_t>()[at];
  const bool whole = arrived == 1 || (asked > 0 && arrived > asked);
  if (!whole && heard < arrived - 1) return false;
  heard = std::max(heard, arrived);
  return true;
}

}  // namespace

Tensor among_neighbours(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng) {
  const int64_t n = theta.size(0);
  const Tensor base = x.updates() ? s.reference.to(at::kCPU, at::kDouble) : Tensor();
  const Tensor wanted = x.updates() ? theta - base : theta;
  std::vector<int64_t> who(n);
  for (int64_t i = 0; i < n; ++i) who[i] = i;
  const Said said = speak(x, s, wanted, who, rng.split("speak"), base);
  struct Mail {
    int64_t from;
    Tensor row;
  };
  std::vector<std::vector<Mail>> mail(n);
  const int64_t number = s.rounds + 1, whole = theta.size(1) * 8 * s.number_bytes;
  for (size_t e = 0; e < x.graph.edges.size(); ++e) {
    const auto [a, b] = x.graph.edges[e];
    const auto side = [&](const char* name, int64_t of) -> int64_t& {
      return s.kept.at(name).data_ptr<int64_t>()[2 * static_cast<int64_t>(e) + of];
    };
    std::array<bool, 2> came{}, behind{};
    for (int64_t of = 0; x.may_miss() && of < 2; ++of) behind[of] = side("heard", of) < number - 1;
    for (const auto& [from, to, at] : {std::array<int64_t, 3>{a, b, static_cast<int64_t>(2 * e)},
                                       std::array<int64_t, 3>{b, a, static_cast<int64_t>(2 * e + 1)}}) {
      const bool again = x.may_miss() && side("asked", at % 2) > 0 && said.there[from];
      const Arrival got = carry(x, s, at, said.there[from] ? said.rows[from] : Tensor(),
                                again ? whole : said.bits[from], rng.split("carry"));
      came[at % 2] = got.number == number;
      if (got.row.defined() && (!x.may_miss() || knows(s, at, got.number)))
        mail[to].push_back({from, got.row});
    }
    // Whoever missed something by the exchange before says so in its message of this one; where that came,
    // the sender sends whole rows until it hears otherwise.
    for (int64_t of = 0; x.may_miss() && of < 2; ++of) {
      if (!came[1 - of]) continue;
      int64_t& asked = side("asked", of);
      asked = !behind[of] ? 0 : asked > 0 ? asked : number;
    }
  }
  Tensor out = at::empty_like(theta);
  parallel_for(n, 1, [&](int64_t r, int64_t) {
    // What an agent said is what it counts with, too: what a compressed message left out would count twice
    // otherwise, and what noise hides would be said, without noise, by the row of the next exchange.
    const bool own_message = (x.compressor || x.privacy.agents()) && !x.hostile(r);
    const Tensor own = own_message ? said.rows[r] : theta[r];
    std::vector<Mail>& in = mail[r];
    std::sort(in.begin(), in.end(), [](const Mail& a, const Mail& b) { return a.from < b.from; });
    Tensor mixed = own;
    if (!x.aggregator && x.before.empty()) {
      // The weight of a message that did not come stays with the node's own row.
      mixed = own.clone();
      for (const Mail& m : in) mixed.add_(m.row - own, x.weights.at(r, m.from));
    } else if (!in.empty()) {
      std::vector<Tensor> rows;
      for (const Mail& m : in) {
        if (rows.size() == static_cast<size_t>(&m - in.data()) && m.from > r) rows.push_back(own);
        rows.push_back(m.row);
      }
      if (rows.size() == in.size()) rows.push_back(own);
      mixed = combine(x, rows, own, rng.split("combine", r));
    }
    const Tensor start = x.hostile(r) ? theta[r] : said.spoken[r];  // before it was compressed
    out[r] = x.compressor ? start + x.compression.gamma * (mixed - own) : mixed;
  });
  return out;
}

}  // namespace symma
