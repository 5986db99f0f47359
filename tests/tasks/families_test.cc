// What every task family must keep to, and what each promises.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>

#include "symma/tasks/csv.h"
#include "symma/tasks/deal.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

const std::string kOmniglot = std::string(SYMMA_SOURCE_DIR) + "/../shared/data/omniglot/";

std::string table_file() {
  const std::string path = testing::TempDir() + "families.csv";
  std::ofstream csv(path);
  csv << "home,hour,sun,load\n";
  Draws d(Rng(1));
  for (int home = 0; home < 10; ++home) {
    for (int i = 0; i < 30; ++i)
      csv << "h" << home << "," << i << "," << d.uniform() << "," << home + d.normal() << "\n";
  }
  return path;
}

struct Made {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
};

Made family(const std::string& kind, const Json& settings, int64_t agents) {
  Made m;
  m.family = make<TaskFamilyRegistry>(kind, settings, agents);
  m.model = make<ModelRegistry>("mlp", {{"hidden", {4}}}, m.family->spec().shape);
  return m;
}

Made any(const std::string& kind, int64_t agents) {
  if (kind == "table")
    return family(kind,
                  {{"path", table_file()},
                   {"group", "home"},
                   {"target", "load"},
                   {"test_fraction", 0.3},
                   {"ood_groups", {"h9"}}},
                  agents);
  if (kind == "images")
    return family(kind,
                  {{"path", {kOmniglot + "images_background_small1.zip"}},
                   {"test_fraction", 0.2},
                   {"validation_fraction", 0.2},
                   {"ood_alphabets", {"Latin"}}},
                  agents);
  return family(kind, {}, agents);
}

std::unique_ptr<TaskBatch> draw(const Made& m, std::vector<int64_t> agents, Split split, uint64_t key = 1) {
  return m.family->sample(*m.model, asks_for(agents, Rng(key)), split);
}

const Episodes& data(const TaskBatch& b) {
  return dynamic_cast<const SupervisedBatch&>(b).data();
}

class EveryFamily : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "images" && !std::filesystem::exists(kOmniglot))
      GTEST_SKIP() << "the drawings are not beside this checkout";
  }
};

TEST_P(EveryFamily, EqualKeysGiveEqualTasksAndOthersDiffer) {
  const Made m = any(GetParam(), 2);
  const auto a = draw(m, {0, 1}, Split::kTrain), b = draw(m, {0, 1}, Split::kTrain),
             c = draw(m, {0, 1}, Split::kTrain, 2);
  EXPECT_TRUE(data(*a).support_x.equal(data(*b).support_x));
  EXPECT_TRUE(data(*a).query_y.equal(data(*b).query_y));
  EXPECT_FALSE(data(*a).support_x.equal(data(*c).support_x));
}

TEST_P(EveryFamily, APlaceDependsOnItsOwnKeyAlone) {
  const Made m = any(GetParam(), 2);
  const auto one = draw(m, {0}, Split::kTrain), three = draw(m, {0, 1, 1}, Split::kTrain);
  EXPECT_TRUE(data(*one).support_x[0].equal(data(*three).support_x[0]));
}

TEST_P(EveryFamily, SupportAndQueryShareNoPoint) {
  const Made m = any(GetParam(), 1);
  for (const Split split : {Split::kTrain, Split::kTest, Split::kOod}) {
    const auto b = draw(m, {0, 0, 0}, split);
    const Tensor s = data(*b).support_x.flatten(2), q = data(*b).query_x.flatten(2);
    for (int64_t t = 0; t < 3; ++t) {
      for (int64_t i = 0; i < s.size(1); ++i)
        EXPECT_FALSE((q[t] == s[t][i]).all(1).any().item<bool>()) << split_name(split);
    }
  }
}

TEST_P(EveryFamily, SlicesAreTheSameTasks) {
  const Made m = any(GetParam(), 1);
  const auto all = draw(m, {0, 0, 0, 0}, Split::kTest);
  const Tensor theta = m.model->init(split_keys(Rng(3), "row", 4));
  const auto part = all->slice(1, 3);
  EXPECT_EQ(part->size(), 2);
  EXPECT_TRUE(part->loss(theta.slice(0, 1, 3), Stage::kQuery, Rng(1))
                  .allclose(all->loss(theta, Stage::kQuery, Rng(1)).slice(0, 1, 3)));
}

TEST_P(EveryFamily, FitsItsSpec) {
  const Made m = any(GetParam(), 1);
  const TaskSpec spec = m.family->spec();
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest, Split::kOod}) {
    const auto b = draw(m, {split == Split::kTrain ? 0 : kEveryone}, split);
    std::vector<int64_t> in = data(*b).support_x.sizes().slice(2).vec();
    EXPECT_EQ(in, spec.shape.in);
    EXPECT_TRUE(b->score(m.model->init(split_keys(Rng(1), "row", 1)), Rng(1)).contains(spec.metric));
    if (spec.kind == Kind::kClassification) {
      EXPECT_LT(data(*b).query_y.max().item<int64_t>(), spec.shape.out);
    }
  }
}

// Families of labelled points; worlds, games and functions have suites of their own: control_test.cc,
// games_test.cc and quadratics_test.cc.
std::vector<std::string> families_of_points() {
  auto names = TaskFamilyRegistry::instance().names();
  for (const char* other : {"control", "games", "quadratics"}) std::erase(names, other);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryFamily, testing::ValuesIn(families_of_points()),
                         [](const auto& info) { return info.param; });

TEST(Sinusoid, PointsLieOnASineOfTheAgentsSlice) {
  const Made m = family("sinusoid", {{"shots", 40}, {"queries", 1}}, 6);
  for (int64_t agent = 0; agent < 6; ++agent) {
    const auto b = draw(m, std::vector<int64_t>(50, agent), Split::kTrain);
    const Tensor x = data(*b).support_x.to(at::kDouble), y = data(*b).support_y.to(at::kDouble);
    // y = p sin x + q cos x exactly; the amplitude is |(p, q)|.
    const Tensor basis = at::cat({x.sin(), x.cos()}, 2);
    const Tensor fit = at::bmm(at::linalg_pinv(basis), y);
    EXPECT_LE((at::bmm(basis, fit) - y).abs().max().item<double>(), 1e-4);
    const Tensor amplitude = fit.squeeze(2).norm(2, 1);
    const double width = 4.9 / 6, low = 0.1 + width * static_cast<double>(agent);
    EXPECT_GE(amplitude.min().item<double>(), low - 1e-3);
    EXPECT_LE(amplitude.max().item<double>(), low + width + 1e-3);
  }
}

TEST(Table, ValidationIsOfGroupsOfItsOwnByDefault) {
  const Made m = family("table", {{"path", table_file()}, {"group", "home"}, {"target", "load"}}, 1);
  std::map<Split, std::set<std::string>> seen;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    const auto b = draw(m, std::vector<int64_t>(200, kEveryone), split);
    for (const auto& name : dynamic_cast<const Named&>(*b).names()) seen[split].insert(name);
  }
  EXPECT_EQ(seen[Split::kTrain].size(), 7u);
  EXPECT_EQ(seen[Split::kValidation].size(), 1u);
  EXPECT_EQ(seen[Split::kTest].size(), 2u);
  const auto& family = dynamic_cast<const Remembers&>(*m.family);
  for (const auto& name : seen[Split::kTrain]) EXPECT_TRUE(family.trained_on(name));
  for (const Split split : {Split::kValidation, Split::kTest})
    for (const auto& name : seen[split]) EXPECT_FALSE(family.trained_on(name)) << name;
}

TEST(Images, TestAlphabetsAreApartAndRotationsAreNewClasses) {
  if (!std::filesystem::exists(kOmniglot)) GTEST_SKIP() << "the drawings are not beside this checkout";
  const Json settings{
      {"path", {kOmniglot + "images_background_small1.zip", kOmniglot + "images_background_small2.zip"}},
      {"train_alphabets", {"Balinese", "Early_Aramaic", "Greek", "Korean", "Latin"}},
      {"split_by", "class"},
      {"test_alphabets", {"Japanese_(katakana)", "Sanskrit", "Tagalog"}}};
  const Made m = family("images", settings, 5);
  // 24 + 22 + 24 + 40 + 26 characters, 14 of which are for validation, each in four turns.
  EXPECT_EQ(m.family->spec().classes, (136 - 14) * 4);
  const auto train = draw(m, {0, 4}, Split::kTrain),
             test = draw(m, std::vector<int64_t>(40, kEveryone), Split::kTest);
  EXPECT_EQ(data(*train).titles[0], "Balinese");
  EXPECT_EQ(data(*train).titles[1], "Latin");
  std::set<std::string> alphabets;
  for (const auto& t : data(*test).titles) alphabets.insert(t);
  EXPECT_TRUE(alphabets.contains("Japanese_(katakana), Sanskrit, Tagalog"));
  const Tensor ink = data(*train).support_x;
  EXPECT_GE(ink.min().item<double>(), 0);
  EXPECT_LE(ink.max().item<double>(), 1);
  EXPECT_GT(ink.mean().item<double>(), 0.01);  // strokes are few
  EXPECT_LT(ink.mean().item<double>(), 0.3);
}

TEST(Images, WithinOneAlphabet) {
  if (!std::filesystem::exists(kOmniglot)) GTEST_SKIP() << "the drawings are not beside this checkout";
  const Made m = family(
      "images", {{"path", {kOmniglot + "images_background_small1.zip"}}, {"within_alphabet", true}}, 1);
  const auto b = draw(m, std::vector<int64_t>(20, kEveryone), Split::kTrain);
  for (const auto& t : data(*b).titles) EXPECT_EQ(t.find(','), std::string::npos) << t;
}

TEST(Images, TrainingMayHaveMoreWaysAndJitter) {
  if (!std::filesystem::exists(kOmniglot)) GTEST_SKIP() << "the drawings are not beside this checkout";
  Json settings{{"path", {kOmniglot + "images_background_small1.zip"}}, {"train_ways", 20}};
  const Made plain = family("images", settings, 1);
  settings["jitter"] = 0.1;
  const Made moved = family("images", settings, 1);
  const auto a = draw(plain, {0, 0}, Split::kTrain), b = draw(moved, {0, 0}, Split::kTrain);
  EXPECT_EQ(data(*a).support_x.size(1), 20);
  EXPECT_EQ(data(*a).query_y.max().item<int64_t>(), 19);
  EXPECT_EQ(plain.family->spec().shape.out, 20);
  // The first image is of the same drawing, moved by less than the margin: the ink is the same within scale.
  const Tensor x = data(*a).support_x[0][0], y = data(*b).support_x[0][0];
  EXPECT_FALSE(x.equal(y));
  EXPECT_NEAR(y.sum().item<double>() / x.sum().item<double>(), 1, 0.35);
  // What is judged is as it was drawn, in as many ways as asked.
  const auto c = draw(plain, {0}, Split::kTest), d = draw(moved, {0}, Split::kTest);
  EXPECT_EQ(data(*c).support_x.size(1), 5);
  EXPECT_TRUE(data(*c).query_x.equal(data(*d).query_x));
  EXPECT_THROW(family("images", {{"path", settings["path"]}, {"train_ways", 3}}, 1), UserError);
  EXPECT_THROW(family("images", {{"path", settings["path"]}, {"train_ways", 600}}, 1), UserError);
}

TEST(Table, StandardisesByTrainingRowsAndDealsGroups) {
  const Made m = any("table", 3);
  const auto* shares = dynamic_cast<const Shares*>(m.family.get());
  std::set<std::string> held;
  for (int64_t a = 0; a < 3; ++a) held.insert(shares->share(a));
  EXPECT_EQ(held.size(), 3u);
  const auto b = draw(m, std::vector<int64_t>(400, kEveryone), Split::kTrain);
  EXPECT_NEAR(data(*b).support_x.mean().item<double>(), 0, 0.1);
  EXPECT_NEAR(data(*b).support_y.std().item<double>(), 1, 0.15);
}

TEST(Csv, QuotesBlankLinesAndLineNumbers) {
  const std::string path = testing::TempDir() + "quoted.csv";
  std::ofstream(path) << "name,value\r\n\"a, \"\"b\"\"\",1\r\n\r\n\"two\nlines\",2.5\r\nlast,-3e2";
  const CsvFile csv = CsvFile::load(path);
  ASSERT_EQ(csv.rows.size(), 3u);
  EXPECT_EQ(csv.rows[0][0], "a, \"b\"");
  EXPECT_EQ(csv.rows[1][0], "two\nlines");
  EXPECT_EQ(csv.number(1, 1), 2.5);
  EXPECT_EQ(csv.number(2, 1), -300);
  EXPECT_EQ(csv.lines, (std::vector<int>{2, 4, 6}));
  EXPECT_THROW(csv.column("valeu"), UserError);
}

// Every part that has a fraction has items of its own; where they are too few, it is said what to set.
TEST(Deal, NobodyIsJudgedOnWhatHeLearnsFrom) {
  for (const double validation : {1e-6, 0.1, 0.4}) {
    for (int64_t n = 3; n < 30; ++n) {
      std::vector<int64_t> items(n);
      std::iota(items.begin(), items.end(), 0);
      const Parts p = part_items(items, Fractions{validation, 0.2}, "x", "some");
      EXPECT_FALSE(p.train.empty() || p.validation.empty() || p.test.empty()) << n << " " << validation;
      EXPECT_EQ(p.train.size() + p.validation.size() + p.test.size(), items.size());
      // A validation of its own comes out of training: the test stays what it was.
      EXPECT_EQ(p.test, part_items(items, Fractions{std::nullopt, 0.2}, "x", "some").test);
      const Parts in_order = part_in_order(items, Fractions{validation, 0.2}, "some");
      EXPECT_LT(in_order.train.back(), in_order.validation.front());
      EXPECT_LT(in_order.validation.back(), in_order.test.front());
    }
  }
  const auto complaint = [](int64_t n, const Fractions& f) {
    try {
      (void)part_items(std::vector<int64_t>(n), f, "x", "t.csv has 2 groups");
    } catch (const UserError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  for (const auto& word : {"t.csv has 2 groups", "training, validation and test", "3 or more", "test_path"})
    EXPECT_NE(complaint(2, {0.1, 0.2}).find(word), std::string::npos) << complaint(2, {0.1, 0.2});
  EXPECT_NE(complaint(5, {0, 0.2}).find("validation_fraction"), std::string::npos);
  EXPECT_NE(complaint(5, {0.1, 0}).find("test_fraction"), std::string::npos);
  EXPECT_EQ(complaint(2, {0.1, std::nullopt}), "");
}

TEST(Deal, PartsAreDisjointAndWhole) {
  std::vector<int64_t> items{3, 1, 4, 15, 9, 2, 6};
  const Parts p = part_items(items, Fractions{0.2, 0.3}, "x", "seven");
  EXPECT_EQ(p.test.size(), 2u);
  EXPECT_EQ(p.validation.size(), 1u);
  std::set<int64_t> all(p.train.begin(), p.train.end());
  all.insert(p.validation.begin(), p.validation.end());
  all.insert(p.test.begin(), p.test.end());
  EXPECT_EQ(all.size(), items.size());
  EXPECT_THROW(part_items(items, Fractions{0.5, 0.5}, "x", "seven"), UserError);
  EXPECT_THROW(deal_items(items, 8, "seven"), UserError);
  EXPECT_EQ(deal_items(items, 2, "")[1], (std::vector<int64_t>{1, 15, 2}));
}

TEST(Deal, DirichletSharesHaveTheDistributionsMoments) {
  // Each share has mean 1 / k and variance (1/k)(1 - 1/k) / (k alpha + 1).
  for (const double alpha : {0.1, 1.0, 10.0}) {
    const int64_t n = 4000, k = 5;
    const auto shares = dirichlet_shares(n, k, alpha);
    double mean = 0, square = 0;
    for (const auto& row : shares) {
      double sum = 0;
      for (double x : row) sum += x;
      EXPECT_NEAR(sum, 1, 1e-12);
      mean += row[2] / n;
      square += row[2] * row[2] / n;
    }
    const double variance = 0.2 * 0.8 / (k * alpha + 1);
    EXPECT_NEAR(mean, 0.2, 5 * std::sqrt(variance / n)) << alpha;
    EXPECT_NEAR(square - mean * mean, variance, 0.1 * variance) << alpha;
  }
}

}  // namespace
}  // namespace symma
