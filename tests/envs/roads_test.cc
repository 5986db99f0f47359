// Roads against exact mathematics: equilibria and optima that are published or were solved apart from this
// code, days of learning against both, and what a person can get wrong.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "envs/worlds.h"
#include "symma/core/series.h"
#include "symma/envs/roads/assignment.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

const std::string kData = SHARED_DATA "roads/";

RoadNetwork town(const std::string& name) {
  return read_network(kData + name + "_links.csv", kData + name + "_trips.csv", "");
}

RoadNetwork scaled(RoadNetwork n, double demand) {
  for (Trips& t : n.trips) t.number *= demand;
  return n;
}

TEST(Assignment, SolvesBraess) {
  RoadNetwork n = made_up_network("braess");
  const Assignment settled = assign(n, Aim::kEquilibrium), best = assign(n, Aim::kOptimum);
  EXPECT_NEAR(settled.total, 552, 1e-4);
  EXPECT_NEAR(best.total, 498, 1e-4);
  const std::vector<double> at_rest{4, 2, 2, 2, 4}, at_best{3, 3, 3, 0, 3};
  for (int l = 0; l < 5; ++l) {
    EXPECT_NEAR(settled.flow[l], at_rest[l], 1e-6) << l;
    EXPECT_NEAR(best.flow[l], at_best[l], 1e-6) << l;
  }
  n.links[3].capacity = 1e-9;  // nobody takes a link that is shut
  EXPECT_NEAR(assign(n, Aim::kEquilibrium).total, 498, 1e-4) << "without its shortest link all are faster";
}

TEST(Assignment, SolvesSiouxFallsAtEveryDemandOfTheSheet) {
  NEEDS_SHARED("roads/siouxfalls_links.csv");
  const RoadNetwork n = town("siouxfalls");
  ASSERT_EQ(n.links.size(), 76u);
  ASSERT_EQ(n.trips.size(), 528u);
  struct Row {
    double demand, equilibrium, optimum;
  };
  for (const Row& r : {Row{.25, 827795.848, 816122.889}, Row{.5, 1870591.649, 1815464.802},
                       Row{.75, 3654463.600, 3514390.538}, Row{1, 7480225.3449, 7194256.0529},
                       Row{1.25, 15675246.33, 15503386.10}, Row{1.5, 32868358.76, 32786394.35},
                       Row{2, 122631344.8, 122593190.6}}) {
    const RoadNetwork m = scaled(n, r.demand);
    const Assignment settled = assign(m, Aim::kEquilibrium), best = assign(m, Aim::kOptimum);
    EXPECT_LT(settled.gap, 1e-10) << r.demand;
    EXPECT_LT(best.gap, 1e-10) << r.demand;
    // A gap of 1e-11 moves our totals by 2e-10 at most; at 1.25 the sheet's own are 1.05e-8 from them.
    EXPECT_NEAR(settled.total / r.equilibrium, 1, 2e-8) << r.demand;
    EXPECT_NEAR(best.total / r.optimum, 1, 2e-8) << r.demand;
  }
}

TEST(Assignment, FlowsOfSiouxFallsAreThoseOfTheFile) {
  NEEDS_SHARED("roads/siouxfalls_links.csv");
  const RoadNetwork n = town("siouxfalls");
  const auto file = Series::load(kData + "siouxfalls_links.csv");
  const Assignment settled = assign(n, Aim::kEquilibrium), best = assign(n, Aim::kOptimum);
  double fullest = 0;
  for (int64_t l = 0; l < 76; ++l) {
    EXPECT_NEAR(settled.flow[l], file->column("equilibrium_flow")[l], 1e-3) << l;
    EXPECT_NEAR(best.flow[l], file->column("optimum_flow")[l], 1e-3) << l;
    fullest = std::max(fullest, settled.flow[l] / n.links[l].capacity);
  }
  EXPECT_NEAR(fullest, 2.557, 5e-4);
  EXPECT_NEAR(settled.beckmann, 4231335.28711, 1e-4) << "the best known";
}

TEST(Assignment, TotalsOfTheTenTasksAreThoseOfTheFile) {
  NEEDS_SHARED("roads/siouxfalls_links.csv");
  std::ifstream file(kData + "tasks_dev.csv");
  std::string line;
  std::getline(file, line);
  int tasks = 0;
  for (; std::getline(file, line); ++tasks) {
    std::vector<std::string> cells;
    std::stringstream in(line);
    for (std::string cell; std::getline(in, cell, ',');) cells.push_back(cell);
    RoadNetwork n = scaled(town("siouxfalls"), std::stod(cells[0]));
    std::stringstream links(cells[1]);
    for (int l; links >> l;) n.links[l - 1].capacity *= std::stod(cells[2]);
    EXPECT_NEAR(assign(n, Aim::kEquilibrium).total / std::stod(cells[3]), 1, 1e-6) << line;
    EXPECT_NEAR(assign(n, Aim::kOptimum).total / std::stod(cells[4]), 1, 1e-6) << line;
  }
  EXPECT_EQ(tasks, 10);
}

// Nobody gains by another route: checked on the routes themselves, not by the solver's own gap.
TEST(Assignment, UsedRoutesCostAlikeAndNoneIsCheaper) {
  const RoadNetwork n = made_up_network("grid");
  const Assignment a = assign(n, Aim::kEquilibrium);
  double sum = 0;
  for (size_t t = 0; t < n.trips.size(); ++t) {
    double least = 1e300, flow = 0;
    const auto time = [&](const Route& r) {
      double out = 0;
      for (int32_t l : r) out += n.links[l].time(a.flow[l]);
      return out;
    };
    for (const Route& r : shortest_routes(n, n.trips[t].origin, n.trips[t].destination, 200))
      least = std::min(least, time(r));
    for (const auto& [r, f] : a.routes[t]) {
      EXPECT_NEAR(time(r), least, 1e-6 * least);
      flow += f;
    }
    EXPECT_NEAR(flow, n.trips[t].number, 1e-9);
    sum += flow;
  }
  EXPECT_NEAR(sum, 480, 1e-9);
  EXPECT_GT(a.total / assign(n, Aim::kOptimum).total, 1.01) << "the town made up has something to coordinate";
}

// All loopless routes by brute force, in the order that is asked.
TEST(Routes, AreTheShortestInOrder) {
  const RoadNetwork n = made_up_network("grid");
  std::vector<std::tuple<double, std::vector<int64_t>>> all;
  std::vector<char> been(n.names.size(), 0);
  std::vector<int64_t> nodes;
  const auto walk = [&](auto& self, int64_t at, int64_t to, double time) -> void {
    if (at == to) {
      all.emplace_back(std::round(time * 1e6), nodes);
      return;
    }
    been[at] = 1;
    for (int32_t l : n.out[at]) {
      if (been[n.links[l].to]) continue;
      nodes.push_back(n.names[n.links[l].to]);
      self(self, n.links[l].to, to, time + n.links[l].free_flow_time);
      nodes.pop_back();
    }
    been[at] = 0;
  };
  walk(walk, 0, 15, 0);
  std::sort(all.begin(), all.end());
  const auto routes = shortest_routes(n, 0, 15, 60);
  ASSERT_EQ(routes.size(), 60u);
  ASSERT_EQ(shortest_routes(n, 0, 15, 100000).size(), all.size()) << "as many as there are";
  for (size_t k = 0; k < routes.size(); ++k) {
    std::vector<int64_t> own;
    for (int32_t l : routes[k]) own.push_back(n.names[n.links[l].to]);
    EXPECT_EQ(own, std::get<1>(all[k])) << k << ": " << n.said(routes[k]);
  }
}

std::map<std::string, double> drive(const std::string& options, const std::string& script,
                                    const std::string& settings, Tensor tasks = {}) {
  auto env = make_world("roads", 1, options + "\nauto_reset = false\n");
  if (tasks.defined()) dynamic_cast<HasTasks&>(*env).set_tasks(tasks);
  const auto rival = make_script(script, settings);
  rival->check(*env);
  Frame f;
  env->reset(Rng(0), f);
  for (int64_t t = 0; t < env->spec().limit; ++t) env->step(rival->act(*env, f, Rng(t)), f);
  return judged(*env);
}

const std::string kPlatoons = fmt::format(
    "links = \"{0}siouxfalls_links.csv\"\ntrips = \"{0}siouxfalls_trips.csv\"\nplatoon = 100\nroutes = 5\n",
    kData);

TEST(Roads, AgentsOfAHundredTripsComeToTheSheetsGranularBounds) {
  NEEDS_SHARED("roads/siouxfalls_links.csv");
  auto env = make_world("roads", 1, kPlatoons);
  EXPECT_EQ(env->spec().agents, 3606);
  EXPECT_NEAR(drive(kPlatoons, "best_response", "").at("total_time") / 7594362, 1, .001);
  EXPECT_NEAR(drive(kPlatoons, "best_response", "social = true").at("total_time") / 7387109, 1, .001);
  // On the free-flow shortest routes, ties by the list of nodes.
  EXPECT_NEAR(drive(kPlatoons + "limit = 1\n", "idle", "").at("total_time") / 67347530, 1, .005);
  // Routes that are in use hold what routes of least free-flow time do not.
  EXPECT_LT(drive(kPlatoons + "choices = \"used\"\nlimit = 1\n", "planned", "").at("over_optimum"), 1.003);
}

// Selfish agents end at the equilibrium and agents who pay tolls at the optimum, by what they read of
// yesterday alone.
TEST(Roads, DaysOfLearningEndAtTheEquilibriumOrWithTollsAtTheOptimum) {
  NEEDS_SHARED("roads/siouxfalls_links.csv");
  const auto selfish = drive(kPlatoons + "limit = 400\n", "yesterday", "settling = true");
  EXPECT_NEAR(selfish.at("total_time") / 7594362, 1, .01);
  const auto tolls = drive(kPlatoons + "limit = 400\nreward = \"toll\"\n", "yesterday", "settling = true");
  EXPECT_NEAR(tolls.at("total_time") / 7387109, 1, .01);
  EXPECT_GT(drive(kPlatoons + "limit = 30\n", "yesterday", "").at("over_equilibrium"), 3)
      << "a herd runs from jam to jam";
  const std::string braess = "platoon = 0.01\nroutes = 3\nlimit = 200\n";
  EXPECT_NEAR(drive(braess, "yesterday", "settling = true").at("total_time"), 552, 5.5);
  EXPECT_NEAR(drive(braess + "reward = \"toll\"\n", "yesterday", "settling = true").at("total_time"), 498, 5);
}

TEST(Roads, RewardsAreTimesTollsAndTotals) {
  // Braess by hand: all six by 1-3-4-2, routes in the order of time on empty roads.
  for (const std::string reward : {"selfish", "toll", "common"}) {
    auto env = make_world("roads", 1, "routes = 3\nreward = \"" + reward + "\"\nauto_reset = false\n");
    Frame f;
    env->reset(Rng(0), f);
    env->step(at::zeros({1, 6}, at::kLong), f);
    // 1-3 and 4-2 take 10 times the flow, 3-4 takes 10 plus it: 60 + 16 + 60; tolls 60 + 6 + 60.
    const double free = 10, time = 136, toll = 126;
    const double due = reward == "selfish" ? time / free : reward == "toll" ? (time + toll) / free : time;
    for (int i = 0; i < 6; ++i) EXPECT_NEAR(f.reward[0][i].item<double>(), -due, 1e-4) << reward;
    EXPECT_NEAR(f.obs[0][0][0].item<double>(), time / free, 1e-4);
    EXPECT_NEAR(f.obs[0][0][1].item<double>(), (60 + 50) / free, 1e-4) << "1-3-2, which nobody took";
  }
}

// The same numbers, in another order; and who took what, by hand.
TEST(Roads, WhatIsSeenMayStandRouteByRoute) {
  const auto seen = [](const std::string& more) {
    auto env = make_world("roads", 1, "routes = 3\nreward = \"toll\"\nsee_demand = true\n" + more);
    Frame f;
    env->reset(Rng(0), f);
    env->step(at::tensor({0, 0, 0, 1, 1, 2}, at::kLong).view({1, 6}), f);
    return f.obs[0].clone();
  };
  const Tensor plain = seen(""), shares = seen("see_share = true\n"),
               by_route = seen("see_share = true\nby_route = true\n");
  ASSERT_EQ(shares.size(1), 14);
  EXPECT_TRUE(shares.narrow(1, 0, 6).equal(plain.narrow(1, 0, 6)));
  EXPECT_TRUE(shares.narrow(1, 9, 5).equal(plain.narrow(1, 6, 5)));
  for (int i = 0; i < 6; ++i) {
    for (int k = 0; k < 3; ++k)
      EXPECT_NEAR(shares[i][6 + k].item<double>(), (3 - k) / 6.0, 1e-6) << i << ", " << k;
  }
  const Tensor order = at::tensor({12, 13, 0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11});
  EXPECT_TRUE(by_route.equal(shares.index_select(1, order)));
}

TEST(Roads, TasksChangeTheNetwork) {
  NEEDS_SHARED("roads/siouxfalls_links.csv");
  const auto parameters = [] {
    return dynamic_cast<HasTasks&>(*make_world("roads", 1, kPlatoons)).task_parameters();
  }();
  Tensor t = at::zeros({1, static_cast<int64_t>(parameters.size())}, at::kDouble);
  for (size_t k = 0; k < parameters.size(); ++k) t[0][static_cast<int64_t>(k)] = parameters[k].value;
  // The first task of the file: demand .49, links 37 45 46 at .374.
  const std::vector<double> first{.49, 0, 37, 45, 46, .374};
  for (size_t k = 0; k < first.size(); ++k) t[0][static_cast<int64_t>(k)] = first[k];
  const auto found = drive(kPlatoons + "limit = 3\n", "planned", "", t);
  EXPECT_NEAR(found.at("total_time") / found.at("over_optimum") / 1815235.99, 1, 1e-6);
  EXPECT_NEAR(found.at("total_time") / found.at("over_equilibrium") / 1871968.75, 1, 1e-6);
  // All are advised: whatever they choose is the plan.
  t[0][8] = 1;
  EXPECT_NEAR(drive(kPlatoons + "limit = 1\n", "random", "", t).at("total_time"), found.at("total_time"),
              1e-3);
}

class Written {
 public:
  explicit Written(const std::string& text, const std::string& ending) {
    static int number = 0;
    path_ = std::filesystem::temp_directory_path() /
            fmt::format("symma_roads_{}_{}{}", ::getpid(), number++, ending);
    std::ofstream(path_) << text;
  }
  ~Written() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

const std::string kHead = "from,to,capacity,free_flow_time,b,power\n", kTrips = "origin,destination,trips\n";

TEST(Networks, WhatCannotBeIsOneClearLine) {
  struct Case {
    std::string links, trips, says;
  };
  const std::string good = "1,2,10,5,.15,4\n2,3,10,5,.15,4\n2,1,10,5,.15,4\n";
  for (const Case& c :
       {Case{good, "3,1,5\n", "no way leads from 3 to 1"},
        Case{good, "1,9,5\n", "end at 9, which is on no link"},
        Case{good, "9,1,5\n", "begin at 9, which is on no link"}, Case{good, "1,2,-5\n", "is -5"},
        Case{good, "1,2,\n", "is empty"}, Case{good, "1,2,5\n1,2,6\n", "stand twice"},
        Case{good, "1,1,5\n", "has no trips from one node to another"},
        Case{good + "1,2,9,5,.15,4\n", "1,2,5\n", "link 1-2 stands in"},
        Case{"1,2,0,5,.15,4\n", "1,2,5\n", "has capacity 0"}, Case{"1,2,-3,5,.15,4\n", "1,2,5\n", "is -3"},
        Case{"1,2,10,5,.15,.5\n", "1,2,5\n", "has power 0.5"},
        Case{"1,1,10,5,.15,4\n", "1,2,5\n", "leads nowhere"},
        Case{"1.5,2,10,5,.15,4\n", "1,2,5\n", "nodes are whole numbers"}}) {
    const Written links(kHead + c.links, ".csv"), trips(kTrips + c.trips, ".csv");
    const std::string said = error_of([&] { read_network(links.path(), trips.path(), ""); });
    EXPECT_NE(said.find(c.says), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos) << said;
    EXPECT_NE(said.find("symma_roads"), std::string::npos) << said;
  }
  const std::string alone = error_of([&] { make_world("roads", 1, "links = \"a.csv\""); });
  EXPECT_NE(alone.find("trips"), std::string::npos) << alone;
  const std::string many = error_of([&] { make_world("roads", 1, "platoon = 1e-7"); });
  EXPECT_NE(many.find("platoon"), std::string::npos) << many;
}

TEST(Networks, WhatAFileDoesNotSayOfSlownessIsTheUsual) {
  const Written trips(kTrips + "1,2,5\n", ".csv");
  for (const auto& [head, row, b, power] : {std::tuple{"", "", .15, 4.},
                                            {",b", ",.3", .3, 4.},
                                            {",power", ",2", .15, 2.},
                                            {",power,b", ",2,.3", .3, 2.}}) {
    const Written links(std::string("from,to,capacity,free_flow_time") + head + "\n1,2,10,5" + row + "\n",
                        ".csv");
    const RoadNetwork n = read_network(links.path(), trips.path(), "");
    EXPECT_EQ(n.links.at(0).b, b) << head;
    EXPECT_EQ(n.links.at(0).power, power) << head;
  }
  const Written links("from,to,capacity,free_flow_time,b\n1,2,10,5,\n", ".csv");
  const std::string said = error_of([&] { read_network(links.path(), trips.path(), ""); });
  EXPECT_NE(said.find("column b"), std::string::npos) << said;
}

TEST(Networks, OfTransportationNetworksAreRead) {
  const Written links(
      "<NUMBER OF ZONES> 2\n<NUMBER OF NODES> 4\n<FIRST THRU NODE> 1\n<NUMBER OF LINKS> 5\n<END OF "
      "METADATA>\n\n"
      "~\tinit_node\tterm_node\tcapacity\tlength\tfree_flow_time\tb\tpower\tspeed\ttoll\tlink_type\t;\n"
      "\t1\t3\t1\t0\t1e-8\t1e9\t1\t0\t0\t1\t;\n\t1\t4\t1\t0\t50\t0.02\t1\t0\t0\t1\t;\n"
      "\t3\t2\t1\t0\t50\t0.02\t1\t0\t0\t1\t;\n\t3\t4\t1\t0\t10\t0.1\t1\t0\t0\t1\t;\n\t4\t2\t1\t0\t1e-"
      "8\t1e9\t1\t0\t0\t1\t;\n",
      "_net.tntp");
  const Written trips(
      "<NUMBER OF ZONES> 2\n<TOTAL OD FLOW> 6.0\n<END OF METADATA>\n\n\nOrigin \t1 \n    1 :      0.0;     2 "
      ":    6.0;\n",
      "_trips.tntp");
  const RoadNetwork n = read_network(links.path(), trips.path(), "");
  ASSERT_EQ(n.links.size(), 5u);
  EXPECT_NEAR(assign(n, Aim::kEquilibrium).total, 552, 1e-4);
  EXPECT_NEAR(assign(n, Aim::kOptimum).total, 498, 1e-4);
  // Zones are not passed through: with 3 a zone, only 1-4-2 is left.
  const Written zones(
      "<FIRST THRU NODE> 4\n<END OF METADATA>\n1 3 1 0 1 0 0 0 0 1 ;\n1 4 1 0 9 0 0 0 0 1 ;\n3 2 1 0 1 0 0 0 "
      "0 1;\n4 2 1 0 9 0 0 0 0 1;\n",
      "_net.tntp");
  const RoadNetwork z = read_network(zones.path(), trips.path(), "");
  EXPECT_NEAR(assign(z, Aim::kEquilibrium).total, 6 * 18, 1e-9);
  ASSERT_EQ(shortest_routes(z, 0, 1, 5).size(), 1u);
  for (const auto& [text, says] : {std::pair("1 2 3 ;\n", "END OF METADATA"),
                                   std::pair("<END OF METADATA>\n1 2 x 0 1 0 0 ;\n", "is no number"),
                                   std::pair("<END OF METADATA>\n1 2 3 ;\n", "has 3 numbers")}) {
    const Written bad(text, "_net.tntp");
    const std::string said = error_of([&] { read_network(bad.path(), trips.path(), ""); });
    EXPECT_NE(said.find(says), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace symma
