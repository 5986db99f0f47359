// What simple rules reach, against sums worked out by hand; a judgement in units and apart for what is known.
#include "symma/eval/rules.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "symma/eval/seen.h"

namespace symma {
namespace {

struct Csv {
  std::string path =
      (std::filesystem::temp_directory_path() / ("symma_rules_" + std::to_string(::getpid()) + ".csv"))
          .string();
  explicit Csv(const std::string& text) { std::ofstream(path) << text; }
  ~Csv() { std::filesystem::remove(path); }
};

Json rules_of(const TaskFamily& family, const Model& model) {
  return simple_rules(family, model, Split::kTest, {kEveryone}, 100, Rng(1));
}

// y = 3 x + level of the group + a little noise: the pooled rule knows the slope and not the level, the mean
// of the support the level and not the slope, and both together know all.
TEST(Rules, AreWhatTheyAreCalled) {
  std::string text = "task,x,y\n";
  Draws d(Rng(2));
  for (int g = 0; g < 40; ++g) {
    const double level = g % 2 == 0 ? 2 : -2;
    for (int i = 0; i < 40; ++i) {
      const double x = d.normal();
      text += fmt::format("g{},{:.6f},{:.6f}\n", g, x, 3 * x + level + 0.1 * d.normal());
    }
  }
  const Csv csv(text);
  const auto family = make<TaskFamilyRegistry>("table", {{"path", csv.path}, {"shots", 20}}, 1);
  const auto model = make<ModelRegistry>("mlp", {{"hidden", {4}}}, family->spec().shape);
  const Json rules = rules_of(*family, *model);
  const double square = std::pow(dynamic_cast<const InUnits&>(*family).units().scale, 2);
  const auto left = [&](const char* name) { return rules[name]["mean"].get<double>() * square; };
  EXPECT_NEAR(left("support_mean"), 9 * (1 + 1. / 20), 1);  // the slope's share, and the mean's own error
  EXPECT_NEAR(left("last_value"), 18, 3);                   // twice it
  EXPECT_NEAR(left("pooled_ridge"), 4, 1.5);                // the level, squared
  EXPECT_NEAR(left("support_ridge"), 0.01 * (1 + 2. / 20), 0.004);
  EXPECT_NEAR(left("both_added"), 0.01 * (1 + 2. / 20), 0.004);
  EXPECT_GT(rules["pooled_ridge"]["ci95"].get<double>(), 0);
}

// One cell of 2147483647 among numbers of about one, in a group that trains, validates or judges: beside its
// square a penalty is lost, and the rows of its task are one direction.
TEST(Rules, OfAColumnWithOneHugeNumber) {
  for (int huge = 0; huge < 12; ++huge) {
    std::string text = "task,a,b,y\n";
    Draws d(Rng(3));
    for (int g = 0; g < 12; ++g)
      for (int i = 0; i < 12; ++i) {
        const double a = d.normal(), b = d.normal();
        text +=
            fmt::format("g{},{:.3f},{},{:.3f}\n", g, a,
                        g == huge && i == 3 ? "2147483647" : fmt::format("{:.3f}", b), a + 0.1 * d.normal());
      }
    const Csv csv(text);
    const auto family = make<TaskFamilyRegistry>("table", {{"path", csv.path}, {"shots", 6}}, 1);
    const auto model = make<ModelRegistry>("mlp", {{"hidden", {4}}}, family->spec().shape);
    const Json rules = rules_of(*family, *model);
    for (const char* name : {"support_mean", "pooled_ridge", "support_ridge", "both_added"})
      EXPECT_TRUE(rules[name]["mean"].is_number()) << name << rules.dump();
  }
}

TEST(Rules, OfClasses) {
  std::string text = "task,x,y\n";
  Draws d(Rng(2));
  for (int g = 0; g < 20; ++g)
    for (int i = 0; i < 40; ++i) {
      const bool yes = i % 4 == 0;
      text += fmt::format("g{},{:.6f},{}\n", g, (yes ? 10 : -10) + d.normal(), yes ? "yes" : "no");
    }
  const Csv csv(text);
  const auto family = make<TaskFamilyRegistry>(
      "table", {{"path", csv.path}, {"shots", 16}, {"predict", "classification"}, {"balanced", false}}, 1);
  const auto model = make<ModelRegistry>("mlp", {{"hidden", {4}}}, family->spec().shape);
  const Json rules = rules_of(*family, *model);
  EXPECT_NEAR(rules["support_majority"]["mean"].get<double>(), 0.75, 0.05);
  EXPECT_GT(rules["nearest_neighbour"]["mean"].get<double>(), 0.99);
}

// As the scores beside them: ten times the tasks of the same groups say no more about other groups.
TEST(Rules, IntervalsAreOverGroups) {
  std::string text = "home,x,y\n";
  Draws d(Rng(2));
  for (int g = 0; g < 30; ++g)
    for (int i = 0; i < 40; ++i)
      text += fmt::format("g{},{:.6f},{:.6f}\n", g, d.normal(), 3 * (g % 3) + 0.1 * d.normal());
  const Csv csv(text);
  const auto family =
      make<TaskFamilyRegistry>("table", {{"path", csv.path}, {"group", "home"}, {"shots", 5}}, 1);
  const auto model = make<ModelRegistry>("mlp", {{"hidden", {4}}}, family->spec().shape);
  const auto width = [&](int64_t tasks) {
    const Json rules = simple_rules(*family, *model, Split::kTest, {kEveryone}, tasks, Rng(1));
    return rules["pooled_ridge"]["ci95"].get<double>();
  };
  EXPECT_GT(width(1000), 0.7 * width(100));
}

// What counts next to nothing moves no rule.
TEST(Rules, CountThePointsAsTheTaskDoes) {
  std::string text = "task,x,y,counts\n";
  Draws d(Rng(2));
  for (int g = 0; g < 30; ++g)
    for (int i = 0; i < 40; ++i)
      text += fmt::format("g{},{:.6f},{:.6f},{}\n", g, d.normal(), i % 2 == 0 ? d.normal() : 100,
                          i % 2 == 0 ? "1" : "0.00000001");
  const Csv csv(text);
  const auto family =
      make<TaskFamilyRegistry>("table", {{"path", csv.path}, {"weight", "counts"}, {"shots", 20}}, 1);
  const auto model = make<ModelRegistry>("mlp", {{"hidden", {4}}}, family->spec().shape);
  const Json rules = rules_of(*family, *model);
  const double square = std::pow(dynamic_cast<const InUnits&>(*family).units().scale, 2);
  for (const char* name : {"support_mean", "pooled_ridge", "support_ridge", "both_added"})
    EXPECT_NEAR(rules[name]["mean"].get<double>() * square, 1, 0.4) << name;
}

TEST(Rules, OfTasksThatAreNoPointsThereAreNone) {
  const auto family = make<TaskFamilyRegistry>("control", Json::object(), 1);
  const auto model = make<ModelRegistry>("mlp", {{"hidden", {4}}}, family->spec().shape);
  EXPECT_TRUE(rules_of(*family, *model).is_null());
}

TEST(Seen, WhatWasTrainedOnIsTakenApart) {
  struct Two : Remembers {
    bool trained_on(const std::string& name) const override { return name == "old"; }
  };
  EvalResult r{Split::kTest, "mse", {0, 1}, {}, {0, 1}, {}, {{"old", "new", "old"}, {"old", "new", "old"}}};
  r.all["mse"] = {{{1, 10, 3}, {0, 5, 1}}, {{3, 20, 5}, {2, 7, 3}}};
  const Json apart = trained_and_new(r, Two(), false);
  EXPECT_EQ(apart["trained_on"]["tasks"], 2);
  EXPECT_EQ(apart["trained_on"]["groups"], 1);
  EXPECT_EQ(apart["trained_on"]["mean"], Json({3.0, 1.5}));
  EXPECT_EQ(apart["new"]["mean"], Json({15.0, 6.0}));
  // Means are over groups, as those of the whole are.
  r.names = {{"new", "new", "other"}, {"new", "new", "other"}};
  EXPECT_TRUE(trained_and_new(r, Two(), false).is_null());
  r.names = {{"old", "new", "new", "other"}, {"old", "new", "new", "other"}};
  r.all["mse"] = {{{9, 1, 3, 6}, {9, 1, 3, 6}}, {{9, 1, 3, 6}, {9, 1, 3, 6}}};
  EXPECT_EQ(trained_and_new(r, Two(), false)["new"]["mean"], Json({4.0, 4.0}));
  r.names = {{"new", "new", "new"}, {"new", "new", "new"}};
  EXPECT_TRUE(trained_and_new(r, Two(), false).is_null());
}

TEST(InUnits, AreThoseOfTheTarget) {
  const Json eval{{"mean", {0.25, nullptr}}, {"ci95", {0.01, nullptr}}};
  const Json own = in_units(eval, {"load, kW", 7, 4});
  EXPECT_EQ(own["mse"], Json({4.0, nullptr}));
  EXPECT_EQ(own["rmse"], Json({2.0, nullptr}));
  EXPECT_EQ(own["ci95"], Json({0.16, nullptr}));
}

}  // namespace
}  // namespace symma
