// symma init world, for every world that there is: what it writes trains.
#include "cli/program.h"

namespace {

using namespace program;

TEST(Init, EveryWorldTrains) {
  TempDir at;
  const Json worlds = Json::parse(run_well({"list", "Env", "--json"}, at.path()).out)["Env"];
  EXPECT_GT(worlds.size(), 10u);
  for (const auto& world : worlds) {
    const std::string name = world["name"], file = name + ".toml";
    run_well({"init", "world", "--world", name, "--out", file}, at.path());
    const Result r = run({"train", file, "--set", "rounds=2", "--set", "eval.tasks=2", "--set",
                          "eval.validation_tasks=2", "--out", name, "--quiet"},
                         at.path());
    EXPECT_EQ(r.code, 0) << name << ": " << r.err;
  }
}

}  // namespace
