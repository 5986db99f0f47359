#include "symma/exchange/exchange.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "symma/core/parallel.h"
#include "symma/exchange/messages.h"
#include "symma/exchange/privacy.h"

namespace symma {
int64_t ExchangeState::total_bits() const {
  return std::accumulate(bits.begin(), bits.end(), int64_t{0});
}

bool Exchange::plain() const {
  return !aggregator && before.empty() && !compressor && !attack && !privacy.agents() && server.share == 1 &&
         server.optimizer == "none" && !server.secure && !faults.gaps() && faults.doubled == 0;
}

bool Exchange::hostile(int64_t agent) const {
  return attack && std::find(faults.agents.begin(), faults.agents.end(), agent) != faults.agents.end();
}

std::vector<int64_t> Exchange::honest() const {
  std::vector<int64_t> out;
  for (int64_t a = 0; a < graph.agents; ++a)
    if (!hostile(a)) out.push_back(a);
  return out;
}

ExchangeState exchange_start(const Exchange& x, const Tensor& theta) {
  ExchangeState s;
  s.number_bytes = static_cast<int64_t>(theta.element_size());
  const auto directed = static_cast<int64_t>(2 * x.graph.edges.size());
  s.bits.assign(directed, 0);
  if (x.updates() || x.tracks() || x.corrects()) s.reference = theta;
  if (x.corrects()) s.before = theta;
  if (x.tracks()) s.before = s.tracker = at::zeros_like(theta);
  if (x.plain()) return s;
  const int64_t n = theta.size(0), q = theta.size(1) * (x.tracks() ? 2 : 1);
  const auto none = [](at::IntArrayRef sizes) { return at::zeros(sizes, at::kDouble); };
  if (x.compressor) s.kept[x.updates() && x.graph.server ? "residual" : "known"] = none({n, q});
  if (x.may_miss()) {
    s.kept["heard"] = at::zeros({directed}, at::kLong);
    s.kept["asked"] = at::zeros({directed}, at::kLong);
  }
  if (x.attack) s.kept["first"] = none({n, q});
  if (x.faults.late > 0) {
    s.kept["late"] = none({directed, q});
    s.kept["late.number"] = at::zeros({directed}, at::kLong);
  }
  if (x.privacy.agents()) s.kept["clip"] = at::full({1}, x.privacy.clip, at::kDouble);
  if (!x.graph.server) return s;
  s.kept["server"] = theta.to(at::kCPU, at::kDouble).mean(0);
  if (x.compressor && x.compression.answers) s.kept["server.known"] = none({q});
  if (x.server.optimizer != "none" && x.server.optimizer != "sgd") {
    s.kept["server.m"] = none({q});
    s.kept["server.v"] = at::full({q}, x.server.eps * x.server.eps, at::kDouble);
  }
  return s;
}

double Exchange::expected() const {
  const auto n = static_cast<double>(graph.agents);
  return server.sampling == "turns" ? n / static_cast<double>(turns()) : server.share * n;
}

std::vector<int64_t> participants(const Exchange& x, const ExchangeState& s, int64_t period, Rng rng) {
  const int64_t n = x.graph.agents;
  const auto number = static_cast<uint64_t>(period);
  const Rng own = rng.split("participants", number);
  if (x.server.share < 1 && x.server.sampling == "poisson")
    return poisson_sample(n, x.server.share,
                          x.hides_who() ? s.hidden.split("participants", number) : Noise::of_seed(own));
  std::vector<int64_t> out(n);
  std::iota(out.begin(), out.end(), int64_t{0});
  if (x.server.share == 1) return out;
  if (x.server.sampling == "turns") {
    std::erase_if(out, [&](int64_t i) { return i % x.turns() != period % x.turns(); });
    return out;
  }
  const auto k = std::max<int64_t>(1, std::llround(x.server.share * static_cast<double>(n)));
  out = Draws(own).choose(n, k);
  std::sort(out.begin(), out.end());
  return out;
}

Tensor mix(const Exchange& x, const Tensor& rows) {
  if (x.graph.server) return rows.mean(0, true).expand_as(rows).contiguous();
  return mix(x.weights, rows);
}

namespace {

// All that agents say carried and combined: the mixed rows, [N, Q].
Tensor mixed(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng) {
  if (x.plain()) {
    const int64_t message = theta.size(1) * static_cast<int64_t>(theta.element_size()) * 8;
    for (int64_t& bits : s.bits) bits += message;
    return mix(x, theta);
  }
  for (const char* name : {"late", "late.number", "heard", "asked"})
    if (s.kept.contains(name)) s.kept[name] = s.kept.at(name).clone();
  const Tensor rows = theta.to(at::kCPU, at::kDouble).contiguous();
  const Tensor out = x.graph.server ? at_server(x, s, rows, rng)
                                    : among_neighbours(x, s, rows, rng.split("period", s.rounds));
  return out.to(theta.options());
}

// Exact diffusion: what mixing the past step moved is taken back before it is mixed again.
//   psi_k the row after the local step,  phi_k = psi_k + x_{k-1} - psi_{k-1},  x_k = (phi_k + W phi_k) / 2
Tensor corrected(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng) {
  const Tensor phi = theta + (s.reference - s.before);
  s.before = theta;
  return (phi + mixed(x, s, phi, rng)) / 2;
}

// Gradient tracking, adapt-then-combine: z follows the mean of all agents' local steps d.
//   z_k = (W z)_{k-1} + d_k - d_{k-1},   x_{k+1} = W (x_k + z_k)
Tensor tracked(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng) {
  const int64_t q = theta.size(1);
  const Tensor d = theta - s.reference;
  const Tensor z = s.tracker + (d - s.before);
  const Tensor both = mixed(x, s, at::cat({s.reference + z, z}, 1), rng);
  s.before = d;
  s.tracker = both.narrow(1, q, q).contiguous();
  return both.narrow(1, 0, q).contiguous();
}

}  // namespace

Tensor exchange(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng) {
  at::NoGradGuard no_grad;
  const Tensor out = x.tracks()     ? tracked(x, s, theta, rng)
                     : x.corrects() ? corrected(x, s, theta, rng)
                                    : mixed(x, s, theta, rng);
  ++s.rounds;
  if (s.reference.defined()) s.reference = out;
  return out;
}

double disagreement(const Tensor& theta) {
  if (theta.size(0) < 2) return 0;
  // Some rows at a time: a copy of a large fleet in double would be twice its size.
  constexpr int64_t kRows = 512;
  const int64_t n = theta.size(0);
  const auto over_rows = [&](const auto& work) {
    for (int64_t at = 0; at < n; at += kRows)
      work(theta.slice(0, at, std::min(n, at + kRows)).to(at::kCPU, at::kDouble));
  };
  Tensor mean = at::zeros({theta.size(1)}, at::kDouble);
  over_rows([&](const Tensor& rows) { mean.add_(rows.sum(0)); });
  mean.div_(static_cast<double>(n));
  double sum = 0;
  over_rows([&](const Tensor& rows) { sum += (rows - mean).square().sum().item<double>(); });
  return sum / static_cast<double>(n);
}

}  // namespace symma
