// Trading one price, or forecasting how much it will move, bar by bar, by walk-forward.
//
// The position for a bar is set at the close of the one before, from data up to that close. Returns are
// logarithmic: a bar earns position * return - cost * |change of position|, and the first position is bought
// too. The last `test_bars` are for testing and nothing else is drawn from them. With decides = "variance"
// the number is the logarithm of what the EWMA forecast (.94, RiskMetrics 1996) is multiplied by.
//
// Reward: 100 times what the bar earned; or minus r^2/f + ln(f/EWMA), which is -QLIKE (Patton 2011) but for
// what no forecast changes. A task is where a window of `limit` bars begins, and the cost in hundredths of a
// percent.
//
// Scores are a year's: return, volatility, Sharpe, the worst fall of the sum of returns, turnover; with 95 %
// intervals by a bootstrap of blocks of 20 bars, 2,000 draws, for Sharpe and for the return over that of who
// holds. A claim of skill needs the lower end of the last above 0.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "symma/core/csv.h"
#include "symma/core/dates.h"
#include "symma/core/kept.h"
#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

constexpr double kDecay = 0.94, kLeastSquare = 1e-12, kMostPosition = 2;
constexpr int64_t kWarmUp = 260, kBootstrap = 20, kDraws = 2000, kSeenBars = 5, kTradingSeen = kSeenBars + 8;

// One price: returns, and what is known before each of them.
struct PriceSeries {
  std::vector<double> close, r;          // [N + 1], [N]
  std::vector<double> fast, ewma, slow;  // [N] forecasts of r^2 from bars before: decays .8, .94, .98
  std::vector<double> sum;               // [N + 1] of returns so far

  explicit PriceSeries(std::vector<double> prices) : close(std::move(prices)) {
    for (size_t t = 0; t + 1 < close.size(); ++t) r.push_back(std::log(close[t + 1] / close[t]));
    sum.push_back(0);
    double f = 0, e = 0, s = 0;
    for (size_t t = 0; t < r.size(); ++t) {
      const double square = std::max(kLeastSquare, r[t] * r[t]);
      if (t == 0) f = e = s = square;
      fast.push_back(f), ewma.push_back(e), slow.push_back(s);
      f = 0.8 * f + 0.2 * square, e = kDecay * e + (1 - kDecay) * square, s = 0.98 * s + 0.02 * square;
      sum.push_back(sum.back() + r[t]);
    }
  }
};

// Prices that nobody paid: what they move by rises and falls slowly.
std::vector<double> made_up_prices() {
  Draws d(Rng(1999).split("prices"));
  std::vector<double> out{100};
  double h = 0;
  for (int64_t t = 0; t < 5000; ++t) {
    h = 0.98 * h + 0.2 * d.normal();
    out.push_back(out.back() * std::exp(0.0002 + 0.01 * std::exp(h / 2) * d.normal()));
  }
  return out;
}

// Bars of a file that has dates are in their order: backwards, a position would be judged on what came
// before.
void check_order(const CsvFile& file) {
  for (size_t c = 0; c < file.header.size(); ++c) {
    const auto when = dates(file, c);
    if (!when) continue;
    for (size_t i = 1; i < when->size(); ++i) {
      if ((*when)[i] < (*when)[i - 1])
        throw UserError(file.place(i, c),
                        "\"" + shown(file.rows[i][c]) + "\" is before \"" + shown(file.rows[i - 1][c]) +
                            "\", the row above",
                        "sort the rows by date, the oldest first");
    }
    return;
  }
}

std::vector<double> prices_in(const CsvFile& file, const std::string& column) {
  check_order(file);
  std::vector<double> prices;
  size_t c = 0;
  try {
    c = file.column(column);
  } catch (const UserError& e) {
    throw UserError(e.place(), e.wrong(),
                    e.remedy() + (e.remedy().ends_with('?') ? "" : ";") +
                        " task.world.column names the price at the close");
  }
  for (size_t i = 0; i < file.rows.size(); ++i) {
    if (file.missing(i, c))
      throw UserError(file.place(i, c), "has no price", "give every bar one, or leave the row out");
    const double x = file.number(i, c);
    if (!(x > 0)) throw UserError(file.place(i, c), fmt::format("a price of {:g}", x), "prices are above 0");
    prices.push_back(x);
    if (i > 0 && std::abs(std::log(prices[i] / prices[i - 1])) > 1)
      throw UserError(file.place(i, c),
                      fmt::format("the price goes from {:g} to {:g} in one bar", prices[i - 1], x),
                      "mend the price, or adjust for splits");
  }
  return prices;
}

// Prices made up where `path` is empty.
std::shared_ptr<const PriceSeries> prices_of(const std::string& path, const std::string& column) {
  std::vector<std::string> files;
  if (!path.empty()) files.push_back(path);
  return kept<PriceSeries>(path + "|" + column, files, [&] {
    return std::make_shared<const PriceSeries>(path.empty() ? made_up_prices()
                                                            : prices_in(CsvFile::load(path), column));
  });
}

class TradingWorld final : public ContinuousCopies, public Judged {
 public:
  struct Options : CopyOptions {
    std::string file, column = "Close", decides = "position";
    int64_t test_bars = 2530, year = 252;
    Options() { limit = 250; }
    void fields(Fields& f) {
      f.add("file", file, "CSV file of bars, the oldest first; none: prices are made up");
      f.add("column", column, "of the price at the close");
      f.add("test_bars", test_bars, "the last bars, which are for testing alone").at_least(1);
      f.add("year", year, "bars of a year").at_least(1).at_most(1000000);
      f.add("decides", decides, "the position, or a forecast of the variance")
          .one_of({"position", "variance"});
      level_fields(f);
      CopyOptions::fields(f);
    }
  };

  TradingWorld(const Options& o, int64_t copies) : TradingWorld(o, copies, prices_of(o.file, o.column)) {}

  const std::vector<Score>& score_names() const override {
    static const std::vector<Score> names{
        {"annual", true},      {"volatility", false},   {"sharpe", true},         {"sharpe_low", true},
        {"sharpe_high", true}, {"over_hold_low", true}, {"over_hold_high", true}, {"drawdown", false},
        {"turnover", false},   {"qlike", false}};
    return names;
  }

  std::vector<double> scores(int64_t e) const override {
    const Book& b = books_[e];
    const int64_t n = b.now - b.begin;
    if (n < 2) return std::vector<double>(10, 0);
    const double year = static_cast<double>(o_.year), bars = static_cast<double>(n);
    const std::vector<double> earned(b.earned.begin(), b.earned.begin() + n);
    std::vector<double> over(n);
    double held = 0, most = 0, total = 0, fall = 0;
    for (int64_t t = 0; t < n; ++t) {
      over[t] = earned[t] - s_->r[b.begin + t] + (t == 0 ? cost(e) : 0);
      held += over[t];
      total += earned[t];
      most = std::max(most, total), fall = std::max(fall, most - total);
    }
    const auto [mean, deviation] = moments(earned);
    std::vector<double> ratios, differences;
    Draws d(Rng(2022).split("blocks"));
    const int64_t block = std::min(kBootstrap, n);
    for (int64_t k = 0; k < kDraws; ++k) {
      double sum = 0, square = 0, more = 0;
      for (int64_t left = n; left > 0;) {
        const int64_t from = d.below(n - block + 1);
        for (int64_t i = from; i < from + block && left > 0; ++i, --left)
          sum += earned[i], square += earned[i] * earned[i], more += over[i];
      }
      const double spread = std::sqrt(std::max(0.0, square / bars - sum / bars * sum / bars));
      ratios.push_back(spread > 0 ? sum / bars / spread * std::sqrt(year) : 0);
      differences.push_back(more / bars * year);
    }
    const auto quantile = [](std::vector<double>& x, double q) {
      const auto at = x.begin() + static_cast<int64_t>(q * static_cast<double>(x.size() - 1));
      std::nth_element(x.begin(), at, x.end());
      return *at;
    };
    const double sharpe = deviation > 0 ? mean / deviation * std::sqrt(year) : 0;
    return {mean * year,
            deviation * std::sqrt(year),
            sharpe,
            quantile(ratios, 0.025),
            quantile(ratios, 0.975),
            quantile(differences, 0.025),
            quantile(differences, 0.975),
            fall,
            b.turnover / bars * year,
            b.qlike / bars};
  }

  // For rules: what is known at the close before the bar to come.
  double expected_variance(int64_t e) const { return s_->ewma[books_[e].now]; }
  double past(int64_t e, int64_t bars) const {
    const int64_t t = books_[e].now;
    return s_->sum[t] - s_->sum[std::max<int64_t>(0, t - bars)];
  }
  const Options& options() const { return o_; }

  std::string text(int64_t e) const override {
    const Book& b = books_[e];
    return fmt::format("bar {} of {}: close {:.4f}, position {:+.2f}, earned {:+.4f}, QLIKE {:.3f}\n",
                       b.now - b.begin, spec().limit, s_->close[b.now], b.position, total(b),
                       b.qlike / std::max<double>(1, static_cast<double>(b.now - b.begin)));
  }
  // The price, of the window so far and a little before; what was earned, below.
  std::string svg(int64_t e) const override {
    const Book& b = books_[e];
    Drawing d(460, 240);
    const int64_t first = std::max<int64_t>(0, b.begin - 60), n = b.now - first + 1;
    double low = s_->close[first], high = low;
    for (int64_t t = first; t <= b.now; ++t)
      low = std::min(low, s_->close[t]), high = std::max(high, s_->close[t]);
    const auto x = [&](int64_t t) {
      return 20 + 420 * static_cast<double>(t - first) / std::max<double>(1, static_cast<double>(n - 1));
    };
    const auto y = [&](double p) { return 130 - 100 * (p - low) / std::max(1e-12, high - low); };
    d.text(230, 14, 12,
           fmt::format("bar {}: price {:.4f}, position {:+.2f}, earned {:+.1f} %", b.now - b.begin,
                       s_->close[b.now], b.position, 100 * total(b)));
    const int64_t step = std::max<int64_t>(1, n / 400);
    for (int64_t t = first; t + step <= b.now; t += step)
      d.line(x(t), y(s_->close[t]), x(t + step), y(s_->close[t + step]), t < b.begin ? "#aaaaaa" : "#1f77b4",
             1.5);
    d.line(20, 190, 440, 190, "#cccccc", 1);
    double sum = 0, before = 0;
    for (int64_t t = b.begin; t < b.now; ++t) {
      sum += b.earned[t - b.begin];
      const auto at = [](double v) { return 190 - std::clamp(150 * v, -45.0, 45.0); };
      if ((t - b.begin) % step == 0)
        d.line(x(t), at(before), x(t + 1), at(sum), sum >= 0 ? "#2ca02c" : "#d62728", 1.5), before = sum;
    }
    d.text(60, 232, 10, "above: price; below: earned");
    return d.svg();
  }

 private:
  struct Book {
    int64_t begin = 0, now = 0;  // now: the bar to come
    double position = 0, turnover = 0, qlike = 0;
    std::vector<double> earned;  // [limit]
  };

  TradingWorld(const Options& o, int64_t copies, std::shared_ptr<const PriceSeries> series)
      : ContinuousCopies(make_spec(o, copies, *series), o, make_parameters(o, *series), 5 + o.limit),
        o_(o),
        s_(std::move(series)),
        books_(copies) {
    for (Book& b : books_) b.earned.resize(o.limit);
  }

  static EnvSpec make_spec(const Options& o, int64_t copies, const PriceSeries& series) {
    const auto n = static_cast<int64_t>(series.r.size());
    if (o.limit > o.test_bars)
      throw UserError("[task.world] limit",
                      fmt::format("{} bars are more than the {} for testing", o.limit, o.test_bars),
                      "set a shorter limit, or more test_bars");
    if (o.test_bars + 2 > n)
      throw UserError("[task.world] test_bars",
                      fmt::format("{} of {} bars leave none to learn from", o.test_bars, n), "set fewer");
    EnvSpec s;
    s.name = "trading";
    s.variant = fmt::format("{}, {} bars, {}", o.file.empty() ? "made up" : "own prices", o.limit, o.decides);
    s.copies = copies;
    s.agents = 1;
    s.obs = kTradingSeen;
    s.actions = 1;
    s.agent_names = {"trader"};
    s.action_names = {o.decides};
    s.action_low = {-kMostPosition}, s.action_high = {kMostPosition};
    return s;
  }

  static std::vector<TaskParameter> make_parameters(const Options& o, const PriceSeries& series) {
    const auto n = static_cast<int64_t>(series.r.size());
    const auto last = static_cast<double>(std::max<int64_t>(1, n - o.test_bars - o.limit));
    const double first = std::min(last, static_cast<double>(kWarmUp));
    const std::array<double, 2> test{static_cast<double>(n - o.test_bars), static_cast<double>(n - o.limit)};
    return {{"start",
             "bar with which the window begins",
             first,
             true,
             {first, last},
             test,
             test,
             {1, static_cast<double>(n - o.limit)}},
            {"cost",
             "of a change of position by 1, in hundredths of a percent",
             1,
             false,
             {0, 5},
             {0, 5},
             {5, 20},
             {0, 1e4}}};
  }

  double cost(int64_t e) const { return 1e-4 * task(e)[1]; }
  double total(const Book& b) const {
    double sum = 0;
    for (int64_t t = 0; t < b.now - b.begin; ++t) sum += b.earned[t];
    return sum;
  }
  static std::pair<double, double> moments(const std::vector<double>& x) {
    const auto n = static_cast<double>(x.size());
    double mean = 0, square = 0;
    for (double v : x) mean += v / n;
    for (double v : x) square += (v - mean) * (v - mean) / n;
    return {mean, std::sqrt(square)};
  }

  void begin(int64_t e, Rng) override {
    Book& b = books_[e];
    b.begin = b.now = static_cast<int64_t>(task(e)[0]);
    b.position = b.turnover = b.qlike = 0;
    std::fill(b.earned.begin(), b.earned.end(), 0.0);
  }

  bool advance(int64_t e, const float* actions, int64_t now, Rng, float* reward) override {
    Book& b = books_[e];
    const double r = s_->r[b.now], square = std::max(kLeastSquare, r * r);
    const bool trades = o_.decides == "position";
    const double said = actions[0], wanted = trades ? said : 0, tilt = trades ? 0 : said;
    const double forecast = s_->ewma[b.now] * std::exp(tilt), changed = std::abs(wanted - b.position);
    b.earned[now] = wanted * r - cost(e) * changed;
    b.turnover += changed, b.position = wanted;
    b.qlike += square / forecast - std::log(square / forecast) - 1;
    reward[0] = static_cast<float>(trades ? 100 * b.earned[now] : -(square / forecast + tilt));
    ++b.now;
    return false;
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const Book& b = books_[e];
    const auto t = std::min<int64_t>(b.now, static_cast<int64_t>(s_->r.size()) - 1);
    // Bar t is not seen: forecasts stand at it, and are of bars before.
    const double deviation = std::sqrt(s_->ewma[t]);
    for (int64_t k = 0; k < kSeenBars; ++k)
      obs[k] = t > k ? static_cast<float>(std::clamp(s_->r[t - 1 - k] / deviation, -10.0, 10.0)) : 0;
    const auto trend = [&](int64_t bars) {
      const int64_t from = std::max<int64_t>(0, t - bars);
      return std::clamp((s_->sum[t] - s_->sum[from]) / deviation / std::sqrt(static_cast<double>(bars)),
                        -10.0, 10.0);
    };
    const double rest[8] = {std::log(s_->fast[t] / s_->ewma[t]),
                            std::log(s_->slow[t] / s_->ewma[t]),
                            trend(20),
                            trend(60),
                            trend(252),
                            b.position,
                            task(e)[1] / 5,
                            std::log(deviation * std::sqrt(static_cast<double>(o_.year)) / 0.15)};
    for (int k = 0; k < 8; ++k) obs[kSeenBars + k] = static_cast<float>(rest[k]);
  }

  void visit(int64_t e, Cargo& cargo) override {
    Book& b = books_[e];
    cargo(b.begin, {"the first bar", 1, static_cast<int64_t>(s_->r.size()) - spec().limit});
    const int64_t now = b.begin + steps(e);
    cargo(b.now, {"the bar", now, now});
    cargo(b.position, {"the position", -kMostPosition, kMostPosition}), cargo(b.turnover), cargo(b.qlike);
    cargo(b.earned.data(), spec().limit);
  }

  const Options o_;
  std::shared_ptr<const PriceSeries> s_;
  std::vector<Book> books_;  // [E]
};

// Positions by a rule of one number for each copy.
template <class Rule>
Tensor positions(const Env& env, const std::string& script, Rule rule) {
  const auto& w = need_world<TradingWorld>(env, script, "\"trading\"");
  Tensor out = at::zeros({env.spec().copies, 1, 1});
  for (int64_t e = 0; e < env.spec().copies; ++e)
    out.data_ptr<float>()[e] = static_cast<float>(std::clamp(rule(w, e), -kMostPosition, kMostPosition));
  return out;
}
void check_trades(const Env& env, const std::string& script) {
  const auto& w = need_world<TradingWorld>(env, script, "\"trading\"");
  if (w.options().decides != "position")
    throw UserError("[rival] kind", "\"" + script + "\" sets positions, and this world asks for a variance",
                    "use \"idle\", which is the EWMA forecast");
}

class Hold final : public Script {
 public:
  using Options = NoOptions;
  explicit Hold(const Options&) {}
  void check(const Env& env) const override { check_trades(env, "hold"); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    return positions(env, "hold", [](const TradingWorld&, int64_t) { return 1.0; });
  }
};

class VolatilityTarget final : public Script {
 public:
  struct Options {
    double target = 0.1;
    void fields(Fields& f) { f.add("target", target, "of trading: volatility a year").above(0); }
  };
  explicit VolatilityTarget(const Options& o) : o_(o) {}
  void check(const Env& env) const override { check_trades(env, "volatility_target"); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    return positions(env, "volatility_target", [&](const TradingWorld& w, int64_t e) {
      return o_.target / std::sqrt(static_cast<double>(w.options().year) * w.expected_variance(e));
    });
  }

 private:
  Options o_;
};

class Momentum final : public Script {
 public:
  struct Options {
    int64_t bars = 60;
    void fields(Fields& f) {
      f.add("bars", bars, "of trading: how far back a trend is looked for").at_least(1);
    }
  };
  explicit Momentum(const Options& o) : o_(o) {}
  void check(const Env& env) const override { check_trades(env, "momentum"); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    return positions(env, "momentum",
                     [&](const TradingWorld& w, int64_t e) { return w.past(e, o_.bars) > 0 ? 1.0 : -1.0; });
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Env, "trading", TradingWorld, "one price, bar by bar: positions, or forecasts of variance",
               "Patton 2011; RiskMetrics 1996");
SYMMA_REGISTER(Script, "hold", Hold, "trading: a position of 1", "symma");
SYMMA_REGISTER(Script, "volatility_target", VolatilityTarget, "trading: less where more is expected to move",
               "RiskMetrics 1996");
SYMMA_REGISTER(Script, "momentum", Momentum, "trading: with the trend, long or short",
               "Moskowitz, Ooi and Pedersen 2012");

}  // namespace
}  // namespace symma
