// The exchange with a server: it gathers from those who take part, combines, moves its own row, and hands it
// back.
//
// FedAvg (McMahan et al. 2017, arXiv:1602.05629): rows, or updates, averaged. FedOpt (Reddi et al. 2021,
// arXiv:2003.00295, algorithm 2): the mean update D is a gradient to an optimizer,
//   m <- beta1 m + (1 - beta1) D;  v <- v + D^2 (adagrad), v - (1 - beta2) D^2 sign(v - D^2) (yogi),
//   beta2 v + (1 - beta2) D^2 (adam);  x <- x + lr m / (sqrt(v) + tau),   v starting at tau^2.
// Privacy at the server: clipped updates are summed, noise is added to the sum, and the expected number of
// agents divides it (McMahan et al. 2018, arXiv:1710.06963).
#include <algorithm>
#include <cmath>

#include "symma/exchange/gossip.h"
#include "symma/exchange/messages.h"
#include "symma/exchange/privacy.h"

namespace symma {
namespace {

// The server's row after the mean update D.
Tensor optimise(const ServerOptions& o, ExchangeState::Server& server, const Tensor& update) {
  const Tensor& row = server.row;
  if (o.optimizer == "none") return row + update;
  if (o.optimizer == "sgd") return row + o.lr * update;
  const Tensor square = update.square(), &old = server.v;
  const Tensor m = o.beta1 * server.m + (1 - o.beta1) * update;
  const Tensor v = o.optimizer == "adagrad" ? old + square
                   : o.optimizer == "yogi"  ? old - (1 - o.beta2) * square * (old - square).sign()
                                            : o.beta2 * old + (1 - o.beta2) * square;
  server.m = m;
  server.v = v;
  return row + o.lr * m / (v.sqrt() + o.eps);
}

// The clipped sum with its noise, over the number of agents expected; moves an adaptive bound.
Tensor private_mean(const Exchange& x, ExchangeState& s, const Tensor& sum, int64_t whole, int64_t counted,
                    Rng rng) {
  const PrivacyOptions& p = x.privacy;
  const double bound = s.clip, expected = x.expected();
  const int64_t q = sum.size(0);
  if (p.distributed()) return sum / expected;  // it carries the agents' noise
  if (p.mechanism == "tree") {
    const Noise nodes = p.seeded() ? Noise::of_seed(rng.split("tree")) : s.hidden.split("tree");
    return (sum + p.noise * bound * tree_step(nodes, s.rounds - s.began, p.restart, q)) / expected;
  }
  const Noise noise = noise_for(p, rng.split("period", static_cast<uint64_t>(s.rounds)).split("private"));
  const AdaptiveClipping adaptive{.quantile = p.quantile, .count_sigma = p.count_noise};
  const double sigma = p.adaptive ? adaptive.sum_sigma(p.noise, "[privacy] noise") : p.noise;
  const Tensor noisy = sum + sigma * bound * noise.split("noise").normal({q});
  if (p.adaptive) s.clip = adaptive.next(bound, whole, counted, expected, noise.split("bound"));
  return noisy / expected;
}

// What the agents are told: the server's row, or what has become known of it.
struct Answer {
  Content content;
  Tensor row;  // [Q] double
  int64_t bits = 0;
};
Answer answer(const Exchange& x, ExchangeState& s, Rng rng) {
  ExchangeState::Server& server = s.server;
  const Tensor told = s.rounded(server.row);
  const int64_t whole = s.row_bits(told.size(0));
  if (!x.compressor || !x.compression.answers)
    return {{.form = Form::kWhole, .clip = s.clip, .row = told}, told, whole};
  if (!server.known.any().item<bool>()) {
    server.known = told.clone();
    return {{.form = Form::kWhole, .clip = s.clip, .row = told}, told, whole};
  }
  Bytes bytes = encode(*x.compressor, server.row - server.known, server.memory, rng);
  server.known = s.rounded(server.known + decode_own(*x.compressor, bytes, told.size(0)));
  const auto bits = 8 * static_cast<int64_t>(bytes.size());
  return {{.form = Form::kDifference, .clip = s.clip, .difference = std::move(bytes)}, server.known, bits};
}

// One agent's message, as the server has it.
struct Up {
  Form form = Form::kNothing;
  Tensor row;
  bool within = false;
};

// What the agents of `who` said, of all processes, in the order of `who`.
std::vector<Up> gathered(const Exchange& x, ExchangeState& s, const Said& said,
                         const std::vector<int64_t>& who, Transport* elsewhere) {
  const Reach& r = *s.reach;
  std::vector<int64_t> outside;
  for (int64_t id : who)
    if (r.place(id) < 0) outside.push_back(id);
  std::vector<Heard> heard;
  if (!outside.empty()) {
    // Differences are counted from what is known of each; updates from nothing.
    Tensor known;
    const bool differences = s.receiver.known.defined() && !x.updates();
    if (differences) s.receiver.known = s.receiver.known.clone();
    std::vector<int64_t> places;
    places.reserve(outside.size());
    for (int64_t id : outside) places.push_back(r.halo_place(id));
    const Tensor index = at::tensor(places, at::kLong);
    if (differences) known = s.receiver.known.index_select(0, index);
    heard = hear(x, s, Letter::Kind::kSaid, outside, said.rows.size(1), known, *elsewhere);
    if (differences) s.receiver.known.index_copy_(0, index, known);
  }
  std::vector<Up> out;
  size_t next = 0;
  for (int64_t id : who) {
    if (const int64_t i = r.place(id); i >= 0) {
      out.push_back({said.form[i], said.form[i] == Form::kNothing ? Tensor() : said.rows[i],
                     !said.within.empty() && said.within[i]});
    } else {
      const Heard& h = heard[next++];
      out.push_back({h.form, h.row, h.content.within});
    }
  }
  return out;
}

// The mean of what came, as the settings have it; undefined where the server learned nothing.
Tensor mean_of_arrived(const Exchange& x, ExchangeState& s, int64_t counted, const std::vector<Tensor>& rows,
                       int64_t within, Rng own, Rng rng) {
  const Tensor& server = s.server.row;
  if (!x.privacy.at_server()) {
    const Tensor centre = x.updates() ? at::zeros_like(server) : server;
    return rows.empty() ? Tensor() : combine(x, rows, centre, own.split("combine"));
  }
  const Tensor sum = rows.empty() ? at::zeros_like(server) : clip_rows(at::stack(rows), s.clip).rows.sum(0);
  return private_mean(x, s, sum, within, counted, rng);
}

// Under secure aggregation, of which the server sees the sum: norms stay hidden.
Tensor mean_of_sum(const Exchange& x, ExchangeState& s, int64_t counted, const SecureSum& secure, Rng rng) {
  if (!secure.sum.defined()) return {};
  return x.privacy.at_server() ? private_mean(x, s, secure.sum, 0, counted, rng)
                               : secure.sum / static_cast<double>(secure.of);
}

// The server's row, as an agent elsewhere hears of it; undefined where no answer came.
Tensor answer_heard(const Exchange& x, ExchangeState& s, int64_t columns, Transport& elsewhere) {
  Tensor known = s.receiver.known;
  if (known.defined()) s.receiver.known = known = known.clone();
  const Heard h = hear(x, s, Letter::Kind::kAnswer, s.reach->halo, columns, known, elsewhere)[0];
  if (h.row.defined() && x.privacy.agents()) {
    const double bound = h.content.clip;
    if (!(bound > 0 && std::isfinite(bound))) return {};  // no server of ours says that
    s.clip = bound;
  }
  return h.row;
}

// The agents' rows once the server has told them its own. Whoever takes part next asks for it; the others'
// rows stand for what they would get, and nothing is under way to them.
Tensor handed_back(const Exchange& x, ExchangeState& s, const Tensor& theta, const Tensor& told, Rng rng) {
  const Reach& r = *s.reach;
  const int64_t n = theta.size(0);
  const Rng down = rng.split("period", s.rounds).split("down");
  std::vector<bool> asks(r.agents, false);
  for (const int64_t id : participants(x, s, s.rounds + 1, rng)) asks[id] = true;
  Tensor out = told.defined() ? told.unsqueeze(0).repeat({n, 1}) : theta.clone();
  for (int64_t i = 0; i < n; ++i) {
    const int64_t id = r.ids[i];
    Arrival* late = s.receiver.late.empty() ? nullptr : &s.receiver.late[2 * id + 1];
    if (asks[id]) {
      const Arrival sent = told.defined() ? Arrival{s.rounds + 1, false, told} : Arrival{};
      const Arrival got = arrive(passage_of(x.faults, r.agents, id, down), sent, late);
      out[i] = got.number > 0 ? got.row : theta[i];
    } else if (late != nullptr) {
      *late = {};
    }
  }
  return out;
}

}  // namespace

Tensor at_server(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng, Transport* elsewhere) {
  const Reach& r = *s.reach;
  const int64_t q = theta.size(1), number = s.rounds + 1;
  const Rng own = rng.split("period", s.rounds);
  const std::vector<int64_t> who = participants(x, s, s.rounds, rng);
  const Tensor wanted = x.updates() ? theta - s.reference.to(at::kCPU, at::kDouble) : theta;
  const Said said = speak(x, s, wanted, who, own.split("speak"), elsewhere);
  const Rng up = own.split("up"), down = own.split("down");
  const auto waiting = [&](int64_t edge) {
    return s.receiver.late.empty() ? nullptr : &s.receiver.late[edge];
  };
  const auto arrived = [&](int64_t id, Form form, const Tensor& row, Arrival* late) {
    return arrive(passage_of(x.faults, id, r.agents, up),
                  form == Form::kNothing ? Arrival{} : Arrival{number, false, row}, late);
  };
  SecureSum secure;
  if (x.server.secure) {
    // The protocol's own messages are sent and counted instead.
    std::vector<bool> stays(r.ids.size(), false);
    for (size_t i = 0; i < r.ids.size(); ++i)
      stays[i] = arrived(r.ids[i], said.form[i], {}, nullptr).number > 0;
    secure = secure_sum(x, s, said.rows, who, stays, own.split("secure"), elsewhere);
  } else {
    for (int64_t id : who) {
      const int64_t i = r.place(id);
      if (i < 0) continue;
      if (said.form[i] != Form::kNothing)
        s.bits[2 * id] += sent_bits(passage_of(x.faults, id, r.agents, up), said.bits[i]);
      if (!r.server)
        elsewhere->send({id, {r.agents}, number, Letter::Kind::kSaid, pack(said.content(i), s.type)});
    }
  }

  Tensor told;  // undefined where no answer came
  if (r.server) {
    const auto counted = static_cast<int64_t>(who.size());
    Tensor mean;
    if (x.server.secure) {
      mean = mean_of_sum(x, s, counted, secure, rng);
    } else {
      const std::vector<Up> all = gathered(x, s, said, who, elsewhere);
      std::vector<Tensor> rows;
      int64_t within = 0;
      for (size_t k = 0; k < who.size(); ++k) {
        within += all[k].within;
        const Arrival got = arrived(who[k], all[k].form, all[k].row, waiting(2 * who[k]));
        if (got.number > 0) rows.push_back(got.row);
      }
      mean = mean_of_arrived(x, s, counted, rows, within, own, rng);
    }
    if (mean.defined()) s.server.row = x.updates() ? optimise(x.server, s.server, mean) : mean;
    const Answer a = answer(x, s, own.split("answer"));
    told = a.row;
    if (!r.halo.empty())
      elsewhere->send({r.agents, r.halo, number, Letter::Kind::kAnswer, pack(a.content, s.type)});
    for (const int64_t id : participants(x, s, s.rounds + 1, rng))
      s.bits[2 * id + 1] += sent_bits(passage_of(x.faults, r.agents, id, down), a.bits);
  } else {
    told = answer_heard(x, s, q, *elsewhere);
  }
  return handed_back(x, s, theta, told, rng);
}

Tensor from_server(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng, Transport& elsewhere) {
  const Tensor told = answer_heard(x, s, theta.size(1), elsewhere);
  return handed_back(x, s, theta, told, rng);
}

}  // namespace symma
