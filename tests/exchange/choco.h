// CHOCO-gossip as its paper states it, with a dense W: what the exchange of compressed rows on a graph is
// held against.
#pragma once

#include "symma/core/parallel.h"
#include "symma/exchange/gossip.h"
#include "symma/exchange/neighbours.h"

namespace symma {

// W of a graph as a matrix [N, N], by the formula.
inline Tensor mixing_weights(const Graph& g) {
  const int64_t n = g.agents;
  if (g.server) return at::full({n, n}, 1.0 / static_cast<double>(n), at::kDouble);
  std::vector<int64_t> degree(n);
  for (auto [a, b] : g.edges) ++degree[a], ++degree[b];
  Tensor w = at::zeros({n, n}, at::kDouble);
  auto at = w.accessor<double, 2>();
  for (auto [a, b] : g.edges)
    at[a][b] = at[b][a] = 1.0 / (1.0 + static_cast<double>(std::max(degree[a], degree[b])));
  for (int64_t i = 0; i < n; ++i) {
    double others = 0;
    for (int64_t j = 0; j < n; ++j) others += at[i][j];
    at[i][i] = 1 - others;
  }
  return w;
}

struct ChocoState {
  Tensor known;                // [N, P] double: what each node's neighbours know of it
  std::vector<Tensor> memory;  // per node, for compressors with a warm start
};

ChocoState choco_start(int64_t nodes, int64_t size);

struct ChocoRound {
  Tensor rows;              // [N, P], in the type of the input
  std::vector<Bytes> sent;  // per node, to each of its neighbours; empty where it stayed silent
};

// One round of CHOCO-gossip (Koloskova et al. 2019, arXiv:1902.00340):
//   q_i = C(x_i - xh_i); xh_i += q_i; x_i += gamma sum_j w_ij (xh_j - xh_i).
// Weights are symmetric; each edge's flow is added at one end and taken from the other, so the mean stays. A
// node whose row is within `threshold` of what is known of it, as moved_enough says, stays silent; 0 sends
// always.
ChocoRound choco_round(const Compressor&, const Tensor& rows /*[N,P]*/, const Tensor& weights /*[N,N]*/,
                       double gamma, double threshold, ChocoState&, Rng);

inline ChocoState choco_start(int64_t nodes, int64_t size) {
  return {at::zeros({nodes, size}, at::kDouble), std::vector<Tensor>(nodes)};
}

inline ChocoRound choco_round(const Compressor& compressor, const Tensor& rows, const Tensor& weights,
                              double gamma, double threshold, ChocoState& state, Rng rng) {
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
