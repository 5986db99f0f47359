#include "symma/exchange/gossip.h"

#include "symma/core/parallel.h"

namespace symma {

Sent send_with_feedback(const Compressor& compressor, const Tensor& row, const Tensor& residual,
                        Tensor& memory, Rng rng) {
  Tensor wanted = row.detach().to(at::kDouble);
  if (residual.defined()) wanted = wanted + residual;
  Sent sent;
  sent.bytes = encode(compressor, wanted, memory, rng);
  sent.row = decode_own(compressor, sent.bytes, row.size(0));
  sent.residual = wanted - sent.row;
  return sent;
}

bool moved_enough(const Tensor& row, const Tensor& last, double threshold) {
  if (!last.defined() || threshold <= 0) return true;
  const Tensor a = row.detach().to(at::kDouble), b = last.detach().to(at::kDouble);
  const double moved = (a - b).norm().item<double>(), size = b.norm().item<double>();
  return !(moved <= threshold * size);  // a NaN has moved
}

ChocoState choco_start(int64_t nodes, int64_t size) {
  return {at::zeros({nodes, size}, at::kDouble), std::vector<Tensor>(nodes)};
}

ChocoRound choco_round(const Compressor& compressor, const Tensor& rows, const Tensor& weights, double gamma,
                       double threshold, ChocoState& state, Rng rng) {
  const int64_t n = rows.size(0), size = rows.size(1);
  TORCH_CHECK(weights.sizes() == at::IntArrayRef({n, n}), "weights of ", weights.sizes(), " for ", n,
              " nodes");
  const Tensor w = weights.to(at::kDouble).contiguous();
  TORCH_CHECK(at::equal(w, w.t()), "CHOCO-gossip needs symmetric weights");
  TORCH_CHECK(state.known.sizes() == rows.sizes(), "a state of ", state.known.sizes(), " for rows ",
              rows.sizes());
  const Tensor x = rows.detach().to(at::kDouble).clone().contiguous();
  Tensor known = state.known.clone();
  ChocoRound out;
  out.sent.resize(n);
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (!moved_enough(x[i], known[i], threshold)) continue;
      out.sent[i] = encode(compressor, x[i] - known[i], state.memory[i], rng.split("choco", i));
      known[i] += decode_own(compressor, out.sent[i], size);
    }
  });
  double* to = x.data_ptr<double>();
  const double *k = known.data_ptr<double>(), *v = w.data_ptr<double>();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j) {
      const double edge = gamma * v[i * n + j];
      if (edge == 0) continue;
      for (int64_t c = 0; c < size; ++c) {
        const double flow = edge * (k[j * size + c] - k[i * size + c]);
        to[i * size + c] += flow;
        to[j * size + c] -= flow;
      }
    }
  state.known = known;
  out.rows = x.to(rows.scalar_type());
  return out;
}

}  // namespace symma
