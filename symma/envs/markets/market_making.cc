// A dealer quotes a bid and an ask around a price that wanders: Avellaneda and Stoikov 2008, "High-frequency
// trading in a limit order book".
//
// Time runs from 0 to 1 in `limit` steps of dt. The dealer sets how far below and above the middle it quotes;
// within dt each quote at distance d is hit with probability arrivals exp(-depth d) dt, and the price then
// goes up or down by volatility sqrt(dt). Reward: the change of cash + inventory * price, less risk / 2 *
// volatility^2 * inventory^2 dt, what a dealer of that aversion gives to hold nothing. What is left is priced
// at the middle. A task is volatility, arrivals, depth and risk.
//
// The rival "avellaneda_stoikov" quotes around s - q risk volatility^2 (1 - t), risk volatility^2 (1 - t) +
// 2/risk ln(1 + risk/depth) apart.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

constexpr double kNearest = -3, kFarthest = 5;  // distances that a dealer may set

class MarketMaking final : public ContinuousCopies, public Judged {
 public:
  struct Options : CopyOptions {
    Options() { limit = 200; }
    void fields(Fields& f) {
      level_fields(f);
      CopyOptions::fields(f);
    }
  };
  struct Desk {
    double price = 100, cash = 0, inventory = 0, spread = 0, held = 0, trades = 0;
  };
  enum Part { kVolatility, kArrivals, kDepth, kRisk };

  MarketMaking(const Options& o, int64_t copies)
      : ContinuousCopies(make_spec(o, copies), o,
                         {{.name = "volatility",
                           .doc = "of the price over the day",
                           .value = 2,
                           .train = {1, 3},
                           .test = {1, 3},
                           .ood = {3, 5},
                           .may = {0, 100}},
                          {.name = "arrivals",
                           .doc = "orders a day at the middle",
                           .value = 140,
                           .train = {70, 200},
                           .test = {70, 200},
                           .ood = {30, 70},
                           .may = {0, 10000}},
                          {.name = "depth",
                           .doc = "how fast orders get fewer with distance",
                           .value = 1.5,
                           .train = {1, 2},
                           .test = {1, 2},
                           .ood = {2, 4},
                           .may = {0, 100},
                           .above = true},
                          {.name = "risk",
                           .doc = "aversion to it",
                           .value = 0.1,
                           .train = {0.01, 0.5},
                           .test = {0.01, 0.5},
                           .ood = {0.5, 1},
                           .may = {0, 100},
                           .above = true}},
                         6),
        desks_(copies) {}

  const std::vector<Score>& score_names() const override {
    static const std::vector<Score> names{
        {"pnl", true}, {"spread", false}, {"inventory", false}, {"trades", true}};
    return names;
  }
  // Profit; the mean distance from bid to ask; the root mean square of what was held; trades.
  std::vector<double> scores(int64_t e) const override {
    const Desk& d = desks_[e];
    const double n = std::max(1.0, static_cast<double>(steps(e)));
    return {d.cash + d.inventory * d.price, d.spread / n, std::sqrt(d.held / n), d.trades};
  }

  const Desk& desk(int64_t e) const { return desks_[e]; }
  const double* constants(int64_t e) const { return task(e); }
  double left(int64_t e) const {
    return 1 - static_cast<double>(steps(e)) / static_cast<double>(spec().limit);
  }

  std::string text(int64_t e) const override {
    const Desk& d = desks_[e];
    return fmt::format("step {} of {}: price {:.2f}, holds {:+g}, cash {:+.2f}, worth {:+.2f}\n", steps(e),
                       spec().limit, d.price, d.inventory, d.cash, d.cash + d.inventory * d.price);
  }
  std::string svg(int64_t e) const override {
    const Desk& d = desks_[e];
    Drawing p(320, 130);
    p.text(160, 14, 12, fmt::format("price {:.2f}, after {:.0f} % of the day", d.price, 100 * (1 - left(e))));
    const auto bar = [&](double y, const char* what, double value, double per_unit) {
      const double arm = std::clamp(value * per_unit, -110.0, 110.0);
      p.text(40, y, 11, what);
      p.line(200, y - 12, 200, y + 12, "#808080", 1);
      p.rect(200 + std::min(0.0, arm), y - 8, std::abs(arm), 16, arm < 0 ? "#d62728" : "#2ca02c");
      p.text(200, y + 20, 10, fmt::format("{:+.2f}", value));
    };
    bar(44, "holds", d.inventory, 10);
    bar(94, "profit", d.cash + d.inventory * d.price, 1);
    return p.svg();
  }

 private:
  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "market_making";
    s.variant = fmt::format("Avellaneda and Stoikov 2008, {} steps", o.limit);
    s.copies = copies;
    s.agents = 1;
    s.obs = 8;
    s.actions = 2;
    s.agent_names = {"dealer"};
    s.action_names = {"bid_distance", "ask_distance"};
    s.action_low = {kNearest, kNearest}, s.action_high = {kFarthest, kFarthest};
    return s;
  }

  void begin(int64_t e, Rng) override { desks_[e] = {}; }

  bool advance(int64_t e, const float* actions, int64_t now, Rng episode, float* reward) override {
    Desk& d = desks_[e];
    const double* t = task(e);
    const double dt = 1 / static_cast<double>(spec().limit), before = d.cash + d.inventory * d.price;
    Draws draws(episode.split("step", now));
    const double held = d.inventory;
    for (int k : {0, 1}) {
      const double distance = actions[k];
      d.spread += distance;
      if (draws.uniform() >= t[kArrivals] * std::exp(-t[kDepth] * distance) * dt) continue;
      const double way = k == 0 ? 1 : -1;  // what a bid that is hit buys
      d.inventory += way;
      d.cash -= way * (d.price - way * distance);
      d.trades += 1;
    }
    d.price += (draws.below(2) ? 1 : -1) * t[kVolatility] * std::sqrt(dt);
    d.held += held * held;
    const double risk = t[kRisk] / 2 * t[kVolatility] * t[kVolatility] * d.inventory * d.inventory * dt;
    reward[0] = static_cast<float>(d.cash + d.inventory * d.price - before - risk);
    return false;
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const Desk& d = desks_[e];
    const double all[8] = {left(e), d.inventory / 5, d.inventory / 5 * left(e), (d.price - 100) / 4,
                           task(e)[kVolatility] / 2, task(e)[kRisk],
                           // What was met so far tells of arrivals and depth.
                           d.trades / std::max(1.0, static_cast<double>(steps(e))),
                           d.spread / 4 / std::max(1.0, static_cast<double>(steps(e)))};
    for (int k = 0; k < 8; ++k) obs[k] = static_cast<float>(all[k]);
  }

  void visit(int64_t e, Cargo& cargo) override {
    Desk& d = desks_[e];
    for (double* x : {&d.price, &d.cash, &d.inventory, &d.spread}) cargo(*x);
    for (double* x : {&d.held, &d.trades}) cargo(*x, {"a sum", 0, kFarthestReal});
  }

  std::vector<Desk> desks_;  // [E]
};

class AvellanedaStoikov final : public Script {
 public:
  using Options = NoOptions;
  explicit AvellanedaStoikov(const Options&) {}
  void check(const Env& env) const override { world(env); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    const MarketMaking& w = world(env);
    Tensor out = at::zeros({env.spec().copies, 1, 2});
    for (int64_t e = 0; e < env.spec().copies; ++e) {
      const double* t = w.constants(e);
      const double risk = t[MarketMaking::kRisk],
                   fear = risk * t[MarketMaking::kVolatility] * t[MarketMaking::kVolatility] * w.left(e),
                   half = (fear + 2 / risk * std::log(1 + risk / t[MarketMaking::kDepth])) / 2,
                   lean = w.desk(e).inventory * fear;
      float* to = out.data_ptr<float>() + 2 * e;
      to[0] = static_cast<float>(std::clamp(half + lean, kNearest, kFarthest));
      to[1] = static_cast<float>(std::clamp(half - lean, kNearest, kFarthest));
    }
    return out;
  }

 private:
  static const MarketMaking& world(const Env& env) {
    return need_world<MarketMaking>(env, "avellaneda_stoikov", "\"market_making\"");
  }
};

SYMMA_REGISTER(Env, "market_making", MarketMaking, "a dealer quotes a bid and an ask",
               "Avellaneda and Stoikov 2008");
SYMMA_REGISTER(Script, "avellaneda_stoikov", AvellanedaStoikov, "market_making: the quotes of its authors",
               "Avellaneda and Stoikov 2008");

}  // namespace
}  // namespace symma
