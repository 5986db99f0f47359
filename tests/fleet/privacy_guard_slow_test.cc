// The guard: what the program states of a file is never below what is certain of it.
//
// For each kind of mechanism that a file can ask for the mechanism itself is run on two neighbouring fleets
// with equal noise, which shows how far the worst unit moves what comes out, in deviations of that noise; the
// exact trade-off of that pair over all exchanges (tests/exchange/certain.h) is a lower bound on every true
// epsilon. Random files must not be found out; mechanisms and accounts with a known fault put back must be.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>

#include "exchange/certain.h"
#include "fleet/fleets.h"
#include "symma/exchange/messages.h"
#include "symma/exchange/privacy.h"
#include "symma/exchange/secure.h"
#include "symma/fleet/account.h"
#include "symma/learners/rows.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

// The faults that were there.
enum class Fault { kNone, kRawCount, kFixedSample, kUnitsComeAgain, kRounding, kSeededNoise, kAllShares };

struct File {
  Json sections;
  int64_t agents = 5, exchanges = 20;
  double noise = 1, clip = 1, delta = 1e-5;
  std::string kind;
};

// The figure of the statement that the program prints.
double printed(const Experiment& e, int64_t rounds) {
  const std::string text = Account(e).summary(rounds)["statement"];
  const size_t at = text.find("epsilon ");
  EXPECT_NE(at, std::string::npos) << text;
  return std::strtod(text.c_str() + at + 8, nullptr);
}

Json with(Json sections, const std::string& section, const std::string& key, const Json& value) {
  sections[section][key] = value;
  return sections;
}

// ---- The mechanism, run.

// What the server makes of the updates in one exchange, times the agents expected: the noisy sum; and what
// became of its bound.
struct Release {
  Tensor sum;
  double log_bound;
};
Release release(const Experiment& e, const Tensor& updates, uint64_t key) {
  ExchangeState s = exchange_start(e.exchange, at::zeros_like(updates));
  const double before = s.clip;
  const Tensor row = exchange(e.exchange, s, updates, Rng(key))[0];
  return {row * e.exchange.expected(), std::log(s.clip / before)};
}

// The distance, in deviations of the noise, between what comes out for two fleets with equal noise and coins:
// the largest over some coins.
double moved_at_server(const File& f, const Tensor& one, const Tensor& other, Fault fault) {
  const Json seeded = with(f.sections, "privacy", "noise_key", "seed");
  Json a = seeded, b = seeded;
  a["agents"] = one.size(0), b["agents"] = other.size(0);
  const Experiment e = fleet(a), less = fleet(b);
  const PrivacyOptions& p = e.exchange.privacy;
  const AdaptiveClipping adaptive{.quantile = p.quantile, .count_sigma = p.count_noise};
  const double sigma = p.adaptive ? adaptive.sum_sigma(p.noise, "test") : p.noise;
  double most = 0;
  for (uint64_t key = 0; key < 12; ++key) {
    const Release x = release(e, one, key), y = release(less, other, key);
    double square = std::pow((x.sum - y.sum).norm().item<double>() / (sigma * p.clip), 2);
    if (p.adaptive) {
      const double half = (x.log_bound * e.exchange.expected() - y.log_bound * less.exchange.expected()) /
                          adaptive.rate / p.count_noise;
      // The old code released the count as it was: with the agent, one more.
      const double count = fault == Fault::kRawCount ? 1 / p.count_noise : half;
      if (square > 0) square += count * count;
    }
    most = std::max(most, square);
  }
  return std::sqrt(most);
}

// The old rounding: to the nearest, and never clipped again.
double moved_by_old_rounding(const File& f) {
  const Experiment e = fleet(f.sections);
  const double range = e.exchange.server.range,
               top = std::ldexp(1., static_cast<int>(e.exchange.server.precision) - 1) - 1;
  double most = 0;
  for (int64_t q : {1, 40, 400}) {
    Tensor row = at::ones({q}, at::kDouble);
    row *= f.clip / row.norm();
    for (double scale : {1., .51 * range / top / row[0].item<double>()}) {
      if (scale > 1) continue;
      most = std::max(most, ((row * scale * top / range).round() * range / top).norm().item<double>());
    }
  }
  return most / (f.clip * f.noise);
}

// What one unit's gradient moves of the sum that a learner's noise is added to.
double moved_in_learner(const File& f, bool replaced) {
  const Experiment e = fleet(f.sections);
  State state = e.learner->init(split_keys(Rng(1), "agent", 1), at::kFloat);
  const int64_t q = state.theta.size(1), units = 4;
  std::vector<int64_t> who(units, 0);
  const auto batch = e.family->sample(*e.model, asks_for(who, Rng(2)), Split::kTrain);
  const Guard guard{.clip = f.clip, .noise = f.noise, .seeded = true};
  const auto sum = [&](double first) {
    Tensor grads = at::zeros({units, q});
    grads[0].fill_(first);
    const auto given = [&](const Tensor& rows, const TaskBatch&, Rng) {
      return Gradients{grads, at::zeros({rows.size(0)})};
    };
    return gather(state, *batch, {{0, units}}, Rng(4), given, guard).grad.to(at::kDouble) * units;
  };
  return (sum(1e3) - sum(replaced ? -1e3 : 0)).norm().item<double>() / (f.noise * f.clip);
}

// How many groups of a table the first agent draws from.
int64_t groups_of_first(const Experiment& e) {
  const std::vector<int64_t> who(200, 0);
  const auto batch = e.family->sample(*e.model, asks_for(who, Rng(9)), Split::kTrain);
  const auto& titles = dynamic_cast<const SupervisedBatch&>(*batch).data().titles;
  return static_cast<int64_t>(std::set<std::string>(titles.begin(), titles.end()).size());
}

// Whether two runs of one seed have the same noise.
bool noise_is_known(const Json& sections) {
  const Experiment e = fleet(sections);
  const Tensor updates = at::zeros({e.fleet.agents, 3}, at::kDouble);
  ExchangeState a = exchange_start(e.exchange, updates), b = exchange_start(e.exchange, updates);
  return exchange(e.exchange, a, updates, Rng(1)).equal(exchange(e.exchange, b, updates, Rng(1)));
}

// ---- What is certain.

Tensor rows(int64_t n, double others, double last) {
  Tensor out = at::full({n, 1}, others, at::kDouble);
  out[n - 1] = last;
  return out;
}

// Of sums that carry discrete Gaussians: `agents` of them of deviation `sigma` each, over `steps` sums of one
// coordinate that a unit moves by `moved`. The sum of all these sums tells the two apart, and its
// distributions are known exactly: the least epsilon at which P - e^epsilon Q is within delta.
double certain_of_discrete(double sigma, int64_t agents, int64_t moved, int64_t steps, double delta) {
  const int64_t n = agents * steps, shift = moved * steps;
  const double wide = sigma * std::sqrt(static_cast<double>(n));
  const auto reach = static_cast<int64_t>(13 * wide) + 1, least = 2 * reach + shift + 1;
  int64_t size = 1;
  while (size < least) size *= 2;
  // One of them, around zero; n of them by its spectrum.
  Tensor one = at::zeros({size}, at::kDouble);
  double* p = one.data_ptr<double>();
  const auto tail = std::min<int64_t>(static_cast<int64_t>(13 * sigma) + 1, size / 2 - 1);
  for (int64_t x = -tail; x <= tail; ++x) {
    const double z = static_cast<double>(x) / sigma;
    p[x < 0 ? x + size : x] = std::exp(-z * z / 2);
  }
  one /= one.sum();
  const Tensor sum = at::fft_irfft(at::fft_rfft(one).pow(static_cast<double>(n)), size).contiguous();
  const double* s = sum.data_ptr<double>();
  const auto chance = [&](int64_t x) {
    return x < -reach || x > reach ? 0 : std::max(0., s[x < 0 ? x + size : x] - 1e-17);
  };
  const auto delta_at = [&](double epsilon) {
    double out = 0;
    for (int64_t x = -reach; x <= reach + shift; ++x)
      out += std::max(0., chance(x - shift) - std::exp(epsilon) * (s[((x % size) + size) % size] + 1e-17));
    return out;
  };
  double low = 0, high = 1;
  if (delta_at(0) <= delta) return 0;
  while (delta_at(high) > delta && high < 1e3) high *= 2;
  for (int k = 0; k < 40; ++k) {
    const double mid = (low + high) / 2;
    (delta_at(mid) > delta ? low : high) = mid;
  }
  return low;
}

// The agents' shares of the noise in a sum of as few as may be, less those of agents that help the server.
double certain_of_shares(const File& f, Fault fault) {
  const Experiment e = fleet(f.sections);
  const int64_t n = f.agents, sure = n - (2 * n + 2) / 3 + 1;
  const double range = std::min(f.clip, e.exchange.server.range),
               top = std::ldexp(1., static_cast<int>(e.exchange.server.precision) - 1) - 1;
  // What the mechanism draws, seen in a sum of all of them whose rows are zero.
  const Experiment seeded = fleet(with(f.sections, "privacy", "noise_key", "seed"));
  const Tensor none = at::zeros({n, 4000}, at::kDouble);
  const double seen =
      release(seeded, none, 3).sum.std().item<double>() / (range / top) / std::sqrt(static_cast<double>(n));
  const double counted = f.noise * f.clip / (range / top) / std::sqrt(static_cast<double>(sure));
  EXPECT_NEAR(seen / std::ceil(counted), 1, .12) << f.sections.dump();
  // With the fault, shares that make up the noise if all are there and none helps.
  const double sigma = std::ceil(fault == Fault::kAllShares
                                     ? counted * std::sqrt(static_cast<double>(sure) / static_cast<double>(n))
                                     : counted);
  const auto moved =
      static_cast<int64_t>(f.clip / (range / top)) * (e.exchange.privacy.adjacency == "replace" ? 2 : 1);
  return certain_of_discrete(sigma, sure, moved, f.exchanges, f.delta);
}

// Where a sum comes out only of a crowd: that it did says of the coins, too. Of `steps` exchanges some number
// or more have a sum with a chance that is known, and those alone tell as much as this.
double certain_of_crowds(const Exchange& x, double moved, int64_t steps, double delta) {
  const int64_t n = x.graph.agents;
  const auto chance = [](int64_t of, int64_t heads, double p) {
    return std::exp(std::lgamma(of + 1.) - std::lgamma(heads + 1.) - std::lgamma(of - heads + 1.) +
                    static_cast<double>(heads) * std::log(p) +
                    static_cast<double>(of - heads) * std::log1p(-p));
  };
  double there = 0, taking_part = 0;
  for (int64_t k = x.server.crowd; k <= n; ++k) {
    there += chance(n, k, x.server.share);
    taking_part += chance(n, k, x.server.share) * static_cast<double>(k) / static_cast<double>(n);
  }
  const double q = taking_part / there;
  double most = 0, or_more = 0;
  for (int64_t sums = steps; sums > 0 && or_more < 1 - 1e-6; --sums) {
    or_more += there < 1 - 1e-12 ? chance(steps, sums, there) : 1;
    if (or_more < .2 && sums > 1) continue;
    most = std::max(most, certain_epsilon({{{1 - q, 0.}, {q, moved}}}, {{{1., 0.}}}, true, sums,
                                          std::min(.999, delta / or_more)));
    if (or_more > .6) break;
  }
  return most;
}

double certain(const File& f, Fault fault) {
  const double big = 50 * f.clip;
  const Experiment e = fleet(f.sections);
  const Exchange& x = e.exchange;
  const PrivacyOptions& p = x.privacy;
  const int64_t n = f.agents, t = f.exchanges;
  if (p.agents() && fault == Fault::kSeededNoise) return noise_is_known(f.sections) ? INFINITY : 0;
  if (p.distributed()) return certain_of_shares(f, fault);
  if (p.learners()) {
    const double mu = moved_in_learner(f, f.kind == "again" || p.adjacency == "replace");
    if (f.kind != "again") return certain_gaussian(mu, f.delta);
    // The group of an agent is in a round with this chance, and with its group each of 20 rows.
    const double q = 1 / static_cast<double>(groups_of_first(e));
    if (q == 1) return certain_gaussian(mu * std::sqrt(t), f.delta);
    return certain_epsilon({{{1 - q, 0.}, {q, mu / 2}}}, {{{1 - q, 0.}, {q, -mu / 2}}}, true, t, f.delta);
  }
  if (!p.at_server()) {
    // What everyone hears of one agent.
    const Experiment seeded = fleet(with(f.sections, "privacy", "noise_key", "seed"));
    const auto said = [&](double update) {
      ExchangeState s = exchange_start(seeded.exchange, at::zeros({n, 2}, at::kDouble));
      std::vector<int64_t> who(n);
      std::iota(who.begin(), who.end(), 0);
      return speak(seeded.exchange, s, at::full({n, 2}, update, at::kDouble), who, Rng(1)).rows[0];
    };
    const double mu =
        (said(big) - said(p.adjacency == "replace" ? -big : 0)).norm().item<double>() / (f.noise * f.clip);
    return certain_gaussian(mu * std::sqrt(t), f.delta);
  }
  if (p.mechanism == "tree") {
    // A unit's turns move the sums of all so far, whose noise is that of the tree: a Gaussian.
    const int64_t turns = x.turns();
    const Json seeded = with(f.sections, "privacy", "noise_key", "seed");
    const Experiment run = fleet(seeded);
    double most = 0;
    const Tensor inverse = at::inverse(tree_covariance(t, p.restart));
    for (int64_t agent = 0; agent < std::min(turns, n); ++agent) {
      Tensor sums[2] = {at::zeros({t}, at::kDouble), at::zeros({t}, at::kDouble)};
      for (int side = 0; side < 2; ++side) {
        Tensor at_start = at::zeros({n, 1}, at::kDouble);
        ExchangeState s = exchange_start(run.exchange, at_start);
        for (int64_t k = 0; k < t; ++k) {
          Tensor updates = at::zeros({n, 1}, at::kDouble);
          updates[agent] = side == 0 ? big : p.adjacency == "replace" ? -big : 0;
          at_start = exchange(run.exchange, s, at_start + updates, Rng(3));
          sums[side][k] = at_start[0][0] * run.exchange.expected();
        }
      }
      const Tensor moved = ((sums[0] - sums[1]) / (f.noise * f.clip)).unsqueeze(1);
      most = std::max(most, moved.t().mm(inverse).mm(moved).item<double>());
    }
    return certain_gaussian(std::sqrt(most), f.delta);
  }
  if (x.server.share < 1 && x.server.sampling == "fixed") {
    const auto drawn =
        static_cast<double>(std::max<int64_t>(1, std::llround(x.server.share * static_cast<double>(n))));
    const double s = moved_at_server(f, rows(n, 0, big), rows(n, 0, -big), fault) / 2,
                 q = drawn / static_cast<double>(n);
    const double replaced =
        q == 1 ? certain_gaussian(2 * s * std::sqrt(t), f.delta)
               : certain_epsilon({{{1 - q, 0.}, {q, s}}}, {{{1 - q, 0.}, {q, -s}}}, true, t, f.delta);
    // One that comes to a fleet of which as many are drawn as before, all but it opposed to it.
    const double came = certain_epsilon({{{1 - q, 0.}, {q, 2 * s}}}, {{{1., 0.}}}, true, t, f.delta);
    return p.adjacency == "zero-out" ? 0 : std::max(replaced, came);
  }
  if (x.server.secure) {
    double mu = 0;
    for (int64_t q : {1, 40, 400}) {
      for (uint64_t key = 0; key < 3; ++key) {
        const Tensor none = at::zeros({n, q}, at::kDouble);
        Tensor one = none.clone();
        one[n - 1] = key == 0 ? at::full({q}, f.clip / std::sqrt(q), at::kDouble)
                              : 9 * f.clip * normal(Rng(key), {q}, at::kDouble);
        mu = std::max(mu, moved_at_server(f, one, none, fault));
      }
    }
    if (fault == Fault::kRounding) mu = std::max(mu, moved_by_old_rounding(f));
    return x.server.share < 1 ? certain_of_crowds(x, mu, t, f.delta)
                              : certain_gaussian(mu * std::sqrt(t), f.delta);
  }
  // The agent at its bound, so that the count moves by as much as it can, and beyond it.
  const bool zero = p.adjacency == "zero-out", replace = p.adjacency == "replace";
  double mu = 0;
  for (double update : {f.clip, big}) {
    const double other = replace ? -big : 0;
    mu = std::max(
        mu, moved_at_server(f, rows(n, 0, update),
                            zero || replace ? rows(n, 0, other) : at::zeros({n - 1, 1}, at::kDouble), fault));
  }
  if (x.server.sampling == "turns") {
    const int64_t turns = x.turns();
    return certain_gaussian(mu * std::sqrt((t + turns - 1) / turns), f.delta);
  }
  const double q = x.server.share;
  if (q == 1) return certain_gaussian(mu * std::sqrt(t), f.delta);
  return certain_epsilon({{{1 - q, 0.}, {q, mu}}}, {{{1., 0.}}}, true, t, f.delta);
}

// ---- Files.

File at_server(const Json& privacy, const Json& server, int64_t agents, int64_t exchanges, double noise) {
  File f;
  Json p{{"unit", "agent"}, {"where", "server"}, {"noise", noise}, {"clip", 1.0}};
  for (const auto& [k, v] : privacy.items()) p[k] = v;
  f.sections = {{"agents", agents},
                {"rounds", exchanges},
                {"exchange", {{"topology", "star"}, {"payload", "updates"}}},
                {"server", server},
                {"privacy", p}};
  f.agents = agents, f.exchanges = exchanges, f.noise = noise;
  f.clip = p["clip"], f.delta = p.value("delta", 1e-5);
  return f;
}

// Groups of 20 rows.
std::string table() {
  static const std::string path = [] {
    const auto file = std::filesystem::path(testing::TempDir()) / fmt::format("guard_{}.csv", ::getpid());
    std::ofstream out(file);
    out << "task,x,y\n";
    for (int g = 0; g < 6; ++g)
      for (int i = 0; i < 20; ++i) out << 'g' << g << ',' << i << ',' << (i * 7 + g) % 11 << '\n';
    return file.string();
  }();
  return path;
}

File in_learner(const std::string& unit, bool again, int64_t rounds, double noise) {
  File f;
  f.sections = {{"agents", 2},
                {"rounds", rounds},
                {"tasks", 1},
                {"learner", {{"kind", unit == "example" ? "pretrain" : "maml"}}},
                {"privacy", {{"unit", unit}, {"noise", noise}}}};
  if (again)
    f.sections["task"] = {{"kind", "table"},        {"path", table()},    {"shots", 10},
                          {"queries", 10},          {"test_queries", 10}, {"validation_fraction", 1. / 3},
                          {"test_fraction", 1. / 3}};
  f.agents = 2, f.exchanges = rounds, f.noise = noise, f.kind = again ? "again" : "fresh";
  return f;
}

File drawn(uint64_t seed) {
  Draws d(Rng(seed).split("file"));
  const auto among = [&](double low, double high) {
    return std::exp(d.uniform(std::log(low), std::log(high)));
  };
  const int64_t agents = 3 + d.below(20), t = 1 + static_cast<int64_t>(among(1, 300));
  const double noise = among(.7, 12), share = d.uniform(.2, .95);
  Json p{{"delta", std::pow(10., -3 - static_cast<double>(d.below(4)))}, {"clip", among(.01, 10)}};
  switch (seed % 13) {
    case 0:
      return at_server(p, Json::object(), agents, t, noise);
    case 1:
    case 2:
      return at_server(p, {{"share", share}}, agents, t, noise);
    case 3:
      p["adaptive"] = true, p["count_noise"] = noise * d.uniform(.55, 3);
      return at_server(p, {{"share", d.uniform() < .5 ? 1. : share}}, agents, t, noise);
    case 4:
    case 5:
      return at_server(p, {{"share", share}, {"sampling", "fixed"}}, agents, t, noise);
    case 6:
      return at_server(p, {{"share", share}, {"sampling", "turns"}}, agents, t, noise);
    case 7:
      p["mechanism"] = "tree", p["restart"] = d.below(5),
      p["adjacency"] = d.uniform() < .5 ? "zero-out" : "replace";
      return at_server(p, {{"share", share}, {"sampling", d.uniform() < .7 ? "turns" : "poisson"}}, agents,
                       1 + t % 24, noise);
    case 8: {
      Json server{{"secure", true}, {"precision", 2 + d.below(30)}};
      if (share * static_cast<double>(agents) >= 3 && d.uniform() < .7) server["share"] = share;
      return at_server(p, server, agents, t, noise);
    }
    case 12: {
      // So few bits that whole numbers are seen to be whole.
      p["where"] = "distributed", p["adjacency"] = d.uniform() < .5 ? "zero-out" : "replace";
      const double least = 4 * std::sqrt(static_cast<double>(agents)) / noise;
      const int64_t bits = 2 + static_cast<int64_t>(std::ceil(std::log2(least + 1)));
      return at_server(p, {{"secure", true}, {"precision", bits + d.below(4)}}, agents, t, noise);
    }
    case 9:
      p["where"] = "local", p["adjacency"] = d.uniform() < .5 ? "zero-out" : "replace";
      return at_server(p, Json::object(), agents, t, noise);
    case 10:
      return in_learner(d.uniform() < .5 ? "task" : "example", false, t, noise);
    default:
      return in_learner(d.uniform() < .5 ? "task" : "example", true, t, noise);
  }
}

TEST(Guard, TwoHundredRandomFilesStateAnUpperBound) {
  int64_t tight = 0, all = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const File f = drawn(seed);
    const Experiment e = fleet(f.sections);
    const double stated = printed(e, f.exchanges), least = certain(f, Fault::kNone);
    EXPECT_GE(stated, least) << f.sections.dump();
    // And is not a bound only because it is large.
    tight += least > .9 * stated - 0.02, ++all;
    if (testing::Test::HasFailure()) break;
  }
  std::printf("%ld of %ld within a tenth of what is certain\n", static_cast<long>(tight),
              static_cast<long>(all));
  EXPECT_GT(tight, all / 2);
}

// ---- Each fault put back is found. The figures are those of the table.

// The account as it was: the Renyi accountant's or the composed one's, whichever is less, with sensitivity 1.
double old_account(const File& f, double q = 1) {
  const Spending s{f.noise, q, f.exchanges};
  return std::min(renyi_epsilon({&s, 1}, f.delta), composed_epsilon({&s, 1}, f.delta).upper);
}

TEST(Guard, FindsACountThatIsReleasedRaw) {
  struct Row {
    double noise;
    int64_t exchanges;
    double stated, truth;
  };
  for (const Row& row : {Row{18, 200, 3.32, 6.80}, {5, 20, 3.852, 4.249}, {10, 50, 2.945, 4.052}}) {
    const File f = at_server({{"adaptive", true}}, Json::object(), 15, row.exchanges, row.noise);
    const double stated = printed(fleet(f.sections), f.exchanges);
    EXPECT_NEAR(stated, row.stated, .01);
    EXPECT_LE(certain(f, Fault::kNone), stated);
    const double found = certain(f, Fault::kRawCount);
    EXPECT_NEAR(found, row.truth, .01 * row.truth);
    EXPECT_GT(found, stated);
  }
}

TEST(Guard, FindsASampleOfFixedSizeCountedOnce) {
  for (const auto& [noise, stated, truth] : {std::array{8., 2.260, 4.332}, {16., 1.048, 1.959}}) {
    const File f = at_server({}, {{"share", 14. / 15}, {"sampling", "fixed"}}, 15, 20, noise);
    const double found = certain(f, Fault::kFixedSample);
    EXPECT_NEAR(old_account(f), stated, .01);
    EXPECT_GE(found, truth - .005);
    EXPECT_GT(found, old_account(f));
    EXPECT_LE(found, printed(fleet(f.sections), 20));
  }
}

TEST(Guard, FindsUnitsThatComeAgainCountedOnce) {
  for (const char* unit : {"task", "example"}) {
    const File f = in_learner(unit, true, 20, 8);
    const double found = certain(f, Fault::kUnitsComeAgain);
    EXPECT_NEAR(old_account(f), 2.26, .01);
    EXPECT_EQ(groups_of_first(fleet(f.sections)), 1);
    EXPECT_GT(found, 4.735);
    EXPECT_LE(found, printed(fleet(f.sections), 20));
  }
}

TEST(Guard, FindsRoundingThatMakesUpdatesLonger) {
  const File f = at_server({}, {{"secure", true}, {"precision", 8}}, 5, 10, 8);
  const double stated = printed(fleet(f.sections), 10);
  EXPECT_LE(certain(f, Fault::kNone), stated);
  EXPECT_GT(certain(f, Fault::kRounding), stated);
}

TEST(Guard, FindsSharesOfNoiseThatCountOnEverybody) {
  for (const int64_t agents : {6, 15}) {
    const File f = at_server({{"where", "distributed"}}, {{"secure", true}, {"precision", 8}}, agents, 10, 8);
    const double stated = printed(fleet(f.sections), 10);
    EXPECT_LE(certain(f, Fault::kNone), stated);
    EXPECT_GT(certain(f, Fault::kNone), .8 * stated);
    EXPECT_GT(certain(f, Fault::kAllShares), stated);
  }
}

TEST(Guard, FindsNoiseThatFollowsFromTheSeed) {
  File f = at_server({}, Json::object(), 5, 1, 1);
  EXPECT_EQ(certain(f, Fault::kSeededNoise), 0);
  f.sections = with(f.sections, "privacy", "noise_key", "seed");
  EXPECT_EQ(certain(f, Fault::kSeededNoise), INFINITY);
  EXPECT_NEAR(printed(fleet(f.sections), 1), 4.378, 1e-3);  // and it is said that this protects nothing
  EXPECT_EQ(Account(fleet(f.sections)).summary(1)["protects"], false);
}

}  // namespace
}  // namespace symma
