#include "symma/exchange/exchange.h"

#include <numeric>

#include "symma/core/parallel.h"

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

ExchangeState exchange_start(const Exchange& exchange, const Tensor& theta) {
  ExchangeState state;
  state.bits.assign(2 * exchange.graph.edges.size(), 0);
  if (exchange.options.payload == "updates") state.reference = theta;
  return state;
}

Tensor mix(const Tensor& weights, const Tensor& rows) {
  if (!rows.is_cpu()) return at::mm(weights.to(rows.options()), rows);
  const Tensor in = rows.contiguous();
  Tensor out = at::empty_like(in);
  AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "mix",
                             [&] { mix_rows<scalar_t>(weights.contiguous(), in, out); });
  return out;
}

Tensor exchange(const Exchange& exchange, ExchangeState& state, const Tensor& theta) {
  at::NoGradGuard no_grad;
  ++state.rounds;
  const int64_t message = theta.size(1) * static_cast<int64_t>(theta.element_size()) * 8;
  for (int64_t& bits : state.bits) bits += message;
  if (exchange.options.payload == "parameters") return mix(exchange.weights, theta);
  state.reference = state.reference + mix(exchange.weights, theta - state.reference);
  return state.reference;
}

double disagreement(const Tensor& theta) {
  if (theta.size(0) < 2) return 0;
  const Tensor t = theta.to(at::kDouble);
  return (t - t.mean(0, true)).square().sum(1).mean().item<double>();
}

}  // namespace symma
