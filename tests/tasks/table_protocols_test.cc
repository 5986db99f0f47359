// Protocols of published tables: cross-validation, rows that are named, cells that were not measured, classes
// that are made one. And how calibration is measured.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "symma/core/errors.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

std::string file_of(const std::string& text) {
  static int count = 0;
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("symma_protocol_" + std::to_string(::getpid()) + "_" + std::to_string(count++)))
                               .string();
  std::ofstream(path) << text;
  return path;
}

struct Made {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<TaskBatch> batch;
  const Episodes& draw(Split split, int64_t agent = kEveryone, int64_t tasks = 200) {
    batch = family->sample(*model, asks_for(std::vector<int64_t>(tasks, agent), Rng(7)), split);
    return dynamic_cast<const SupervisedBatch&>(*batch).data();
  }
  std::set<std::string> names(Split split) {
    const auto all = draw(split).names;
    return {all.begin(), all.end()};
  }
  // The values of the first input, which tell rows apart.
  std::set<float> rows(Split split, Stage stage) {
    const Episodes& e = draw(split);
    const Tensor x = (stage == Stage::kSupport ? e.support_x : e.query_x).select(2, 0).flatten().contiguous();
    return {x.data_ptr<float>(), x.data_ptr<float>() + x.numel()};
  }
};

Made table(const std::string& path, Json settings, int64_t agents = 1) {
  settings["path"] = path;
  Made m;
  m.family = make<TaskFamilyRegistry>("table", settings, agents);
  m.model = make<ModelRegistry>("mlp", {{"hidden", {4}}}, m.family->spec().shape);
  return m;
}

std::string complaint(const std::string& path, const Json& settings) {
  try {
    (void)table(path, settings);
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

#define EXPECT_HOLDS(text, word) EXPECT_NE((text).find(word), std::string::npos) << (text)

std::string groups(int count, int rows) {
  std::string out = "task,a,y\n";
  for (int g = 0; g < count; ++g)
    for (int i = 0; i < rows; ++i)
      out += "g" + std::to_string(g) + "," + std::to_string(100 * g + i) + "," + std::to_string(g * i) + "\n";
  return out;
}

TEST(CrossValidation, EveryGroupIsTestedOnceAndNeverLearnedFromThen) {
  const std::string path = file_of(groups(7, 9));
  for (const int folds : {2, 3, 7}) {
    std::multiset<std::string> tested;
    for (int fold = 0; fold < folds; ++fold) {
      Made m = table(path, {{"split", "groups"}, {"folds", folds}, {"fold", fold}, {"shots", 3}});
      const auto train = m.names(Split::kTrain), test = m.names(Split::kTest),
                 validation = m.names(Split::kValidation);
      EXPECT_LE(std::abs(static_cast<double>(test.size()) - 7.0 / folds), 1);
      for (const auto& t : test) EXPECT_FALSE(train.contains(t) || validation.contains(t)) << t;
      for (const auto& v : validation) EXPECT_FALSE(train.contains(v)) << v;
      EXPECT_EQ(train.size() + test.size() + validation.size(), 7u);
      tested.insert(test.begin(), test.end());
    }
    EXPECT_EQ(tested.size(), 7u);
    EXPECT_EQ(std::set(tested.begin(), tested.end()).size(), 7u);
  }
}

TEST(CrossValidation, OfRowsEveryRowIsTestedOnce) {
  const std::string path = file_of(groups(2, 12));
  std::multiset<float> tested;
  for (int fold = 0; fold < 3; ++fold) {
    Made m = table(path, {{"split", "rows"},
                          {"folds", 3},
                          {"fold", fold},
                          {"shots", 2},
                          {"standardise", false},
                          {"test_queries", 50}});
    const auto test = m.rows(Split::kTest, Stage::kQuery), learned = m.rows(Split::kTrain, Stage::kSupport);
    EXPECT_EQ(test.size(), 8u);
    for (const float t : test) EXPECT_FALSE(learned.contains(t)) << t;
    tested.insert(test.begin(), test.end());
  }
  EXPECT_EQ(tested.size(), 24u);
  EXPECT_EQ(std::set(tested.begin(), tested.end()).size(), 24u);
}

// Each group has a row of one moment that all share, and others of its own time: without the first, groups
// follow each other.
TEST(Skip, GroupsBeginInTimeWithWhatIsLeftOfThem) {
  std::string text = "task,t,a,y\n";
  for (const int g : {4, 0, 9, 2, 7, 5, 1, 8, 3, 6})
    for (int i = 0; i < 8; ++i)
      text += "g" + std::to_string(g) + "," + std::to_string(i == 0 ? 0 : 100 * (g + 1) + i) + "," +
              std::to_string(10 * g + i) + "," + std::to_string(g * i) + "\n";
  Made m = table(file_of(text), {{"time", "t"}, {"skip", 1}, {"shots", 3}});
  const auto train = m.names(Split::kTrain), validation = m.names(Split::kValidation),
             test = m.names(Split::kTest);
  ASSERT_FALSE(train.empty() || validation.empty() || test.empty());
  EXPECT_LT(*train.rbegin(), *validation.begin()) << "who is learned from is earlier";
  EXPECT_LT(*validation.rbegin(), *test.begin());
  EXPECT_EQ(*test.rbegin(), "g9");
}

TEST(CrossValidation, SaysWhatCannotBe) {
  const std::string path = file_of(groups(3, 9));
  const auto with = [](Json more) {
    more["shots"] = 3;
    return more;
  };
  EXPECT_HOLDS(complaint(path, with({{"split", "groups"}, {"folds", 4}})), "2 to 3");
  EXPECT_HOLDS(complaint(path, with({{"split", "groups"}, {"folds", 1}})), "folds");
  EXPECT_HOLDS(complaint(path, with({{"split", "groups"}, {"folds", 3}, {"fold", 3}})), "counted from 0");
  EXPECT_HOLDS(complaint(path, with({{"folds", 3}})), "split = \"groups\"");
  EXPECT_HOLDS(complaint(path, with({{"split", "rows"}, {"folds", 3}, {"time", "a"}, {"features", {"a"}}})),
               "have times");
}

TEST(SplitKey, AnotherKeyIsAnotherSplitOfTheSameSizes) {
  const std::string path = file_of(groups(20, 9));
  std::set<std::set<std::string>> seen;
  for (int key = 0; key < 4; ++key) {
    Made m = table(path, {{"split_key", key}, {"shots", 3}}),
         again = table(path, {{"split_key", key}, {"shots", 3}});
    const auto test = m.names(Split::kTest);
    EXPECT_EQ(test.size(), 4u);
    EXPECT_EQ(test, again.names(Split::kTest));
    seen.insert(test);
  }
  EXPECT_EQ(seen.size(), 4u);
}

TEST(NamedRows, AreTheSupportWhenJudgedAndAllOthersTheQuery) {
  const std::string path = file_of(groups(6, 8));
  Made m = table(path, {{"skip", 1}, {"shots", 3}, {"support", {7, 3}}, {"standardise", false}});
  for (const Split split : {Split::kValidation, Split::kTest}) {
    const Episodes& e = m.draw(split);
    ASSERT_EQ(e.support_x.size(1), 2);
    ASSERT_EQ(e.query_x.size(1), 5);
    for (int64_t t = 0; t < e.support_x.size(0); ++t) {
      const double first = std::floor(e.support_x[t][0][0].item<double>() / 100) * 100;
      std::set<double> known, asked;
      for (int64_t i = 0; i < 2; ++i) known.insert(e.support_x[t][i][0].item<double>() - first);
      for (int64_t i = 0; i < 5; ++i) asked.insert(e.query_x[t][i][0].item<double>() - first);
      EXPECT_EQ(known, (std::set<double>{3, 7}));
      EXPECT_EQ(asked, (std::set<double>{1, 2, 4, 5, 6}));
    }
  }
  // While training they are drawn.
  EXPECT_EQ(m.draw(Split::kTrain).support_x.size(1), 3);
  EXPECT_GT(m.rows(Split::kTrain, Stage::kSupport).size(), 7u);
  EXPECT_HOLDS(complaint(path, {{"shots", 3}, {"support", {9}}}), "names row 9");
  EXPECT_HOLDS(complaint(path, {{"shots", 3}, {"support", {2, 2}}}), "twice");
  EXPECT_HOLDS(complaint(path, {{"shots", 3}, {"support", {2}}, {"split", "rows"}}), "cuts them");
  EXPECT_HOLDS(complaint(path, {{"shots", 3}, {"support", {0}}}), "support");
  EXPECT_HOLDS(complaint(path, {{"skip", 8}, {"shots", 1}}), "0 rows");
}

TEST(Unmeasured, ANumberThatStandsForNothingIsAnEmptyCell) {
  std::string zeros = "task,a,b,y\n", empty = zeros;
  for (int g = 0; g < 5; ++g)
    for (int i = 0; i < 8; ++i) {
      const std::string start = "g" + std::to_string(g) + "," + std::to_string(i * i % 5 + 1) + ",";
      const bool gone = (g + i) % 3 == 0;
      zeros += start + (gone ? "0.0" : std::to_string(i + 1)) + "," + std::to_string(i) + "\n";
      empty += start + (gone ? "" : std::to_string(i + 1)) + "," + std::to_string(i) + "\n";
    }
  Made a = table(file_of(zeros), {{"unmeasured", {"b=0"}}, {"missing", "mean"}, {"shots", 2}}),
       b = table(file_of(empty), {{"missing", "mean"}, {"shots", 2}});
  EXPECT_EQ(a.family->spec().shape.in, (std::vector<int64_t>{3}));
  EXPECT_TRUE(a.draw(Split::kTrain).support_x.equal(b.draw(Split::kTrain).support_x));
  const std::string path = file_of(zeros);
  EXPECT_HOLDS(complaint(path, {{"unmeasured", {"b=0"}}, {"shots", 2}}), "was not measured");
  EXPECT_HOLDS(complaint(path, {{"unmeasured", {"b"}}, {"shots", 2}}), "COLUMN=NUMBER");
  EXPECT_HOLDS(complaint(path, {{"unmeasured", {"b=x"}}, {"shots", 2}}), "COLUMN=NUMBER");
  EXPECT_HOLDS(complaint(path, {{"unmeasured", {"c=0"}}, {"shots", 2}}), "no column \"c\"");
  EXPECT_HOLDS(complaint(path, {{"unmeasured", {"y=0"}}, {"shots", 2}}), "not predicted from");
  EXPECT_HOLDS(
      complaint(path, {{"unmeasured", {"b=0"}}, {"missing", "mean"}, {"standardise", false}, {"shots", 2}}),
      "standardise");
}

TEST(Positive, SomeValuesAreYesAndOthersNo) {
  std::string text = "task,a,y\n";
  for (int g = 0; g < 5; ++g)
    for (int i = 0; i < 10; ++i)
      text += "g" + std::to_string(g) + "," + std::to_string(i) + "," + std::to_string(i % 5) + "\n";
  const std::string path = file_of(text);
  const Json sick{{"predict", "classification"},
                  {"positive", {"1", "2", "3", "4"}},
                  {"shots", 1},
                  {"standardise", false}};
  Made m = table(path, sick);
  EXPECT_EQ(m.family->spec().shape.out, 2);
  const Episodes& e = m.draw(Split::kTrain);
  EXPECT_TRUE(
      e.query_y.eq(e.query_x.select(2, 0).to(at::kLong).remainder(5).gt(0).to(at::kLong)).all().item<bool>());
  Json wrong = sick;
  wrong["positive"] = {"7"};
  EXPECT_HOLDS(complaint(path, wrong), "[task] positive");
  wrong = sick;
  wrong["predict"] = "regression";
  EXPECT_HOLDS(complaint(path, wrong), "the target is a number");
}

// Bins by hand: confidences .55 (right), .62 (wrong), .68 (right), .95 (right): |.55 - 1|/4 in the bin of
// .5, |.62 + .68 - 1|/4 in that of .6, |.95 - 1|/4 in that of .9.
TEST(Calibration, IsTheGapBetweenConfidenceAndHitsByBins) {
  const auto model = make<ModelRegistry>("mlp", {{"hidden", Json::array()}}, ModelShape{{1}, 2});
  Episodes e;
  const auto logit = [](double p) { return std::log(p / (1 - p)); };
  e.query_x = at::tensor({logit(.55), logit(.62), logit(.68), logit(.95)}, at::kDouble).view({1, 4, 1});
  e.support_x = e.query_x;
  e.query_y = e.support_y = at::tensor({1, 0, 1, 1}, at::kLong).view({1, 4});
  Tensor row = at::zeros({1, model->layout().size()}, at::kDouble);
  model->layout().view(row, "head.weight").copy_(at::tensor({0., 1.}, at::kDouble).view({1, 1, 2}));
  const SupervisedBatch plain(*model, Kind::kClassification, e, Mode::kEval);
  EXPECT_NEAR(plain.score(row, Rng(1)).at("calibration_error").item<double>(), (.45 + .30 + .05) / 4, 1e-9);
  e.query_weight = at::tensor({1., 1., 0., 2.}).view({1, 4});
  const SupervisedBatch weighted(*model, Kind::kClassification, e, Mode::kEval);
  EXPECT_NEAR(weighted.score(row, Rng(1)).at("calibration_error").item<double>(), (.45 + .62 + .10) / 4,
              1e-9);
}

}  // namespace
}  // namespace symma
