// Rules that a reader may not expect, case by case, and settings that cannot be.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "envs/worlds.h"
#include "symma/envs/grids/warehouse_traffic.h"

namespace symma {
namespace {

// A foraging field of one copy: agents' rows, columns and levels, then foods'.
struct Field {
  std::vector<double> rows, columns, levels, food_rows, food_columns, food_levels;
};

class Forage {
 public:
  Forage(const Field& field, int64_t foods, const std::string& options = "")
      : env_(make_world("foraging", 1,
                        fmt::format("agents = {}\nfoods = {}\nauto_reset = false\n{}", field.rows.size(),
                                    foods, options))) {
    env_->reset(Rng(1), frame);
    auto& r = dynamic_cast<Restorable&>(*env_);
    Tensor saved = r.save(0);
    std::vector<double> own;
    const auto add = [&](std::vector<double> x, size_t to) {
      x.resize(std::max(to, x.size()));
      own.insert(own.end(), x.begin(), x.end());
    };
    add(field.rows, 0), add(field.columns, 0), add(field.levels, 0);
    double total = 0;
    for (const double l : field.food_levels) total += l;
    own.push_back(static_cast<double>(field.food_rows.size())), own.push_back(total);
    add(field.food_rows, foods), add(field.food_columns, foods), add(field.food_levels, foods);
    saved.slice(0, saved.numel() - r.world_size()).copy_(at::tensor(own, at::kDouble));
    r.restore(0, saved, frame);
  }
  void step(const std::vector<int64_t>& actions) {
    env_->step(at::tensor(actions, at::kLong).unsqueeze(0), frame);
  }
  // (row, column) of agent i, as it sees itself; the whole field is in sight.
  std::array<int, 2> place(int64_t i) const {
    const Tensor own = frame.obs[0][i].slice(0, env_->spec().obs - 3 * env_->spec().agents);
    return {own[0].item<int>(), own[1].item<int>()};
  }
  Frame frame;

 private:
  std::unique_ptr<Env> env_;
};

constexpr int64_t kNone = 0, kNorth = 1, kSouth = 2, kWest = 3, kEast = 4, kLoad = 5;
using Place = std::array<int, 2>;

TEST(Foraging, TwoIntoOneCellBothStay) {
  Forage w({{2, 2}, {2, 4}, {1, 1}, {6}, {6}, {1}}, 1);
  w.step({kEast, kWest});
  EXPECT_EQ(w.place(0), (Place{2, 2}));
  EXPECT_EQ(w.place(1), (Place{2, 4}));
}

TEST(Foraging, NeighboursMaySwap) {
  Forage w({{2, 2}, {2, 3}, {1, 1}, {6}, {6}, {1}}, 1);
  w.step({kEast, kWest});
  EXPECT_EQ(w.place(0), (Place{2, 3}));
  EXPECT_EQ(w.place(1), (Place{2, 2}));
}

TEST(Foraging, WhoFollowsAnAgentThatStaysStandsInItsCell) {
  Forage w({{2, 2, 2}, {2, 3, 5}, {1, 1, 1}, {6}, {6}, {1}}, 1);
  w.step({kEast, kEast, kWest});  // the second and third want one cell; the first wants the second's
  EXPECT_EQ(w.place(0), (Place{2, 3}));
  EXPECT_EQ(w.place(1), (Place{2, 3}));
  EXPECT_EQ(w.place(2), (Place{2, 5}));
}

TEST(Foraging, LoadersShareByLevel) {
  // Food of level 3 and one of level 1 elsewhere: the field's total is 4.
  const Field field{{3, 4}, {4, 3}, {1, 2}, {4, 6}, {4, 1}, {3, 1}};
  Forage alone(field, 2, "penalty = 0.1");
  alone.step({kLoad, kNone});
  EXPECT_NEAR(alone.frame.reward[0][0].item<float>(), -0.1, 1e-7);
  EXPECT_EQ(alone.frame.reward[0][1].item<float>(), 0);
  Forage both(field, 2);
  both.step({kLoad, kLoad});
  EXPECT_NEAR(both.frame.reward[0][0].item<float>(), 1 * 3 / (3. * 4), 1e-7);
  EXPECT_NEAR(both.frame.reward[0][1].item<float>(), 2 * 3 / (3. * 4), 1e-7);
  EXPECT_FALSE(both.frame.terminated.item<bool>());
  Forage last({{3, 4}, {4, 3}, {1, 2}, {4}, {4}, {3}}, 2);
  last.step({kLoad, kLoad});
  EXPECT_NEAR(last.frame.reward.sum().item<float>(), 1, 1e-6);
  EXPECT_TRUE(last.frame.terminated.item<bool>());
  EXPECT_FALSE(last.frame.truncated.item<bool>());
}

TEST(Foraging, ImpossibleActionsAreNoneOrMasked) {
  const Field corner{{0, 7}, {0, 7}, {1, 1}, {1}, {1}, {1}};
  Forage open(corner, 1);
  open.step({kNorth, kLoad});
  EXPECT_EQ(open.place(0), (Place{0, 0}));
  Forage masked(corner, 1, "mask = true");
  const bool* m = masked.frame.mask.data_ptr<bool>();
  EXPECT_EQ(std::vector<bool>(m, m + 6), (std::vector<bool>{true, false, true, false, true, false}));
  EXPECT_NE(error_of([&] {
              masked.step({kNorth, kNone});
            }).find("north) is masked; allowed now: 0, 2, 4"),
            std::string::npos);
}

std::vector<bool> traffic(const std::vector<Cell>& from, const std::vector<Cell>& to) {
  bool granted[64];
  resolve_traffic(from, to, {granted, from.size()});
  return std::vector<bool>(granted, granted + from.size());
}

TEST(Traffic, RingsMoveAndSwapsDoNot) {
  EXPECT_EQ(traffic({{0, 0}, {1, 0}}, {{1, 0}, {0, 0}}), (std::vector<bool>{false, false}));
  EXPECT_EQ(traffic({{0, 0}, {1, 0}, {1, 1}, {0, 1}}, {{1, 0}, {1, 1}, {0, 1}, {0, 0}}),
            (std::vector<bool>{true, true, true, true}));
  // Who waits behind a ring, a swap or one that stays, stays.
  EXPECT_EQ(traffic({{0, 0}, {1, 0}, {2, 0}}, {{1, 0}, {0, 0}, {1, 0}}),
            (std::vector<bool>{false, false, false}));
  EXPECT_EQ(traffic({{0, 0}, {1, 0}, {2, 0}}, {{0, 0}, {0, 0}, {1, 0}}),
            (std::vector<bool>{true, false, false}));
}

TEST(Traffic, TheLongestQueueMoves) {
  EXPECT_EQ(traffic({{0, 0}, {1, 0}, {3, 0}}, {{1, 0}, {2, 0}, {2, 0}}),
            (std::vector<bool>{true, true, false}));
  EXPECT_EQ(traffic({{3, 0}, {1, 0}, {0, 0}}, {{2, 0}, {2, 0}, {1, 0}}),
            (std::vector<bool>{false, true, true}));
}

TEST(Warehouse, LayoutsAreRead) {
  auto env = make_world("warehouse", 1, "agents = 1\nrequests = 1\nlayout = \"...g\\n.xx.\\n....\"");
  Frame f;
  env->reset(Rng(1), f);
  EXPECT_EQ(env->spec().obs, 71);
  const std::string text = dynamic_cast<const Drawable&>(*env).text(0);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
}

TEST(Spread, MeetingCentresStayFinite) {
  auto env = make_world("simple_spread", 1);
  auto& r = dynamic_cast<Restorable&>(*env);
  Frame f;
  env->reset(Rng(1), f);
  Tensor saved = r.save(0);
  saved.slice(0, saved.numel() - r.world_size()).zero_();
  r.restore(0, saved, f);
  env->step(at::zeros({1, 3}, at::kLong), f);
  EXPECT_TRUE(at::isfinite(f.obs).all().item<bool>());
  EXPECT_NEAR(f.reward.sum().item<double>(), -0.5 * 6, 1e-6) << "all overlap, every landmark is covered";
}

TEST(MatrixGame, MemoryShowsTheLastRounds) {
  auto env = make_world("matrix_game", 1, "memory = 2");
  Frame f;
  env->reset(Rng(1), f);
  EXPECT_EQ(env->spec().obs, 10);
  const auto state = [&](int64_t player, int64_t block) {
    return f.obs[0][player].slice(0, 5 * block, 5 * block + 5).argmax().item<int64_t>();
  };
  EXPECT_EQ(state(0, 0), 0);
  env->step(at::tensor({0, 1}, at::kLong).unsqueeze(0), f);
  EXPECT_EQ(f.reward[0][0].item<float>(), -3);
  EXPECT_EQ(f.reward[0][1].item<float>(), 0);
  EXPECT_EQ(state(0, 0), 2);  // own cooperation, the other's defection
  EXPECT_EQ(state(1, 0), 3);
  EXPECT_EQ(state(0, 1), 0);
  env->step(at::tensor({1, 1}, at::kLong).unsqueeze(0), f);
  EXPECT_EQ(state(0, 0), 4);
  EXPECT_EQ(state(0, 1), 2);
}

TEST(Tasks, PayoffsAreTheTasks) {
  auto env = make_world("matrix_game", 2, "game = \"climbing\"");
  auto& tasks = dynamic_cast<HasTasks&>(*env);
  ASSERT_EQ(tasks.task_parameters().size(), 9u);
  Tensor t = at::zeros({2, 9}, at::kDouble);
  t[1][0] = 4;
  tasks.set_tasks(t);
  Frame f;
  env->reset(Rng(1), f);
  env->step(at::zeros({2, 2}, at::kLong), f);
  EXPECT_EQ(f.reward[0][0].item<float>(), 0);
  EXPECT_EQ(f.reward[1][1].item<float>(), 4);
}

TEST(Tasks, AMapIsTheSameInEveryEpisode) {
  auto env = make_world("warehouse", 3);
  auto& tasks = dynamic_cast<HasTasks&>(*env);
  tasks.set_tasks(at::tensor({4., .3, 17., 4., .3, 17., 4., .3, 18.}, at::kDouble).view({3, 3}));
  Frame f;
  const auto shelves = [&](int64_t copy) {
    std::string t = dynamic_cast<const Drawable&>(*env).text(copy);
    std::replace(t.begin(), t.end(), 'R', 'x');
    return t;
  };
  const auto differ = [](const std::string& a, const std::string& b) {
    int n = 0;
    for (size_t i = 0; i < a.size(); ++i) n += (a[i] == 'x') != (b[i] == 'x');
    return n;
  };
  env->reset(Rng(1), f);
  const std::string first = shelves(0);
  EXPECT_LE(differ(first, shelves(1)), 8) << "one map, but for robots that stand on shelves";
  EXPECT_GE(differ(first, shelves(2)), 9);
  env->reset(Rng(2), f);
  EXPECT_LE(differ(first, shelves(0)), 8);
}

// Settings that cannot be are one line, which names the setting.
TEST(Impossible, SettingsAreOneClearError) {
  const auto message = [](const std::string& world, const std::string& options) {
    return error_of([&] { make_world(world, 1, options); });
  };
  const std::vector<std::array<std::string, 3>> cases = {
      {"foraging", "rows = 3\ncolumns = 3\nfoods = 4", "fit"},
      {"foraging", "rows = 3\ncolumns = 3\nfoods = 1\nagents = 9", "fit"},
      {"foraging", "rows = 2", "rows"},
      {"warehouse", "layout = \"xx.\\n..\"", "line 2"},
      {"warehouse", "layout = \"xx.\\n...\"", "goal"},
      {"warehouse", "layout = \"xxg\\n.a.\"", "\"a\""},
      {"warehouse", "agents = 4\nlayout = \"xxg\"", "robots"},
      {"warehouse", "agents = 1\nrequests = 2\nlayout = \"xxg...\"", "requests"},
      {"warehouse", "size = \"huge\"", "tiny"},
      {"matrix_game", "game = \"custom\"\nrow = [1.0, 2.0, 3.0]", "row"},
      {"matrix_game", "game = \"custom\"\nrow = [1.0, 2.0, 3.0, 4.0]\ncolumn = [1.0]", "column"},
      {"matrix_game", "row = [1.0, 2.0, 3.0, 4.0]", "custom"},
      {"simple_spread", "variant = \"jaxmarl\"", "openai"},
      {"bargaining", "limit = 10", "limit"},
  };
  for (const auto& [world, options, word] : cases) {
    const std::string m = message(world, options);
    EXPECT_NE(m.find(word), std::string::npos) << world << " with " << options << ": " << m;
    EXPECT_EQ(m.find('\n'), std::string::npos) << m;
  }
}

}  // namespace
}  // namespace symma
