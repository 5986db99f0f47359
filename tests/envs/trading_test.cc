// Trading against the sheet's table of rules on the S&P 500, and the protocol: nothing that comes later moves
// a position.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>

#include "envs/worlds.h"
#include "symma/core/csv.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

const std::string kPrices = SHARED_DATA "market/sp500.csv.gz";

void set_task(Env& env, double start, double cost = 1) {
  Tensor t = at::zeros({env.spec().copies, 2}, at::kDouble);
  t.select(1, 0).fill_(start), t.select(1, 1).fill_(cost);
  dynamic_cast<HasTasks&>(env).set_tasks(t);
}

std::map<std::string, double> play(Env& env, const Script& script) {
  Frame f;
  env.reset(Rng(0), f);
  for (int64_t t = 0; t < env.spec().limit; ++t) env.step(scripted(script, env, f, Rng(t)), f);
  return judged(env);
}

TEST(Trading, RulesReachTheSheetsTable) {
  NEEDS_SHARED("market/sp500.csv.gz");
  struct Row {
    std::string kind, settings;
    double annual, volatility, sharpe, drawdown, turnover;
  };
  const auto options = fmt::format("file = \"{}\"\nlimit = 2530\nauto_reset = false\n", kPrices);
  for (const Row& r :
       {Row{"hold", "", .1021, .168, .61, .32, .1}, Row{"volatility_target", "", .0676, .105, .64, .17, 6.9},
        Row{"momentum", "bars = 20\n", -.0315, .168, -.19, .60, 51},
        Row{"momentum", "bars = 60\n", .0245, .168, .15, .30, 25},
        Row{"momentum", "bars = 252\n", .0119, .168, .07, .67, 10}}) {
    auto env = make_world("trading", 1, options);
    set_task(*env, 2500);
    const auto found = play(*env, *make_script(r.kind, r.settings));
    EXPECT_NEAR(found.at("annual"), r.annual, 5.1e-5) << r.kind << r.settings;
    EXPECT_NEAR(found.at("volatility"), r.volatility, 5.1e-4);
    EXPECT_NEAR(found.at("sharpe"), r.sharpe, 5.1e-3);
    EXPECT_NEAR(found.at("drawdown"), r.drawdown, 5.1e-3);
    EXPECT_NEAR(found.at("turnover"), r.turnover, r.turnover >= 10 ? 0.51 : 0.051);
    if (r.kind == "hold") {
      EXPECT_NEAR(found.at("sharpe_low"), .04, .08) << "a bootstrap of other draws";
      EXPECT_NEAR(found.at("sharpe_high"), 1.17, .08);
      EXPECT_NEAR(found.at("over_hold_low"), 0, 1e-9);
      EXPECT_NEAR(found.at("over_hold_high"), 0, 1e-9);
    }
  }
  auto env = make_world("trading", 1, options + "decides = \"variance\"\n");
  set_task(*env, 2500);
  EXPECT_NEAR(play(*env, *make_script("idle", "")).at("qlike"), 1.719, 5.1e-4) << "EWMA";
}

// Point one of the protocol: later bars are altered, and positions and what is seen stay.
TEST(Trading, LaterBarsMoveNothing) {
  const auto write = [](const std::string& name, int64_t altered_from) {
    const auto path = std::filesystem::temp_directory_path() / ("symma_trading_" + name + ".csv");
    std::ofstream out(path);
    out << "Close\n";
    Draws d(Rng(4)), other(Rng(5));
    double price = 100;
    for (int64_t t = 0; t < 900; ++t) {
      const double step = d.normal(), instead = other.normal();
      price *= std::exp(0.01 * (t >= altered_from ? 3 * instead : step));
      out << fmt::format("{:.10f}\n", price);
    }
    return path.string();
  };
  const std::string a = write("a", 1000), b = write("b", 500);
  for (const std::string kind : {"hold", "volatility_target", "momentum"}) {
    std::vector<std::unique_ptr<Env>> worlds;
    std::vector<Frame> frames(2);
    for (const auto& path : {a, b}) {
      worlds.push_back(
          make_world("trading", 1, fmt::format("file = \"{}\"\ntest_bars = 300\nlimit = 250\n", path)));
      set_task(*worlds.back(), 400);
      worlds.back()->reset(Rng(0), frames[worlds.size() - 1]);
    }
    const auto script = make_script(kind, "");
    // Price t is of bar t - 1: position for bar 499 is set when price 499 is known, and 500 is altered.
    for (int64_t bar = 400; bar < 500; ++bar) {
      const Tensor one = script->act(*worlds[0], frames[0], Rng(0)),
                   two = script->act(*worlds[1], frames[1], Rng(0));
      EXPECT_TRUE(one.equal(two)) << kind << " " << bar;
      EXPECT_TRUE(frames[0].obs.equal(frames[1].obs)) << kind << " " << bar;
      worlds[0]->step(one, frames[0]), worlds[1]->step(two, frames[1]);
    }
    EXPECT_FALSE(frames[0].obs.equal(frames[1].obs)) << "what was altered is seen when it has come";
  }
}

TEST(Trading, TrainingNeverDrawsFromTheTestBlock) {
  auto env = make_world("trading", 1, "test_bars = 1000\n");
  const auto& start = dynamic_cast<HasTasks&>(*env).task_parameters()[0];
  EXPECT_LE(start.train[1] + 250, 4000);
  EXPECT_GE(start.test[0], 4000);
  EXPECT_LE(start.test[1] + 250, 5000);
}

// A file that begins with its newest bar would be traded backwards.
TEST(Trading, BarsAreInTheOrderOfTheirDates) {
  const auto made = [](const std::string& name, const std::function<std::string(int)>& date, bool newest) {
    const auto path = std::filesystem::path(testing::TempDir()) / ("symma_order_" + name + ".csv");
    std::ofstream out(path);
    out << "When,Close\n";
    for (int k = 0; k < 900; ++k) out << date(newest ? 899 - k : k) << "," << 100 + k % 7 << "\n";
    out.close();
    return error_of([&] {
      make_world("trading", 1, fmt::format("file = \"{}\"\ntest_bars = 300\nlimit = 100\n", path.string()));
    });
  };
  const auto iso = [](int k) {
    return fmt::format("{}-{:02}-{:02}", 1990 + k / 336, 1 + k / 28 % 12, 1 + k % 28);
  };
  const auto days = [](int k) {
    return fmt::format("{:02}/{:02}/{}", 1 + k % 28, 1 + k / 28 % 12, 1990 + k / 336);
  };
  for (const std::function<std::string(int)>& date : {std::function<std::string(int)>(iso), {days}}) {
    EXPECT_EQ(made("up", date, false), "");
    const std::string said = made("down", date, true);
    for (const char* part : {"symma_order_down.csv:3: column When", "the row above", "the oldest first"})
      EXPECT_NE(said.find(part), std::string::npos) << said;
  }
  // Bars of one day, and a column that holds no dates.
  EXPECT_EQ(made(
                "day", [](int) { return "2020-01-31"; }, false),
            "");
  EXPECT_EQ(made(
                "number", [](int k) { return std::to_string(k); }, true),
            "");
}

TEST(Trading, BadInputIsOneClearLine) {
  const auto with = [](const std::string& text, const std::string& more = "") {
    const auto path = std::filesystem::temp_directory_path() / "symma_trading_bad.csv";
    std::ofstream(path) << text;
    return error_of([&] {
      make_world("trading", 1,
                 fmt::format("file = \"{}\"\ntest_bars = 2\nlimit = 2\n{}", path.string(), more));
    });
  };
  EXPECT_EQ(with("Close\n1\n2\n2.5\n2\n2\n2\n"), "");
  EXPECT_NE(with("Close\n1\nNA\n2\n1\n1\n").find("no price"), std::string::npos);
  EXPECT_NE(with("Close\n1\n-2\n2\n1\n1\n").find("price of -2"), std::string::npos);
  EXPECT_NE(with("Close\n1\ntwo\n2\n1\n1\n").find("bad.csv:3"), std::string::npos);
  EXPECT_NE(with("Close\n1\n100\n2\n1\n1\n").find("in one bar"), std::string::npos);
  for (const char* other : {"Open", "close"}) {
    const std::string said = with(std::string(other) + "\n1\n1\n2\n1\n1\n");
    for (const char* word : {"\"Close\"", other, "task.world.column"})
      EXPECT_NE(said.find(word), std::string::npos) << said;
  }
  EXPECT_NE(with("Close\n1\n1\n2\n").find("test_bars"), std::string::npos);
  EXPECT_NE(error_of([] { make_world("trading", 1, "limit = 3000\n"); }).find("limit"), std::string::npos);
  auto env = make_world("trading", 1);
  EXPECT_NE(error_of([&] { set_task(*env, 0); }).find("start"), std::string::npos);
  EXPECT_NE(error_of([&] { set_task(*env, 300, -1); }).find("cost"), std::string::npos);
  auto forecasts = make_world("trading", 1, "decides = \"variance\"\n");
  EXPECT_NE(error_of([&] { make_script("hold", "")->check(*forecasts); }).find("variance"),
            std::string::npos);
}

}  // namespace
}  // namespace symma
