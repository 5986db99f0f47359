// Route choice: everybody picks a road, and roads that many pick are slow.
//
// Each of A agents has an origin, a destination, a weight w (trips), and K routes. All choose at once, a day;
// x is the sum of weights over links, a link takes t(x) = t0 (1 + b (x / c)^p), and an agent's time is that
// of its route. An episode is `limit` days. Where traffic settles and where it would do best is known for
// every task (assignment.h): scores are held against both.
//
// Reward: "selfish", -time / time of the agent's shortest route when roads are empty; "toll", the same with
// the time that a trip costs the others, sum over the route of t'(x) x, which makes the equilibrium the
// optimum (Pigou 1920, Beckmann et al. 1956); "common", - (sum over agents of w time) / A.
//
// Observation of an agent: yesterday's time of each of its K routes, over the time of its shortest route when
// roads are empty, then with tolls the tolls of each in the same unit, with `see_share` the share of its
// trip's agents that took each, its last choice as a one-hot (zeros where there was none), day / limit, and
// if `see_demand` the demand's scale. On the first day yesterday's roads were empty, or with `start` =
// "usual" as traffic has settled without the incident. With `by_route` day and demand come first, and then
// time, toll, share and choice of one route after the other, as a network that looks at all routes alike
// wants them (nn/ranking.cc).
//
// A task is the demand's scale, an incident (links of less capacity), a draw of the trips, and the share of
// drivers who follow central advice whatever they choose.
#include "symma/envs/roads/roads.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {
namespace {

constexpr int64_t kMostAgents = 200000, kMostRoutes = 20;
constexpr double kLongest = 1e30;  // a time that is told: roads may be hopeless, and numbers stay finite

struct RoadsOptions : CopyOptions {
  std::string network = "braess", links, trips, nodes, reward = "selfish", choices = "free_flow",
              start = "empty", see = "ratio";
  int64_t routes = 5;
  double platoon = 1;
  bool see_demand = false, see_share = false, by_route = false;
  RoadsOptions() { limit = 20; }
  void fields(Fields& f) {
    f.add("network", network, "a network that needs no file; links of one's own come before it")
        .one_of({"braess", "grid"});
    f.add("links", links, "file of links, CSV or .tntp; trips is then needed too");
    f.add("trips", trips, "file of trips between nodes, CSV or .tntp");
    f.add("nodes", nodes, "file of the nodes' places, for drawing");
    f.add("routes", routes, "routes of an agent").at_least(1).at_most(kMostRoutes);
    f.add("choices", choices,
          "which routes: of least time on empty roads, or first those that are used where traffic settles "
          "and where it does best")
        .one_of({"free_flow", "used"});
    f.add("platoon", platoon, "trips that an agent stands for, at most").above(0);
    f.add("reward", reward, "one's own time, one's time and what it costs others, or everybody's")
        .one_of({"selfish", "toll", "common"});
    f.add("start", start, "the day before the first: empty roads, or settled traffic without the incident")
        .one_of({"empty", "usual"});
    f.add("see", see, "times over those on empty roads, or the logarithms of that")
        .one_of({"ratio", "log"})
        .of_what_is_seen();
    f.add("see_demand", see_demand, "agents see today's scale of the demand").of_what_is_seen();
    f.add("see_share", see_share, "agents see which part of those on their trip took each route yesterday")
        .of_what_is_seen();
    f.add("by_route", by_route,
          "what is seen stands route by route behind the day, as [model] kind = \"ranking\" reads it")
        .of_what_is_seen();
    CopyOptions::fields(f);
  }
};

// What all copies share.
struct Town {
  RoadNetwork network;
  std::vector<std::vector<Route>> routes;  // [trips]
  std::vector<double> shortest;            // [trips]: time of the first route on empty roads
  std::vector<int64_t> group;              // [A]: which trips an agent is of
  std::vector<double> weight;              // [A], at base demand
  std::vector<int64_t> place;              // [A]: which of its group's agents it is
  std::vector<int64_t> size;               // [trips]: agents
};

Town make_town(const RoadsOptions& o) {
  Town t;
  if (o.links.empty() != o.trips.empty())
    throw UserError(fmt::format("[task.world] {}", o.links.empty() ? "links" : "trips"), "is not set",
                    "a network of one's own needs both links and trips");
  t.network = o.links.empty() ? made_up_network(o.network) : read_network(o.links, o.trips, o.nodes);
  double agents = 0;
  for (const Trips& trips : t.network.trips) agents += std::ceil(trips.number / o.platoon - 1e-9);
  if (agents > static_cast<double>(kMostAgents))
    throw UserError("[task.world] platoon", fmt::format("of {:g} trips makes {:g} agents", o.platoon, agents),
                    fmt::format("at most {} would be right: set a larger platoon", kMostAgents));
  Assignment settled, best;
  if (o.choices == "used")
    settled = assign(t.network, Aim::kEquilibrium), best = assign(t.network, Aim::kOptimum);
  for (size_t g = 0; g < t.network.trips.size(); ++g) {
    const Trips& trips = t.network.trips[g];
    auto by_time = shortest_routes(t.network, trips.origin, trips.destination, o.routes);
    t.shortest.push_back(t.network.time(by_time[0]));
    if (!(t.shortest.back() > 0))
      throw UserError("[task.world] links",
                      fmt::format("the way from {} to {} takes no time", t.network.names[trips.origin],
                                  t.network.names[trips.destination]),
                      "some link of each way must have a free_flow_time above 0");
    std::vector<Route> routes;
    if (o.choices == "used") {
      auto used = best.routes[g];
      for (const auto& r : settled.routes[g]) used.push_back(r);
      std::stable_sort(used.begin(), used.end(),
                       [](const auto& a, const auto& b) { return a.second > b.second; });
      for (const auto& r : used)
        if (std::find(routes.begin(), routes.end(), r.first) == routes.end()) routes.push_back(r.first);
      for (const Route& r : by_time)
        if (std::find(routes.begin(), routes.end(), r) == routes.end()) routes.push_back(r);
      routes.resize(std::min<size_t>(routes.size(), o.routes));
    } else {
      routes = std::move(by_time);
    }
    t.routes.push_back(std::move(routes));
    const auto n = static_cast<int64_t>(std::max(1.0, std::ceil(trips.number / o.platoon - 1e-9)));
    for (int64_t i = 0; i < n; ++i) {
      t.group.push_back(static_cast<int64_t>(g)), t.place.push_back(i);
      t.weight.push_back(trips.number / static_cast<double>(n));
    }
    t.size.push_back(n);
  }
  return t;
}

class Roads final : public Copies, public Judged, public RoadsView {
 public:
  using Options = RoadsOptions;

  Roads(const Options& o, int64_t copies) : Roads(o, copies, make_town(o)) {}

  const std::vector<Score>& score_names() const override {
    static const std::vector<Score> names{{"total_time", false},       {"over_optimum", false},
                                          {"over_equilibrium", false}, {"selfishness", false},
                                          {"third_day", false},        {"worst_road", false}};
    return names;
  }

  std::vector<double> scores(int64_t e) const override {
    const Day& d = days_[e];
    const Anchors& a = anchors(e);
    double worst = 0;
    for (size_t l = 0; l < d.flow.size(); ++l)
      worst = std::max(worst, d.flow[l] / d.network.links[l].capacity);
    const double room = a.equilibrium - a.optimum;
    return {d.total,
            d.total / a.optimum,
            d.total / a.equilibrium,
            room > 1e-9 * a.optimum ? (d.total - a.optimum) / room : 0,
            d.third / a.optimum,
            worst};
  }

  const RoadNetwork& network(int64_t e) const override { return days_[e].network; }
  const std::vector<Route>& routes(int64_t i) const override { return town_.routes[town_.group[i]]; }
  double weight(int64_t e, int64_t i) const override {
    return town_.weight[i] * days_[e].scale[town_.group[i]];
  }
  int64_t last_choice(int64_t e, int64_t i) const override { return days_[e].choice[i]; }
  const std::vector<double>& flow(int64_t e) const override { return days_[e].flow; }
  bool tolls() const override { return o_.reward == "toll"; }
  int64_t day(int64_t e) const override { return steps(e); }
  const std::vector<int64_t>& planned(int64_t e, Aim aim) const override {
    std::vector<int64_t>& plan = days_[e].plans[static_cast<int>(aim)];
    if (plan.empty()) plan = dealt(assign(days_[e].network, aim, 1e-9, &town_.routes));
    return plan;
  }

  std::string text(int64_t e) const override {
    const Day& d = days_[e];
    const Anchors& a = anchors(e);
    std::string out =
        fmt::format("day {} of {}: all drive {:.6g} in total; {:.6g} where traffic settles, {:.6g} at best\n",
                    steps(e), spec().limit, d.total, a.equilibrium, a.optimum);
    std::vector<size_t> order(d.flow.size());
    for (size_t l = 0; l < order.size(); ++l) order[l] = l;
    const auto full = [&](size_t l) { return d.flow[l] / d.network.links[l].capacity; };
    std::stable_sort(order.begin(), order.end(), [&](size_t x, size_t y) { return full(x) > full(y); });
    for (size_t k = 0; k < std::min<size_t>(6, order.size()); ++k) {
      const RoadLink& l = d.network.links[order[k]];
      out += fmt::format("{:>4}-{:<4} {:9.1f} cars, {:5.2f} of capacity, {:8.2f} min ({:.2f} when empty){}\n",
                         d.network.names[l.from], d.network.names[l.to], d.flow[order[k]], full(order[k]),
                         l.time(d.flow[order[k]]), l.free_flow_time,
                         l.capacity < town_.network.links[order[k]].capacity ? "  incident" : "");
    }
    return out;
  }

  // Roads by how full they are, green to red, wide where many drive; an incident has a black mark.
  std::string svg(int64_t e) const override {
    const Day& d = days_[e];
    const Anchors& a = anchors(e);
    const RoadNetwork& n = d.network;
    Drawing p(420, 440);
    p.text(210, 14, 12,
           fmt::format("day {}: {:+.1f} % over the best, equilibrium {:+.1f} %", steps(e),
                       100 * (d.total / a.optimum - 1), 100 * (a.equilibrium / a.optimum - 1)));
    std::vector<std::array<double, 2>> at = n.places;
    if (at.empty()) {
      for (size_t k = 0; k < n.names.size(); ++k) {
        const double turn =
            2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n.names.size());
        at.push_back({std::cos(turn), std::sin(turn)});
      }
    }
    double low[2] = {1e300, 1e300}, high[2] = {-1e300, -1e300}, most = 1e-300;
    for (const auto& x : at) {
      for (int k : {0, 1}) low[k] = std::min(low[k], x[k]), high[k] = std::max(high[k], x[k]);
    }
    for (double x : d.flow) most = std::max(most, x);
    const auto scaled = [&](size_t v, int k) {
      const double span = std::max(high[k] - low[k], 1e-9), part = (at[v][k] - low[k]) / span;
      return k == 0 ? 30 + 360 * part : 410 - 360 * part;
    };
    for (size_t l = 0; l < n.links.size(); ++l) {
      const double x1 = scaled(n.links[l].from, 0), y1 = scaled(n.links[l].from, 1),
                   x2 = scaled(n.links[l].to, 0), y2 = scaled(n.links[l].to, 1),
                   long_ = std::max(1e-9, std::hypot(x2 - x1, y2 - y1));
      // The two ways of a street lie side by side; cars keep to the right.
      const double dx = -4 * (y2 - y1) / long_, dy = 4 * (x2 - x1) / long_;
      const double full = d.flow[l] / n.links[l].capacity;
      const int red = static_cast<int>(std::clamp(full, 0.0, 1.0) * 220),
                green = static_cast<int>(std::clamp(2 - full, 0.0, 1.0) * 170);
      p.line(x1 + dx, y1 + dy, x2 + dx, y2 + dy, fmt::format("rgb({},{},60)", red, green),
             1 + 6 * d.flow[l] / most);
      if (n.links[l].capacity < town_.network.links[l].capacity)
        p.circle((x1 + x2) / 2 + dx, (y1 + y2) / 2 + dy, 5, "black");
    }
    for (size_t v = 0; v < at.size(); ++v) {
      p.circle(scaled(v, 0), scaled(v, 1), 9, "white");
      p.text(scaled(v, 0), scaled(v, 1) + 4, 11, std::to_string(n.names[v]));
    }
    return p.svg();
  }

 private:
  enum Part { kDemand, kIncident, kLink1, kLink2, kLink3, kLeft, kMap, kSpread, kAdvised };
  struct Anchors {
    double equilibrium = 0, optimum = 0;
  };
  struct Day {
    RoadNetwork network;                                // with today's capacities and trips
    std::vector<double> scale;                          // [trips]: of their number
    std::vector<double> flow;                           // [links], of yesterday
    std::vector<int64_t> choice;                        // [A], -1 before the first
    std::vector<double> made_for;                       // the task that the network is as
    mutable std::array<std::vector<int64_t>, 2> plans;  // [A] by aim, once asked for
    double total = 0, third = 0;
    mutable std::shared_ptr<const Anchors> anchors;  // once they are asked for
  };

  Roads(const Options& o, int64_t copies, Town town)
      : Copies(make_spec(o, copies, town), o, make_parameters(town),
               static_cast<int64_t>(town.group.size() + town.network.links.size() + 2)),
        o_(o),
        k_(o.routes),
        town_(std::move(town)),
        days_(copies) {
    if (o.start == "usual") {
      const Assignment a = assign(town_.network, o.reward == "selfish" ? Aim::kEquilibrium : Aim::kOptimum,
                                  1e-9, &town_.routes);
      usual_ = dealt(a);
      usual_flow_ = a.flow;
    }
  }

  static EnvSpec make_spec(const Options& o, int64_t copies, const Town& t) {
    EnvSpec s;
    s.name = "roads";
    s.copies = copies;
    s.agents = static_cast<int64_t>(t.group.size());
    s.variant = fmt::format("{}, {} agents, {} {} routes, reward {}{}{}",
                            o.links.empty() ? o.network : o.links, s.agents, o.routes, o.choices, o.reward,
                            o.start == "usual" ? ", usual start" : "", o.see == "log" ? ", logarithms" : "");
    s.obs =
        o.routes * (2 + (o.reward == "toll" ? 1 : 0) + (o.see_share ? 1 : 0)) + 1 + (o.see_demand ? 1 : 0);
    s.actions = o.routes;
    for (int64_t k = 0; k < o.routes; ++k) s.action_names.push_back(fmt::format("route {}", k + 1));
    for (int64_t i = 0; i < s.agents; ++i) {
      const Trips& trips = t.network.trips[t.group[i]];
      s.agent_names.push_back(fmt::format("{}-{} {}", t.network.names[trips.origin],
                                          t.network.names[trips.destination], t.place[i] + 1));
      s.agent_actions.push_back(static_cast<int64_t>(t.routes[t.group[i]].size()));
    }
    s.common_reward = o.reward == "common";
    return s;
  }

  static std::vector<TaskParameter> make_parameters(const Town& t) {
    const auto links = static_cast<double>(t.network.links.size());
    std::vector<TaskParameter> out;
    const auto add = [&](const char* name, const char* doc, double value, bool whole,
                         std::array<double, 2> train, std::array<double, 2> test, std::array<double, 2> ood,
                         std::array<double, 2> may, bool above = false) {
      out.push_back({.name = name,
                     .doc = doc,
                     .value = value,
                     .whole = whole,
                     .train = train,
                     .test = test,
                     .ood = ood,
                     .may = may,
                     .above = above});
    };
    add("demand_scale", "what trips are multiplied by", 1, false, {.4, 1.1}, {.4, 1.1}, {1.1, 1.25}, {0, 100},
        true);
    add("incident", "0: none; else which draw of up to 3 links of .3 to .8 of their capacity", 0, true,
        {1, 1000}, {1001, 2000}, {2001, 3000}, {0, kMostCounted});
    for (const char* name : {"link_1", "link_2", "link_3"})
      add(name, "number of a link of less capacity, from 1; 0: none", 0, true, {0, links}, {0, links},
          {0, links}, {0, links});
    add("capacity", "what is left of it on those links", 1, false, {.3, .8}, {.3, .8}, {.1, .3}, {0, 10},
        true);
    add("map", "which draw of the trips", 0, true, {1, 1000}, {1001, 2000}, {2001, 3000}, {0, kMostCounted});
    add("spread", "deviation of the trips' logarithms in that draw", .2, false, {.2, .2}, {.2, .2}, {.4, .4},
        {0, 2});
    add("advised", "share of drivers who follow central advice", 0, false, {0, 1}, {0, 1}, {0, 1}, {0, 1});
    return out;
  }

  // What the task makes of the network.
  void settle(int64_t e) {
    Day& d = days_[e];
    const double* t = task(e);
    const double* const end = t + task_parameters().size();
    if (std::equal(t, end, d.made_for.begin(), d.made_for.end())) return;
    d.made_for.assign(t, end);
    if (d.network.links.empty()) d.network = town_.network;
    d.anchors.reset();
    for (auto& plan : d.plans) plan.clear();
    const size_t links = d.network.links.size();
    for (size_t l = 0; l < links; ++l) d.network.links[l].capacity = town_.network.links[l].capacity;
    std::array<int64_t, 3> named;
    for (int k = 0; k < 3; ++k) {
      named[k] = static_cast<int64_t>(t[kLink1 + k]) - 1;
      // A link that is named twice is met once.
      if (named[k] >= 0 && std::find(named.begin(), named.begin() + k, named[k]) == named.begin() + k)
        d.network.links[named[k]].capacity *= t[kLeft];
    }
    if (t[kIncident] > 0) {
      Draws draw(Rng(0).split("roads incident", static_cast<uint64_t>(t[kIncident])));
      const auto many = std::min<int64_t>(1 + draw.below(3), static_cast<int64_t>(links));
      const double left = draw.uniform(.3, .8);
      for (int64_t l : draw.choose(static_cast<int64_t>(links), many)) d.network.links[l].capacity *= left;
    }
    Draws draw(Rng(0).split("roads trips", static_cast<uint64_t>(t[kMap])));
    d.scale.assign(town_.routes.size(), t[kDemand]);
    for (size_t g = 0; g < d.scale.size(); ++g) {
      if (t[kMap] > 0) d.scale[g] *= std::exp(t[kSpread] * draw.normal());
      d.network.trips[g].number = town_.network.trips[g].number * d.scale[g];
    }
  }

  // Routes dealt out to the agents of each group in the shares of a solution.
  std::vector<int64_t> dealt(const Assignment& a) const {
    std::vector<int64_t> out(town_.group.size(), 0);
    size_t i = 0;
    for (size_t g = 0; g < town_.routes.size(); ++g) {
      std::vector<double> share(town_.routes[g].size(), 0);
      double all = 0;
      for (const auto& [route, flow] : a.routes[g]) {
        const auto at = std::find(town_.routes[g].begin(), town_.routes[g].end(), route);
        share[at - town_.routes[g].begin()] += flow, all += flow;
      }
      // The next agent takes the route that is furthest behind its share.
      std::vector<double> given(share.size(), 0);
      for (int64_t k = 0; k < town_.size[g]; ++k, ++i) {
        size_t best = 0;
        double most = -1e300;
        for (size_t r = 0; r < share.size(); ++r) {
          const double behind = share[r] / all * static_cast<double>(k + 1) - given[r];
          if (behind > most + 1e-12) most = behind, best = r;
        }
        given[best] += 1;
        out[i] = static_cast<int64_t>(best);
      }
    }
    return out;
  }

  const Anchors& anchors(int64_t e) const {
    const Day& d = days_[e];
    if (!d.anchors)
      d.anchors = std::make_shared<const Anchors>(Anchors{assign(d.network, Aim::kEquilibrium, 1e-8).total,
                                                          assign(d.network, Aim::kOptimum, 1e-8).total});
    return *d.anchors;
  }

  void begin(int64_t e, Rng) override {
    Day& d = days_[e];
    settle(e);
    d.flow.assign(town_.network.links.size(), 0);
    d.choice.assign(town_.group.size(), -1);
    d.total = d.third = 0;
    if (usual_.empty()) return;
    d.choice = usual_;
    d.flow = usual_flow_;
    d.total = total_time(d.network, d.flow);
  }

  bool advance(int64_t e, const int64_t* actions, int64_t now, Rng, float* reward) override {
    Day& d = days_[e];
    const size_t agents = town_.group.size(), links = d.flow.size();
    std::fill(d.flow.begin(), d.flow.end(), 0.0);
    const double advised = task(e)[kAdvised];
    const std::vector<int64_t>* const advice = advised > 0 ? &planned(e, Aim::kOptimum) : nullptr;
    for (size_t i = 0; i < agents; ++i) {
      // Drivers are advised in an order that spreads them over all groups.
      const double rank = static_cast<double>(i) * std::numbers::phi;
      const bool told = advice && rank - std::floor(rank) < advised;
      d.choice[i] = told ? (*advice)[i] : actions[i];
      const int64_t g = town_.group[i];
      const double w = town_.weight[i] * d.scale[g];
      for (int32_t l : town_.routes[g][d.choice[i]]) d.flow[l] += w;
    }
    d.total = 0;
    thread_local std::vector<double> cost;
    cost.resize(links);
    for (size_t l = 0; l < links; ++l) {
      const RoadLink& k = d.network.links[l];
      const double time = k.time(d.flow[l]);
      d.total += d.flow[l] * time;
      cost[l] = o_.reward == "toll" ? time + k.harm(d.flow[l]) : time;
    }
    if (now < 3) d.third = d.total;
    if (o_.reward == "common") {
      std::fill_n(reward, agents,
                  static_cast<float>(-std::min(d.total / static_cast<double>(agents), kLongest)));
      return false;
    }
    int64_t last = -1;
    std::array<float, kMostRoutes> paid{};
    for (size_t i = 0; i < agents; ++i) {
      const int64_t g = town_.group[i];
      if (g != last) {
        last = g;
        for (size_t k = 0; k < town_.routes[g].size(); ++k) {
          double sum = 0;
          for (int32_t l : town_.routes[g][k]) sum += cost[l];
          paid[k] = static_cast<float>(-std::min(sum / town_.shortest[g], kLongest));
        }
      }
      reward[i] = paid[d.choice[i]];
    }
    return false;
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const Day& d = days_[e];
    const size_t agents = town_.group.size(), links = d.flow.size();
    const bool tolls = o_.reward == "toll", log = o_.see == "log";
    thread_local std::vector<double> time, toll;
    time.resize(links), toll.resize(links);
    for (size_t l = 0; l < links; ++l) {
      time[l] = d.network.links[l].time(d.flow[l]);
      if (tolls) toll[l] = d.network.links[l].harm(d.flow[l]);
    }
    // Of each route: its time, its toll and its share of the trip's agents, as far as they are seen.
    const int64_t width = spec().obs, columns = 1 + (tolls ? 1 : 0) + (o_.see_share ? 1 : 0),
                  shown = columns * k_;
    std::array<float, 3 * kMostRoutes> row{};
    const auto today = static_cast<float>(static_cast<double>(steps(e)) / static_cast<double>(spec().limit)),
               demand = static_cast<float>(task(e)[kDemand]);
    int64_t last = -1;
    for (size_t i = 0; i < agents; ++i, obs += width) {
      const int64_t g = town_.group[i];
      if (g != last) {
        last = g;
        row.fill(0);
        for (size_t k = 0; k < town_.routes[g].size(); ++k) {
          double t = 0, more = 0;
          for (int32_t l : town_.routes[g][k]) {
            t += time[l];
            if (tolls) more += toll[l];
          }
          t = std::min(t / town_.shortest[g], kLongest), more = std::min(more / town_.shortest[g], kLongest);
          row[k] = static_cast<float>(log ? std::log(t) : t);
          if (tolls) row[k_ + k] = static_cast<float>(log ? std::log1p(more) : more);
        }
        if (o_.see_share) {
          size_t end = i;
          while (end < agents && town_.group[end] == g) ++end;
          for (size_t j = i; j < end; ++j) {
            if (d.choice[j] >= 0) row[(columns - 1) * k_ + d.choice[j]] += 1 / static_cast<float>(end - i);
          }
        }
      }
      if (o_.by_route) {
        float* to = obs;
        *to++ = today;
        if (o_.see_demand) *to++ = demand;
        for (int64_t k = 0; k < k_; ++k) {
          for (int64_t c = 0; c < columns; ++c) *to++ = row[c * k_ + k];
          *to++ = k == d.choice[i] ? 1.F : 0.F;
        }
        continue;
      }
      std::copy_n(row.begin(), shown, obs);
      std::fill_n(obs + shown, k_, 0.F);
      if (d.choice[i] >= 0) obs[shown + d.choice[i]] = 1;
      obs[shown + k_] = today;
      if (o_.see_demand) obs[width - 1] = demand;
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    Day& d = days_[e];
    if (cargo.loading()) {
      settle(e);
      d.flow.resize(town_.network.links.size()), d.choice.resize(town_.group.size());
    }
    for (size_t i = 0; i < d.choice.size(); ++i)
      cargo(d.choice[i], {"a driver's route", -1, town_.routes[town_.group[i]].size() - 1.0});
    cargo(d.flow.data(), static_cast<int64_t>(d.flow.size()), {"what a link holds", 0, kFarthestReal});
    cargo(d.total), cargo(d.third);
  }

  const Options o_;
  const int64_t k_;
  const Town town_;
  std::vector<int64_t> usual_;
  std::vector<double> usual_flow_;
  std::vector<Day> days_;  // [E]
};

SYMMA_REGISTER(Env, "roads", Roads, "route choice on a network of roads, day by day",
               "Wardrop 1952; LeBlanc et al. 1975; Braess 1968");

}  // namespace
}  // namespace symma
