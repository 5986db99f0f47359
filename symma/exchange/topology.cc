#include "symma/exchange/topology.h"

#include <fmt/format.h>

#include "symma/core/errors.h"

namespace symma {

Pairs tidy_edges(const Pairs& edges, int64_t agents) {
  Pairs out;
  for (auto [a, b] : edges) {
    if (a < 0 || b < 0 || a >= agents || b >= agents) {
      throw UserError("[exchange] edges", fmt::format("[{}, {}] leads to an agent that is not there", a, b),
                      fmt::format("agents are numbered 0 to {}", agents - 1));
    }
    if (a == b)
      throw UserError("[exchange] edges", fmt::format("[{}, {}] leads from an agent to itself", a, b),
                      "leave it out: agents always keep a share of their own");
    out.push_back({std::min(a, b), std::max(a, b)});
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Tensor mixing_weights(const Graph& g) {
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

double second_eigenvalue(const Tensor& weights) {
  if (weights.size(0) < 2) return 0;
  const Tensor values = std::get<0>(at::linalg_eigh(weights)).abs();
  return std::get<0>(values.sort(0, true))[1].item<double>();
}

bool connected(const Graph& g) {
  if (g.server || g.agents <= 1) return true;
  std::vector<int64_t> root(g.agents);
  for (int64_t i = 0; i < g.agents; ++i) root[i] = i;
  const std::function<int64_t(int64_t)> find = [&](int64_t i) {
    return root[i] == i ? i : root[i] = find(root[i]);
  };
  int64_t parts = g.agents;
  for (auto [a, b] : g.edges) {
    const int64_t x = find(a), y = find(b);
    if (x != y) root[x] = y, --parts;
  }
  return parts == 1;
}

}  // namespace symma
