// Every learner on every family with every model: it runs, or it is refused in one line before anything is
// written.
#include <gtest/gtest.h>

#include "fleet/fleets.h"

namespace symma {
namespace {

struct Case {
  std::string learner, task, model;
};

std::vector<Case> every_case() {
  std::vector<Case> out;
  for (const auto& learner : LearnerRegistry::instance().names())
    for (const auto& task : TaskFamilyRegistry::instance().names())
      for (const auto& model : ModelRegistry::instance().names())
        if (task != "images" && task != "table") out.push_back({learner, task, model});  // these need files
  return out;
}

class EveryCombination : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Registry, EveryCombination, testing::ValuesIn(every_case()), [](const auto& info) {
  return info.param.learner + "_" + info.param.task + "_" + info.param.model;
});

// With the default [eval], whose steps are 0, 1, 5 and 10, but fewer tasks.
TEST_P(EveryCombination, RunsOrIsRefusedAtReading) {
  Json all{{"agents", 2}, {"rounds", 2}, {"tasks", 1}};
  all["task"]["kind"] = GetParam().task;
  all["model"]["kind"] = GetParam().model;
  all["learner"]["kind"] = GetParam().learner;
  all["eval"] = {{"tasks", 2}, {"validation_tasks", 2}};
  std::optional<Experiment> e;
  try {
    e = Experiment::build(Config::of(all, "combination.toml"));
    rehearse(*e);
  } catch (const UserError& refused) {
    const std::string line = refused.what();
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    return;
  }
  RunState run = start_run(*e);
  for (int round = 0; round < 2; ++round) run_round(*e, run);
  EXPECT_TRUE(validate(*e, run.learner).contains("mean"));
  EXPECT_EQ(verdict(*e, judge(*e, run.learner, Split::kTest))["steps"], Json({0, 1, 5, 10}));
}

}  // namespace
}  // namespace symma
