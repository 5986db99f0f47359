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

#include "symma/exchange/gossip.h"
#include "symma/exchange/messages.h"
#include "symma/exchange/privacy.h"

namespace symma {
namespace {

// The server's row after the mean update D.
Tensor optimise(const ServerOptions& o, TensorDict& kept, const Tensor& row, const Tensor& update) {
  if (o.optimizer == "none") return row + update;
  if (o.optimizer == "sgd") return row + o.lr * update;
  const Tensor square = update.square(), &old = kept.at("server.v");
  const Tensor m = o.beta1 * kept.at("server.m") + (1 - o.beta1) * update;
  const Tensor v = o.optimizer == "adagrad" ? old + square
                   : o.optimizer == "yogi"  ? old - (1 - o.beta2) * square * (old - square).sign()
                                            : o.beta2 * old + (1 - o.beta2) * square;
  kept["server.m"] = m;
  kept["server.v"] = v;
  return row + o.lr * m / (v.sqrt() + o.eps);
}

// The clipped sum with its noise, over the number of agents expected; moves an adaptive bound.
Tensor private_mean(const Exchange& x, ExchangeState& s, const Tensor& sum, int64_t whole, int64_t counted,
                    Rng rng) {
  const PrivacyOptions& p = x.privacy;
  const double bound = s.kept.at("clip").item<double>(), expected = x.expected();
  const int64_t q = sum.size(0);
  if (p.mechanism == "tree") {
    const Noise nodes = p.seeded() ? Noise::of_seed(rng.split("tree")) : s.hidden.split("tree");
    return (sum + p.noise * bound * tree_step(nodes, s.rounds - s.began, p.restart, q)) / expected;
  }
  const Noise noise = noise_for(p, rng.split("period", static_cast<uint64_t>(s.rounds)).split("private"));
  const AdaptiveClipping adaptive{.quantile = p.quantile, .count_sigma = p.count_noise};
  const double sigma = p.adaptive ? adaptive.sum_sigma(p.noise, "[privacy] noise") : p.noise;
  const Tensor noisy = sum + sigma * bound * noise.split("noise").normal({q});
  if (p.adaptive)
    s.kept["clip"] =
        at::full({1}, adaptive.next(bound, whole, counted, expected, noise.split("bound")), at::kDouble);
  return noisy / expected;
}

// What the agents are told: the server's row, or what has become known of it. Returns the row and its bits.
std::pair<Tensor, int64_t> answer(const Exchange& x, ExchangeState& s, int64_t whole, Rng rng) {
  const Tensor& row = s.kept.at("server");
  if (!x.compressor || !x.compression.answers) return {row, whole};
  const Tensor& known = s.kept.at("server.known");
  if (!known.any().item<bool>()) {
    s.kept["server.known"] = row.clone();
    return {row, whole};
  }
  Tensor memory = s.kept.contains("memory.-1") ? s.kept.at("memory.-1") : Tensor();
  const Bytes bytes = encode(*x.compressor, row - known, memory, rng);
  if (memory.defined()) s.kept["memory.-1"] = memory;
  s.kept["server.known"] = known + decode_own(*x.compressor, bytes, row.size(0));
  return {s.kept.at("server.known"), 8 * static_cast<int64_t>(bytes.size())};
}

}  // namespace

Tensor at_server(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng) {
  const int64_t n = theta.size(0), q = theta.size(1);
  const Rng own = rng.split("period", s.rounds);
  const std::vector<int64_t> who = participants(x, s, s.rounds, rng);
  const Tensor wanted = x.updates() ? theta - s.reference.to(at::kCPU, at::kDouble) : theta;
  const Said said = speak(x, s, wanted, who, own.split("speak"));
  const int64_t whole = q * 8 * s.number_bytes;

  std::vector<Tensor> rows;
  std::vector<bool> arrived(n, false);
  for (int64_t i : who) {
    const int64_t bits =
        x.server.secure ? 0 : said.bits[i];  // the protocol's own messages are counted instead
    const Tensor row = carry(x, s, 2 * i, said.there[i] ? said.rows[i] : Tensor(), bits, own.split("up")).row;
    if (row.defined()) rows.push_back(row);
    arrived[i] = row.defined();
  }
  const Tensor server = s.kept.at("server");
  const Tensor centre = x.updates() ? at::zeros_like(server) : server;
  Tensor mean;  // of what came; undefined where the server learned nothing
  if (x.server.secure || (x.privacy.agents() && x.privacy.where == "server")) {
    const double bound = x.privacy.agents() ? s.kept.at("clip").item<double>() : 0;
    Tensor sum = at::zeros_like(server);
    if (x.server.secure) {
      sum = secure_sum(x, s, said.rows, who, arrived, own.split("secure"));
    } else if (!rows.empty()) {
      sum = clip_rows(at::stack(rows), bound).rows.sum(0);
    }
    if (sum.defined()) {
      mean = x.privacy.agents() && x.privacy.where == "server"
                 ? private_mean(x, s, sum, said.whole, static_cast<int64_t>(who.size()), rng)
                 : sum / static_cast<double>(std::max<size_t>(1, rows.size()));
    }
  } else if (!rows.empty()) {
    mean = combine(x, rows, centre, own.split("combine"));
  }
  if (mean.defined()) s.kept["server"] = x.updates() ? optimise(x.server, s.kept, server, mean) : mean;

  const auto [row, bits] = answer(x, s, whole, own.split("answer"));
  if (x.server.share < 1) {
    // Whoever takes part next asks for the server's row then, and will have it; the others' rows stand for
    // what they would get.
    for (int64_t i : participants(x, s, s.rounds + 1, rng)) s.bits[2 * i + 1] += bits;
    return row.unsqueeze(0).repeat({n, 1});
  }
  Tensor out = theta.clone();
  for (int64_t i = 0; i < n; ++i) {
    const Tensor got = carry(x, s, 2 * i + 1, row, bits, own.split("down")).row;
    if (got.defined()) out[i] = got;
  }
  return out;
}

}  // namespace symma
