// Scores of single tasks: the file that holds them, and two runs' scores in pairs.
#include "symma/eval/scores.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/eval/evaluate.h"
#include "symma/eval/standing.h"

namespace symma {
namespace {

struct File {
  std::string path =
      (std::filesystem::temp_directory_path() / ("symma_scores_" + std::to_string(::getpid()) + ".csv"))
          .string();
  ~File() { std::filesystem::remove(path); }
};

TEST(ScoresCsv, HoldsThoseWhoCountAndReadsAsTheirMeans) {
  EvalResult r{Split::kTest, "mse", {0, 5}, {}, {0, 1, 2}, {0, 2}};
  r.all["mse"] = {{{1, 2}, {3, 4}}, {{100, 100}, {100, 100}}, {{5, 6}, {7, std::nan("")}}};
  r.all["loss"] = {{{.5, .25}, {0, 1}}, {{9, 9}, {9, 9}}, {{1.5, .75}, {1e-8, -1}}};
  EvalResult ood = r;
  ood.split = Split::kOod;
  EXPECT_EQ(scores_csv({r}),
            "split,agent,task,steps,loss,mse\n"
            "test,0,0,0,0.5,1\ntest,0,0,5,0,3\ntest,0,1,0,0.25,2\ntest,0,1,5,1,4\n"
            "test,2,0,0,1.5,5\ntest,2,0,5,1e-08,7\ntest,2,1,0,0.75,6\ntest,2,1,5,-1,\n");
  const File file;
  write_file(file.path, scores_csv({ood, r}));
  const auto mse = read_scores(file.path, "test", "mse"), loss = read_scores(file.path, "test", "loss");
  EXPECT_EQ(mse.at(0), (std::vector<double>{3, 4}));
  EXPECT_EQ(mse.at(5)[0], 5);
  EXPECT_TRUE(std::isnan(mse.at(5)[1]));
  EXPECT_EQ(loss.at(0), (std::vector<double>{1, .5}));
  EXPECT_THROW(read_scores(file.path, "test", "accuracy"), UserError);
}

TEST(ScoresCsv, NamesWhatTasksAreMadeOf) {
  EvalResult r{Split::kTest, "mse", {0}, {}, {0, 1}, {}, {{"a, b", "c"}, {"a, b", "d"}}};
  r.all["mse"] = {{{1, 2}}, {{3, 4}}};
  EXPECT_EQ(scores_csv({r}),
            "split,agent,task,group,steps,mse\n"
            "test,0,0,\"a, b\",0,1\ntest,0,1,c,0,2\ntest,1,0,\"a, b\",0,3\ntest,1,1,d,0,4\n");
}

TEST(ScoresCsv, OfALargeFleetHoldsMeans) {
  EvalResult r{Split::kTest, "mse", {0}, {}, {}};
  const size_t agents = 1001, tasks = 1000;
  r.all["mse"].assign(agents, {std::vector<double>(tasks)});
  for (size_t a = 0; a < agents; ++a) {
    for (size_t t = 0; t < tasks; ++t) r.all["mse"][a][0][t] = static_cast<double>(a + 1000 * t);
  }
  const File file;
  write_file(file.path, scores_csv({r}));
  EXPECT_LT(std::filesystem::file_size(file.path), 30 * tasks);
  const auto read = read_scores(file.path, "test", "mse").at(0);
  ASSERT_EQ(read.size(), tasks);
  for (size_t t = 0; t < tasks; ++t) EXPECT_EQ(read[t], 500.0 + 1000.0 * static_cast<double>(t));
}

TEST(Paired, KnownNumbers) {
  // Differences -1, -1, -1, 1, 0: mean -0.4, and their variance is 0.8.
  const std::vector<double> a{1, 12, 103, 1005, 7}, b{2, 13, 104, 1004, 7};
  const Paired p = compare_paired(a, b, false);
  EXPECT_DOUBLE_EQ(p.a, 225.6);
  EXPECT_DOUBLE_EQ(p.b, 226);
  EXPECT_NEAR(p.difference, -0.4, 1e-12);
  EXPECT_NEAR(p.ci95, student_t(4) * std::sqrt(0.8 / 5), 1e-12);
  EXPECT_FALSE(p.apart());
  EXPECT_TRUE(compare_paired({1, 2, 3, 4.5}, {2, 3, 4, 5}, false).apart());
  EXPECT_NEAR(p.better, 0.7, 1e-12);
  EXPECT_NEAR(compare_paired(a, b, true).better, 0.3, 1e-12);
  EXPECT_NEAR(compare_paired(b, a, false).difference, 0.4, 1e-12);
}

// The first setting by which they are not, wherever it stands.
TEST(Paired, WhatMakesTasksDifferIsNamed) {
  const Json plain{
      {"seed", 1},
      {"task", {{"kind", "control"}, {"vary", {"smoke"}}, {"world", {{"kind", "search_rescue"}}}}}};
  Json other = plain, another = plain, world = plain, kind = plain;
  other["task"]["vary"] = {"clusters"};
  another["task"]["limit"] = 3;
  world["task"]["world"]["targets"] = 3;
  kind["task"] = "blobs";
  EXPECT_EQ(tasks_differ(plain, plain), "");
  EXPECT_EQ(tasks_differ(plain, other), "task.vary ([\"smoke\"] and [\"clusters\"])");
  EXPECT_EQ(tasks_differ(plain, another), "task.limit (null and 3)");
  EXPECT_EQ(tasks_differ(another, plain), "task.limit (3 and null)");
  EXPECT_EQ(tasks_differ(world, plain), "task.world.targets (3 and null)");
  EXPECT_TRUE(tasks_differ(plain, kind).starts_with("task ("));
}

TEST(Paired, WhatDivergedIsWorst) {
  const double nan = std::nan("");
  for (const bool higher : {false, true}) {
    const Paired p = compare_paired({1, nan, nan, 1}, {nan, 1, nan, 1}, higher);
    EXPECT_DOUBLE_EQ(p.better, 0.5);  // one, none, and two halves
    EXPECT_FALSE(std::isfinite(p.difference));
    EXPECT_DOUBLE_EQ(compare_paired({1, 1}, {nan, nan}, higher).better, 1);
  }
}

}  // namespace
}  // namespace symma
