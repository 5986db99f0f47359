// The intersection against HighwayEnv 1.12.1: golden episodes step by step, and returns of rules.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>

#include "envs/worlds.h"
#include "symma/core/files.h"
#include "symma/core/options.h"
#include "symma/envs/roads/crossing.h"
#include "symma/envs/roads/intersection.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

Json golden(const std::string& path) {
  FILE* pipe = ::popen(("zcat " + path).c_str(), "r");
  std::string text;
  char buffer[65536];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  ::pclose(pipe);
  return Json::parse(text);
}

int node(const std::string& name) {
  const int kind = name[0] == 'o' ? 0 : name[1] == 'r' ? 1 : 2;
  return 4 * kind + (name.back() - '0');
}
int lane(const Json& ends) {
  const auto& lanes = crossing_lanes();
  for (int k = 0; k < kCrossingLanes; ++k)
    if (lanes[k].from == node(ends[0]) && lanes[k].to == node(ends[1])) return k;
  ADD_FAILURE() << "no lane " << ends.dump();
  return 0;
}

constexpr int64_t kEach = 25;

struct Replayed {
  int64_t decisions = 0, crashed_players = 0, crashed_traffic = 0;
  double worst = 0;
};

Replayed replay(const Json& all) {
  Replayed r;
  for (const Json& episode : all["episodes"]) {
    auto env = make_world("intersection", 1, "auto_reset = false");
    auto& restorable = dynamic_cast<Restorable&>(*env);
    auto& tasks = dynamic_cast<HasTasks&>(*env);
    const double blocked = episode.value("blocked", -1.0);
    tasks.set_tasks(at::tensor({10., 0., 1.5, 0., 6., blocked}, at::kDouble).view({1, 6}));  // nobody comes
    Frame f;
    env->reset(Rng(1), f);
    Tensor saved = restorable.save(0);
    double* own = saved.data_ptr<double>() + saved.numel() - restorable.world_size();
    std::fill_n(own, restorable.world_size(), 0.0);
    own[0] = static_cast<double>(episode["first"].size()), own[1] = episode["road_steps"];
    for (size_t k = 0; k < episode["first"].size(); ++k) {
      const Json& c = episode["first"][k];
      double* to = own + 2 + kEach * static_cast<int64_t>(k);
      to[0] = c["x"], to[1] = c["y"], to[2] = c["heading"], to[3] = c["speed"], to[4] = c["target_speed"],
      to[5] = c["delta"];
      to[11] = c["crashed"].get<bool>(), to[12] = c["controlled"].get<bool>(),
      to[13] = c["yielding"].get<bool>();
      to[16] = lane(c["lane"]), to[17] = lane(c["target_lane"]),
      to[18] = static_cast<double>(c["route"].size());
      for (size_t i = 0; i < c["route"].size(); ++i) to[19 + i] = lane(c["route"][i]);
    }
    restorable.restore(0, saved, f);
    for (const Json& step : episode["steps"]) {
      Tensor a = at::zeros({1, 2}, at::kLong);
      for (int i : {0, 1}) a[0][i] = step["action"][i].get<int64_t>();
      env->step(a, f);
      EXPECT_NEAR(f.reward[0][0].item<double>(), step["reward"].get<double>(), 1e-6) << r.decisions;
      EXPECT_EQ(f.terminated.item<bool>(), step["terminated"].get<bool>()) << r.decisions;
      for (int i : {0, 1}) {
        for (int row = 0; row < 15; ++row) {
          for (int c = 0; c < 7; ++c) {
            const double due = step["obs"][i][row][c], found = f.obs[0][i][row * 7 + c].item<double>();
            r.worst = std::max(r.worst, std::abs(due - found));
            EXPECT_NEAR(found, due, 1e-5)
                << "decision " << r.decisions << ", player " << i << ", row " << row << ", column " << c;
          }
        }
      }
      // Then cars that leave are gone, so states are compared where the trace has as many.
      const Tensor after = restorable.save(0);
      const double* is = after.data_ptr<double>() + after.numel() - restorable.world_size();
      if (static_cast<size_t>(is[0]) == step["vehicles"].size()) {
        for (size_t k = 0; k < step["vehicles"].size(); ++k) {
          const double* c = is + 2 + kEach * static_cast<int64_t>(k);
          for (int j = 0; j < 5; ++j)
            EXPECT_NEAR(c[j], step["vehicles"][k][j].get<double>(), 1e-5) << r.decisions << ", car " << k;
          EXPECT_EQ(c[11], step["vehicles"][k][5].get<double>());
          (c[12] > 0 ? r.crashed_players : r.crashed_traffic) += c[11] > 0;
        }
      }
      ++r.decisions;
    }
  }
  return r;
}

TEST(Intersection, AgreesStepByStepWithTheOriginal) {
  NEEDS_SHARED("intersection/intersection_trace.json.gz");
  const Replayed r = replay(golden(SHARED_DATA "intersection/intersection_trace.json.gz"));
  EXPECT_EQ(r.decisions, 52);
  EXPECT_GT(r.crashed_players + r.crashed_traffic, 0) << "the trace shows cars that collide";
  RecordProperty("largest_difference", fmt::format("{:.1e}", r.worst));
}

// Players and traffic that run into what stands in their way, traffic that waits behind it, on arms and
// exits.
TEST(Intersection, AgreesWithTheOriginalWhereALaneIsBlocked) {
  const Replayed r = replay(golden(SYMMA_SOURCE_DIR "/tests/golden/intersection_blocked_trace.json.gz"));
  EXPECT_EQ(r.decisions, 77);
  EXPECT_GT(r.crashed_players, 0);
  EXPECT_GT(r.crashed_traffic, 0);
}

// Whatever cell is blocked: nobody is put onto the obstacle, and it is seen by who drives towards it.
TEST(Intersection, AnyCellCanBeBlocked) {
  auto env = make_world("intersection", kCells, "players = 4\nauto_reset = false");
  const auto& view = dynamic_cast<const CrossingView&>(*env);
  Tensor t = at::tensor({20., 1., 1.5, 0., 6., 0.}, at::kDouble).view({1, 6}).repeat({kCells, 1});
  t.select(1, 5).copy_(at::arange(kCells, at::kDouble));
  dynamic_cast<HasTasks&>(*env).set_tasks(t);
  Frame f;
  env->reset(Rng(4), f);
  int64_t seen = 0;
  for (int cell = 0; cell < kCells; ++cell) {
    const Car o = obstacle_in(cell);
    EXPECT_EQ(closest_lane(o), o.lane) << cell;
    for (int64_t i = 0; i < 4; ++i) {
      const Car& c = view.cars(cell)[view.car_of(cell, i)];
      EXPECT_FALSE(c.crashed) << cell << ", player " << i;
      EXPECT_GT(std::hypot(c.x - o.x, c.y - o.y), c.lane == o.lane ? 9 : 3.9) << cell << ", player " << i;
      for (int64_t row = 1; row < 15; ++row) {
        const auto at = f.obs[cell][i].narrow(0, 7 * row, 7).contiguous();
        const float* x = at.data_ptr<float>();
        seen += x[0] == 1 && x[3] == 0 && x[4] == 0 && std::abs(100 * x[1] - o.x) < 1e-3 &&
                std::abs(100 * x[2] - o.y) < 1e-3;
      }
    }
  }
  EXPECT_GT(seen, 2 * kCells);
  EXPECT_NE(error_of([&] {
              t.select(1, 5).fill_(kCells);
              dynamic_cast<HasTasks&>(*env).set_tasks(t);
            }).find("blocked: is 160; -1 to 159"),
            std::string::npos);
}

struct Played {
  double mean = 0, ci = 0, crashed = 0, arrived = 0, length = 0;
};

Played play(const std::string& script, int64_t copies = 2000) {
  auto env = make_world("intersection", copies, "auto_reset = false");
  const auto rival = make_script(script);
  Frame f;
  env->reset(Rng(5), f);
  Tensor sum = at::zeros({copies});
  for (int64_t t = 0; t < 13; ++t) {
    env->step(rival->act(*env, f, Rng(t)), f);
    sum += f.reward.select(1, 0);
  }
  Played p;
  p.mean = sum.mean().item<double>();
  p.ci = 1.96 * sum.std().item<double>() / std::sqrt(static_cast<double>(copies));
  for (int64_t e = 0; e < copies; ++e) {
    const auto s = dynamic_cast<const Judged&>(*env).scores(e);
    p.crashed += s[0] / static_cast<double>(copies), p.arrived += s[1] / static_cast<double>(copies),
        p.length += s[2] / static_cast<double>(copies);
  }
  return p;
}

// The sheet's are of 50 episodes; each interval is theirs and ours.
TEST(Intersection, RulesEarnWhatTheyDoInTheOriginal) {
  const Played faster = play("faster"), chance = play("random"), slower = play("idle"),
               yields = play("give_way");
  EXPECT_NEAR(faster.mean, 7.53, .87 + faster.ci);
  EXPECT_NEAR(faster.crashed, .26, .14);
  EXPECT_NEAR(chance.mean, 3.98, .81 + chance.ci);
  EXPECT_NEAR(chance.crashed, .32, .14);
  EXPECT_NEAR(slower.mean, 0, .05);
  EXPECT_NEAR(yields.mean, 6.77, .92 + yields.ci);
  EXPECT_NEAR(yields.crashed, .38, .15);
}

// Of the cars that stand within sight of both: places and velocities less one's own, over another range.
TEST(Intersection, IsSeenFromOnesOwnCar) {
  auto plain = make_world("intersection", 6),
       own = make_world("intersection", 6, "absolute = false\nrange = 50");
  Frame f, g;
  plain->reset(Rng(3), f), own->reset(Rng(3), g);
  int64_t compared = 0;
  for (int64_t step = 0; step < 5; ++step) {
    const Tensor a = f.obs.view({12, 15, 7}), b = g.obs.view({12, 15, 7});
    for (int64_t i = 0; i < 12; ++i) {
      for (int64_t k = 0; k < 15; ++k) {
        const Tensor x = a[i][k], mine = a[i][0], y = b[i][k];
        if (x.narrow(0, 1, 4).abs().max().item<float>() == 1) continue;  // at the bound, so not known
        Tensor want = x.clone();
        want.narrow(0, 1, 2) *= 100, want.narrow(0, 3, 2) *= 20;
        if (k > 0 && x[0].item<float>() == 1)
          want.narrow(0, 1, 2) -= 100 * mine.narrow(0, 1, 2),
              want.narrow(0, 3, 2) -= 20 * mine.narrow(0, 3, 2);
        want.narrow(0, 1, 2) /= 50, want.narrow(0, 3, 2) /= 20;
        EXPECT_LE((want.clamp(-1, 1) - y).abs().max().item<float>(), 1e-5) << k;
        compared += x[0].item<float>() == 1;
      }
    }
    const Tensor go = at::full({6, 2}, 2, at::kLong);
    plain->step(go, f), own->step(go, g);
  }
  EXPECT_GT(compared, 200);
}

// Wherever a car is: lanes that are passed over, since they can't be closer, aren't.
TEST(Intersection, TheClosestLaneIsOfAll) {
  Draws d(Rng(8));
  for (int64_t trial = 0; trial < 20000; ++trial) {
    Car c;
    const double wide = trial % 2 ? 120 : 30;
    c.x = d.uniform(-wide, wide), c.y = d.uniform(-wide, wide), c.heading = d.uniform(-7, 7);
    if (trial % 3 == 0) c.x = 2 + d.normal() / 2;  // near a lane's middle, as cars mostly are
    c.lane = static_cast<int>(d.below(kCrossingLanes));
    double least = std::numeric_limits<double>::infinity();
    int best = 0;
    for (int k = 0; k < kCrossingLanes; ++k) {
      const Lane& l = crossing_lanes()[k];
      const Along a = along(l, c.x, c.y);
      const double heading = l.round ? l.turn * a.s / l.radius + l.phase + M_PI / 2 * l.turn : l.heading;
      const double far = std::abs(a.lateral) + std::max(a.s - l.length, 0.0) + std::max(-a.s, 0.0) +
                         std::abs(std::remainder(c.heading - heading, 2 * M_PI));
      if (far < least - 1e-12) least = far, best = k;
    }
    EXPECT_EQ(closest_lane(c), best) << c.x << ", " << c.y << ", " << c.heading;
  }
}

// From the south and from the west, both 16 m before the middle: who goes on meets the other there, who
// brakes does not.
TEST(Intersection, ForeseesWhomItWouldMeet) {
  const std::vector<Car> cars{car_on(0, 95, 9, 2), car_on(1, 95, 9, 3)};
  const auto seen = [&](double target) {
    std::vector<float> out(kForeseen);
    foresee(cars, {}, cars[0], {&target, 1}, out.data());
    return out;
  };
  const std::vector<float> on = seen(9), brakes = seen(0);
  EXPECT_EQ(on[0], 0);  // not yet
  const auto first = std::find(on.begin(), on.end(), 1.F) - on.begin();
  EXPECT_GE(first, 4) << on;  // 1.25 s
  EXPECT_LE(first, 7) << on;
  EXPECT_EQ(std::count(brakes.begin(), brakes.end(), 1.F), 0) << brakes;
  const Car wall = obstacle_in(80 + 20 * 2);  // on its way out, to the north
  std::vector<float> out(kForeseen);
  const double target = 9;
  foresee({cars[0]}, {&wall, 1}, cars[0], {&target, 1}, out.data());
  EXPECT_GT(std::count(out.begin(), out.end(), 1.F), 0) << out;
  auto env = make_world("intersection", 1, "foresight = true");
  EXPECT_EQ(env->spec().obs, 15 * 7 + 3 * kForeseen);
}

TEST(Intersection, ImpossibleTrafficIsOneClearLine) {
  auto env = make_world("intersection", 1);
  const std::string said = error_of([&] {
    dynamic_cast<HasTasks&>(*env).set_tasks(
        at::tensor({10., 1.5, 1.5, 0., 6., -1.}, at::kDouble).view({1, 6}));
  });
  EXPECT_NE(said.find("spawn: is 1.5; 0 to 1"), std::string::npos) << said;
  EXPECT_NE(error_of([] { make_world("intersection", 1, "players = 9"); }).find("players"),
            std::string::npos);
}

}  // namespace
}  // namespace symma
