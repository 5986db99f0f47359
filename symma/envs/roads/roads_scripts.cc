// How people choose routes when nobody learns for them.
//
// "idle" takes the first route, which is the shortest when roads are empty.
#include <algorithm>

#include "symma/envs/roads/roads.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

const RoadsView& roads_of(const Env& env, const std::string& script) {
  return need_world<RoadsView>(env, script, "\"roads\"");
}

// One after the other, each agent takes what is best for it (or, `social`, for all) given what the others do,
// and the next one reckons with that. A day is one turn of all; where nobody moves any more, no one has
// anything to gain: a Nash equilibrium of agents as large as they are.
class BestResponse final : public Script {
 public:
  struct Options {
    bool social = false;
    void fields(Fields& f) { f.add("social", social, "of roads: what is best for all, not for oneself"); }
  };
  explicit BestResponse(const Options& o) : o_(o) {}
  void check(const Env& env) const override { roads_of(env, "best_response"); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    const RoadsView& roads = roads_of(env, "best_response");
    const EnvSpec& s = env.spec();
    Tensor out = at::zeros({s.copies, s.agents}, at::kLong);
    for (int64_t e = 0; e < s.copies; ++e) {
      const RoadNetwork& n = roads.network(e);
      int64_t* choice = out.data_ptr<int64_t>() + e * s.agents;
      std::vector<double> flow(n.links.size(), 0);
      const auto add = [&](const Route& r, double w) {
        for (int32_t l : r) flow[l] += w;
      };
      for (int64_t i = 0; i < s.agents; ++i) {
        choice[i] = roads.last_choice(e, i);
        if (choice[i] >= 0) add(roads.routes(i)[choice[i]], roads.weight(e, i));
      }
      for (int64_t i = 0; i < s.agents; ++i) {
        const auto& routes = roads.routes(i);
        const double w = roads.weight(e, i);
        if (choice[i] >= 0) add(routes[choice[i]], -w);
        std::vector<double> cost(routes.size(), 0);
        for (size_t k = 0; k < routes.size(); ++k) {
          for (int32_t l : routes[k]) {
            const RoadLink& link = n.links[l];
            const double x = std::max(0.0, flow[l]), after = link.time(x + w);
            cost[k] += o_.social ? (x + w) * after - x * link.time(x) : after;
          }
        }
        const auto least = std::min_element(cost.begin(), cost.end());
        // Habit decides between routes that are alike.
        int64_t best = least - cost.begin();
        if (choice[i] >= 0 && cost[choice[i]] <= *least * (1 + 1e-12)) best = choice[i];
        choice[i] = best;
        add(routes[best], w);
      }
    }
    return out;
  }

 private:
  Options o_;
};

// Everybody reads what yesterday's roads cost (with tolls, where there are some); a share of them changes to
// the route that was best, others stay. With a share that falls as 1 / day traffic settles, which is the
// method of successive averages; with all of them the herd runs from jam to jam.
class Yesterday final : public Script {
 public:
  struct Options {
    double share = 1;
    bool settling = false;
    void fields(Fields& f) {
      f.add("share", share, "of roads: of agents who change to yesterday's best route")
          .at_least(0)
          .at_most(1);
      f.add("settling", settling, "of roads: the share is over one plus the number of the day");
    }
  };
  explicit Yesterday(const Options& o) : o_(o) {}
  void check(const Env& env) const override { roads_of(env, "yesterday"); }
  Tensor act(const Env& env, const Frame&, Rng rng) const override {
    const RoadsView& roads = roads_of(env, "yesterday");
    const EnvSpec& s = env.spec();
    Tensor out = at::zeros({s.copies, s.agents}, at::kLong);
    for (int64_t e = 0; e < s.copies; ++e) {
      const RoadNetwork& n = roads.network(e);
      const std::vector<double>& flow = roads.flow(e);
      Draws draw(rng.split("copy", e));
      const double share = o_.settling ? o_.share / (1 + static_cast<double>(roads.day(e))) : o_.share;
      std::vector<double> cost(n.links.size());
      for (size_t l = 0; l < cost.size(); ++l)
        cost[l] = n.links[l].time(flow[l]) + (roads.tolls() ? n.links[l].harm(flow[l]) : 0);
      for (int64_t i = 0; i < s.agents; ++i) {
        const int64_t last = roads.last_choice(e, i);
        const bool moves = draw.uniform() < share || last < 0;
        const auto& routes = roads.routes(i);
        int64_t best = last;
        double least = 0;
        for (size_t k = 0; moves && k < routes.size(); ++k) {
          double sum = 0;
          for (int32_t l : routes[k]) sum += cost[l];
          if (k == 0 || sum < least) best = static_cast<int64_t>(k), least = sum;
        }
        out.data_ptr<int64_t>()[e * s.agents + i] = best;
      }
    }
    return out;
  }

 private:
  Options o_;
};

// A centre that knows the network and today's trips tells everybody a route.
class Planned final : public Script {
 public:
  struct Options {
    std::string aim = "optimum";
    void fields(Fields& f) {
      f.add("aim", aim, "of roads: what is best for all, or what nobody gains by leaving")
          .one_of({"optimum", "equilibrium"});
    }
  };
  explicit Planned(const Options& o) : o_(o) {}
  void check(const Env& env) const override { roads_of(env, "planned"); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    const RoadsView& roads = roads_of(env, "planned");
    const EnvSpec& s = env.spec();
    Tensor out = at::zeros({s.copies, s.agents}, at::kLong);
    for (int64_t e = 0; e < s.copies; ++e) {
      const auto& told = roads.planned(e, o_.aim == "optimum" ? Aim::kOptimum : Aim::kEquilibrium);
      std::copy(told.begin(), told.end(), out.data_ptr<int64_t>() + e * s.agents);
    }
    return out;
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Script, "best_response", BestResponse, "roads: each in turn answers the others' routes",
               "symma");
SYMMA_REGISTER(Script, "yesterday", Yesterday, "roads: some change to the route that was best yesterday",
               "method of successive averages");
SYMMA_REGISTER(Script, "planned", Planned, "roads: a centre tells everybody a route", "Wardrop 1952");

}  // namespace
}  // namespace symma
