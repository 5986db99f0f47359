// Large orders are sold off in parts: Almgren and Chriss 2000, "Optimal execution of portfolio transactions".
//
// Each of A sellers holds X = 1 million shares and sells a share of what it still holds in each of N =
// `limit` periods of length tau = days / N; what is left in the last period goes then. All that is sold, n a
// period, moves the price: by gamma n for good, and by eps + eta n / tau for that period. Reward: minus the
// cost against the first price, less risk * sigma^2 tau x^2 for what is held through the next period: its sum
// is
// -(E + lambda V) for a seller alone. It is told in $ a share. With `noise` the price wanders too, which
// changes no expectation.
//
// The rival "almgren_chriss" holds x_j = X sinh(kappa (T - t_j)) / sinh(kappa T), the best that one alone can
// do.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

constexpr double kShares = 1e6, kSpread = 0.0625;

class Execution final : public ContinuousCopies, public Judged {
 public:
  struct Options : CopyOptions {
    int64_t sellers = 1;
    double days = 5;
    bool noise = false;
    Options() { limit = 5; }
    void fields(Fields& f) {
      f.add("sellers", sellers, "of the same stock").at_least(1).at_most(20);
      f.add("days", days, "until all must be sold").above(0).at_most(1000);
      f.add("noise", noise, "the price wanders");
      level_fields(f);
      CopyOptions::fields(f);
    }
  };
  enum Part { kRisk, kSigma, kEta, kGamma };

  Execution(const Options& o, int64_t copies)
      : ContinuousCopies(make_spec(o, copies), o,
                         {{.name = "risk",
                           .doc = "lambda, in millionths",
                           .value = 1,
                           .train = {0, 4},
                           .test = {0, 4},
                           .ood = {4, 10},
                           .may = {0, 1000}},
                          {.name = "sigma",
                           .doc = "volatility, $ a share and square root of a day",
                           .value = 0.95,
                           .train = {0.5, 1.5},
                           .test = {0.5, 1.5},
                           .ood = {1.5, 3},
                           .may = {0, 1000}},
                          {.name = "eta",
                           .doc = "of the passing impact, in millionths",
                           .value = 2.5,
                           .train = {1, 4},
                           .test = {1, 4},
                           .ood = {4, 8},
                           .may = {0, 1000}},
                          {.name = "gamma",
                           .doc = "of the lasting impact, in millionths",
                           .value = 0.25,
                           .train = {0.1, 0.5},
                           .test = {0.1, 0.5},
                           .ood = {0.5, 1},
                           .may = {0, 1000}}},
                         1 + 3 * o.sellers),
        tau_(o.days / static_cast<double>(o.limit)),
        noise_(o.noise),
        a_(o.sellers),
        desks_(copies) {
    for (Desk& d : desks_) d.held.resize(a_), d.cost.resize(a_), d.square.resize(a_);
  }

  const std::vector<Score>& score_names() const override {
    static const std::vector<Score> names{{"cost", false}, {"risk", false}, {"objective", false}};
    return names;
  }
  // Of the sellers, on average: the cost E in $, the standard deviation of it, and E + lambda V in $.
  std::vector<double> scores(int64_t e) const override {
    const Desk& d = desks_[e];
    double cost = 0, square = 0;
    for (int64_t i = 0; i < a_; ++i)
      cost += d.cost[i] / static_cast<double>(a_), square += d.square[i] / static_cast<double>(a_);
    const double variance = task(e)[kSigma] * task(e)[kSigma] * tau_ * square;
    return {cost, std::sqrt(variance), cost + 1e-6 * task(e)[kRisk] * variance};
  }

  double held(int64_t e, int64_t i) const { return desks_[e].held[i]; }
  int64_t period(int64_t e) const { return steps(e); }

  // What is held after period j by who is alone.
  double planned(int64_t e, int64_t j) const {
    const double* t = task(e);
    const double eta = 1e-6 * t[kEta] - 1e-6 * t[kGamma] * tau_ / 2, n = static_cast<double>(spec().limit);
    const double x =
        std::max(0.0, 1e-6 * t[kRisk] * t[kSigma] * t[kSigma] * tau_ * tau_ / (2 * std::max(1e-30, eta)));
    const double kappa = std::acosh(x + 1), left = n - static_cast<double>(j);  // kappa tau
    return kShares * (kappa < 1e-9 ? left / n : std::sinh(kappa * left) / std::sinh(kappa * n));
  }

  std::string text(int64_t e) const override {
    const Desk& d = desks_[e];
    std::string out = fmt::format("period {} of {}, price moved {:+.4f}\n", steps(e), spec().limit, d.price);
    for (int64_t i = 0; i < a_; ++i)
      out += fmt::format("seller {}: holds {:.0f}, cost so far {:.0f} $\n", i, d.held[i], d.cost[i]);
    return out;
  }
  std::string svg(int64_t e) const override {
    const Desk& d = desks_[e];
    Drawing p(360, 40 + 26.0 * static_cast<double>(a_));
    p.text(180, 14, 12, fmt::format("period {} of {}: what each still holds", steps(e), spec().limit));
    for (int64_t i = 0; i < a_; ++i) {
      const double y = 30 + 26.0 * static_cast<double>(i);
      p.text(36, y + 9, 11, fmt::format("seller {}", i));
      p.rect(70, y, 200, 18, "#eeeeee"), p.rect(70, y, 200 * d.held[i] / kShares, 18, colour(i));
      const double plan = 70 + 200 * planned(e, steps(e)) / kShares;
      p.line(plan, y - 2, plan, y + 20, "black", 2);
      p.text(315, y + 9, 10, fmt::format("{:.0f} $", d.cost[i]));
    }
    return p.svg();
  }

 private:
  struct Desk {
    double price = 0;
    std::vector<double> held, cost, square;  // [A]; square: of what was held, summed over periods
  };

  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "execution";
    s.variant = fmt::format("Almgren and Chriss 2000, {} seller{}, {:g} days, {} periods{}", o.sellers,
                            o.sellers == 1 ? "" : "s", o.days, o.limit, o.noise ? ", noise" : "");
    s.copies = copies;
    s.agents = o.sellers;
    s.obs = 8;
    s.actions = 1;
    s.action_names = {"share"};
    s.action_low.assign(o.sellers, 0), s.action_high.assign(o.sellers, 1);
    for (int64_t i = 0; i < o.sellers; ++i) s.agent_names.push_back(fmt::format("seller_{}", i));
    return s;
  }

  void check_task(const double* t, const std::string& place) const override {
    if (t[kEta] <= t[kGamma] * tau_ / 2)
      throw UserError(
          place + ", eta", fmt::format("is {:g}", t[kEta]),
          fmt::format("more than gamma tau / 2 = {:g} is needed, or selling at once costs nothing",
                      t[kGamma] * tau_ / 2));
  }

  void begin(int64_t e, Rng) override {
    Desk& d = desks_[e];
    d.price = 0;
    std::fill(d.held.begin(), d.held.end(), kShares);
    for (auto* v : {&d.cost, &d.square}) std::fill(v->begin(), v->end(), 0.0);
  }

  bool advance(int64_t e, const float* actions, int64_t now, Rng episode, float* reward) override {
    Desk& d = desks_[e];
    const double* t = task(e);
    const bool last = now + 1 == spec().limit;
    double all = 0;
    std::array<double, 20> n;
    for (int64_t i = 0; i < a_; ++i) all += n[i] = last ? d.held[i] : d.held[i] * actions[i];
    // E of the closed form has gamma x_j for what is sold later, hence the price before this period's impact.
    const double passing = all > 0 ? kSpread + 1e-6 * t[kEta] * all / tau_ : 0;
    const double after = d.price - 1e-6 * t[kGamma] * all;
    for (int64_t i = 0; i < a_; ++i) {
      const double cost = n[i] * (passing - d.price);
      d.held[i] = last ? 0 : d.held[i] - n[i];
      d.cost[i] += cost, d.square[i] += d.held[i] * d.held[i];
      const double risk = 1e-6 * t[kRisk] * t[kSigma] * t[kSigma] * tau_ * d.held[i] * d.held[i];
      reward[i] = static_cast<float>(-(cost + risk) / kShares);
    }
    d.price = after;
    if (noise_) d.price += t[kSigma] * std::sqrt(tau_) * Draws(episode.split("step", now)).normal();
    return last;
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const Desk& d = desks_[e];
    const double* t = task(e);
    double others = 0;
    for (double x : d.held) others += x / kShares;
    for (int64_t i = 0; i < a_; ++i, obs += 8) {
      const double own = d.held[i] / kShares;
      const double all[8] = {1 - static_cast<double>(steps(e)) / static_cast<double>(spec().limit),
                             own,
                             others - own,
                             d.price,
                             t[kRisk],
                             t[kSigma],
                             t[kEta],
                             t[kGamma]};
      for (int k = 0; k < 8; ++k) obs[k] = static_cast<float>(all[k]);
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    Desk& d = desks_[e];
    cargo(d.price);
    cargo(d.held.data(), a_, {"what a seller holds", 0, kShares}), cargo(d.cost.data(), a_);
    cargo(d.square.data(), a_, {"a sum of squares", 0, std::numeric_limits<float>::max()});
  }

  const double tau_;
  const bool noise_;
  const int64_t a_;
  std::vector<Desk> desks_;  // [E]
};

class AlmgrenChriss final : public Script {
 public:
  using Options = NoOptions;
  explicit AlmgrenChriss(const Options&) {}
  void check(const Env& env) const override { world(env); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    const Execution& w = world(env);
    const EnvSpec& s = env.spec();
    Tensor out = at::ones({s.copies, s.agents, 1});
    for (int64_t e = 0; e < s.copies; ++e) {
      for (int64_t i = 0; i < s.agents; ++i) {
        const double held = w.held(e, i);
        if (held > 0)
          out.data_ptr<float>()[e * s.agents + i] =
              static_cast<float>(std::clamp(1 - w.planned(e, w.period(e) + 1) / held, 0.0, 1.0));
      }
    }
    return out;
  }

 private:
  static const Execution& world(const Env& env) {
    return need_world<Execution>(env, "almgren_chriss", "\"execution\"");
  }
};

SYMMA_REGISTER(Env, "execution", Execution, "large orders are sold off in parts", "Almgren and Chriss 2000");
SYMMA_REGISTER(Script, "almgren_chriss", AlmgrenChriss, "execution: the best that a seller alone can do",
               "Almgren and Chriss 2000");

}  // namespace
}  // namespace symma
