#include "symma/envs/roads/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <queue>
#include <set>

#include "symma/core/errors.h"

namespace symma {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// Costs of the cheapest ways from every node to one, over links and nodes that are not shut.
void costs_to(const RoadNetwork& n, int64_t target, const std::vector<char>& shut_node,
              const std::vector<char>& shut_link, std::vector<double>& cost) {
  cost.assign(n.names.size(), kNever);
  using Entry = std::pair<double, int64_t>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> next;
  next.emplace(cost[target] = 0, target);
  while (!next.empty()) {
    const auto [c, v] = next.top();
    next.pop();
    if (c > cost[v] || (v != target && !n.passable(v))) continue;
    for (int32_t l : n.in[v]) {
      const int64_t u = n.links[l].from;
      if (shut_link[l] || shut_node[u]) continue;
      const double through = c + n.links[l].free_flow_time;
      if (through < cost[u]) next.emplace(cost[u] = through, u);
    }
  }
}

// Of the cheapest ways on, the one whose list of nodes comes first. Appends to `route`; false where there is
// none.
bool walk(const RoadNetwork& n, int64_t from, int64_t target, const std::vector<double>& cost,
          std::vector<char> been, const std::vector<char>& shut_link, Route& route) {
  if (!(cost[from] < kNever)) return false;
  for (int64_t u = from; u != target;) {
    been[u] = 1;
    int32_t best = -1;
    for (int32_t l : n.out[u]) {
      const int64_t v = n.links[l].to;
      if (shut_link[l] || been[v] || (v != target && !n.passable(v))) continue;
      if (!(n.links[l].free_flow_time + cost[v] <= cost[u] * (1 + 1e-12) + 1e-12)) continue;
      if (best < 0 || v < n.links[best].to) best = l;
    }
    if (best < 0) return false;
    route.push_back(best);
    u = n.links[best].to;
  }
  return true;
}

}  // namespace

double RoadNetwork::time(const Route& route) const {
  double sum = 0;
  for (int32_t l : route) sum += links[l].free_flow_time;
  return sum;
}

std::string RoadNetwork::said(const Route& route) const {
  std::string out = route.empty() ? "" : fmt::format("{}", names[links[route[0]].from]);
  for (int32_t l : route) out += fmt::format("-{}", names[links[l].to]);
  return out;
}

void grow_tree(const RoadNetwork& n, int64_t origin, const std::vector<double>& costs, WayTree& tree) {
  tree.cost.assign(n.names.size(), kNever);
  tree.last.assign(n.names.size(), -1);
  using Entry = std::pair<double, int64_t>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> next;
  next.emplace(tree.cost[origin] = 0, origin);
  while (!next.empty()) {
    const auto [c, u] = next.top();
    next.pop();
    if (c > tree.cost[u] || (u != origin && !n.passable(u))) continue;
    for (int32_t l : n.out[u]) {
      const int64_t v = n.links[l].to;
      const double through = c + costs[l];
      if (!(through < tree.cost[v])) continue;
      tree.cost[v] = through, tree.last[v] = l;
      next.emplace(through, v);
    }
  }
}

std::vector<Route> shortest_routes(const RoadNetwork& n, int64_t origin, int64_t destination, int64_t most) {
  struct Candidate {
    double time;
    std::vector<int64_t> nodes;
    Route route;
    bool operator<(const Candidate& o) const {
      if (std::abs(time - o.time) > 1e-9 * (1 + time)) return time < o.time;
      return nodes < o.nodes;
    }
  };
  std::vector<Route> found;
  std::set<Candidate> next;
  std::vector<double> cost;
  std::vector<char> shut_link(n.links.size(), 0), shut_node(n.names.size(), 0);
  // The best way that begins as `begun` does and leaves it by no link that is shut.
  const auto consider = [&](const Route& begun, int64_t at) {
    costs_to(n, destination, shut_node, shut_link, cost);
    Route route = begun;
    if (!walk(n, at, destination, cost, shut_node, shut_link, route)) return;
    std::vector<int64_t> nodes;
    for (int32_t l : route) nodes.push_back(n.names[n.links[l].to]);
    next.insert({n.time(route), std::move(nodes), std::move(route)});
  };
  consider({}, origin);
  while (!next.empty() && static_cast<int64_t>(found.size()) < most) {
    const Route route = next.begin()->route;
    next.erase(next.begin());
    found.push_back(route);
    for (size_t k = 0; k < route.size(); ++k) {
      const Route begun(route.begin(), route.begin() + static_cast<int64_t>(k));
      for (const Route& other : found) {
        if (other.size() > k && std::equal(begun.begin(), begun.end(), other.begin()))
          shut_link[other[k]] = 1;
      }
      for (int32_t l : begun) shut_node[n.links[l].from] = 1;
      consider(begun, n.links[route[k]].from);
      std::fill(shut_link.begin(), shut_link.end(), 0);
      std::fill(shut_node.begin(), shut_node.end(), 0);
    }
  }
  return found;
}

}  // namespace symma
