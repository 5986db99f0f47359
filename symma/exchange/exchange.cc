#include "symma/exchange/exchange.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "symma/core/parallel.h"
#include "symma/exchange/messages.h"
#include "symma/exchange/privacy.h"

namespace symma {
bool Exchange::plain() const {
  return !pushes() && !aggregator && before.empty() && !compressor && !attack && !privacy.agents() &&
         server.share == 1 && server.optimizer == "none" && !server.secure && !faults.gaps() &&
         faults.doubled == 0;
}

bool Exchange::hostile(int64_t agent) const {
  return attack && std::binary_search(faults.agents.begin(), faults.agents.end(), agent);
}

std::vector<int64_t> Exchange::honest() const {
  std::vector<int64_t> out;
  for (int64_t a = 0; a < graph.agents; ++a)
    if (!hostile(a)) out.push_back(a);
  return out;
}

int64_t Exchange::drawn() const {
  return std::max<int64_t>(1, std::llround(server.share * static_cast<double>(graph.agents)));
}

double Exchange::expected() const {
  const auto n = static_cast<double>(graph.agents);
  return server.sampling == "fixed"   ? static_cast<double>(drawn())
         : server.sampling == "turns" ? n / static_cast<double>(turns())
                                      : server.share * n;
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
  out = Draws(own).choose(n, x.drawn());
  std::sort(out.begin(), out.end());
  return out;
}

Tensor mix(const Exchange& x, const Tensor& rows) {
  if (x.graph.server) return rows.mean(0, true).expand_as(rows).contiguous();
  return mix(x.weights, rows);
}

namespace {

// All that agents say carried and combined: the mixed rows, [n, Q].
Tensor mixed(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng, Transport* elsewhere) {
  if (x.plain())
    return x.graph.server ? plainly_at_server(x, s, theta, elsewhere)
                          : plainly_among_neighbours(x, s, theta, elsewhere);
  const Tensor rows = theta.to(at::kCPU, at::kDouble).contiguous();
  const Rng period = rng.split("period", s.rounds);
  const Tensor out = x.graph.server ? at_server(x, s, rows, rng, elsewhere)
                     : x.pushes()   ? push_sum(x, s, rows, period, elsewhere)
                                    : among_neighbours(x, s, rows, period, elsewhere);
  return out.to(theta.options());
}

// Exact diffusion: what mixing the past step moved is taken back before it is mixed again.
//   psi_k the row after the local step,  phi_k = psi_k + x_{k-1} - psi_{k-1},  x_k = (phi_k + W phi_k) / 2
Tensor corrected(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng, Transport* elsewhere) {
  const Tensor phi = theta + (s.reference - s.before);
  s.before = theta;
  return (phi + mixed(x, s, phi, rng, elsewhere)) / 2;
}

// Gradient tracking, adapt-then-combine: z follows the mean of all agents' local steps d.
//   z_k = (W z)_{k-1} + d_k - d_{k-1},   x_{k+1} = W (x_k + z_k)
Tensor tracked(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng, Transport* elsewhere) {
  const int64_t q = theta.size(1);
  const Tensor d = theta - s.reference;
  const Tensor z = s.tracker + (d - s.before);
  const Tensor both = mixed(x, s, at::cat({s.reference + z, z}, 1), rng, elsewhere);
  s.before = d;
  s.tracker = both.narrow(1, q, q).contiguous();
  return both.narrow(1, 0, q).contiguous();
}

}  // namespace

Tensor exchange(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng, Transport* elsewhere) {
  at::NoGradGuard no_grad;
  TORCH_CHECK(elsewhere != nullptr || s.reach->whole(), "a part of a fleet needs letters to the rest");
  const Tensor out = x.tracks()     ? tracked(x, s, theta, rng, elsewhere)
                     : x.corrects() ? corrected(x, s, theta, rng, elsewhere)
                                    : mixed(x, s, theta, rng, elsewhere);
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
