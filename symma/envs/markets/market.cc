// A continuous double auction: one limit book, whole prices 1 to `highest`, price-time priority.
//
// Half of the traders buy, half sell; trader 2 k buys, 2 k + 1 sells. Each has a private limit for its next
// unit. One trader who still has units, drawn at random, acts at a time: it quotes its limit less or plus
// some ticks, takes the best of the other side, or waits. A quote that meets the other side's best trades at
// the standing price; after a trade both sides are cleared (`clear`), as Gode and Sunder 1993 have it, and a
// quote that does not better the best is not heard (`improve`). Without both there is a book of one quote a
// trader, served by price and then by time.
//
// Players are the first `players` traders; the crowd of the others is played by rule: ZI-C and ZI-U (Gode and
// Sunder 1993), ZIP (Cliff 1997), and shaver, giveaway and sniper of the Bristol Stock Exchange (Cliff 2018).
// A step is a player's turn. A reward is the own surplus, in `scale` ticks. A day ends after `quotes` turns
// of anybody, or when nobody can trade any more; a session after `days`. What players miss of it is played
// out by the crowd.
//
// A task is a schedule (the highest value and the lowest cost, and steps to the next), a shock that shifts
// all limits when half of the session is over, and the crowd: weights of its kinds, or `mix`, a number that
// names some.
#include "symma/envs/markets/market.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {
namespace {

constexpr int64_t kMostOfASide = 32, kMostTraders = 2 * kMostOfASide, kMostUnits = 10, kSeenTrades = 4;
constexpr std::array<int64_t, 7> kTicks{0, 1, 2, 5, 10, 20, 40};
constexpr int64_t kTake = kTicks.size(), kSeen = 17;
constexpr int kKinds = 6;

class Market final : public Copies, public Judged, public MarketView {
 public:
  struct Options : CopyOptions {
    int64_t traders = 6, players = 0, units = 1, unit_drop = 30, highest = 200, quotes = 400, days = 1;
    std::string actions = "offsets";
    bool improve = true, clear = true, shuffle = true;
    double scale = 1;
    Options() { limit = 400; }
    void fields(Fields& f) {
      f.add("traders", traders, "on each side").at_least(1).at_most(kMostOfASide);
      f.add("players", players, "traders that are played: buyers and sellers in turn; 0: all").at_least(0);
      f.add("units", units, "of each trader").at_least(1).at_most(kMostUnits);
      f.add("unit_drop", unit_drop, "how much less the next unit is worth, or how much more it costs")
          .at_least(0);
      f.add("highest", highest, "price").at_least(2).at_most(1000);
      f.add("days", days, "of a session: each trader has its units anew every day").at_least(1).at_most(1000);
      f.add("quotes", quotes, "in a day, of all traders").at_least(1).at_most(1000000);
      f.add("actions", actions, "a quote is some ticks off the limit, or any price, at a loss too")
          .one_of({"offsets", "prices"});
      f.add("improve", improve, "quotes that do not better the best are not heard");
      f.add("clear", clear, "a trade clears both sides of the book");
      f.add("shuffle", shuffle, "who has which limit is drawn for every session");
      f.add("scale", scale, "ticks that are a reward of 1").above(0);
      CopyOptions::fields(f);
    }
  };

  Market(const Options& o, int64_t copies)
      : Copies(make_spec(o, copies), o, make_parameters(o), 11 + kSeenTrades + a_of(o) * (12 + o.units)),
        o_(o),
        a_(a_of(o)),
        players_(spec().agents),
        sessions_(copies) {
    for (Session& s : sessions_) {
      s.limits.resize(a_ * o.units), s.done.resize(a_), s.quote.resize(a_), s.stamp.resize(a_);
      s.cash.resize(a_), s.earned.resize(a_), s.zip.resize(a_), s.kind.resize(a_);
    }
  }

  const std::vector<Score>& score_names() const override {
    static const std::vector<Score> names{
        {"efficiency", true}, {"alpha", false}, {"trades", true}, {"profit", true}};
    return names;
  }
  // Surplus over the greatest that could be had; rms distance of the last day's prices from p*, over it;
  // trades; and the players' surplus over an equal share of the greatest.
  std::vector<double> scores(int64_t e) const override {
    const Session& s = sessions_[e];
    const Balance b = balance(s);
    double all = 0, own = 0;
    for (int64_t i = 0; i < a_; ++i) {
      all += s.earned[i];
      if (i < players_) own += s.earned[i];
    }
    const double n = static_cast<double>(s.trades),
                 share = s.greatest * static_cast<double>(players_) / static_cast<double>(a_);
    return {s.greatest > 0 ? all / s.greatest : 1, n > 0 ? std::sqrt(s.square / n) / b.price : 0,
            static_cast<double>(s.earlier) + n, share > 0 ? own / share : 1};
  }

  bool acts(int64_t e, int64_t p) const override { return sessions_[e].turn == p; }

  int64_t quote_of(int64_t e, int64_t i, Trader kind, Draws& d) const override {
    const Session& s = sessions_[e];
    const int64_t limit = limit_of(s, i), own = best(s, buys(i));
    const auto no_loss = [&](int64_t x) {
      return buys(i) ? std::clamp<int64_t>(x, 1, limit) : std::clamp<int64_t>(x, limit, o_.highest);
    };
    switch (kind) {
      case Trader::kZiC:
        return buys(i) ? 1 + d.below(limit) : limit + d.below(o_.highest - limit + 1);
      case Trader::kZiU:
        return 1 + d.below(o_.highest);
      case Trader::kZip:
        return no_loss(std::llround(wish(s, i)));
      case Trader::kGiveaway:
        return limit;
      case Trader::kShaver:
      case Trader::kSniper: {
        int64_t shave = 1;
        if (kind == Trader::kSniper) {
          const double left = 1 - static_cast<double>(s.quotes) / static_cast<double>(o_.quotes);
          if (left > 0.2) return 0;
          shave = static_cast<int64_t>(1 / (0.01 + left / (3 * 0.2)));
        }
        if (own == 0) return buys(i) ? 1 : o_.highest;
        return no_loss(own + side(i) * shave);
      }
    }
    return 0;
  }

  int64_t action_of(int64_t e, int64_t i, int64_t price) const override {
    if (o_.actions == "prices") return price - 1;
    const Session& s = sessions_[e];
    const int64_t limit = limit_of(s, i), other = best(s, !buys(i));
    if (other && side(i) * (price - other) >= 0 && side(i) * (limit - other) >= 0) return kTake;
    int64_t k = 0;
    while (k + 1 < kTake && kTicks[k] < side(i) * (limit - price) && allowed(s, i, k + 1)) ++k;
    return k;
  }

  std::string text(int64_t e) const override {
    const Session& s = sessions_[e];
    const Balance b = balance(s);
    std::string out = fmt::format("day {}, quote {} of {}; {} trades; supply meets demand at {:g}\n",
                                  s.day + 1, s.quotes, o_.quotes, s.trades, b.price);
    const auto price = [](int64_t x) { return x ? fmt::format("{}", x) : std::string("-"); };
    out += fmt::format("best bid {}, best ask {}; last trades", price(best(s, true)), price(best(s, false)));
    for (int64_t x : s.last) out += " " + price(x);
    out += "\n";
    for (int64_t i = 0; i < a_; ++i) {
      out += fmt::format("{} {:<3} {}", buys(i) ? "buyer " : "seller", i,
                         s.done[i] < o_.units ? fmt::format("limit {:<4}", limit_of(s, i)) : "done      ");
      out += fmt::format(" quotes {:<4} earned {:+g}{}\n", price(s.quote[i]), s.earned[i],
                         s.turn == i ? "  <-" : "");
    }
    return out;
  }

  // Supply (red) and demand (blue) of all units, the best quotes, and the last trades as dots.
  std::string svg(int64_t e) const override {
    const Session& s = sessions_[e];
    const Balance b = balance(s);
    Drawing d(440, 260);
    const int64_t units = a_ / 2 * o_.units;
    const double top = static_cast<double>(o_.highest), n = static_cast<double>(units);
    const auto y = [&](double price) { return 230 - 200 * price / top; };
    const auto x = [&](double k) { return 50 + 240 * k / n; };
    d.text(
        220, 12, 12,
        fmt::format("{} trades after {} quotes; supply meets demand at {:g}", s.trades, s.quotes, b.price));
    for (double p = 0; p <= top; p += top / 4) {
      d.line(50, y(p), 430, y(p), "#eeeeee", 1);
      d.text(28, y(p), 10, fmt::format("{:g}", p));
    }
    const auto stairs = [&](const std::vector<int64_t>& at, const char* stroke) {
      for (size_t k = 0; k < at.size(); ++k) {
        const double here = static_cast<double>(at[k]);
        d.line(x(static_cast<double>(k)), y(here), x(static_cast<double>(k + 1)), y(here), stroke, 2);
        if (k + 1 < at.size())
          d.line(x(static_cast<double>(k + 1)), y(here), x(static_cast<double>(k + 1)),
                 y(static_cast<double>(at[k + 1])), stroke, 2);
      }
    };
    stairs(b.values, "#1f77b4"), stairs(b.costs, "#d62728");
    d.line(50, y(b.price), 430, y(b.price), "#808080", 1);
    for (const bool buying : {true, false}) {
      if (const int64_t p = best(s, buying)) {
        d.line(300, y(static_cast<double>(p)), 430, y(static_cast<double>(p)), buying ? "#1f77b4" : "#d62728",
               3);
        d.text(330, y(static_cast<double>(p)) + (buying ? 9 : -9), 10,
               fmt::format("{} {}", buying ? "bid" : "ask", p));
      }
    }
    for (int64_t k = 0; k < kSeenTrades; ++k) {
      if (s.last[k])
        d.circle(420 - 18.0 * static_cast<double>(k), y(static_cast<double>(s.last[k])), 5, "#2ca02c");
    }
    d.text(170, 248, 10, "units: demand blue, supply red; dots: last trades, the newest to the right");
    return d.svg();
  }

 private:
  enum Part { kHigh, kValueStep, kLow, kCostStep, kShock, kMix, kWeights };
  struct Zip {
    double margin = 0, beta = 0, momentum = 0, absolute = 0, relative = 0, change = 0;
  };
  struct Session {
    int64_t quotes = 0, turn = -1, trades = 0, shifted = 0;  // quotes and trades: of the day
    int64_t day = 0, all = 0, earlier = 0;                   // quotes of all days; trades of earlier days
    bool over = false;
    double square = 0;                        // of prices from p*, summed
    double greatest = 0;                      // surplus that could be had in the days so far
    double price = 0;                         // p*
    std::array<int64_t, kSeenTrades> last{};  // prices, the newest first
    std::vector<int64_t> limits;              // [A, units]
    std::vector<int64_t> done, quote, stamp;  // [A] units traded; price that stands, or 0; since when
    std::vector<int64_t> cash, kind;          // [A]
    std::vector<double> earned;               // [A]
    std::vector<Zip> zip;                     // [A]
  };
  struct Balance {
    double price, surplus;
    std::vector<int64_t> values, costs;
  };

  static int64_t a_of(const Options& o) { return 2 * o.traders; }
  static bool buys(int64_t i) { return i % 2 == 0; }
  static int64_t side(int64_t i) { return buys(i) ? 1 : -1; }

  static EnvSpec make_spec(const Options& o, int64_t copies) {
    if (o.players > a_of(o))
      throw UserError("[task.world] players", fmt::format("are {}", o.players),
                      fmt::format("there are {} traders", a_of(o)));
    EnvSpec s;
    s.name = "market";
    s.agents = o.players ? o.players : a_of(o);
    s.variant = fmt::format(
        "double auction, {} players of {} traders, {} units, {} days of {} quotes, {}{}{}", s.agents, a_of(o),
        o.units, o.days, o.quotes, o.actions, o.improve ? "" : ", whole book", o.clear ? "" : ", kept");
    s.copies = copies;
    s.obs = kSeen;
    if (o.actions == "prices") {
      for (int64_t p = 1; p <= o.highest; ++p) s.action_names.push_back(fmt::format("{}", p));
    } else {
      for (int64_t k : kTicks) s.action_names.push_back(k ? fmt::format("limit_{}", k) : "limit");
      s.action_names.emplace_back("take");
    }
    s.action_names.emplace_back("wait");
    s.actions = static_cast<int64_t>(s.action_names.size());
    for (int64_t i = 0; i < s.agents; ++i)
      s.agent_names.push_back(fmt::format("{}_{}", buys(i) ? "buyer" : "seller", i / 2));
    return s;
  }

  static std::vector<TaskParameter> make_parameters(const Options& o) {
    const double h = static_cast<double>(o.highest) / 200;
    const auto at = [&](double x) { return std::max(1.0, std::round(x * h)); };
    const double most = static_cast<double>(o.highest);
    std::vector<TaskParameter> out{{"high",
                                    "the highest value",
                                    at(180),
                                    true,
                                    {at(150), at(190)},
                                    {at(150), at(190)},
                                    {at(110), at(150)},
                                    {1, most}},
                                   {"value_step",
                                    "how much less the next buyer's is",
                                    at(20),
                                    true,
                                    {at(5), at(20)},
                                    {at(5), at(20)},
                                    {at(2), at(5)},
                                    {0, most}},
                                   {"low",
                                    "the lowest cost",
                                    at(20),
                                    true,
                                    {at(10), at(50)},
                                    {at(10), at(50)},
                                    {at(50), at(80)},
                                    {1, most}},
                                   {"cost_step",
                                    "how much more the next seller's is",
                                    at(20),
                                    true,
                                    {at(5), at(20)},
                                    {at(5), at(20)},
                                    {at(2), at(5)},
                                    {0, most}},
                                   {"shock",
                                    "how far all limits shift when half of the session is over",
                                    0,
                                    true,
                                    {-at(30), at(30)},
                                    {-at(30), at(30)},
                                    {at(30), at(60)},
                                    {-most, most}},
                                   {"mix",
                                    "the crowd's kinds, by the number of a draw; 0: by their weights",
                                    0,
                                    true,
                                    {1, 100000},
                                    {100001, 200000},
                                    {200001, 300000},
                                    {0, 1e15}}};
    const char* const kinds[kKinds] = {"zi_c", "zi_u", "zip", "shaver", "giveaway", "sniper"};
    for (int k = 0; k < kKinds; ++k)
      out.push_back(
          {kinds[k], "its weight in the crowd", k == 0 ? 1.0 : 0.0, false, {0, 1}, {0, 1}, {0, 1}, {0, 1e6}});
    return out;
  }

  void check_task(const double* t, const std::string& place) const override {
    double sum = 0;
    for (int k = 0; k < kKinds; ++k) sum += t[kWeights + k];
    if (sum <= 0 && t[kMix] == 0)
      throw UserError(place + ", zi_c", "no kind of trader has a weight",
                      "give one of them some, or set mix");
  }

  int64_t limit_of(const Session& s, int64_t i) const {
    return s.limits[i * o_.units + std::min(s.done[i], o_.units - 1)];
  }

  // Where supply and demand meet: in the middle of the prices that clear the market.
  Balance balance(const Session& s) const {
    Balance b{0, 0, {}, {}};
    for (int64_t i = 0; i < a_; ++i)
      for (int64_t k = 0; k < o_.units; ++k)
        (buys(i) ? b.values : b.costs).push_back(s.limits[i * o_.units + k]);
    std::sort(b.values.rbegin(), b.values.rend()), std::sort(b.costs.begin(), b.costs.end());
    size_t q = 0;
    for (; q < b.values.size() && b.values[q] >= b.costs[q]; ++q)
      b.surplus += static_cast<double>(b.values[q] - b.costs[q]);
    const double most = static_cast<double>(o_.highest);
    double low = 0, high = most;
    if (q > 0) low = static_cast<double>(b.costs[q - 1]), high = static_cast<double>(b.values[q - 1]);
    if (q < b.values.size())
      low = std::max(low, static_cast<double>(b.values[q])),
      high = std::min(high, static_cast<double>(b.costs[q]));
    b.price = (low + high) / 2;
    return b;
  }

  void begin(int64_t e, Rng episode) override {
    Session& s = sessions_[e];
    const double* t = task(e);
    s.quotes = s.trades = s.shifted = s.day = s.all = s.earlier = 0, s.square = 0, s.over = false,
    s.last = {};
    for (auto* v : {&s.done, &s.quote, &s.stamp, &s.cash}) std::fill(v->begin(), v->end(), 0);
    std::fill(s.earned.begin(), s.earned.end(), 0.0);
    Draws d(episode.split("session"));
    std::array<std::vector<int64_t>, 2> place;
    for (auto& p : place) {
      p.resize(o_.traders);
      for (int64_t k = 0; k < o_.traders; ++k) p[k] = k;
      if (o_.shuffle) p = d.permutation(o_.traders);
    }
    for (int64_t i = 0; i < a_; ++i) {
      const double k = static_cast<double>(place[i % 2][i / 2]);
      const double first = buys(i) ? t[kHigh] - t[kValueStep] * k : t[kLow] + t[kCostStep] * k;
      for (int64_t u = 0; u < o_.units; ++u)
        s.limits[i * o_.units + u] =
            std::clamp<int64_t>(static_cast<int64_t>(first) - side(i) * u * o_.unit_drop, 1, o_.highest);
    }
    std::array<double, kKinds> weight;
    double sum = 0;
    Draws mix(Rng(static_cast<uint64_t>(t[kMix])).split("mix"));
    for (int k = 0; k < kKinds; ++k) {
      // Few kinds make up most of a mix. Traders who lose money are not among them.
      weight[k] = t[kMix] == 0 ? t[kWeights + k] : k == 1 ? 0 : std::pow(-std::log(1 - mix.uniform()), 3);
      sum += weight[k];
    }
    for (int64_t i = 0; i < a_; ++i) {
      double at = d.uniform() * sum;
      int kind = 0;
      while (kind + 1 < kKinds && (at -= weight[kind]) >= 0) ++kind;
      while (weight[kind] == 0) --kind;
      s.kind[i] = kind;
      s.zip[i] = {-static_cast<double>(side(i)) * d.uniform(0.05, 0.35),
                  d.uniform(0.1, 0.5),
                  d.uniform(0, 0.1),
                  d.uniform(0.01, 0.05),
                  d.uniform(0.01, 0.05),
                  0};
    }
    const Balance b = balance(s);
    s.price = b.price, s.greatest = b.surplus;
    next_turn(s, episode);
    play_crowd(e, episode);
  }

  // Who acts next, of those who have units left; nobody where one side has none.
  void next_turn(Session& s, Rng episode) {
    std::array<int64_t, kMostTraders> ready;
    int64_t n = 0, buyers = 0;
    for (int64_t i = 0; i < a_; ++i) {
      if (s.done[i] == o_.units) continue;
      ready[n++] = i;
      buyers += buys(i);
    }
    s.over = s.quotes >= o_.quotes || buyers == 0 || buyers == n;
    if (s.over && s.day + 1 < o_.days) {
      ++s.day, s.earlier += s.trades;
      s.quotes = s.trades = 0, s.square = 0;
      for (auto* v : {&s.done, &s.quote}) std::fill(v->begin(), v->end(), 0);
      s.greatest += balance(s).surplus;
      next_turn(s, episode);
      return;
    }
    s.turn = s.over ? -1 : ready[Draws(episode.split("turn", s.all)).below(n)];
  }

  void play_crowd(int64_t e, Rng episode) {
    Session& s = sessions_[e];
    while (!s.over && s.turn >= players_) {
      Draws d(episode.split("crowd", s.all));
      act(e, s.turn, quote_of(e, s.turn, static_cast<Trader>(s.kind[s.turn]), d), episode);
    }
  }

  // The best quote of a side, or 0; and whose it is.
  int64_t best(const Session& s, bool buying, int64_t* whose = nullptr) const {
    int64_t price = 0, since = 0;
    for (int64_t i = buying ? 0 : 1; i < a_; i += 2) {
      const int64_t q = s.quote[i];
      if (!q) continue;
      if (price && (buying ? q < price : q > price)) continue;
      if (price == q && s.stamp[i] > since) continue;
      price = q, since = s.stamp[i];
      if (whose) *whose = i;
    }
    return price;
  }

  // A trader's turn: a price, or 0 for none.
  void act(int64_t e, int64_t i, int64_t price, Rng episode) {
    Session& s = sessions_[e];
    ++s.quotes, ++s.all;
    if (price > 0) {
      int64_t with = -1;
      const int64_t other = best(s, !buys(i), &with);
      const bool deal = other && side(i) * (price - other) >= 0;
      if (deal) {
        trade(s, i, with, other);
      } else {
        const int64_t own = best(s, buys(i));
        if (!o_.improve || own == 0 || side(i) * (price - own) > 0) s.quote[i] = price, s.stamp[i] = s.all;
      }
      learn(s, deal ? other : price, buys(i), deal, episode);
    }
    if (s.shifted == 0 && task(e)[kShock] != 0 && 2 * (s.day * o_.quotes + s.quotes) >= o_.quotes * o_.days)
      shock(s, static_cast<int64_t>(task(e)[kShock]));
    next_turn(s, episode);
  }

  void shock(Session& s, int64_t by) {
    s.shifted = by;
    // What a day could bring is what its first limits let it: a shock makes no pair of limits worth more,
    // since those at a bound come closer. Before a day's second quote nobody can have traded.
    const bool untraded = s.quotes < 2;
    if (untraded) s.greatest -= balance(s).surplus;
    for (int64_t& x : s.limits) x = std::clamp<int64_t>(x + by, 1, o_.highest);
    // Nobody is held to a quote that would now lose.
    for (int64_t i = 0; i < a_; ++i)
      if (o_.actions == "offsets" && s.quote[i] && side(i) * (limit_of(s, i) - s.quote[i]) < 0)
        s.quote[i] = 0;
    const Balance b = balance(s);
    s.price = b.price;
    if (untraded) s.greatest += b.surplus;
  }

  void trade(Session& s, int64_t i, int64_t j, int64_t price) {
    for (int64_t who : {i, j}) {
      const int64_t surplus = side(who) * (limit_of(s, who) - price);
      s.earned[who] += static_cast<double>(surplus);
      s.cash[who] -= side(who) * price;
      ++s.done[who];
      s.quote[who] = 0;
    }
    if (o_.clear) std::fill(s.quote.begin(), s.quote.end(), 0);
    ++s.trades;
    s.square += (static_cast<double>(price) - s.price) * (static_cast<double>(price) - s.price);
    std::copy_backward(s.last.begin(), s.last.end() - 1, s.last.end());
    s.last[0] = price;
  }

  double wish(const Session& s, int64_t i) const {
    return static_cast<double>(limit_of(s, i)) * (1 + s.zip[i].margin);
  }

  // Margins after a quote or trade at q (Cliff 1997, section 4): up where there was more to be had, down
  // where a trade was lost.
  void learn(Session& s, int64_t q, bool bid, bool deal, Rng episode) {
    bool any = false;
    for (int64_t i = 0; i < a_ && !any; ++i) any = tracks(s, i);
    if (!any) return;
    Draws d(episode.split("margins", s.all));
    const auto at = static_cast<double>(q);
    for (int64_t i = 0; i < a_; ++i) {
      if (!tracks(s, i)) continue;
      const bool active = s.done[i] < o_.units;  // who is done may still want more the next day
      // Compared are prices as they are quoted, in whole ticks: who is a hair above its own quote is not
      // above it.
      const double own = wish(s, i), quoted = std::round(own);
      const bool content = static_cast<double>(side(i)) * (quoted - at) >= 0;  // it would have traded at q
      const bool up = deal && content;
      const bool down =
          active && (deal ? bid != buys(i) && !content
                          : bid == buys(i) && static_cast<double>(side(i)) * (quoted - at) <= 0);
      if (!up && !down) continue;
      Zip& z = s.zip[i];
      // Buyers with a greater margin bid less.
      const double way = (up ? -1 : 1) * static_cast<double>(side(i));
      const double target = (1 + way * d.uniform(0, z.relative)) * at + way * d.uniform(0, z.absolute);
      z.change = (1 - z.momentum) * z.beta * (target - own) + z.momentum * z.change;
      const double margin = (own + z.change) / static_cast<double>(limit_of(s, i)) - 1;
      z.margin = buys(i) ? std::clamp(margin, -1.0, 0.0) : std::max(0.0, margin);
    }
  }
  // Players' margins are kept too, for those who are played by rule.
  bool tracks(const Session& s, int64_t i) const {
    return i < players_ || s.kind[i] == static_cast<int64_t>(Trader::kZip);
  }

  bool allowed(const Session& s, int64_t i, int64_t k) const {
    const int64_t limit = limit_of(s, i);
    if (k == kTake) {
      const int64_t other = best(s, !buys(i));
      return other && side(i) * (limit - other) >= 0;
    }
    const int64_t price = limit - side(i) * kTicks[k];
    return price >= 1 && price <= o_.highest;
  }

  bool advance(int64_t e, const int64_t* actions, int64_t, Rng episode, float* reward) override {
    Session& s = sessions_[e];
    if (s.over) return true;  // the crowd was done before a player's first turn
    const int64_t i = s.turn, action = actions[i];
    int64_t price = 0;
    if (action != spec().actions - 1) {
      if (o_.actions == "prices")
        price = action + 1;
      else
        price = action == kTake ? best(s, !buys(i)) : limit_of(s, i) - side(i) * kTicks[action];
    }
    // Who is traded with while the crowd plays on is paid now, too.
    std::array<double, kMostTraders> before;
    std::copy_n(s.earned.begin(), players_, before.begin());
    act(e, i, price, episode);
    play_crowd(e, episode);
    for (int64_t p = 0; p < players_; ++p)
      reward[p] = static_cast<float>((s.earned[p] - before[p]) / o_.scale);
    return s.over;
  }

  void observe(int64_t e, float* obs, bool* mask) const override {
    const Session& s = sessions_[e];
    const int64_t n = spec().actions, bid = best(s, true), ask = best(s, false);
    std::fill_n(mask, players_ * n, false);
    const float scale = 1 / static_cast<float>(o_.highest);
    const float left = 1 - static_cast<float>(s.quotes) / static_cast<float>(o_.quotes);
    for (int64_t i = 0; i < players_; ++i, obs += kSeen, mask += n) {
      const bool units = s.done[i] < o_.units;
      const int64_t limit = limit_of(s, i), own = buys(i) ? bid : ask, other = buys(i) ? ask : bid;
      obs[0] = static_cast<float>(side(i));
      obs[1] = units ? scale * static_cast<float>(limit) : 0;
      obs[2] = static_cast<float>(o_.units - s.done[i]) / static_cast<float>(o_.units);
      obs[3] = s.turn == i;
      // What may be had by taking, and what the best on the own side leaves; each with whether it is there.
      obs[4] = other ? scale * static_cast<float>(side(i) * (limit - other)) : 0;
      obs[5] = other > 0;
      obs[6] = own ? scale * static_cast<float>(side(i) * (limit - own)) : 0;
      obs[7] = own > 0;
      obs[8] = own > 0 && s.quote[i] == own;
      for (int64_t k = 0; k < kSeenTrades; ++k)
        obs[9 + k] = s.last[k] ? scale * static_cast<float>(side(i) * (limit - s.last[k])) : 0;
      obs[13] = std::min(1.F, static_cast<float>(s.trades) / 8);
      obs[14] = left;
      obs[15] = static_cast<float>(s.done[i]);
      obs[16] = static_cast<float>(s.day) / static_cast<float>(o_.days);
      mask[n - 1] = true;
      if (s.turn != i) continue;
      if (o_.actions == "prices")
        std::fill_n(mask, n, true);
      else
        for (int64_t k = 0; k <= kTake; ++k) mask[k] = allowed(s, i, k);
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    Session& s = sessions_[e];
    const Bounds count{"a count", 0, kMostCounted}, price{"a price", 0, o_.highest};
    cargo(s.quotes, {"the quotes of the day", 0, o_.quotes}),
        cargo(s.turn, {"whose turn it is", -1, players_ - 1}), cargo(s.trades, count);
    cargo(s.shifted, {"the shock", -o_.highest, o_.highest}), cargo(s.day, {"the day", 0, o_.days - 1});
    cargo(s.all, count), cargo(s.earlier, count), cargo(s.over);
    cargo(s.square, {"a sum of squares", 0, kFarthestReal});
    cargo(s.greatest, {"what could be had", 0, kFarthestReal});
    cargo(s.price, {"where supply meets demand", 0, o_.highest});
    cargo(s.last.data(), kSeenTrades, price);
    cargo(s.limits.data(), a_ * o_.units, {"a limit", 1, o_.highest});
    cargo(s.done.data(), a_, {"the units of a trader", 0, o_.units}), cargo(s.quote.data(), a_, price);
    cargo(s.stamp.data(), a_, count),
        cargo(s.cash.data(), a_, {"a trader's cash", -kMostCounted, kMostCounted});
    cargo(s.kind.data(), a_, {"the kind of a trader", 0, kKinds - 1});
    cargo(s.earned.data(), a_);
    for (Zip& z : s.zip) {
      cargo(z.margin, {"a margin", -1, 1e6});
      for (double* x : {&z.beta, &z.momentum, &z.absolute, &z.relative}) cargo(*x, {"a rate", 0, 1});
      cargo(z.change, {"a change of a margin", -1e9, 1e9});
    }
    if (!cargo.loading()) return;
    // It is a player's turn who has units left, or nobody's.
    if (s.over ? s.turn != -1 : s.turn < 0 || s.done[s.turn] == o_.units)
      throw UserError(place(e), "whose turn it is cannot be so in what was saved",
                      "restore what was saved of this world");
  }

  const Options o_;
  const int64_t a_, players_;
  std::vector<Session> sessions_;  // [E]
};

SYMMA_REGISTER(Env, "market", Market, "a continuous double auction, with a crowd of traders by rule",
               "Gode and Sunder 1993; Cliff 1997; Cliff 2018, arXiv:1809.06027");

}  // namespace
}  // namespace symma
