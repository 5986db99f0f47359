#include "symma/exchange/state.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "symma/exchange/exchange.h"

namespace symma {
namespace {

Tensor none(at::IntArrayRef sizes) {
  return at::zeros(sizes, at::kDouble);
}

Tensor index_of(const std::vector<int64_t>& v) {
  return at::tensor(v, at::kLong);
}

Tensor picked(const Tensor& rows, const std::vector<int64_t>& places) {
  return rows.defined() ? rows.index_select(0, index_of(places).to(rows.device())) : Tensor();
}

std::vector<int64_t> picked(const std::vector<int64_t>& numbers, const std::vector<int64_t>& places) {
  std::vector<int64_t> out;
  out.reserve(places.size());
  for (const int64_t at : places) out.push_back(numbers[at]);
  return out;
}

// [E2]: the edges into agents or the server of here.
std::vector<bool> edges_into(const Exchange& x, const Reach& r) {
  std::vector<bool> out(2 * x.graph.edges.size());
  const auto here = [&](int64_t node) { return node == r.agents ? r.server : r.place(node) >= 0; };
  for (size_t e = 0; e < x.graph.edges.size(); ++e) {
    const auto [a, b] = x.graph.edges[e];
    out[2 * e] = here(b);
    out[2 * e + 1] = here(a);
  }
  return out;
}

// The tensors of [N, Q] of a state, in one order.
std::vector<Tensor*> row_tables(ExchangeState& s) {
  return {&s.reference,       &s.before,       &s.tracker,    &s.sender.known,
          &s.sender.residual, &s.sender.first, &s.push.weight};
}

// The places of some agents' edges among those of `of`, which has these agents.
std::vector<int64_t> edges_of(const Reach& of, const std::vector<int64_t>& ids) {
  std::vector<int64_t> out;
  for (const int64_t id : ids) {
    const int64_t i = of.place(id);
    for (int64_t e = of.begin[i]; e < of.begin[i + 1]; ++e) out.push_back(e);
  }
  return out;
}

}  // namespace

int64_t ExchangeState::total_bits() const {
  return std::accumulate(bits.begin(), bits.end(), int64_t{0});
}

Tensor ExchangeState::rounded(const Tensor& t) const {
  return type == at::kDouble ? t : t.to(type).to(at::kDouble);
}

ExchangeState exchange_start(const Exchange& x, const Tensor& theta, std::vector<int64_t> ids) {
  if (ids.empty()) {
    ids.resize(theta.size(0));
    std::iota(ids.begin(), ids.end(), int64_t{0});
  }
  TORCH_CHECK(static_cast<int64_t>(ids.size()) == theta.size(0), ids.size(), " agents, ", theta.size(0),
              " rows");
  ExchangeState s;
  s.reach = std::make_shared<const Reach>(reach_of(x.graph, x.weights, std::move(ids), !x.plain()));
  s.type = theta.scalar_type();
  const size_t directed = 2 * x.graph.edges.size();
  s.bits.assign(directed, 0);
  if (x.updates() || x.tracks() || x.corrects()) s.reference = theta;
  if (x.corrects()) s.before = theta;
  if (x.tracks()) s.before = s.tracker = at::zeros_like(theta);
  if (x.plain()) return s;
  const int64_t n = theta.size(0), q = theta.size(1) * (x.tracks() ? 2 : 1);
  const bool differences = x.compressor && !(x.updates() && x.graph.server);  // from what was said before
  if (x.compressor) (differences ? s.sender.known : s.sender.residual) = none({n, q});
  if (x.compressor && (differences || x.compression.answers))
    s.receiver.known = none({static_cast<int64_t>(s.reach->halo.size()), q});
  if (x.may_miss()) {
    s.receiver.heard.assign(directed, 0);
    s.sender.asked.assign(directed, 0);
  }
  if (x.attack) s.sender.first = at::full({n, q}, std::nan(""), at::kDouble);
  if (x.faults.late > 0) s.receiver.late.resize(directed);
  if (x.pushes()) {
    const auto edges = static_cast<int64_t>(s.reach->near.size());
    s.push = {at::ones({n, 1}, at::kDouble), none({edges, q + 1}), none({edges, q + 1}),
              std::vector<int64_t>(edges, 0), std::vector<int64_t>(edges, 0)};
  }
  if (x.privacy.agents()) s.clip = x.privacy.clip;
  if (!s.reach->server) return s;
  // With parts of a fleet the rows that the server begins with the mean of are elsewhere: see part_of.
  s.server.row = theta.to(at::kCPU, at::kDouble).mean(0);
  if (x.compressor && x.compression.answers) s.server.known = none({q});
  if (x.server.optimizer != "none" && x.server.optimizer != "sgd") {
    s.server.m = none({q});
    s.server.v = at::full({q}, x.server.eps * x.server.eps, at::kDouble);
  }
  return s;
}

ExchangeState part_of(const Exchange& x, const ExchangeState& whole, std::vector<int64_t> ids) {
  TORCH_CHECK(whole.reach->whole(), "a part of a part");
  ExchangeState s = whole;
  s.reach = std::make_shared<const Reach>(reach_of(x.graph, x.weights, std::move(ids), !x.plain()));
  const Reach& r = *s.reach;
  for (Tensor* t : row_tables(s)) *t = picked(*t, r.ids);
  if (x.pushes()) {
    const std::vector<int64_t> edges = edges_of(*whole.reach, r.ids);
    s.push.pushed = picked(s.push.pushed, edges);
    s.push.taken = picked(s.push.taken, edges);
    s.push.heard = picked(whole.push.heard, edges);
    s.push.answered = picked(whole.push.answered, edges);
  }
  std::erase_if(s.sender.memory, [&](const auto& m) { return r.place(m.first) < 0; });
  const std::vector<bool> in = edges_into(x, r);
  for (size_t at = 0; at < in.size(); ++at) {
    const bool sent = in[at ^ 1];  // whoever hears the way back sends this way
    if (!sent) s.bits[at] = 0;
    if (!sent && !s.sender.asked.empty()) s.sender.asked[at] = 0;
    if (!in[at] && !s.receiver.heard.empty()) s.receiver.heard[at] = 0;
    if (!in[at] && !s.receiver.late.empty()) s.receiver.late[at] = {};
  }
  if (whole.receiver.known.defined()) {
    const bool from_server = x.graph.server && !r.server;
    const Tensor& of = from_server ? whole.server.known : whole.sender.known;
    s.receiver.known = !of.defined() ? Tensor() : from_server ? of.unsqueeze(0) : picked(of, r.halo);
  }
  if (!r.server) s.server = {};
  return s;
}

ExchangeState join(const Exchange& x, std::span<const ExchangeState> parts) {
  ExchangeState s = parts[0];
  std::vector<int64_t> from;  // the place in all parts' rows, one after another, of each agent
  std::vector<std::pair<int64_t, int64_t>> order;
  for (const ExchangeState& p : parts)
    for (int64_t id : p.reach->ids) order.push_back({id, static_cast<int64_t>(order.size())});
  std::sort(order.begin(), order.end());
  std::vector<int64_t> ids;
  for (const auto& [id, at] : order) ids.push_back(id), from.push_back(at);
  s.reach = std::make_shared<const Reach>(reach_of(x.graph, x.weights, ids, !x.plain()));
  TORCH_CHECK(s.reach->whole(), "parts of ", ids.size(), " agents of ", s.reach->agents);
  std::vector<ExchangeState> copies(parts.begin(), parts.end());
  const auto mine = row_tables(s);
  for (size_t k = 0; k < mine.size(); ++k) {
    if (!mine[k]->defined()) continue;
    std::vector<Tensor> rows;
    rows.reserve(copies.size());
    for (ExchangeState& p : copies) rows.push_back(*row_tables(p)[k]);
    *mine[k] = picked(at::cat(rows), from);
  }
  if (x.pushes()) {
    // All parts' edges, one part after another, and then in the order of the agents.
    std::vector<Tensor> pushed, taken;
    std::vector<int64_t> heard, answered;
    std::vector<std::vector<int64_t>> of(s.reach->agents);
    int64_t first = 0;
    for (const ExchangeState& p : parts) {
      pushed.push_back(p.push.pushed), taken.push_back(p.push.taken);
      heard.insert(heard.end(), p.push.heard.begin(), p.push.heard.end());
      answered.insert(answered.end(), p.push.answered.begin(), p.push.answered.end());
      for (const int64_t id : p.reach->ids)
        for (const int64_t e : edges_of(*p.reach, {id})) of[id].push_back(first + e);
      first += static_cast<int64_t>(p.reach->near.size());
    }
    std::vector<int64_t> edges;
    for (const auto& some : of) edges.insert(edges.end(), some.begin(), some.end());
    s.push.pushed = picked(at::cat(pushed), edges);
    s.push.taken = picked(at::cat(taken), edges);
    s.push.heard = picked(heard, edges);
    s.push.answered = picked(answered, edges);
  }
  if (s.receiver.known.defined()) s.receiver.known = s.receiver.known.narrow(0, 0, 0);
  for (const ExchangeState& p : parts) {
    if (p.reach->server) s.server = p.server, s.clip = p.clip;
    if (&p == &parts[0]) continue;
    s.sender.memory.insert(p.sender.memory.begin(), p.sender.memory.end());
    // Each is kept at one place, and nothing at the others.
    for (size_t at = 0; at < s.bits.size(); ++at) {
      s.bits[at] += p.bits[at];
      if (!s.sender.asked.empty()) s.sender.asked[at] += p.sender.asked[at];
      if (!s.receiver.heard.empty()) s.receiver.heard[at] += p.receiver.heard[at];
      if (!s.receiver.late.empty() && p.receiver.late[at].number > 0)
        s.receiver.late[at] = p.receiver.late[at];
    }
  }
  return s;
}

TensorDict kept(const ExchangeState& s) {
  TensorDict out;
  const auto add = [&](const std::string& name, const Tensor& t) {
    if (t.defined()) out[name] = t;
  };
  add("reference", s.reference), add("before", s.before), add("tracker", s.tracker);
  add("known", s.sender.known), add("residual", s.sender.residual), add("first", s.sender.first);
  for (const auto& [agent, t] : s.sender.memory) out["memory." + std::to_string(agent)] = t;
  add("memory.-1", s.server.memory);
  add("push.weight", s.push.weight), add("push.pushed", s.push.pushed), add("push.taken", s.push.taken);
  if (s.push.weight.defined())
    out["push.heard"] = index_of(s.push.heard), out["push.answered"] = index_of(s.push.answered);
  if (!s.receiver.heard.empty()) {
    out["heard"] = index_of(s.receiver.heard);
    out["asked"] = index_of(s.sender.asked);
  }
  std::vector<int64_t> messages;  // edge, number, whole
  std::vector<Tensor> rows;
  for (size_t at = 0; at < s.receiver.late.size(); ++at) {
    const Arrival& a = s.receiver.late[at];
    if (a.number == 0) continue;
    messages.insert(messages.end(), {static_cast<int64_t>(at), a.number, a.whole});
    rows.push_back(a.row);
  }
  if (!rows.empty()) {
    out["late"] = at::stack(rows);
    out["late.message"] = index_of(messages).view({-1, 3});
  }
  add("server", s.server.row), add("server.known", s.server.known);
  add("server.m", s.server.m), add("server.v", s.server.v);
  // A part of a fleet keeps what it knows of the rest.
  if (s.receiver.known.defined() && s.receiver.known.numel() > 0) out["halo"] = s.receiver.known;
  if (s.clip > 0) out["clip"] = at::full({1}, s.clip, at::kDouble);
  return out;
}

void keep(ExchangeState& s, const TensorDict& from) {
  const auto take = [&](const char* name, Tensor& t) {
    if (t.defined()) t = from.at(name);
  };
  take("reference", s.reference), take("before", s.before), take("tracker", s.tracker);
  take("known", s.sender.known), take("residual", s.sender.residual), take("first", s.sender.first);
  take("server", s.server.row), take("server.known", s.server.known);
  take("push.weight", s.push.weight), take("push.pushed", s.push.pushed), take("push.taken", s.push.taken);
  take("server.m", s.server.m), take("server.v", s.server.v);
  const auto numbers = [&](const char* name, std::vector<int64_t>& v) {
    if (v.empty()) return;
    const Tensor t = from.at(name).contiguous();
    std::copy_n(t.data_ptr<int64_t>(), v.size(), v.begin());
  };
  numbers("heard", s.receiver.heard), numbers("asked", s.sender.asked);
  numbers("push.heard", s.push.heard), numbers("push.answered", s.push.answered);
  if (from.contains("halo")) s.receiver.known = from.at("halo");
  if (s.clip > 0) s.clip = from.at("clip").item<double>();
  const std::string memory = "memory.";
  for (const auto& [name, t] : from) {
    if (!name.starts_with(memory)) continue;
    const int64_t agent = std::stoll(name.substr(memory.size()));
    (agent < 0 ? s.server.memory : s.sender.memory[agent]) = t;
  }
  if (s.receiver.late.empty() || !from.contains("late")) return;
  const Tensor messages = from.at("late.message").contiguous(), rows = from.at("late");
  for (int64_t k = 0; k < rows.size(0); ++k) {
    const int64_t* m = messages.data_ptr<int64_t>() + 3 * k;
    s.receiver.late.at(m[0]) = {m[1], m[2] != 0, rows[k]};
  }
}

}  // namespace symma
