// Road networks: links whose time grows with their traffic, trips between nodes, and the routes among them.
//
// A link's time is t(x) = t0 (1 + b (x / c)^p), the Bureau of Public Roads' curve.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace symma {

struct RoadLink {
  int64_t from = 0, to = 0;  // nodes, by their place in `RoadNetwork::names`
  double capacity = 1, free_flow_time = 1, b = 0, power = 4;

  double share(double flow) const {  // b (x / c)^p
    if (power == 4) {
      const double r = flow / capacity, s = r * r;
      return b * s * s;
    }
    if (power == 1) return b * flow / capacity;
    return b * std::pow(flow / capacity, power);
  }
  double time(double flow) const { return free_flow_time * (1 + share(flow)); }
  double harm(double flow) const { return free_flow_time * power * share(flow); }  // t'(x) x
};

struct Trips {
  int64_t origin = 0, destination = 0;
  double number = 0;
};

using Route = std::vector<int32_t>;  // links, in order

struct RoadNetwork {
  std::vector<int64_t> names;                 // [nodes], rising: what people call them
  std::vector<std::array<double, 2>> places;  // [nodes], for drawing; empty where nobody says
  std::vector<RoadLink> links;                // in the order of the file: people count them from 1
  std::vector<Trips> trips;                   // above 0, from one node to another
  std::vector<std::vector<int32_t>> out, in;  // [nodes] links that leave and reach each
  int64_t first_through = 0;                  // nodes named by a smaller number are not passed through

  double time(const Route& route) const;  // on empty roads
  bool passable(int64_t node) const { return names[node] >= first_through; }
  std::string said(const Route& route) const;  // "1-3-4-2"
};

// Networks that need no file: "braess", of four links and six trips, whose equilibrium is worse than that of
// the same network without its shortest link (Braess 1968); "grid", a town of 4 x 4 crossings made up.
RoadNetwork made_up_network(const std::string& name);

// Reads links, trips and, unless `nodes` is "", places. A file that ends in .tntp has the form of
// TransportationNetworks; another one is CSV with the columns from, to, capacity, free_flow_time, b, power;
// origin, destination, trips; node, x, y. Throws UserError for numbers that cannot be, a link that stands
// twice, trips that begin or end nowhere, and trips with no way from their origin to their destination.
RoadNetwork read_network(const std::string& links, const std::string& trips, const std::string& nodes);

// The loopless routes of least time on empty roads, `most` of them or as many as there are; where times are
// equal, by the list of nodes (Yen 1971).
std::vector<Route> shortest_routes(const RoadNetwork&, int64_t origin, int64_t destination, int64_t most);

// Least costs from a node to all, and the last link on the way, -1 where there is none.
struct WayTree {
  std::vector<double> cost;
  std::vector<int32_t> last;
};
void grow_tree(const RoadNetwork&, int64_t origin, const std::vector<double>& link_costs, WayTree&);

}  // namespace symma
