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
