#include "symma/exchange/exchange.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "symma/core/parallel.h"
#include "symma/exchange/messages.h"
#include "symma/exchange/privacy.h"

namespace symma {
namespace {

template <class T>
void mix_rows(const Tensor& weights, const Tensor& rows, Tensor& out) {
  const int64_t n = rows.size(0), q = rows.size(1);
  const double* w = weights.data_ptr<double>();
  const T* in = rows.data_ptr<T>();
  T* to = out.data_ptr<T>();
  // A block of columns of all rows stays in the cache while every row takes from it.
  constexpr int64_t kColumns = 1024;
  parallel_for(q, kColumns, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < n; ++i) {
      T* row = to + i * q;
      std::fill(row + begin, row + end, T{0});
      for (int64_t j = 0; j < n; ++j) {
        const T weight = static_cast<T>(w[i * n + j]);
        if (weight == 0) continue;
        const T* from = in + j * q;
        for (int64_t c = begin; c < end; ++c) row[c] += weight * from[c];
      }
    }
  });
}

}  // namespace

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
  if (x.updates()) s.reference = theta;
  if (x.plain()) return s;
  const int64_t n = theta.size(0), q = theta.size(1);
  const auto none = [](at::IntArrayRef sizes) { return at::zeros(sizes, at::kDouble); };
  if (x.compressor) s.kept[x.updates() ? "residual" : "known"] = none({n, q});
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

std::vector<int64_t> participants(const Exchange& x, int64_t period, Rng rng) {
  const int64_t n = x.graph.agents;
  const Rng own = rng.split("participants", static_cast<uint64_t>(period));
  if (x.server.share < 1 && x.server.sampling == "poisson") return poisson_sample(n, x.server.share, own);
  std::vector<int64_t> out(n);
  std::iota(out.begin(), out.end(), int64_t{0});
  if (x.server.share == 1) return out;
  const auto k = std::max<int64_t>(1, std::llround(x.server.share * static_cast<double>(n)));
  out = Draws(own).choose(n, k);
  std::sort(out.begin(), out.end());
  return out;
}

Tensor mix(const Tensor& weights, const Tensor& rows) {
  if (!rows.is_cpu()) return at::mm(weights.to(rows.options()), rows);
  const Tensor in = rows.contiguous();
  Tensor out = at::empty_like(in);
  AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "mix",
                             [&] { mix_rows<scalar_t>(weights.contiguous(), in, out); });
  return out;
}

Tensor exchange(const Exchange& x, ExchangeState& s, const Tensor& theta, Rng rng) {
  at::NoGradGuard no_grad;
  if (x.plain()) {
    ++s.rounds;
    const int64_t message = theta.size(1) * static_cast<int64_t>(theta.element_size()) * 8;
    for (int64_t& bits : s.bits) bits += message;
    if (!x.updates()) return mix(x.weights, theta);
    s.reference = s.reference + mix(x.weights, theta - s.reference);
    return s.reference;
  }
  for (const char* name : {"late", "late.number"})
    if (s.kept.contains(name)) s.kept[name] = s.kept.at(name).clone();
  const Tensor rows = theta.to(at::kCPU, at::kDouble).contiguous();
  const Tensor mixed = x.graph.server ? at_server(x, s, rows, rng)
                                      : among_neighbours(x, s, rows, rng.split("period", s.rounds));
  ++s.rounds;
  const Tensor out = mixed.to(theta.options());
  if (x.updates()) s.reference = out;
  return out;
}

double disagreement(const Tensor& theta) {
  if (theta.size(0) < 2) return 0;
  const Tensor t = theta.to(at::kDouble);
  return (t - t.mean(0, true)).square().sum(1).mean().item<double>();
}

}  // namespace symma
