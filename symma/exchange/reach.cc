#include "symma/exchange/reach.h"

#include <algorithm>
#include <numeric>

namespace symma {
namespace {

int64_t place_in(const std::vector<int64_t>& ids, int64_t id) {
  const auto it = std::lower_bound(ids.begin(), ids.end(), id);
  return it != ids.end() && *it == id ? it - ids.begin() : -1;
}

}  // namespace

int64_t Reach::place(int64_t id) const {
  if (whole()) return id < agents ? id : -1;
  return place_in(ids, id);
}

int64_t Reach::halo_place(int64_t id) const {
  return place_in(halo, id);
}

Reach reach_of(const Graph& g, const Neighbours& weights, std::vector<int64_t> ids, bool needed) {
  TORCH_CHECK(!ids.empty() && std::is_sorted(ids.begin(), ids.end()) && ids.back() < g.agents,
              "agents of a process, ascending");
  Reach r;
  r.agents = g.agents;
  r.ids = std::move(ids);
  r.server = g.server && r.ids.front() == 0;
  if (g.server) {
    // The server hears everybody, and everybody hears the server.
    for (int64_t a = 0; r.server && a < g.agents; ++a)
      if (r.place(a) < 0) r.halo.push_back(a);
    if (!r.server) r.halo = {g.agents};
  } else if (needed || !r.whole()) {
    r.begin.assign(r.ids.size() + 1, 0);
    for (const auto& [a, b] : g.edges)
      for (const int64_t end : {a, b})
        if (const int64_t at = r.place(end); at >= 0) ++r.begin[at + 1];
    std::partial_sum(r.begin.begin(), r.begin.end(), r.begin.begin());
    r.near.resize(r.begin.back());
    std::vector<int64_t> next(r.begin.begin(), r.begin.end() - 1);
    for (size_t e = 0; e < g.edges.size(); ++e) {
      const auto [a, b] = g.edges[e];
      const auto from_first = static_cast<int64_t>(2 * e);
      if (const int64_t at = r.place(b); at >= 0) r.near[next[at]++] = {a, from_first};
      if (const int64_t at = r.place(a); at >= 0) r.near[next[at]++] = {b, from_first + 1};
    }
    for (size_t i = 0; i < r.ids.size(); ++i)
      std::sort(r.near.begin() + r.begin[i], r.near.begin() + r.begin[i + 1],
                [](const Near& x, const Near& y) { return x.id < y.id; });
    for (const Near& n : r.near)
      if (r.place(n.id) < 0) r.halo.push_back(n.id);
    std::sort(r.halo.begin(), r.halo.end());
    r.halo.erase(std::unique(r.halo.begin(), r.halo.end()), r.halo.end());
  }
  if (r.whole()) return r;
  // The table: both lists merged.
  std::vector<int64_t> all;
  std::merge(r.ids.begin(), r.ids.end(), r.halo.begin(), r.halo.end(), std::back_inserter(all));
  for (int64_t id : r.ids) r.own.push_back(place_in(all, id));
  for (int64_t id : r.halo) r.heard.push_back(place_in(all, id));
  if (g.server) return r;
  for (size_t i = 0; i < r.ids.size(); ++i) {
    std::vector<int64_t> to;
    for (int64_t k = r.begin[i]; k < r.begin[i + 1]; ++k)
      if (r.place(r.near[k].id) < 0) to.push_back(r.near[k].id);
    if (!to.empty()) r.outward.push_back({static_cast<int64_t>(i), std::move(to)});
  }
  r.weights.begin = {0};
  for (int64_t id : r.ids) {
    for (int64_t e = weights.begin[id]; e < weights.begin[id + 1]; ++e) {
      r.weights.column.push_back(place_in(all, weights.column[e]));
      r.weights.weight.push_back(weights.weight[e]);
    }
    r.weights.begin.push_back(static_cast<int64_t>(r.weights.column.size()));
  }
  return r;
}

}  // namespace symma
