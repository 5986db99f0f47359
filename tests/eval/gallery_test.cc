// What a report draws of tasks, beside the files and worlds that they are of.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "symma/eval/evaluate.h"
#include "symma/learners/learner.h"

namespace symma {
namespace {

struct Csv {
  std::string path =
      (std::filesystem::temp_directory_path() / ("symma_gallery_" + std::to_string(::getpid()) + ".csv"))
          .string();
  explicit Csv(const std::string& text) { std::ofstream(path) << text; }
  ~Csv() { std::filesystem::remove(path); }
};

// The gallery of a fleet of one that has learned nothing.
Json drawn(const std::string& task, const Json& settings, const Json& model = {{"hidden", {4}}}) {
  const auto family = make<TaskFamilyRegistry>(task, settings, 1);
  const auto net = make<ModelRegistry>("mlp", model, family->spec().shape);
  const auto learner =
      make<LearnerRegistry>("maml", Json::object(), LearnerSetting{*net, family->spec(), 10});
  const State state = learner->init(split_keys(Rng(4), "row", 1), at::kFloat);
  return gallery({*learner, *net, *family, state}, Split::kTest, 3, 0, Rng(5));
}

TEST(Gallery, ATableIsDrawnInItsOwnUnits) {
  std::string text = "home,hour,power\n";
  std::set<std::pair<double, double>> rows;
  double low = INFINITY, high = 0;
  Draws d(Rng(2));
  for (int g = 0; g < 20; ++g) {
    for (int i = 0; i < 12; ++i) {
      const double hour = static_cast<double>(d.below(24)),
                   power = 1000 + 5 * static_cast<double>(d.below(1000));
      text += fmt::format("h{},{},{}\n", g, hour, power);
      rows.insert({hour, power});
      low = std::min(low, power), high = std::max(high, power);
    }
  }
  const Csv csv(text);
  const Json g = drawn("table", {{"path", csv.path}, {"group", "home"}, {"target", "power"}, {"shots", 5}});
  EXPECT_EQ(g["kind"], "curve");
  for (const Json& task : g["tasks"]) {
    EXPECT_EQ(task["axes"], Json({"hour", "power"}));
    for (const char* part : {"support", "query"}) {
      for (size_t i = 0; i < task[part]["x"].size(); ++i) {
        // Drawn to a ten-thousandth of the columns' spread, which is to a hundredth here and to a tenth.
        const double x = std::round(task[part]["x"][i].get<double>()),
                     y = std::round(task[part]["y"][i].get<double>());
        EXPECT_TRUE(rows.contains({x, y})) << x << " " << y;
      }
    }
    for (const Json& y : task["before"])
      EXPECT_TRUE(y > low - 3 * (high - low) && y < high + 3 * (high - low));
    EXPECT_GE(task["truth"]["x"].front().get<double>(), 0);
    EXPECT_LE(task["truth"]["x"].back().get<double>(), 23);
    EXPECT_GT(task["truth"]["x"].back().get<double>() - task["truth"]["x"].front().get<double>(), 8);
  }
}

// Long episodes too are shown to their end, in no more pictures than a page can hold.
TEST(Gallery, AnEpisodeIsShownFromItsBeginningToItsEnd) {
  for (const int64_t limit : {1, 7, 200, 201, 399, 400, 1000}) {
    const Json g = drawn("control", {{"world", {{"kind", "matrix_game"}, {"limit", limit}}}});
    EXPECT_EQ(g["kind"], "world");
    for (const Json& task : g["tasks"]) {
      const Json& frames = task["frames"];
      EXPECT_LE(frames.size(), 201u);
      EXPECT_GE(std::ssize(frames), std::min<int64_t>(limit, 100)) << limit;
      EXPECT_EQ(frames.front()["step"], 0);
      EXPECT_EQ(frames.back()["step"], limit);
      const int64_t every = frames[1]["step"];
      for (size_t i = 2; i < frames.size(); ++i) {
        const int64_t apart = frames[i]["step"].get<int64_t>() - frames[i - 1]["step"].get<int64_t>();
        if (i + 1 < frames.size())
          EXPECT_EQ(apart, every);
        else
          EXPECT_TRUE(apart >= 1 && apart <= every);
      }
    }
  }
}

// A group of few rows stands beside a large one in one tensor; what fills its places is not asked.
TEST(Gallery, PointsAreThoseOfTheGroupEachOnce) {
  std::string text = "who,age,dose,c\n";
  std::map<std::string, std::set<std::pair<double, double>>> rows;
  Draws d(Rng(3));
  for (int g = 0; g < 12; ++g) {
    for (int i = 0; i < (g % 2 == 0 ? 6 : 30); ++i) {
      const double age = 20 + static_cast<double>(d.below(60)), dose = 100 * static_cast<double>(d.below(90));
      if (!rows[fmt::format("g{}", g)].insert({age, dose}).second) continue;
      text += fmt::format("g{},{},{},{}\n", g, age, dose, i % 2 == 0 ? "u" : "v");
    }
  }
  const Csv csv(text);
  const Json g = drawn("table", {{"path", csv.path},
                                 {"group", "who"},
                                 {"target", "c"},
                                 {"predict", "classification"},
                                 {"shots", 2},
                                 {"test_fraction", 0.5}});
  EXPECT_EQ(g["kind"], "points");
  size_t fewest = 100;
  for (const Json& task : g["tasks"]) {
    EXPECT_EQ(task["axes"], Json({"age", "dose"}));
    const auto title = task["title"].get<std::string>();
    const auto& of_group = rows.at(title.substr(title.rfind(' ') + 1));
    std::set<std::pair<double, double>> seen;
    for (const Json& x : task["query"]["x"]) {
      const std::pair at{std::round(x[0].get<double>()), std::round(x[1].get<double>() / 100) * 100};
      EXPECT_TRUE(of_group.contains(at)) << title;
      EXPECT_TRUE(seen.insert(at).second) << title << ": asked twice";
    }
    EXPECT_EQ(task["query"]["label"].size(), seen.size());
    EXPECT_EQ(task["query"]["predicted"].size(), seen.size());
    fewest = std::min(fewest, seen.size());
  }
  EXPECT_LE(fewest, 4u) << "no small group was drawn";
}

}  // namespace
}  // namespace symma
