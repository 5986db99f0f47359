// Tables by the roles of their columns: who is judged on what, what is known by then, and what cells may
// hold.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "symma/core/dates.h"
#include "symma/tasks/csv.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

class File {
 public:
  explicit File(const std::string& text) { std::ofstream(path, std::ios::binary) << text; }
  ~File() { std::filesystem::remove(path); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  const std::string path =
      (std::filesystem::temp_directory_path() /
       ("symma_table_" + std::to_string(::getpid()) + "_" + std::to_string(count_++) + ".csv"))
          .string();

 private:
  static inline int count_ = 0;
};

struct Made {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  const Episodes& draw(std::vector<int64_t> agents, Split split) {
    batch = family->sample(*model, asks_for(agents, Rng(7)), split);
    return dynamic_cast<const SupervisedBatch&>(*batch).data();
  }
  std::set<std::string> names(int64_t agent, Split split) {
    const auto all = draw(std::vector<int64_t>(200, agent), split).names;
    return {all.begin(), all.end()};
  }
  std::vector<std::string> warnings() const { return dynamic_cast<const Warns&>(*family).warnings(); }
  // A standardised column back in its own unit, where its mean and deviation in training are known.
  std::unique_ptr<TaskBatch> batch;
};

Made table(const std::string& path, Json settings, int64_t agents = 1) {
  settings["path"] = path;
  Made m;
  m.family = make<TaskFamilyRegistry>("table", settings, agents);
  m.model = make<ModelRegistry>("mlp", {{"hidden", {4}}}, m.family->spec().shape);
  return m;
}

std::string complaint(const std::string& path, const Json& settings, int64_t agents = 1) {
  try {
    (void)table(path, settings, agents);
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

#define EXPECT_HOLDS(text, word) EXPECT_NE((text).find(word), std::string::npos) << (text)

// Blocks of `days` days in turn, whose target goes its own way from day to day.
std::string blocks(int blocks, int days, const std::string& of_day = "") {
  std::string out = "block,day,at,y\n";
  Draws d(Rng(5));
  double y = 0;
  for (int b = 0; b < blocks; ++b)
    for (int i = 0; i < days; ++i)
      out += fmt::format("b{},{},{},{:.6f}\n", b, b * days + i, of_day.empty() ? i : std::stoi(of_day),
                         y += d.normal());
  return out;
}

// ---- time

TEST(Dates, AreReadAsPeopleWriteThem) {
  const auto seconds = [](const std::string& cells) {
    const File file("t\n" + cells);
    const CsvFile csv = CsvFile::load(file.path);
    return dates(csv, 0);
  };
  // By the Unix convention: date -u -d '2017-01-31 22:00' +%s.
  EXPECT_EQ(seconds("2017-01-31 22:00\n"), std::vector<double>{1485900000});
  EXPECT_EQ(seconds("2017-01-31T22:00:00Z\n"), std::vector<double>{1485900000});
  EXPECT_EQ(seconds("2017-01-31T23:00:00.5+01:00\n"), std::vector<double>{1485900000.5});
  EXPECT_EQ(seconds("31.01.2017 22:00:00.000\n1.2.2017\n"), (std::vector<double>{1485900000, 1485907200}));
  EXPECT_EQ(seconds("1970-01-01\n1969-12-31\n2000-02-29\n"), (std::vector<double>{0, -86400, 951782400}));
  // Month first, as in the USA, unless some first number is past 12.
  EXPECT_EQ(seconds("1/2/1970\n"), std::vector<double>{86400});
  EXPECT_EQ(seconds("1/2/1970\n13/2/1970\n"), (std::vector<double>{31 * 86400, 43 * 86400}));
  for (const char* none : {"17\n", "2017-02-29\n", "2017-13-01\n", "1.1.2017x\n", "2017-01-01\n1.1.2017\n",
                           "2017-01-01 25:00\n"})
    EXPECT_FALSE(seconds(none)) << none;
}

// A file to be judged on is read as the training file says, where it could be read in two ways.
TEST(TableInTime, DatesOfOtherFilesAreReadAsThoseTrainedOn) {
  // A row a day from `first` on; y is the number of the day.
  const auto written = [](int groups, int days, int first) {
    std::string out = "home,day,x,y\n";
    for (int g = 0; g < groups; ++g)
      for (int k = days - 1; k >= 0; --k) {  // the newest first: their times order them
        const int day = first + 3 * k;
        out += fmt::format("h{},{:02}/{:02}/2020,{},{}\n", g, 1 + day % 12, 1 + day / 12 % 12, k % 5, k);
      }
    return out;
  };
  const auto in_order = [&](const std::string& train, const std::string& test) {
    const File file(train), other(test);
    Made m = table(file.path, {{"group", "home"},
                               {"target", "y"},
                               {"time", "day"},
                               {"test_path", other.path},
                               {"shots", 4},
                               {"standardise", false}});
    const auto batch =
        m.family->sample(*m.model, asks_for(std::vector<int64_t>{kEveryone}, Rng(1)), Split::kTest);
    const Episodes& e = dynamic_cast<const SupervisedBatch&>(*batch).data();
    return e.support_y.flatten().equal(at::arange(4, at::kFloat));
  };
  const std::string ambiguous = written(3, 12, 2);  // no number past 12
  std::string days = written(12, 12, 2);
  EXPECT_FALSE(in_order(days, ambiguous)) << "the month first, where nothing is said";
  for (size_t at = 0; (at = days.find("12/", at)) != std::string::npos; at += 3) days.replace(at, 2, "13");
  EXPECT_TRUE(in_order(days, ambiguous));
}

TEST(TableInTime, WhatIsLearnedFromComesBeforeWhatIsJudged) {
  const File file(blocks(40, 30));
  const int64_t shots = 10, gap = 5;
  Made m = table(file.path, {{"group", "block"},
                             {"time", "day"},
                             {"features", {"day"}},
                             {"shots", shots},
                             {"gap", gap},
                             {"queries", 8}});
  // Days are the one input; a day is 1 / deviation there, and training is days 0 ... n - 1, less what the gap
  // leaves out.
  std::map<Split, std::pair<double, double>> reach;
  double day = 0;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    const Episodes& e = m.draw(std::vector<int64_t>(100, kEveryone), split);
    if (day == 0) day = (e.support_x[0][1] - e.support_x[0][0]).item<double>();
    for (int64_t t = 0; t < 100; ++t) {
      EXPECT_NEAR((e.support_x[t].max() - e.support_x[t].min()).item<double>(), 9 * day, 1e-3 * day);
      EXPECT_GE((e.query_x[t].min() - e.support_x[t].max()).item<double>(), (gap + 1) * day * 0.999);
    }
    const Tensor all = at::cat({e.support_x.flatten(), e.query_x.flatten()});
    reach[split] = {all.min().item<double>(), all.max().item<double>()};
  }
  // Sides follow each other, a gap between: blocks next to what judges are left out, which is told.
  EXPECT_LT(reach[Split::kTrain].second, reach[Split::kValidation].first - gap * day);
  EXPECT_LT(reach[Split::kValidation].second, reach[Split::kTest].first - gap * day);
  ASSERT_EQ(m.warnings().size(), 1u);
  EXPECT_HOLDS(m.warnings()[0], "2 of 40 groups");
  // When judged, the queries are those that follow.
  const Episodes& e = m.draw({kEveryone}, Split::kTest);
  EXPECT_EQ(e.query_x.size(1), 30 - shots - gap);
}

// Each fold is tested on what comes after all that it has learned from.
TEST(TableInTime, WalksForward) {
  const File file(blocks(12, 20));
  std::set<std::string> tested;
  for (int64_t fold = 0; fold < 3; ++fold) {
    Made m =
        table(file.path, {{"group", "block"}, {"time", "day"}, {"folds", 3}, {"fold", fold}, {"shots", 5}});
    const auto train = m.names(kEveryone, Split::kTrain), test = m.names(kEveryone, Split::kTest);
    EXPECT_EQ(test.size(), 3u);
    for (const auto& t : test) {
      EXPECT_TRUE(tested.insert(t).second) << "in two folds: " << t;
      for (const auto& other : train) EXPECT_LT(std::stoi(other.substr(1)), std::stoi(t.substr(1)));
    }
  }
  EXPECT_EQ(tested.size(), 9u);
  const Json settings{{"group", "block"}, {"time", "day"}, {"shots", 5}, {"folds", 3}, {"fold", 3}};
  EXPECT_HOLDS(complaint(file.path, settings), "folds are counted from 0");
  EXPECT_HOLDS(complaint(file.path, {{"group", "block"}, {"shots", 5}, {"folds", 3}}), "time = ");
}

TEST(TableInTime, GroupsThatShareTheirTimeAreSplitAsGroups) {
  std::string text = "person,hour,y\n";
  for (int p = 0; p < 10; ++p)
    for (int h = 0; h < 8; ++h) text += fmt::format("p{},{},{}\n", p, h + 0.1 * p, h * p);
  const File file(text);
  Made m = table(file.path, {{"group", "person"}, {"time", "hour"}, {"features", {"hour"}}, {"shots", 3}});
  EXPECT_EQ(m.names(kEveryone, Split::kTest).size(), 2u);
  EXPECT_EQ(m.names(kEveryone, Split::kTrain).size(), 7u);
  EXPECT_HOLDS(
      complaint(
          file.path,
          {{"group", "person"}, {"time", "hour"}, {"features", {"hour"}}, {"shots", 3}, {"split", "time"}}),
      "reaches into the time");
  // Or the later rows of everybody judge.
  Made rows = table(file.path, {{"group", "person"},
                                {"time", "hour"},
                                {"features", {"hour"}},
                                {"shots", 2},
                                {"split", "rows"},
                                {"test_fraction", 0.25}});
  EXPECT_EQ(rows.names(kEveryone, Split::kTest).size(), 10u);
  const Episodes& e = rows.draw(std::vector<int64_t>(50, kEveryone), Split::kTest);
  EXPECT_EQ(e.query_x.size(1), 2);
  EXPECT_TRUE((std::get<0>(e.support_x.max(1)) < std::get<0>(e.query_x.min(1))).all().item<bool>());
}

// The case that gave it away: on blocks of a market, copying the nearest day that was shown "explains" nine
// tenths of a volatility that cannot be foretold so. Real prices: S&P 500, 1999-2018.
TEST(TableInTime, CopyingTheNearestDayOfAMarketEarnsNothing) {
  const std::string prices = std::string(SYMMA_SOURCE_DIR) + "/../shared/data/market/sp500.csv.gz";
  if (!std::filesystem::exists(prices)) GTEST_SKIP() << "the prices are not beside this checkout";
  const CsvFile csv = CsvFile::load(prices);
  std::vector<double> close;
  for (size_t r = 0; r < csv.rows.size(); ++r) close.push_back(csv.number(r, csv.column("Close")));
  // What varies in the coming 20 days, within blocks of 60 days: its logarithm less the block's mean.
  std::string text = "block,date,day,y\n";
  const size_t ahead = 20, days = 60;
  for (size_t b = 0; (b + 1) * days + ahead < close.size(); ++b) {
    std::vector<double> y;
    double mean = 0;
    for (size_t i = 0; i < days; ++i) {
      double sum = 0;
      for (size_t k = 1; k <= ahead; ++k)
        sum += std::pow(std::log(close[b * days + i + k] / close[b * days + i + k - 1]), 2);
      y.push_back(std::log(sum));
      mean += y.back() / days;
    }
    for (size_t i = 0; i < days; ++i)
      text += fmt::format("{},{},{},{:.6f}\n", b, csv.rows[b * days + i][0], b * days + i, y[i] - mean);
  }
  const File file(text);
  // The share of the variance that is left when a query gets the target of the nearest day shown.
  const auto cheat = [&](Json settings) {
    settings.update({{"group", "block"}, {"features", {"day"}}, {"shots", 20}});
    Made m = table(file.path, settings);
    const Episodes& e = m.draw(std::vector<int64_t>(200, kEveryone), Split::kTest);
    const Tensor nearest = at::cdist(e.query_x.to(at::kDouble), e.support_x.to(at::kDouble)).argmin(2);
    const Tensor copied = e.support_y.squeeze(2).gather(1, nearest), y = e.query_y.squeeze(2);
    return ((copied - y).square().mean() / y.square().mean()).item<double>();
  };
  const double shuffled = cheat(Json::object()), honest = cheat({{"time", "date"}, {"gap", 20}});
  EXPECT_LT(shuffled, 0.25);
  EXPECT_GT(honest, 1.0);
}

TEST(Table, TimeThatNobodyNamedIsWarnedOf) {
  const File file(blocks(10, 20, "3"));
  const auto found = table(file.path, {{"group", "block"}, {"shots", 5}}).warnings();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_HOLDS(found[0], "column day rises in every group");
  EXPECT_HOLDS(found[0], "time = \"day\"");
  EXPECT_TRUE(table(file.path, {{"group", "block"}, {"shots", 5}, {"time", "day"}}).warnings().empty());
  std::string text = "g,when,x,y\n";
  for (int g = 0; g < 5; ++g)
    for (int i = 0; i < 6; ++i)
      text += fmt::format("g{},2017-0{}-1{},{},{}\n", g, g + 1, (i * 5) % 6, (i * 5) % 6, i);
  const File dated(text);
  Made m = table(dated.path, {{"group", "g"}, {"shots", 3}});
  ASSERT_EQ(m.warnings().size(), 1u);
  EXPECT_HOLDS(m.warnings()[0], "column when is a date and not predicted from");
  EXPECT_EQ(m.family->spec().shape.in, std::vector<int64_t>{1});
  EXPECT_HOLDS(
      complaint(dated.path, {{"group", "g"}, {"shots", 3}, {"time", "y"}, {"target", "x"}, {"weight", "x"}}),
      "another role");
  const File bad("g,when,y\na,2017-01-01,1\na,soon,2\n");
  EXPECT_HOLDS(complaint(bad.path, {{"group", "g"}, {"time", "when"}, {"features", {"y"}}, {"target", "y"}}),
               "target");
}

// ---- who is where

// Homes with weeks: weeks have the same names in each, and homes stand with two clinics... of power.
std::string homes() {
  std::string out = "firm,home,week,x,y\n";
  Draws d(Rng(3));
  for (int h = 0; h < 8; ++h)
    for (int w = 0; w < 5; ++w)
      for (int i = 0; i < 6; ++i)
        out += fmt::format("firm{},home{},{},{:.4f},{:.4f}\n", h % 4, h, w, d.normal(), d.normal());
  return out;
}

TEST(TableSides, WeeksOfOneHomeNeverStandOnTwo) {
  const File file(homes());
  Made m = table(file.path, {{"group", "week"}, {"split_by", "home"}, {"features", {"x"}}, {"shots", 3}}, 2);
  std::map<std::string, Split> side;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest})
    for (const auto& home : m.names(kEveryone, split)) EXPECT_TRUE(side.emplace(home, split).second) << home;
  EXPECT_EQ(side.size(), 8u);
  // A task is a week of one home: six rows, three of which are shown. Of one name alone it would be 48.
  EXPECT_EQ(m.draw({0}, Split::kTest).query_x.size(1), 3);
  EXPECT_HOLDS(m.draw({0}, Split::kTest).titles[0], "home");
  // Homes are dealt whole.
  for (const auto& home : m.names(0, Split::kTrain)) EXPECT_FALSE(m.names(1, Split::kTrain).contains(home));
  Made ood = table(file.path, {{"group", "week"},
                               {"split_by", "home"},
                               {"features", {"x"}},
                               {"shots", 3},
                               {"ood_groups", {"home3"}}});
  EXPECT_EQ(ood.names(kEveryone, Split::kOod), std::set<std::string>{"home3"});
}

TEST(TableSides, TheColumnOfAgentsSaysWhoHoldsWhat) {
  const File file(homes());
  const Json settings{
      {"group", "home"}, {"agent", "firm"}, {"features", {"x"}}, {"shots", 3}, {"test_fraction", 0.4}};
  Made m = table(file.path, settings, 3);
  const auto firm_of = [](const std::string& home) { return std::stoi(home.substr(4)) % 4; };
  for (const Split split : {Split::kTrain, Split::kTest}) {
    std::map<int, int64_t> agent_of;
    for (int64_t a = 0; a < 3; ++a) {
      std::set<std::string> own;
      try {
        own = m.names(a, split);
      } catch (const UserError& e) {
        EXPECT_HOLDS(std::string(e.what()), "holds no group");
        continue;
      }
      for (const auto& home : own) EXPECT_EQ(agent_of.emplace(firm_of(home), a).first->second, a) << home;
    }
  }
  EXPECT_HOLDS(complaint(file.path, settings, 5), "holders of training groups");
}

TEST(TableSides, OtherDataLeavesTrainingAsItWas) {
  const File file(homes());
  // Another scale, half of the homes known.
  std::string text = "firm,home,week,x,y\n";
  for (int h = 6; h < 10; ++h)
    for (int i = 0; i < 8; ++i) text += fmt::format("f,home{},1,{},{}\n", h, 100 + i, 1000 * h + i);
  const File other(text);
  const Json settings{{"group", "home"}, {"features", {"x"}}, {"shots", 3}};
  Made before = table(file.path, settings), after = table(file.path, settings);
  dynamic_cast<OtherTests&>(*after.family).test_on(other.path);
  EXPECT_TRUE(
      before.draw({0, 0}, Split::kTrain).support_x.equal(after.draw({0, 0}, Split::kTrain).support_x));
  const auto test = after.names(kEveryone, Split::kTest);
  EXPECT_EQ(test, (std::set<std::string>{"home6", "home7", "home8", "home9"}));
  const auto trained = before.names(kEveryone, Split::kTrain);
  for (const auto& home : test)
    EXPECT_EQ(dynamic_cast<const Remembers&>(*after.family).trained_on(home), trained.contains(home)) << home;
  // Rows that were trained on are known under another name too.
  std::string renamed = homes();
  for (size_t at = renamed.find('\n'); (at = renamed.find("home", at + 5)) != std::string::npos;)
    renamed.replace(at, 4, "casa");
  const File copy(renamed);
  dynamic_cast<OtherTests&>(*after.family).test_on(copy.path);
  size_t known = 0;
  for (const auto& home : after.names(kEveryone, Split::kTest))
    known += dynamic_cast<const Remembers&>(*after.family).trained_on(home);
  EXPECT_EQ(known, trained.size());
  // With a test of its own, all groups but those of validation train.
  Json with = settings;
  with["test_path"] = other.path;
  EXPECT_EQ(table(file.path, with).names(kEveryone, Split::kTrain).size(), 7u);
}

// ---- cells

TEST(TableCells, WeightsCount) {
  std::string text = "task,x,w,y\n";
  Draws d(Rng(4));
  for (int g = 0; g < 6; ++g)
    for (int i = 0; i < 9; ++i)
      text += fmt::format("g{},{:.4f},{:.4f},{:.4f}\n", g, d.normal(), 0.1 + d.uniform(), d.normal());
  const File file(text);
  Made m = table(file.path, {{"weight", "w"}, {"shots", 4}});
  EXPECT_EQ(m.family->spec().shape.in, std::vector<int64_t>{1});
  const Episodes& e = m.draw({0, 0}, Split::kTest);
  const Tensor theta = m.model->init(split_keys(Rng(3), "row", 2));
  const auto& b = dynamic_cast<const SupervisedBatch&>(*m.batch);
  for (const auto& [stage, x, y, w] :
       {std::tuple{Stage::kSupport, e.support_x, e.support_y, e.support_weight},
        {Stage::kQuery, e.query_x, e.query_y, e.query_weight}}) {
    ASSERT_TRUE(w.defined());
    const Tensor square = (b.predict(theta, x) - y).square().squeeze(2);
    EXPECT_TRUE(b.loss(theta, stage, Rng(1)).allclose((square * w).sum(1) / w.sum(1)));
    EXPECT_GT((w.max() - w.min()).item<double>(), 0.1);
  }
  const File bad("task,x,w,y\na,1,0,1\na,2,1,1\n");
  EXPECT_HOLDS(complaint(bad.path, {{"weight", "w"}, {"shots", 1}}), "a weight is above 0");
}

TEST(TableCells, MissingOnesAreRefusedFilledOrLeftOut) {
  std::string text = "task,x,z,y\n";
  for (int g = 0; g < 6; ++g)
    for (int i = 0; i < 8; ++i) {
      const char* words[] = {"", "NA", "nan", "?"};
      text += fmt::format("g{},{},{},{}\n", g, i == g ? words[g % 4] : std::to_string(i), (i * 3) % 8, i);
    }
  const File file(text);
  EXPECT_HOLDS(complaint(file.path, {{"shots", 3}}), ":2: column x: \"\" is not a finite number");
  EXPECT_HOLDS(complaint(file.path, {{"shots", 3}}), "missing = \"mean\" or \"row\"");
  Made rows = table(file.path, {{"shots", 3}, {"missing", "row"}});
  EXPECT_EQ(rows.draw({0}, Split::kTest).query_x.size(1), 4);
  EXPECT_HOLDS(rows.warnings()[0], "6 rows");
  Made mean = table(file.path, {{"shots", 3}, {"missing", "mean"}});
  EXPECT_EQ(mean.family->spec().shape.in, std::vector<int64_t>{3});  // x, z, and where x is missing
  const Episodes& e = mean.draw(std::vector<int64_t>(20, kEveryone), Split::kTest);
  const Tensor all = at::cat({e.support_x, e.query_x}, 1);  // eight rows of a group, one of them with a hole
  EXPECT_TRUE((all.select(2, 2).sum(1) == 1).all().item<bool>());
  EXPECT_EQ(all.select(2, 0).masked_select(all.select(2, 2) == 1).abs().max().item<double>(), 0);
  const File few("x,z,y\n1,2,3\n,2,4\nNA,5,\n6,7,\n");
  const auto reading = dynamic_cast<const FewShot&>(*mean.family).read(few.path);
  EXPECT_EQ(reading.episode.support_x.size(1), 2);
  EXPECT_EQ(reading.episode.query_x[0][0][2].item<double>(), 1);
  EXPECT_EQ(reading.episode.query_x[0][0][0].item<double>(), 0);
  EXPECT_EQ(reading.query_names[0], "NA,5");
}

// A file of two homes was adapted to as if it were one, without a word.
TEST(TableCells, ExamplesOfTwoTasksAreNotOne) {
  std::string text = "home,street,x,y\n";
  for (int g = 0; g < 8; ++g)
    for (int i = 0; i < 8; ++i) text += fmt::format("h{},s{},{},{}\n", g, g / 2, (i * 3) % 8, i);
  const File file(text);
  Made m = table(file.path, {{"group", "home"}, {"split_by", "street"}, {"features", {"x"}}, {"shots", 3}});
  const auto& few_shot = dynamic_cast<const FewShot&>(*m.family);
  const auto refusal = [&](const std::string& csv) {
    const File few(csv);
    try {
      few_shot.read(few.path);
    } catch (const UserError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_HOLDS(refusal("home,x,y\nnew,1,2\nnew,2,3\nother,3,4\n"),
               ":4: column home: \"other\" after \"new\"");
  EXPECT_HOLDS(refusal("home,x,y\nnew,1,2\nother,3,\n"), "a file of its own");
  EXPECT_HOLDS(refusal("home,street,x,y\nnew,a,1,2\nnew,b,3,\n"), "column street");
  EXPECT_EQ(refusal("home,street,x,y\nnew,a,1,2\nnew,a,3,\n"), "");
  EXPECT_EQ(refusal("x,y\n1,2\n3,\n"), "");
}

TEST(TableCells, ShortGroupsAreRefusedOrSkipped) {
  std::string text = "task,x,y\n";
  for (int g = 0; g < 6; ++g)
    for (int i = 0; i < (g == 2 ? 3 : 8); ++i) text += fmt::format("g{},{},{}\n", g, (i * 3) % 8, i);
  const File file(text);
  EXPECT_HOLDS(complaint(file.path, {{"shots", 4}}), "group \"g2\" has 3 rows");
  EXPECT_HOLDS(complaint(file.path, {{"shots", 4}}), "short_groups = \"skip\"");
  Made m = table(file.path, {{"shots", 4}, {"short_groups", "skip"}});
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest})
    EXPECT_FALSE(m.names(kEveryone, split).contains("g2"));
  ASSERT_EQ(m.warnings().size(), 1u);
  EXPECT_HOLDS(m.warnings()[0], "1 groups");
  EXPECT_HOLDS(complaint(file.path, {{"shots", 9}, {"short_groups", "skip"}}),
               "has no group that a task can be made of");
}

TEST(TableCells, ClassesMayComeAsTheyAre) {
  std::string text = "task,x,y\n";
  for (int g = 0; g < 6; ++g)
    for (int i = 0; i < 20; ++i)
      text += fmt::format("g{},{},{}\n", g, (i * 3) % 8, i % 10 == 0 ? "rare" : "often");
  const File file(text);
  const Json settings{{"shots", 4}, {"predict", "classification"}};
  EXPECT_HOLDS(complaint(file.path, settings), "2 rows of class \"rare\"");
  Json loose = settings;
  loose["balanced"] = false;
  Made m = table(file.path, loose);
  const Episodes& e = m.draw(std::vector<int64_t>(200, kEveryone), Split::kTest);
  EXPECT_EQ(e.support_y.size(1), 4);
  EXPECT_NEAR((e.support_y == 1).to(at::kDouble).mean().item<double>(), 0.1, 0.04);
}

// Bytes that are not a table, and what becomes of them: one line, soon, in little memory.
TEST(CsvFiles, AreReadByTheByte) {
  const auto rows = [](const std::string& text) {
    const File file(text);
    const CsvFile csv = CsvFile::load(file.path);
    std::vector<std::string> cells(csv.header);
    for (size_t r = 0; r < csv.rows.size(); ++r)
      for (size_t c = 0; c < csv.header.size(); ++c) cells.push_back(csv.rows[r][c]);
    return cells;
  };
  using Cells = std::vector<std::string>;
  EXPECT_EQ(rows("\xEF\xBB\xBF"
                 "a,b\r\n1,\"x\"\"y\"\r\n\r\n,\"\n\""),
            (Cells{"a", "b", "1", "x\"y", "", "\n"}));
  EXPECT_EQ(rows("a\n\"\"\n1"), (Cells{"a", "", "1"}));
  const auto refused = [&](const std::string& text) {
    try {
      (void)rows(text);
    } catch (const UserError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_HOLDS(refused("a,b\n1\r2,3\n"), ":2: has CR line ends");
  EXPECT_HOLDS(refused("a\tb\n1\t2\n"), "separated by tabs");
  EXPECT_HOLDS(refused("a;b\n1;2\n"), "separated by semicolons");
  EXPECT_HOLDS(refused(std::string("a,b\n1,\0\n", 8)), ":2: holds a byte 0");
  EXPECT_HOLDS(refused("a,b\n1,\xfc\n"), ":2: holds the byte 0xfc");
  // What is wrong is the byte that begins a character, not the good one that ends it too soon.
  for (const std::string after : {"0", "h", ",", "\n", "\xe9", "\xa9,"})
    EXPECT_HOLDS(refused("a,b\n1,h\xe9" + after + "0\n"), ":2: holds the byte 0xe9") << after;
  EXPECT_HOLDS(refused("a,b\n1,\xed\xa0\x80\n"), "no UTF-8");  // a surrogate
  EXPECT_HOLDS(refused("a,b\n1,\xe2\x82"), "within a character");
  EXPECT_HOLDS(refused("a, \n1,2\n"), "column 2 has no name");
  EXPECT_HOLDS(refused("a,b\n1,2,3,4\n"), "has 4 cells where the header has 2");
  EXPECT_HOLDS(refused("a,b\n1,\"" + std::string(2 << 20, 'x')), "more than a megabyte");
  EXPECT_HOLDS(refused(std::string(1 << 20, 'k') + ",b\n1,2\n"), "has 1048576 bytes");
  for (const auto& text : {std::string(1 << 20, ','), "a,b\n" + std::string(1 << 20, 'x') + ",1\n"})
    EXPECT_LT(refused(text).size(), 300u);
  const File file("a,b\n" + std::string(1 << 19, '7') + ",1e39\n1e999,-1e-999\n");
  const CsvFile csv = CsvFile::load(file.path);
  for (const auto& [r, c] : {std::pair{0, 0}, {0, 1}, {1, 0}}) {
    try {
      (void)csv.number(r, c);
      ADD_FAILURE();
    } catch (const UserError& e) {
      EXPECT_HOLDS(std::string(e.what()), "too large for a float");
      EXPECT_LT(std::string(e.what()).size(), 300u);
    }
  }
  EXPECT_EQ(csv.number(1, 1), 0);
}

}  // namespace
}  // namespace symma
