#include "symma/envs/roads/assignment.h"

#include <algorithm>
#include <limits>

namespace symma {
namespace {

struct Costs {
  std::vector<double> cost, slope;  // [links], at the present flow

  void set(const RoadNetwork& n, Aim aim, int32_t l, double x) {
    const RoadLink& k = n.links[l];
    const double share = k.share(x), t0 = k.free_flow_time, p = k.power;
    // t' = t0 p share / x, and x t'' = (p - 1) t'. At no flow only a straight line has a slope.
    const double first = x > 0 ? t0 * p * share / x : p == 1 ? t0 * k.b / k.capacity : 0;
    cost[l] = aim == Aim::kEquilibrium ? t0 * (1 + share) : t0 * (1 + share * (1 + p));
    slope[l] = aim == Aim::kEquilibrium ? first : first * (1 + p);
  }
};

double along(const Route& r, const std::vector<double>& of) {
  double sum = 0;
  for (int32_t l : r) sum += of[l];
  return sum;
}

class Solver {
 public:
  Solver(const RoadNetwork& n, Aim aim, const std::vector<std::vector<Route>>* only)
      : n_(n), aim_(aim), only_(only), marked_(n.links.size(), 0) {
    a_.flow.assign(n.links.size(), 0);
    c_.cost.resize(n.links.size()), c_.slope.resize(n.links.size());
    refresh();
    a_.routes.resize(n.trips.size());
    for (size_t t = 0; only && t < n.trips.size(); ++t)
      for (const Route& r : (*only)[t]) a_.routes[t].emplace_back(r, 0.0);
  }

  Assignment solve(double gap) {
    constexpr int kRounds = 3000, kSweeps = 8;
    for (int round = 0; round < kRounds; ++round) {
      add_flows();  // anew: errors of rounding do not pile up
      a_.gap = find_routes();
      if (round > 0 && a_.gap < gap) break;
      for (int s = 0; s < kSweeps; ++s) sweep();
    }
    a_.total = total_time(n_, a_.flow);
    for (size_t l = 0; l < n_.links.size(); ++l) {
      const RoadLink& k = n_.links[l];
      const double x = a_.flow[l];
      a_.beckmann += k.free_flow_time * x * (1 + k.share(x) / (1 + k.power));
    }
    for (auto& routes : a_.routes) std::erase_if(routes, [](const auto& r) { return r.second <= 0; });
    return std::move(a_);
  }

 private:
  void refresh() {
    for (size_t l = 0; l < n_.links.size(); ++l) c_.set(n_, aim_, static_cast<int32_t>(l), a_.flow[l]);
  }

  void add_flows() {
    std::fill(a_.flow.begin(), a_.flow.end(), 0.0);
    for (const auto& routes : a_.routes) {
      for (const auto& [route, flow] : routes)
        for (int32_t l : route) a_.flow[l] += flow;
    }
    refresh();
  }

  // The cheapest route of all trips is among theirs; unused others go. Trips that have none yet take it.
  double find_routes() {
    double spent = 0, least = 0;
    WayTree tree;
    int64_t grown = -1;
    for (size_t t = 0; t < n_.trips.size(); ++t) {
      const Trips& trips = n_.trips[t];
      auto& routes = a_.routes[t];
      for (const auto& [route, flow] : routes)
        if (flow > 0) spent += flow * along(route, c_.cost);
      if (only_) {
        double best = std::numeric_limits<double>::infinity();
        size_t which = 0;
        bool used = false;
        for (size_t k = 0; k < routes.size(); ++k) {
          const double c = along(routes[k].first, c_.cost);
          if (c < best) best = c, which = k;
          used = used || routes[k].second > 0;
        }
        if (!used) put(routes[which], trips.number);
        least += trips.number * best;
        continue;
      }
      if (grown != trips.origin) grow_tree(n_, grown = trips.origin, c_.cost, tree);
      Route best;
      for (int64_t v = trips.destination; v != trips.origin; v = n_.links[tree.last[v]].from)
        best.push_back(tree.last[v]);
      std::reverse(best.begin(), best.end());
      least += trips.number * tree.cost[trips.destination];
      std::erase_if(routes, [](const auto& r) { return r.second <= 0; });
      if (std::none_of(routes.begin(), routes.end(), [&](const auto& r) { return r.first == best; })) {
        const bool first = routes.empty();
        routes.emplace_back(best, 0.0);
        if (first) {
          put(routes.back(), trips.number);
          grown = -1;
        }
      }
    }
    return spent > 0 ? (spent - least) / spent : 1;
  }

  void put(std::pair<Route, double>& to, double flow) {
    to.second += flow;
    for (int32_t l : to.first) c_.set(n_, aim_, l, a_.flow[l] += flow);
  }

  // Trips one after the other: from each dearer route to the cheapest, as much as makes the two cost alike to
  // first order, which is Newton's step on the links that they do not share.
  void sweep() {
    for (auto& routes : a_.routes) {
      if (routes.size() < 2) continue;
      size_t best = 0;
      double least = std::numeric_limits<double>::infinity();
      for (size_t k = 0; k < routes.size(); ++k) {
        const double c = along(routes[k].first, c_.cost);
        if (c < least) least = c, best = k;
      }
      const Route& to = routes[best].first;
      for (size_t k = 0; k < routes.size(); ++k) {
        if (k == best || routes[k].second <= 0) continue;
        const Route& from = routes[k].first;
        const double apart = along(from, c_.cost) - along(to, c_.cost);
        if (apart == 0) continue;
        double slope = 0;
        for (int32_t l : to) marked_[l] = 1, slope += c_.slope[l];
        for (int32_t l : from) {
          slope += marked_[l] ? -c_.slope[l] : c_.slope[l];
          marked_[l] |= 2;
        }
        // Where the cheapest has become the dearer of the two, some flow goes back.
        const double step = slope > 0 ? apart / slope : apart > 0 ? routes[k].second : 0;
        const double moved = std::clamp(step, -routes[best].second, routes[k].second);
        routes[k].second -= moved, routes[best].second += moved;
        for (int32_t l : from)
          if (marked_[l] == 2) c_.set(n_, aim_, l, a_.flow[l] = std::max(0.0, a_.flow[l] - moved));
        for (int32_t l : to)
          if (marked_[l] == 1) c_.set(n_, aim_, l, a_.flow[l] = std::max(0.0, a_.flow[l] + moved));
        for (int32_t l : to) marked_[l] = 0;
        for (int32_t l : from) marked_[l] = 0;
      }
    }
  }

  const RoadNetwork& n_;
  const Aim aim_;
  const std::vector<std::vector<Route>>* only_;
  std::vector<uint8_t> marked_;  // [links]: 1 on the cheapest route, 2 on the other
  Costs c_;
  Assignment a_;
};

}  // namespace

double total_time(const RoadNetwork& n, const std::vector<double>& flow) {
  double sum = 0;
  for (size_t l = 0; l < n.links.size(); ++l) sum += flow[l] * n.links[l].time(flow[l]);
  return sum;
}

Assignment assign(const RoadNetwork& n, Aim aim, double gap, const std::vector<std::vector<Route>>* only) {
  return Solver(n, aim, only).solve(gap);
}

}  // namespace symma
