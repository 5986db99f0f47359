// The kitchen against 3,000 steps of overcooked-ai 1.1.0 on each of five plans, and by hand.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "envs/worlds.h"
#include "symma/core/safetensors.h"
#include "symma/envs/kitchen/cooking.h"

namespace symma {
namespace {

class KitchenTrace : public testing::TestWithParam<std::string> {};

TEST_P(KitchenTrace, AgreesStepByStep) {
  const Tensor rows =
      read_safetensors(SYMMA_SOURCE_DIR "/tests/golden/kitchen.safetensors").tensors.at(GetParam());
  const FloorPlan plan = floor_plan(GetParam(), "");
  Kitchen k;
  k.open(plan);
  int64_t put = 0, served = 0, taken = 0;
  for (int64_t t = 0; t < rows.size(0); ++t) {
    if (t % 300 == 0) k.open(plan);  // a new episode
    const uint8_t* row = rows[t].data_ptr<uint8_t>();
    const std::array<int64_t, 2> actions{row[0], row[1]};
    const Brought b = cook(k, actions.data(), 20, false);
    int32_t sparse = 0;
    for (int i = 0; i < 2; ++i) {
      const uint8_t* there = row + 2 + 4 * i;
      ASSERT_EQ(k.cooks[i].at, there[1] * plan.columns + there[0]) << "step " << t << ", cook " << i;
      ASSERT_EQ(k.cooks[i].faces, there[2]) << t;
      ASSERT_EQ(std::min(static_cast<int>(k.cooks[i].held), 3), there[3]) << t;
      ASSERT_EQ(3 * b.onions[i] + 3 * b.dishes[i] + 5 * b.soups[i], row[12 + i]) << "shaped, step " << t;
      sparse += row[10 + i], put += b.onions[i], taken += b.soups[i];
    }
    ASSERT_EQ(20 * b.served, sparse) << t;
    served += b.served;
  }
  std::cout << GetParam() << ": " << put << " onions, " << taken << " soups taken, " << served << " served\n";
  EXPECT_GT(put, 0);
}

INSTANTIATE_TEST_SUITE_P(Golden, KitchenTrace,
                         testing::Values("cramped_room", "asymmetric_advantages", "coordination_ring",
                                         "forced_coordination", "counter_circuit_o_1order"));

// Onions by the first cook, a dish by the second: counted out on the plan of cramped_room.
TEST(Kitchen, ASoupByHand) {
  auto env = make_world("kitchen", 1, "auto_reset = false\nshaping = 1\n");
  Frame f;
  env->reset(Rng(0), f);
  double earned = 0;
  const auto both = [&](int64_t a, int64_t b) {
    env->step(at::tensor({a, b}, at::kLong).view({1, 2}), f);
    earned += f.reward[0][0].item<double>();
    EXPECT_EQ(f.reward[0][0].item<float>(), f.reward[0][1].item<float>());
  };
  // The first cook starts at row 2, column 1, the second at row 1, column 3; onions at row 1, columns 0 and
  // 4; the pot at row 0, column 2; dishes at row 3, column 1; serving at row 3, column 3.
  both(kNorth, kStay), both(kWest, kStay);
  for (int n = 0; n < 3; ++n) {
    both(kInteract, kStay), both(kEast, kStay), both(kNorth, kStay), both(kInteract, kStay);
    EXPECT_EQ(earned, 3 * (n + 1));
    if (n < 2) both(kWest, kStay), both(kWest, kStay);
  }
  // It cooks by itself; a dish is of use now.
  both(kWest, kStay), both(kSouth, kStay), both(kSouth, kStay), both(kInteract, kStay);
  EXPECT_EQ(earned, 12);
  both(kNorth, kStay), both(kEast, kStay), both(kNorth, kStay);
  // The pot has cooked for 8 steps, with the one in which it was filled; it is taken after 20.
  for (int t = 0; t < 12; ++t) {
    both(kInteract, kStay);
    EXPECT_EQ(earned, 12) << t;
  }
  both(kInteract, kStay);
  EXPECT_EQ(earned, 17);
  // The other stands at row 1, column 3: both stay, but who is blocked turns.
  both(kEast, kStay), both(kStay, kSouth), both(kSouth, kStay), both(kEast, kStay), both(kStay, kWest);
  const auto& judge = dynamic_cast<const Judged&>(*env);
  EXPECT_EQ(judge.scores(0)[0], 0);
}

TEST(Kitchen, ScriptedCooksServe) {
  for (const auto& [layout, least] :
       {std::pair("cramped_room", 8), std::pair("asymmetric_advantages", 8),
        std::pair("coordination_ring", 4), std::pair("counter_circuit_o_1order", 3)}) {
    for (const bool auto_cook : {true, false}) {
      const FloorPlan plan = floor_plan(layout, "");
      Kitchen k;
      k.open(plan);
      Draws d(Rng(1));
      for (int t = 0; t < 400; ++t) {
        std::array<int64_t, 2> a;
        for (int i = 0; i < 2; ++i) {
          const double u1 = d.uniform(), u2 = d.uniform();
          a[i] = scripted_cook(k, i, 20, auto_cook, style_of(0), u1, u2);
        }
        cook(k, a.data(), 20, auto_cook);
        EXPECT_NE(k.cooks[0].at, k.cooks[1].at);
      }
      std::cout << layout << (auto_cook ? "" : ", lit by hand") << ": " << k.served << " soups\n";
      EXPECT_GE(k.served, least) << layout;
    }
  }
}

TEST(Kitchen, MirroredPlansAreTheSameKitchen) {
  const FloorPlan plan = floor_plan("asymmetric_advantages", "");
  for (int how = 0; how < 4; ++how) {
    const FloorPlan other = plan.mirrored(how), back = other.mirrored(how);
    EXPECT_EQ(back.cell, plan.cell);
    EXPECT_EQ(back.start, plan.start);
    EXPECT_EQ(other.way[other.start[0]][other.pots.back()] + other.way[other.start[0]][other.pots.front()],
              plan.way[plan.start[0]][plan.pots.back()] + plan.way[plan.start[0]][plan.pots.front()]);
  }
}

TEST(Kitchen, BadInputIsOneClearLine) {
  const auto made = [](const std::string& options) {
    return error_of([&] { make_world("kitchen", 1, options); });
  };
  const auto says = [](const std::string& message, const std::vector<std::string>& words) {
    for (const auto& w : words) EXPECT_NE(message.find(w), std::string::npos) << w << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  };
  says(made("layout = \"cramped_rom\""), {"cramped_rom", "cramped_room"});
  says(made("layouts = \"/nowhere\""), {"/nowhere"});
  const auto plan = [&](const std::string& lines) {
    const auto path = std::filesystem::path(testing::TempDir()) / "plans.txt";
    std::ofstream(path) << "other\nXXX\n\nmine\n" << lines << "\n";
    return made(fmt::format("layouts = \"{}\"\nlayout = \"mine\"", path.string()));
  };
  EXPECT_EQ(plan("XXPXX\nO1 2O\nXDXSX"), "");
  says(plan("XXPXX\nO1 2O\nXDXXX"), {"mine", "no S"});
  says(plan("XXPXX\nO1 2 \nXDXSX"), {"mine", "open", "row 2"});
  says(plan("XXPXX\nO1 QO\nXDXSX"), {"'Q'", "row 2"});
  says(plan("XXPXX\nO1  O\nXDXSX"), {"lacks a cook"});
  says(plan("XXPXX\nO1 1O\nXDXSX"), {"cook 1 twice"});
  says(plan("XXXXXX\nPXO12X\nXXXDSX"), {"no cook reaches a P"});
  auto env = make_world("kitchen", 1, "partner = true\n");
  auto& tasks = dynamic_cast<HasTasks&>(*env);
  says(error_of([&] {
         tasks.set_tasks(at::tensor({20.0, 0.0, 99.0, 0.0}, at::kDouble).view({1, 4}));
       }),
       {"partner", "99"});
  says(error_of([&] {
         tasks.set_tasks(at::tensor({0.0, 0.0, 1.0, 0.0}, at::kDouble).view({1, 4}));
       }),
       {"cook_time", "0"});
}

}  // namespace
}  // namespace symma
