#include "symma/exchange/messages.h"

#include <algorithm>

#include "symma/core/parallel.h"
#include "symma/exchange/gossip.h"
#include "symma/exchange/privacy.h"
#include "symma/exchange/rows.h"

namespace symma {
namespace {

constexpr int64_t kSilent = 8;  // bits of a message that says: I have not moved

// One agent's message through the compressor, at its place in the tables of what is kept.
struct Line {
  const Exchange& x;
  const ExchangeState& s;
  Said& said;

  // What is known of an agent is held as it travels, so that it can be said again, whole, to the bit.
  void speak_parameters(int64_t i, Tensor known, Tensor& memory, Rng rng) const {
    const Tensor row = said.rows[i];
    if (!known.any().item<bool>()) {
      known.copy_(row);
      return whole(i);
    }
    if (!moved_enough(row, known, x.compression.threshold)) return still(i);
    difference(i, encode(*x.compressor, row - known, memory, rng));
    known.copy_(s.rounded(known + decode_own(*x.compressor, said.bytes[i], row.size(0))));
  }

  void speak_update(int64_t i, const Tensor& reference, Tensor residual, Tensor& memory, Rng rng) const {
    Tensor row = said.rows[i];
    if (x.compression.threshold > 0 &&
        !moved_enough(reference + row + residual, reference, x.compression.threshold)) {
      residual.add_(row);
      row.zero_();
      return still(i);
    }
    Sent sent = send_with_feedback(*x.compressor, row, residual, memory, rng);
    // A broken agent's NaN must not stay in what is kept.
    residual.copy_(sent.residual.nan_to_num(0, 0, 0));
    row.copy_(sent.row);
    difference(i, std::move(sent.bytes));
  }

  void whole(int64_t i) const {
    said.form[i] = Form::kWhole;
    said.bits[i] = s.row_bits(said.rows.size(1));
  }
  void still(int64_t i) const {
    said.form[i] = Form::kStill;
    said.bits[i] = kSilent;
  }
  void difference(int64_t i, Bytes bytes) const {
    said.form[i] = Form::kDifference;
    said.bits[i] = 8 * static_cast<int64_t>(bytes.size());
    said.bytes[i] = std::move(bytes);
  }
};

std::vector<int64_t> ordered(std::vector<int64_t> v) {
  std::sort(v.begin(), v.end());
  v.erase(std::unique(v.begin(), v.end()), v.end());
  return v;
}

// Those whose messages an agent's will be mixed with, itself among them: its neighbours, or all who speak
// where there is a server.
std::vector<int64_t> company_of(const Exchange& x, const Reach& r, const std::vector<int64_t>& who,
                                int64_t i) {
  if (x.graph.server) return who;
  std::vector<int64_t> out{r.ids[i]};
  for (int64_t k = r.begin[i]; k < r.begin[i + 1]; ++k) out.push_back(r.near[k].id);
  return ordered(std::move(out));
}

// What the hostile agents of here say in place of their rows. Honest agents elsewhere show them theirs first.
void attack(const Exchange& x, ExchangeState& s, Said& said, const std::vector<int64_t>& who, Rng rng,
            Transport* elsewhere) {
  const Reach& r = *s.reach;
  const int64_t q = said.rows.size(1);
  std::vector<int64_t> from;  // the honest elsewhere whom a hostile agent of here meets
  for (int64_t id : who) {
    const int64_t i = r.place(id);
    if (elsewhere == nullptr || i < 0) continue;
    std::vector<int64_t> to;
    for (int64_t other : company_of(x, r, who, i)) {
      if (r.place(other) >= 0 || x.hostile(other) == x.hostile(id)) continue;
      (x.hostile(id) ? from : to).push_back(other);
    }
    if (to.empty()) continue;
    const Content shown{.form = Form::kWhole, .row = said.rows[i]};
    elsewhere->send({id, std::move(to), s.rounds + 1, Letter::Kind::kScene, pack(shown, s.type)});
  }
  from = ordered(std::move(from));
  std::vector<Heard> seen;
  if (!from.empty()) seen = hear(x, s, Letter::Kind::kScene, from, q, {}, *elsewhere);
  const Tensor honest = said.rows.clone();
  Tensor of_all;  // where there is a server all hostile agents see the same
  for (int64_t id : who) {
    const int64_t i = r.place(id);
    if (i < 0 || !x.hostile(id)) continue;
    const std::vector<int64_t> company = company_of(x, r, who, i);
    int64_t good = 0;
    std::vector<Tensor> rows;
    for (int64_t other : company) {
      if (x.hostile(other)) continue;
      ++good;
      if (of_all.defined()) continue;
      if (const int64_t at = r.place(other); at >= 0) {
        rows.push_back(honest[at]);
      } else {
        const Heard& h = seen[std::lower_bound(from.begin(), from.end(), other) - from.begin()];
        if (h.row.defined()) rows.push_back(h.row);
      }
    }
    Tensor shown = of_all.defined() ? of_all : rows.empty() ? Tensor() : at::stack(rows);
    if (x.graph.server) of_all = shown;
    const auto all = static_cast<int64_t>(company.size());
    const Scene scene{shown, honest[i], all, all - good,
                      s.sender.first.defined() ? s.sender.first[i] : Tensor()};
    const Tensor row = x.attack->send(scene, rng.split("attack", static_cast<uint64_t>(id)));
    if (row.defined()) said.rows[i] = s.rounded(row.to(at::kDouble));
    if (!row.defined()) said.form[i] = Form::kNothing;
  }
}

// What those of `here` say who had said nothing so far: not all take part in the first exchange.
void remember_first(ExchangeState& s, const Said& said, const std::vector<int64_t>& here) {
  std::vector<int64_t> now;
  for (const int64_t i : here)
    if (s.sender.first[i].isnan().all().item<bool>()) now.push_back(i);
  if (now.empty()) return;
  s.sender.first = s.sender.first.clone();
  for (const int64_t i : now) s.sender.first[i] = said.rows[i];
}

}  // namespace

Content Said::content(int64_t i) const {
  Content c{.form = form[i], .within = !within.empty() && within[i]};
  if (c.form == Form::kWhole) c.row = rows[i];
  if (c.form == Form::kDifference) c.difference = bytes[i];
  return c;
}

Said speak(const Exchange& x, ExchangeState& s, const Tensor& wanted, const std::vector<int64_t>& who,
           Rng rng, Transport* elsewhere, const Tensor& base) {
  const Reach& r = *s.reach;
  const int64_t n = wanted.size(0), q = wanted.size(1);
  Said said{wanted.clone(),        {}, std::vector<Form>(n, Form::kNothing), std::vector<int64_t>(n, 0),
            std::vector<Bytes>(n), {}};
  if (n == 0) return said;    // a server that is alone
  std::vector<int64_t> here;  // places
  for (int64_t id : who)
    if (const int64_t i = r.place(id); i >= 0) here.push_back(i);
  if (x.privacy.agents()) {
    const double bound = s.clip;
    for (const double square : squared_distances_to(wanted, {}))
      said.within.push_back(square <= bound * bound);
    said.rows = clip_rows(wanted, bound).rows;
    if (x.privacy.where == "local") {
      const Noise noise = noise_for(x.privacy, rng);
      for (int64_t i : here)
        said.rows[i] +=
            x.privacy.noise * bound * noise.split("noise", static_cast<uint64_t>(r.ids[i])).normal({q});
    }
  }
  if (base.defined()) said.rows.add_(base);
  said.rows = s.rounded(said.rows);
  for (int64_t i : here) said.form[i] = Form::kWhole;
  if (s.sender.first.defined()) remember_first(s, said, here);
  if (x.attack) attack(x, s, said, who, rng, elsewhere);
  said.spoken = said.rows;
  const Line line{x, s, said};
  if (!x.compressor) {
    for (int64_t i : here)
      if (said.form[i] != Form::kNothing) line.whole(i);
    return said;
  }
  const bool updates = x.updates() && !base.defined();
  Tensor kept = (updates ? s.sender.residual : s.sender.known).clone();
  if (updates) said.rows = said.rows.clone();
  std::vector<Tensor> memory(n);
  for (int64_t i : here)
    if (const auto it = s.sender.memory.find(r.ids[i]); it != s.sender.memory.end()) memory[i] = it->second;
  const Tensor reference = updates ? s.reference.to(at::kCPU, at::kDouble) : Tensor();
  parallel_for(static_cast<int64_t>(here.size()), 1, [&](int64_t at, int64_t) {
    const int64_t i = here[at];
    if (said.form[i] == Form::kNothing) return;
    const Rng own = rng.split("encode", static_cast<uint64_t>(r.ids[i]));
    if (updates) line.speak_update(i, reference[i], kept[i], memory[i], own);
    if (!updates) line.speak_parameters(i, kept[i], memory[i], own);
  });
  (updates ? s.sender.residual : s.sender.known) = kept;
  for (int64_t i : here)
    if (memory[i].defined()) s.sender.memory[r.ids[i]] = memory[i];
  if (!updates) said.rows = kept;
  return said;
}

std::vector<Heard> hear(const Exchange& x, ExchangeState& s, Letter::Kind kind,
                        const std::vector<int64_t>& from, int64_t columns, Tensor known,
                        Transport& elsewhere) {
  std::vector<Heard> out(from.size());
  Post post = elsewhere.collect(kind, s.rounds + 1, from);
  std::set<int64_t>& stale = s.receiver.stale;
  // Who missed a difference can make nothing of the next one.
  if (known.defined()) stale.insert(post.missing.begin(), post.missing.end());
  for (Letter& letter : post.came) {
    const auto it = std::lower_bound(from.begin(), from.end(), letter.from);
    if (it == from.end() || *it != letter.from) continue;
    const int64_t at = it - from.begin();
    std::optional<Content> content = unpack(letter.bytes, letter.to.size(), columns, s.type);
    if (!content) {
      if (known.defined()) stale.insert(letter.from);
      continue;
    }
    Heard& h = out[at];
    // What it says of what it has missed holds, whether or not its row can be read.
    h.to = std::move(letter.to);
    h.content = std::move(*content);
    const bool counted_on = known.defined() && !h.content.row.defined();
    if (counted_on && stale.contains(letter.from)) continue;
    if (h.content.row.defined()) {
      h.row = h.content.row;
      if (known.defined()) known[at].copy_(h.row);
      stale.erase(letter.from);
    } else if (h.content.form == Form::kDifference) {
      const Decoded decoded =
          x.compressor ? x.compressor->decode(h.content.difference, columns) : Decoded{{}, "no compressor"};
      if (!decoded.ok()) {
        if (known.defined()) stale.insert(letter.from);
        continue;
      }
      if (known.defined()) known[at].copy_(s.rounded(known[at] + decoded.row));
      h.row = known.defined() ? known[at] : decoded.row;
    } else if (h.content.form == Form::kStill) {
      h.row = known.defined() ? known[at] : at::zeros({columns}, at::kDouble);
    }
    h.form = h.content.form;
  }
  return out;
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

Tensor among_neighbours(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng,
                        Transport* elsewhere) {
  const Reach& r = *s.reach;
  const int64_t n = theta.size(0), q = theta.size(1), number = s.rounds + 1, whole = s.row_bits(q);
  const Tensor base = x.updates() ? s.reference.to(at::kCPU, at::kDouble) : Tensor();
  const Tensor wanted = x.updates() ? theta - base : theta;
  std::vector<int64_t> who(r.agents);
  for (int64_t i = 0; i < r.agents; ++i) who[i] = i;
  const Said said = speak(x, s, wanted, who, rng.split("speak"), elsewhere, base);
  // As they stood before the messages of this exchange. Whoever missed something by then says so in its
  // message of this one; where that comes, the sender sends whole rows until it hears otherwise.
  const std::vector<int64_t> heard = s.receiver.heard, asked = s.sender.asked;
  const auto behind = [&](int64_t edge) { return !heard.empty() && heard[edge] < number - 1; };
  const auto again = [&](int64_t edge) { return !asked.empty() && asked[edge] > 0; };
  std::vector<Heard> outside;
  if (!r.halo.empty()) {
    for (const auto& [i, to] : r.outward) {
      Letter letter{r.ids[i], to, number, Letter::Kind::kSaid, {}};
      Content content = said.content(i);
      for (int64_t k = r.begin[i]; k < r.begin[i + 1]; ++k) {
        const auto [id, in] = r.near[k];
        if (heard.empty() || r.place(id) >= 0) continue;
        content.behind.push_back(behind(in));
        content.again.push_back(again(in ^ 1));
        if (again(in ^ 1) && content.form != Form::kNothing) content.row = said.rows[i];
      }
      letter.bytes = pack(content, s.type);
      elsewhere->send(std::move(letter));
    }
    if (s.receiver.known.defined()) s.receiver.known = s.receiver.known.clone();
    outside = hear(x, s, Letter::Kind::kSaid, r.halo, q, s.receiver.known, *elsewhere);
  }
  // Whether the receiver at the end of an edge knows its sender's row once `got` has come: compressed
  // messages are differences, of which some may have been missed.
  const auto knows = [&](int64_t edge, const Arrival& got) {
    int64_t& last = s.receiver.heard[edge];
    if (!got.whole && last < got.number - 1) return false;
    last = std::max(last, got.number);
    return true;
  };
  const Rng road = rng.split("carry");
  Tensor out = at::empty_like(theta);
  parallel_for(n, 1, [&](int64_t i, int64_t) {
    const int64_t id = r.ids[i];
    struct Mail {
      int64_t from;
      Tensor row;
    };
    std::vector<Mail> mail;
    for (int64_t k = r.begin[i]; k < r.begin[i + 1]; ++k) {
      const auto [from, in] = r.near[k];
      const int64_t edge_out = in ^ 1, place = r.place(from);
      const Passage passage = passage_of(x.faults, from, id, road);
      Form form = Form::kNothing;
      Tensor row;
      bool says_whole = false, says_behind = false;
      if (place >= 0) {
        form = said.form[place];
        if (form != Form::kNothing) {
          row = said.rows[place];
          says_whole = again(in);
          says_behind = behind(edge_out);
          s.bits[in] += sent_bits(passage, says_whole ? whole : said.bits[place]);
        }
      } else {
        const Heard& h = outside[r.halo_place(from)];
        form = h.form;
        row = h.row;
        const auto mine = std::lower_bound(h.to.begin(), h.to.end(), id) - h.to.begin();
        if (mine < static_cast<int64_t>(h.content.behind.size())) {
          says_whole = h.content.again[mine];
          says_behind = h.content.behind[mine];
        }
        if (said.form[i] != Form::kNothing)
          s.bits[edge_out] +=
              sent_bits(passage_of(x.faults, id, from, road), again(edge_out) ? whole : said.bits[i]);
      }
      const Arrival sent =
          form == Form::kNothing ? Arrival{} : Arrival{number, form == Form::kWhole || says_whole, row};
      const Arrival got = arrive(passage, sent, s.receiver.late.empty() ? nullptr : &s.receiver.late[in]);
      if (got.number > 0 && (heard.empty() || knows(in, got))) mail.push_back({from, got.row});
      // Of one elsewhere whose row cannot be made out, what it says of its own gaps holds all the same.
      const bool unread =
          place < 0 && form == Form::kNothing && outside[r.halo_place(from)].content.form != Form::kNothing;
      if (asked.empty() || (got.number != number && !unread)) continue;
      int64_t& since = s.sender.asked[edge_out];
      since = !says_behind ? 0 : since > 0 ? since : number;
    }
    // What an agent said is what it counts with, too: what a compressed message left out would count twice
    // otherwise, and what noise hides would be said, without noise, by the row of the next exchange.
    const bool own_message = (x.compressor || x.privacy.agents()) && !x.hostile(id);
    const Tensor own = own_message ? said.rows[i] : theta[i];
    Tensor mixed = own;
    if (!x.aggregator && x.before.empty()) {
      // The weight of a message that did not come stays with the node's own row.
      mixed = own.clone();
      for (const Mail& m : mail) mixed.add_(m.row - own, x.weights.at(id, m.from));
    } else if (!mail.empty()) {
      std::vector<Tensor> rows;
      for (const Mail& m : mail) {
        if (rows.size() == static_cast<size_t>(&m - mail.data()) && m.from > id) rows.push_back(own);
        rows.push_back(m.row);
      }
      if (rows.size() == mail.size()) rows.push_back(own);
      mixed = combine(x, rows, own, rng.split("combine", static_cast<uint64_t>(id)));
    }
    const Tensor start = x.hostile(id) ? theta[i] : said.spoken[i];  // before it was compressed
    out[i] = x.compressor ? start + x.compression.gamma * (mixed - own) : mixed;
  });
  return out;
}

}  // namespace symma
