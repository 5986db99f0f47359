// A loop of one's own is what a round is.
#include <gtest/gtest.h>

#include "symma/fleet/fleet.h"

namespace symma {
namespace {

Json settings(const std::string& topology) {
  return {{"agents", 5},
          {"seed", 3},
          {"task", {{"kind", "sinusoid"}}},
          {"model", {{"kind", "mlp"}, {"hidden", {16}}}},
          {"learner", {{"kind", "maml"}}},
          {"exchange", {{"topology", topology}}}};
}

TEST(Fleet, ALoopByHandIsRunRoundBitForBit) {
  for (const char* topology : {"ring", "star"}) {
    Fleet fleet(settings(topology));
    const Experiment e = Experiment::build(Config::of(settings(topology), "fleet"));
    RunState run = start_run(e);
    for (int round = 0; round < 10; ++round) {
      const Scores told = fleet.step(fleet.sample());
      EXPECT_EQ(told.at("loss").size(0), 5);
      fleet.exchange();
      run_round(e, run);
    }
    EXPECT_TRUE(at::equal(fleet.state().theta, run.learner.theta)) << topology;
  }
}

TEST(Fleet, AdaptsToTasksThatItHasNotSeen) {
  Fleet fleet(settings("none"));
  const auto tasks = fleet.sample(Split::kTest);
  const auto rows = fleet.adapt(*tasks, {0, 5});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].size(0), 5);
  EXPECT_TRUE(at::equal(rows[0], fleet.state().theta));
  EXPECT_FALSE(at::equal(rows[1], rows[0]));
}

TEST(Fleet, WhatIsWrongIsSaidInThreeParts) {
  try {
    const Fleet none({{"agents", 0}, {"task", {{"kind", "sinusoid"}}}});
    FAIL() << "no agents";
  } catch (const UserError& e) {
    EXPECT_EQ(e.place(), "fleet: agents");
    EXPECT_EQ(e.wrong(), "0 is out of range");
    EXPECT_EQ(e.remedy(), "must be >= 1");
    EXPECT_EQ(std::string(e.what()), "fleet: agents: 0 is out of range; must be >= 1");
  }
}

}  // namespace
}  // namespace symma
