// Homes with panels and batteries: CityLearn 1.3.6, the challenge of 2022 (Vazquez-Canteli et al. 2020,
// arXiv:2012.10504), hour by hour.
//
// A home's number a in [-1, 1] is what its battery takes (+) or gives (-), as a share of the capacity C:
//   e = a C, held within 5 kW f(soc / C);  eff = sqrt(g(|e| / 5 kW))
//   soc' = min(soc + e eff, C) or max(0, soc + e / eff);  b = (soc' - soc) / eff or (soc' - soc) eff
//   C' = C - 1e-5 C0 |b| / (2 C)
// What a reader may not expect: the action of an hour acts in the next, and a window of T + 1 hours has T
// steps. Once C has shrunk below soc, the published look-up of f falls back to its first segment: all power.
//
// Reward: "net", as in the challenge, min(0, -net) of each home; "bill", minus what the home pays in $;
// "score", the district's: minus what the hour adds to the challenge's score, in hundredths, so that an
// episode's return is -100 times its score. A task is a home (or the group next to the one named), a window,
// a tariff, a battery, panels and a feed-in price. With `judged` = 1 an episode is of the window that
// follows, copy e of the e-th: who adapts on a home's first week is judged on the next ones.
#include "symma/envs/energy/homes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>

#include "symma/core/simd.h"
#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"
#include "symma/envs/energy/homes_data.h"
#include "symma/envs/energy/tally.h"
#include "symma/envs/energy/trading.h"
#include "symma/envs/ranges.h"

namespace symma {
namespace {

constexpr int64_t kMostHomes = 50;
constexpr int64_t kDayHours = 24, kScaled = Neighbourhood::kSeen + 3 + kDayHours;
constexpr double kFade = 1e-5, kCapacity = 6.4, kPower = 5;

// Piecewise linear through the points; past the last the first segment goes on, as the original's does.
// Without branches: which side of a bend a battery is on is anyone's guess.
template <class V, size_t n>
SYMMA_INLINE inline V through(const double (&x)[n], const double (&y)[n], const V& at) {
  const auto all = [](double value) SYMMA_INLINE { return V{} + value; };
  V from = all(x[0]), low = all(y[0]), rises{};
  const auto take = [&](size_t segment, double after) SYMMA_INLINE {
    const double slope = (y[segment + 1] - y[segment]) / (x[segment + 1] - x[segment]);
    from = at > after ? all(x[segment]) : from;
    low = at > after ? all(y[segment]) : low;
    rises = at > after ? all(slope) : rises;
  };
  take(0, -1e300);
  for (size_t k = 1; k + 1 < n; ++k) take(k, x[k]);
  take(0, x[n - 1]);
  return low + rises * (at - from);
}
constexpr double kCharge[] = {0, 0.8, 1}, kShare[] = {1, 1, 0.2};
constexpr double kLoad[] = {0, 0.3, 0.7, 0.8, 1}, kGood[] = {0.83, 0.83, 0.9, 0.9, 0.85};

// An hour of n batteries of `first` kWh when new. `hour`, what each is told to take, of its capacity, becomes
// what it draws, kWh; charge and capacity, kWh, become those after the hour. There is room for numbers up to
// a whole cache line, which are worked on too: batteries are taken a register's worth at a time.
void spend_hour(int64_t n, double first, double* hour, double* charge, double* capacity) {
  const double power = kPower * first / kCapacity, per_power = 1 / power, fade = kFade / 2 * first;
  widest([&](auto bytes) SYMMA_INLINE {
    // In longer vectors GCC makes these comparisons number by number.
    constexpr int kWide = std::min<int>(bytes, 32);
    using V = LooseVec<double, kWide>;
    constexpr int64_t kLane = kLanes<double, kWide>;
    for (int64_t i = 0; i < n; i += kLane) {
      V &told = *reinterpret_cast<V*>(hour + i), &soc = *reinterpret_cast<V*>(charge + i),
        &c = *reinterpret_cast<V*>(capacity + i);
      const V most = power * through(kCharge, kShare, V(soc / c));
      V wanted = told * c;
      wanted = wanted < -most ? -most : wanted;
      wanted = wanted > most ? most : wanted;
      V good = through(kLoad, kGood, V((wanted < 0 ? -wanted : wanted) * per_power));
      for (int64_t k = 0; k < kLane; ++k) good[k] = root(good[k]);
      const V bad = 1 / good;
      V full = soc + wanted * good, empty = soc + wanted * bad;
      full = c < full ? c : full;
      empty = empty > 0 ? empty : V{};
      const V after = wanted >= 0 ? full : empty, moved = after - soc;
      const V drew = moved * (moved >= 0 ? bad : good);
      told = drew, soc = after;
      c -= fade / c * (drew < 0 ? -drew : drew);
    }
  });
}

class Homes final : public ContinuousCopies, public Judged, public HomesView {
 public:
  struct Options : CopyOptions {
    std::string data, file, market = "none", reward = "score", see = "original";
    double file_kw = 4;
    std::vector<int64_t> homes{1}, train{1, 5}, test{6, 10};
    int64_t judged_windows = 3;
    Options() { limit = 167; }
    void fields(Fields& f) {
      f.add("data", data,
            "folder of Building_N.csv, weather.csv, pricing.csv and carbon_intensity.csv; none: homes are "
            "made up");
      f.add("homes", homes, "numbers of the homes that act together, each a player")
          .at_least(0)
          .at_most(10000);
      f.add("train", train, "first and last number of the homes to train with, where one home acts")
          .at_least(0);
      f.add("test", test, "first and last number of those that are for testing, none of them in train")
          .at_least(0);
      f.add("file", file, "a home of the same form, which is number 0, for testing");
      f.add("file_kw", file_kw, "its panels, kW").at_least(0);
      f.add("market", market,
            "how neighbours trade: not at all, at the mid-market rate, or by auction, where a home also sets "
            "a price")
          .one_of({"none", "mid_market", "auction"});
      f.add("reward", reward, "the challenge's, a home's bill, or the district's score")
          .one_of({"net", "bill", "score"});
      f.add(
           "see", see,
           "the challenge's 28 numbers; or those scaled to about -1 to 1, with times as angles, and what the "
           "home drew in each of the last 24 hours")
          .one_of({"original", "scaled"})
          .of_what_is_seen();
      f.add("judged_windows", judged_windows, "windows after the first that homes are judged in").at_least(1);
      level_fields(f);
      CopyOptions::fields(f);
    }
  };

  Homes(const Options& o, int64_t copies)
      : ContinuousCopies(make_spec(o, copies), o, make_parameters(o),
                         static_cast<int64_t>(3 + o.homes.size() * 3) + Tally::kNumbers),
        o_(o),
        a_(static_cast<int64_t>(o.homes.size())),
        auction_(o.market == "auction"),
        trades_(o.market != "none"),
        paid_(o.reward == "net"    ? Paid::kNet
              : o.reward == "bill" ? Paid::kBill
                                   : Paid::kScore),
        near_(Neighbourhood::get(o.data, all_homes(o), o.file, o.file_kw)),
        districts_(copies) {
    if (near_->hours < (1 + o.judged_windows) * (o.limit + 1) && near_->hours != o.limit + 1)
      throw UserError("homes, limit",
                      fmt::format("{} windows of {} hours are more than the {} that there are",
                                  1 + o.judged_windows, o.limit + 1, near_->hours),
                      "set a shorter limit, or fewer judged_windows");
    for (District& d : districts_) {
      const int64_t room = whole_lines<double>(a_);
      d.soc.resize(room), d.capacity.resize(room, 1), d.net.resize(a_), d.home.resize(a_);
    }
  }

  const std::vector<Score>& score_names() const override {
    static const std::vector<Score> names{
        {"score", false},   {"cost", false},        {"carbon", false},     {"grid", false},
        {"ramping", false}, {"load_factor", false}, {"daily_peak", false}, {"peak", false},
        {"import", false},  {"bill", false},        {"bill_alone", false}, {"traded", true}};
    return names;
  }

  std::vector<double> scores(int64_t e) const override {
    const District& d = districts_[e];
    const Tally &t = d.tally, base = without(e, d.begin + static_cast<int64_t>(t.hours));
    const double ramping = over(t.ramping, base.ramping), factor = over(t.load_factor(), base.load_factor());
    return {WindowScore(base)(t),
            over(t.cost, base.cost),
            over(t.carbon, base.carbon),
            (ramping + factor) / 2,
            ramping,
            factor,
            over(t.daily_peak(), base.daily_peak()),
            over(t.peak, base.peak),
            over(t.import, base.import),
            t.bill,
            t.alone,
            t.traded};
  }

  double draws(int64_t e, int64_t home, int64_t ahead) const override {
    const District& d = districts_[e];
    return drawn(e, home, std::min(d.now + ahead, near_->hours - 1));
  }
  int hour(int64_t e) const override { return near_->hour[districts_[e].now]; }
  double capacity(int64_t e) const override { return part(e)[kBattery]; }
  int64_t numbers() const override { return auction_ ? 2 : 1; }

  std::string text(int64_t e) const override {
    const District& d = districts_[e];
    std::string out = fmt::format("hour {} of {}, {} o'clock, {:.2f} $/kWh\n", steps(e) + 1, spec().limit + 1,
                                  near_->hour[d.now], price(e, 0, d.now));
    for (int64_t i = 0; i < a_; ++i) {
      out += fmt::format(
          "home {:<3} load {:5.2f}  solar {:5.2f}  battery {:4.2f} of {:4.2f}  net {:+6.2f} kWh\n", d.home[i],
          load(e, i, d.now), solar(e, i, d.now), d.soc[i], d.capacity[i], d.net[i]);
    }
    return out;
  }

  // Load (red) and sun (gold) of the day around, a line at now; then what the battery holds and the net.
  std::string svg(int64_t e) const override {
    const District& d = districts_[e];
    const double row = 70;
    Drawing p(420, 24 + row * static_cast<double>(a_));
    p.text(210, 12, 12,
           fmt::format("day {}, {} o'clock, {:.2f} $/kWh", d.now / 24 + 1, near_->hour[d.now],
                       price(e, 0, d.now)));
    for (int64_t i = 0; i < a_; ++i) {
      const double bottom = 24 + row * static_cast<double>(i + 1) - 6;
      p.rect(40, bottom - 58, 290, 58, "#f4f4f4");
      p.text(20, bottom - 29, 12, fmt::format("home {}", d.home[i]));
      const auto height = [&](double kwh) { return bottom - std::min(58.0, 7.5 * std::max(0.0, kwh)); };
      for (int64_t k = -24; k < 24; ++k) {
        const int64_t t = d.now + k;
        if (t < 0 || t + 1 >= near_->hours) continue;
        const double x = 185 + 6 * static_cast<double>(k);
        p.line(x, height(solar(e, i, t)), x + 6, height(solar(e, i, t + 1)), "#e0a000", 1.5);
        p.line(x, height(load(e, i, t)), x + 6, height(load(e, i, t + 1)), "#c0392b", 1.5);
      }
      p.line(185, bottom - 58, 185, bottom, "#808080", 1);
      p.rect(340, bottom - 58, 16, 58, "#dddddd");
      const double full = 58 * std::min(1.0, d.soc[i] / d.capacity[i]);
      p.rect(340, bottom - full, 16, full, "#2ca02c");
      const double arm = 5 * std::clamp(d.net[i], -5.0, 5.0);
      p.rect(388 + std::min(0.0, arm), bottom - 40, std::abs(arm), 12, arm > 0 ? "#c0392b" : "#2ca02c");
      p.text(388, bottom - 12, 11, fmt::format("{:+.1f} kWh", d.net[i]));
    }
    return p.svg();
  }

 private:
  enum class Paid { kNet, kBill, kScore };
  // Constants of a task, after the one that names the home.
  enum Part { kDay, kTariff, kShift, kBattery, kPanels, kFeedIn, kJudged };

  struct District {
    int64_t begin = 0, now = 0;             // hours of the series
    double paid = 0;                        // of the score
    std::vector<double> soc, capacity;      // [A], and more to fill a cache line
    std::vector<double> net;                // [A]
    std::vector<int64_t> home;              // [A] numbers
    std::vector<const HomeSeries*> series;  // [A]
    Tally tally;
    WindowScore score;
    std::vector<double> scored;  // the task and the first hour that it is of
  };

  static std::vector<int64_t> all_homes(const Options& o) {
    std::vector<int64_t> out = o.homes;
    if (o.homes.size() == 1) {
      for (int64_t h = o.train[0]; h <= o.train[1]; ++h) out.push_back(h);
      if (o.file.empty())
        for (int64_t h = o.test[0]; h <= o.test[1]; ++h) out.push_back(h);
      if (!o.file.empty()) out.push_back(0);
    } else {
      const auto next = static_cast<int64_t>(o.homes.size());
      // The next group is there where its files are.
      const auto there = [&](int64_t h) {
        return o.data.empty() ||
               std::filesystem::exists(std::filesystem::path(o.data) / fmt::format("Building_{}.csv", h));
      };
      if (std::all_of(o.homes.begin(), o.homes.end(), [&](int64_t h) { return there(h + next); }))
        for (int64_t h : o.homes) out.push_back(h + next);
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  static EnvSpec make_spec(const Options& o, int64_t copies) {
    if (o.homes.empty() || static_cast<int64_t>(o.homes.size()) > kMostHomes)
      throw UserError("[task.world] homes", fmt::format("are {}", o.homes.size()),
                      fmt::format("name 1 to {}", kMostHomes));
    for (const auto* range : {&o.train, &o.test}) {
      if (range->size() != 2 || (*range)[0] > (*range)[1] || (*range)[1] - (*range)[0] > 1000)
        throw UserError("[task.world] " + std::string(range == &o.train ? "train" : "test"),
                        "is not the first and the last number of some homes", "write for example [1, 5]");
    }
    if (o.homes.size() == 1 && o.file.empty()) keep_apart(o.train, o.test, 0, "home");
    if (o.file.empty() && std::find(o.homes.begin(), o.homes.end(), 0) != o.homes.end())
      throw UserError("[task.world] homes", "home 0 is that of a file, and none is named", "set file");
    if (!o.file.empty() && o.data.empty())
      throw UserError("[task.world] file", "has a home, and data has no weather and prices of its hours",
                      "set data to the folder of weather.csv, pricing.csv and carbon_intensity.csv");
    EnvSpec s;
    s.name = "homes";
    s.variant = fmt::format("CityLearn 1.3.6, {} home{}{}, {} steps, reward {}{}", o.homes.size(),
                            o.homes.size() == 1 ? "" : "s", o.data.empty() ? " made up" : "", o.limit,
                            o.reward, o.market == "none" ? "" : ", " + o.market);
    s.copies = copies;
    s.agents = static_cast<int64_t>(o.homes.size());
    s.obs = o.see == "scaled" ? kScaled : Neighbourhood::kSeen;
    s.actions = o.market == "auction" ? 2 : 1;
    s.action_names = {"battery"};
    if (s.actions == 2) s.action_names.emplace_back("price");
    s.action_low.assign(s.agents * s.actions, -1), s.action_high.assign(s.agents * s.actions, 1);
    s.common_reward = o.reward == "score";
    for (int64_t i = 0; i < s.agents; ++i) s.agent_names.push_back(fmt::format("home_{}", i));
    return s;
  }

  static std::vector<TaskParameter> make_parameters(const Options& o) {
    const auto number = [](int64_t x) { return static_cast<double>(x); };
    std::vector<TaskParameter> out;
    // A home by itself is drawn; of a group, the next one of as many homes is for testing.
    if (o.homes.size() == 1) {
      const std::array<double, 2> test =
          o.file.empty() ? std::array{number(o.test[0]), number(o.test[1])} : std::array{0.0, 0.0};
      out.push_back({.name = "home",
                     .doc = "its number",
                     .value = number(o.homes[0]),
                     .whole = true,
                     .train = {number(o.train[0]), number(o.train[1])},
                     .test = test,
                     .ood = test,
                     .may = {0, 1e6}});
    } else {
      out.push_back({.name = "group",
                     .doc = "0: the homes that were named; 1: as many that follow",
                     .value = 0,
                     .whole = true,
                     .train = {0, 0},
                     .test = {1, 1},
                     .ood = {1, 1},
                     .may = {0, 1}});
    }
    const double last =
        std::max<double>(0, std::floor((8760.0 - number((1 + o.judged_windows) * (o.limit + 1))) / 24));
    out.push_back({.name = "first_day",
                   .doc = "of the window",
                   .value = 0,
                   .whole = true,
                   .train = {0, last},
                   .test = {0, last},
                   .ood = {0, last},
                   .may = {0, 1e6}});
    out.push_back({.name = "tariff",
                   .doc = "what prices are multiplied by",
                   .value = 1,
                   .train = {0.7, 1.3},
                   .test = {0.7, 1.3},
                   .ood = {1.3, 2},
                   .may = {0, 1e6}});
    out.push_back({.name = "shift",
                   .doc = "hours by which prices come later",
                   .value = 0,
                   .whole = true,
                   .train = {0, 3},
                   .test = {0, 3},
                   .ood = {4, 6},
                   .may = {0, 23}});
    out.push_back({.name = "battery",
                   .doc = "its capacity, kWh; power is 5 kW for 6.4 kWh",
                   .value = kCapacity,
                   .train = {4, 10},
                   .test = {4, 10},
                   .ood = {2, 4},
                   .may = {0, 1000},
                   .above = true});
    out.push_back({.name = "panels",
                   .doc = "what sun is multiplied by",
                   .value = 1,
                   .train = {0.5, 1.5},
                   .test = {0.5, 1.5},
                   .ood = {1.5, 2},
                   .may = {0, 1e6}});
    out.push_back({.name = "feed_in",
                   .doc = "what the utility pays, $/kWh",
                   .value = 0,
                   .train = {0, 0.1},
                   .test = {0, 0.1},
                   .ood = {0.1, 0.2},
                   .may = {0, 1e6}});
    out.push_back({.name = "judged",
                   .doc = "1: the windows after the first",
                   .value = 0,
                   .whole = true,
                   .train = {0, 0},
                   .test = {0, 0},
                   .ood = {0, 0},
                   .may = {0, 1},
                   .when_judged = true});
    return out;
  }

  void check_task(const double* t, const std::string& place) const override {
    const auto no = [&](const char* name, double x, const std::string& right) {
      throw UserError(place + ", " + name, fmt::format("is {:g}", x), right);
    };
    for (int64_t i = 0; i < a_; ++i) {
      const auto home = number(t[0], i);
      if (!near_->homes.contains(home))
        no(a_ == 1 ? "home" : "group", t[0],
           fmt::format("there is no home {}: name one that was read", home));
    }
    const int64_t last = (near_->hours - spec().limit - 1) / 24;
    const double day = t[1 + kDay];
    if (day > static_cast<double>(last)) no("first_day", day, fmt::format("0 to {} would be right", last));
  }

  const double* part(int64_t e) const { return task(e) + 1; }
  int64_t number(double named, int64_t i) const {
    return a_ == 1 ? static_cast<int64_t>(named) : o_.homes[i] + static_cast<int64_t>(named) * a_;
  }
  double load(int64_t e, int64_t i, int64_t t) const { return districts_[e].series[i]->load[t]; }
  double solar(int64_t e, int64_t i, int64_t t) const {
    return districts_[e].series[i]->solar[t] * part(e)[kPanels];
  }
  double drawn(int64_t e, int64_t i, int64_t t) const { return load(e, i, t) - solar(e, i, t); }
  // What homes draw in an hour, beside their batteries.
  void draw(int64_t e, int64_t t, const double* beside, double* net) const {
    const double panels = part(e)[kPanels];
    const HomeSeries* const* series = districts_[e].series.data();
    for (int64_t i = 0, n = a_; i < n; ++i)
      net[i] = series[i]->load[t] - series[i]->solar[t] * panels + beside[i];
  }
  // Prices come `shift` hours later; k: now, and as foreseen for 6, 12, 24 hours ahead.
  double price(int64_t e, int k, int64_t t) const { return near_->price[k][priced(e, t)] * part(e)[kTariff]; }
  int64_t priced(int64_t e, int64_t t) const {
    return std::max<int64_t>(0, t - static_cast<int64_t>(part(e)[kShift]));
  }

  // The copy's hours from its first to before `until`, without batteries.
  Tally without(int64_t e, int64_t until) const {
    Tally out;
    std::array<double, kMostHomes> net, nothing{};
    for (int64_t t = districts_[e].begin; t < until; ++t) {
      draw(e, t, nothing.data(), net.data());
      out.add(net.data(), a_, price(e, 0, t), near_->carbon[t]);
    }
    return out;
  }

  // Which hours and homes the task's episode is of.
  void settle(int64_t e) {
    District& d = districts_[e];
    d.series.resize(a_);
    for (int64_t i = 0; i < a_; ++i) {
      d.home[i] = number(task(e)[0], i);
      d.series[i] = &near_->homes.at(d.home[i]);
    }
    if (paid_ != Paid::kScore) return;
    // A copy that plays the same task again need not go through its window again.
    std::vector<double> of(task(e), task(e) + std::ssize(task_parameters()));
    of.push_back(static_cast<double>(d.begin));
    if (of == d.scored) return;
    d.score = WindowScore(without(e, d.begin + spec().limit + 1));
    d.scored = std::move(of);
  }

  void begin(int64_t e, Rng) override {
    District& d = districts_[e];
    const int64_t hours = spec().limit + 1;
    d.begin = 24 * static_cast<int64_t>(part(e)[kDay]);
    if (part(e)[kJudged] == 1) d.begin += hours * (1 + (o_.first_copy + e) % o_.judged_windows);
    d.begin = std::min(d.begin, near_->hours - hours);
    settle(e);
    d.now = d.begin, d.paid = 0;
    d.tally = {};
    std::fill(d.soc.begin(), d.soc.end(), 0.0);
    std::fill(d.capacity.begin(), d.capacity.end(), part(e)[kBattery]);
    for (int64_t i = 0; i < a_; ++i) d.net[i] = drawn(e, i, d.now);
    d.tally.add(d.net.data(), a_, price(e, 0, d.now), near_->carbon[d.now]);
    std::array<double, kMostHomes> limit{};
    settle_bills(e, limit.data(), nullptr);
  }

  // What homes pay for the hour; also as their reward, where that is a bill.
  void settle_bills(int64_t e, const double* limit, float* reward) {
    District& d = districts_[e];
    const double now = price(e, 0, d.now), feed_in = std::min(now, part(e)[kFeedIn]);
    if (!trades_ && !reward) {
      double bill = 0;
      for (const double net : d.net) bill += now * std::max(net, 0.0) + feed_in * std::min(net, 0.0);
      d.tally.alone = d.tally.bill += bill;
      return;
    }
    thread_local Trades trades;
    std::array<double, kMostHomes> at;
    for (int64_t i = 0; i < a_; ++i) at[i] = feed_in + (now - feed_in) * (limit[i] + 1) / 2;
    trade(o_.market, d.net.data(), at.data(), a_, now, feed_in, trades);
    d.tally.traded += trades.volume;
    for (int64_t i = 0; i < a_; ++i) {
      d.tally.bill += trades.bill[i];
      d.tally.alone += d.net[i] > 0 ? now * d.net[i] : feed_in * d.net[i];
      if (reward) reward[i] = static_cast<float>(-trades.bill[i]);
    }
  }

  bool advance(int64_t e, const float* actions, int64_t, Rng, float* reward) override {
    District& d = districts_[e];
    const int64_t n = auction_ ? 2 : 1;
    ++d.now;
    std::array<double, kMostHomes> limit;
    for (int64_t i = 0; i < a_; ++i) limit[i] = auction_ ? actions[i * n + 1] : 0;
    std::array<double, whole_lines<double>(kMostHomes)> drew;
    for (int64_t i = 0; i < a_; ++i) drew[i] = actions[i * n];
    std::fill(drew.begin() + a_, drew.begin() + whole_lines<double>(a_), 0);
    spend_hour(a_, part(e)[kBattery], drew.data(), d.soc.data(), d.capacity.data());
    draw(e, d.now, drew.data(), d.net.data());
    d.tally.add(d.net.data(), a_, price(e, 0, d.now), near_->carbon[d.now]);
    settle_bills(e, limit.data(), paid_ == Paid::kBill ? reward : nullptr);
    if (paid_ == Paid::kNet) {
      for (int64_t i = 0; i < a_; ++i) reward[i] = static_cast<float>(std::min(0.0, -d.net[i]));
    } else if (paid_ == Paid::kScore) {
      const double so_far = 100 * d.score(d.tally);
      std::fill_n(reward, a_, static_cast<float>(d.paid - so_far));
      d.paid = so_far;
    }
    return false;
  }

  // [kScaled]: month, kind of day and hour as sine and cosine; temperatures, humidities, diffuse and direct
  // sun; carbon; load, sun, charge, net; prices; and what the home drew 1 to 24 hours ago.
  void show_scaled(int64_t e, int64_t i, float* to) const {
    const District& d = districts_[e];
    const float* from = &near_->seen[d.now * Neighbourhood::kSeen];
    const auto put = [&](double x) { *to++ = static_cast<float>(x); };
    for (const double around : {12.0, 7.0, 24.0}) {
      const double angle = 2 * std::numbers::pi * *from++ / around;
      put(std::sin(angle)), put(std::cos(angle));
    }
    constexpr struct { double middle, width; } kWeather[] = {{15, 15}, {50, 50}, {300, 300}, {300, 300}};
    for (const auto& [middle, width] : kWeather) {
      for (int k = 0; k < 4; ++k) put((*from++ - middle) / width);
    }
    constexpr double kKwh = 3;  // of a home in an hour, when it is much
    put(2 * *from), put(load(e, i, d.now) / kKwh), put(solar(e, i, d.now) / kKwh);
    put(d.soc[i] / d.capacity[i]), put(d.net[i] / kKwh);
    for (int k = 0; k < 4; ++k) put(2 * price(e, k, d.now));
    for (int64_t k = 1; k <= kDayHours; ++k) put(drawn(e, i, std::max<int64_t>(0, d.now - k)) / kKwh);
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const District& d = districts_[e];
    if (o_.see == "scaled") {
      for (int64_t i = 0; i < a_; ++i) show_scaled(e, i, obs + i * kScaled);
      return;
    }
    const int64_t seen = Neighbourhood::kSeen;
    const float* shared = &near_->seen[d.now * seen];
    std::array<float, 4> prices;
    const int64_t priced_at = priced(e, d.now), now = d.now;
    const double tariff = part(e)[kTariff], panels = part(e)[kPanels];
    for (int k = 0; k < 4; ++k) prices[k] = static_cast<float>(near_->price[k][priced_at] * tariff);
    for (int64_t i = 0, n = a_; i < n; ++i, obs += seen) {
      std::copy_n(shared, seen, obs);  // what goes by home or task is 0 there
      obs[Neighbourhood::kLoad] = static_cast<float>(d.series[i]->load[now]);
      obs[Neighbourhood::kSolar] = static_cast<float>(d.series[i]->solar[now] * panels);
      obs[Neighbourhood::kCharge] = static_cast<float>(d.soc[i] / d.capacity[i]);
      obs[Neighbourhood::kNet] = static_cast<float>(d.net[i]);
      std::copy_n(prices.begin(), 4, obs + Neighbourhood::kPrice);
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    District& d = districts_[e];
    // An hour for every step, and one before the first.
    cargo(d.begin, {"the first hour", 0, near_->hours - spec().limit - 1});
    const int64_t now = d.begin + steps(e);
    cargo(d.now, {"the hour", now, now}), cargo(d.paid);
    cargo(d.soc.data(), a_, {"a battery's charge", 0, kFarthestReal});
    cargo(d.capacity.data(), a_, {"a battery's capacity", 1e-6, kFarthestReal});
    cargo(d.net.data(), a_);
    Tally& t = d.tally;
    cargo(t.hours, {"the hours so far", steps(e) + 1, steps(e) + 1});
    for (double* x :
         {&t.cost, &t.carbon, &t.ramping, &t.import, &t.peak, &t.before, &t.factors, &t.windows,
          &t.window_sum, &t.window_most, &t.days, &t.day_peaks, &t.day_most, &t.bill, &t.alone, &t.traded})
      cargo(*x);
    if (cargo.loading()) settle(e);
  }

  const Options o_;
  const int64_t a_;
  const bool auction_, trades_;
  const Paid paid_;
  std::shared_ptr<const Neighbourhood> near_;
  std::vector<District> districts_;  // [E]
};

SYMMA_REGISTER(Env, "homes", Homes, "homes with panels and batteries, which may trade",
               "CityLearn 1.3.6; Vazquez-Canteli et al. 2020, arXiv:2012.10504");

}  // namespace
}  // namespace symma
