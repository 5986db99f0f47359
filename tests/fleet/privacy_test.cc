// Privacy and servers in a fleet: against closed forms and against the accountant's own table.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <set>

#include "exchange/certain.h"
#include "fleet/fleets.h"
#include "symma/exchange/messages.h"
#include "symma/exchange/privacy.h"
#include "symma/fleet/account.h"
#include "symma/learners/rows.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

const Json kStar{{"topology", "star"}, {"payload", "updates"}};

double apart(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// One exchange in which agent i's update is `updates[i]`, from a common start at zero: the server's row.
struct Once {
  ExchangeState state;
  Tensor row;
};
Once once(const Json& sections, const Tensor& updates) {
  const Experiment e = fleet(sections);
  Once out{exchange_start(e.exchange, at::zeros_like(updates)), {}};
  out.row = exchange(e.exchange, out.state, updates, Rng(7))[0];
  return out;
}

TEST(Server, SecureSumIsThePlainMeanWithinAStepOfTheFixedPoint) {
  const Tensor updates = normal(Rng(1), {5, 300}, at::kDouble);
  const auto plain = once({{"exchange", kStar}}, updates),
             secure = once({{"exchange", kStar}, {"server", {{"secure", true}}}}, updates);
  EXPECT_LE(apart(plain.row, secure.row), 8.0 / (1 << 22));
  EXPECT_GT(apart(plain.row, secure.row), 0);
  // 27 bits a value and the protocol's keys and shares: 300 values up from each.
  EXPECT_GT(secure.state.bits[0], 300 * 27);
}

TEST(Server, SecureSumWithoutThoseWhoDroppedOut) {
  // Some of many exchanges lose an agent or two; what comes out is always the mean of those who stayed.
  const Json sections{{"exchange", kStar}, {"server", {{"secure", true}}}, {"faults", {{"lost", 0.15}}}};
  const Experiment e = fleet(sections);
  ExchangeState s = exchange_start(e.exchange, at::zeros({5, 40}, at::kDouble));
  const Tensor rows = normal(Rng(1), {5, 40}, at::kDouble);
  int64_t partial = 0;
  for (int k = 0; k < 20; ++k) {
    std::vector<bool> arrived(5);
    std::vector<int64_t> who{0, 1, 2, 3, 4};
    Tensor expected = at::zeros({40}, at::kDouble);
    int64_t stayed = 0;
    Draws d{Rng(k)};
    for (int64_t i = 0; i < 5; ++i) {
      arrived[i] = d.uniform() > 0.25;
      if (arrived[i]) expected += rows[i], ++stayed;
    }
    const auto [sum, of] = secure_sum(e.exchange, s, rows, who, arrived, Rng(3), nullptr);
    EXPECT_EQ(sum.defined(), stayed >= 4) << stayed;
    if (sum.defined()) {
      EXPECT_EQ(of, stayed);
      EXPECT_LE(apart(sum, expected), 5 * 8.0 / (1 << 22));
    }
    partial += stayed == 4;
  }
  EXPECT_GT(partial, 2);
}

TEST(Server, AdamIsThePapersAlgorithm) {
  // Reddi et al. 2021, algorithm 2, in plain numbers: two exchanges in which the mean update is 2, then -1.
  const Experiment e = fleet(
      {{"exchange", kStar},
       {"server", {{"optimizer", "adam"}, {"lr", 0.1}, {"beta1", 0.9}, {"beta2", 0.99}, {"eps", 0.01}}}});
  Tensor rows = at::zeros({5, 1}, at::kDouble);
  ExchangeState s = exchange_start(e.exchange, rows);
  double x = 0, m = 0, v = 1e-4;
  for (const double delta : {2.0, -1.0}) {
    rows = exchange(e.exchange, s, rows + delta, Rng(1));
    m = 0.9 * m + 0.1 * delta;
    v = 0.99 * v + 0.01 * delta * delta;
    x += 0.1 * m / (std::sqrt(v) + 0.01);
    EXPECT_NEAR(rows[3].item<double>(), x, 1e-14);
  }
}

TEST(Server, TakesAShare) {
  const Experiment e = fleet({{"exchange", kStar}, {"server", {{"share", 0.4}, {"sampling", "fixed"}}}});
  RunState run = start_run(e);
  const auto who = participants(e.exchange, run.exchange, 0, e.exchange_key());
  EXPECT_EQ(who.size(), 2u);
  const TensorDict own = run.learner.own;
  run_round(e, run);
  EXPECT_EQ(run.tasks, 4);
  for (int64_t i = 0; i < 5; ++i) {
    const bool took_part = std::find(who.begin(), who.end(), i) != who.end();
    EXPECT_EQ(run.exchange.bits[2 * i] > 0, took_part);
    EXPECT_EQ(!run.learner.own.at("adam.m")[i].equal(own.at("adam.m")[i]), took_part);
    EXPECT_TRUE(run.learner.theta[i].equal(run.learner.theta[0]));
  }
  // Poisson coins: each agent's share of many periods.
  const Experiment coins = fleet({{"exchange", kStar}, {"server", {{"share", 0.4}}}});
  int64_t seen = 0;
  for (int64_t k = 0; k < 1000; ++k) seen += participants(coins.exchange, {}, k, Rng(1)).size();
  EXPECT_NEAR(static_cast<double>(seen) / 5000, 0.4, 4 * std::sqrt(0.24 / 5000));
}

TEST(AgentPrivacy, AtTheServerIsTheClippedSumWithItsNoise) {
  const Tensor updates = normal(Rng(1), {5, 20000}, at::kDouble);  // norms of about 141
  const Json quiet{{"unit", "agent"}, {"where", "server"}, {"clip", 3.0}, {"noise", 1e-9}};
  const auto a = once({{"exchange", kStar}, {"privacy", quiet}}, updates);
  const Tensor expected = (updates * (3.0 / updates.norm(2, 1, true))).mean(0);
  EXPECT_LE(apart(a.row, expected), 1e-8);
  Json loud = quiet;
  loud["noise"] = 2.0;
  const auto b = once({{"exchange", kStar}, {"privacy", loud}}, updates);
  EXPECT_NEAR((b.row - expected).std().item<double>(), 2.0 * 3.0 / 5, 0.02);
}

// Whatever the share comes to in whole agents, agents that all move by the same move the server's row by
// that.
TEST(AgentPrivacy, AtTheServerTheSumIsDividedByThoseWhoAreDrawn) {
  for (const int64_t agents : {4, 5, 6, 10})
    for (const double share : {.05, .1, .3, .35, .5, .77, 1.})
      for (const char* sampling : {"fixed", "turns"}) {
        const Json sections{{"agents", agents},
                            {"exchange", kStar},
                            {"server", {{"share", share}, {"sampling", sampling}}},
                            {"privacy", {{"unit", "agent"}, {"where", "server"}, {"noise", 1e-12}}}};
        const Experiment e = fleet(sections);
        ExchangeState s = exchange_start(e.exchange, at::zeros({agents, 2}, at::kDouble));
        double took_part = 0, moved = 0;
        Tensor rows = at::zeros({agents, 2}, at::kDouble);
        const int64_t turns = e.exchange.turns();
        for (int64_t k = 0; k < turns; ++k) {
          took_part += static_cast<double>(participants(e.exchange, s, k, Rng(7)).size());
          const Tensor next = exchange(e.exchange, s, rows + .25, Rng(7));
          moved += (next - rows)[0][0].item<double>();
          rows = next;
        }
        const auto of = static_cast<double>(turns);
        EXPECT_NEAR(e.exchange.expected(), took_part / of, 1e-12) << sampling << agents << " " << share;
        EXPECT_NEAR(moved / of, .25, 1e-9) << sampling << agents << " " << share;
      }
}

// Each agent's share of the noise, three of five of which must do: all five there make more of it.
TEST(AgentPrivacy, DistributedNoiseIsInTheSumBeforeTheServerSeesIt) {
  const Tensor updates = normal(Rng(1), {5, 20000}, at::kDouble);
  Json privacy{{"unit", "agent"}, {"where", "distributed"}, {"clip", 3.0}, {"noise", 2.0}};
  const Json secure{{"secure", true}};
  const Tensor expected = (updates * (3.0 / updates.norm(2, 1, true))).mean(0);
  // 5 agents: 4 are there at least, 2 of whom may help the server.
  const double one = 2.0 * 3.0 / std::sqrt(2.);
  for (const char* key : {"system", "seed"}) {
    privacy["noise_key"] = key;
    const auto all = once({{"exchange", kStar}, {"server", secure}, {"privacy", privacy}}, updates);
    EXPECT_NEAR((all.row - expected).std().item<double>(), one * std::sqrt(5.) / 5, 0.04) << key;
  }
  // What the server learns is that sum and no other: the same once it is asked of the protocol itself.
  const Experiment e = fleet({{"exchange", kStar}, {"server", secure}, {"privacy", privacy}});
  ExchangeState s = exchange_start(e.exchange, at::zeros_like(updates));
  const std::vector<int64_t> who{0, 1, 2, 3, 4};
  const Tensor rows = at::zeros({5, 20000}, at::kDouble);
  const SecureSum four =
      secure_sum(e.exchange, s, rows, who, {true, true, false, true, true}, Rng(3), nullptr);
  EXPECT_EQ(four.of, 4);
  EXPECT_NEAR(four.sum.std().item<double>(), one * 2, 0.04);
  const SecureSum again =
      secure_sum(e.exchange, s, rows, who, {true, true, false, true, true}, Rng(4), nullptr);
  EXPECT_GT(apart(four.sum, again.sum), 1);
}

// The sum must not wrap however much noise there is.
TEST(AgentPrivacy, DistributedNoiseHasRoomInTheSum) {
  for (const double noise : {0.3, 30., 3000.})
    for (const int64_t precision : {4, 9, 16}) {
      const Json sections{
          {"exchange", kStar},
          {"server", {{"secure", true}, {"precision", precision}}},
          {"privacy",
           {{"unit", "agent"}, {"where", "distributed"}, {"noise", noise}, {"noise_key", "seed"}}}};
      if (precision == 4 && noise < 1) {
        EXPECT_THROW(fleet(sections), UserError);  // fewer than four steps
        continue;
      }
      const Tensor updates = at::full({5, 4000}, 1 / std::sqrt(4000.), at::kDouble);
      const auto a = once(sections, updates);
      // All five: more than what three of them must bring.
      const double sd = a.row.std().item<double>() * 5;
      EXPECT_NEAR(sd / (noise * std::sqrt(5. / 2)), 1, precision == 4 ? .1 : .06)
          << noise << " " << precision;
      EXPECT_LT(a.row.abs().max().item<double>() * 5, 7 * sd);
    }
}

TEST(AgentPrivacy, LocalNoiseIsInEachMessage) {
  const Tensor updates =
      normal(Rng(1), {5, 20000}, at::kDouble) * 1e-3;  // norms of about 0.14: within the bound
  const auto a =
      once({{"exchange", kStar}, {"privacy", {{"unit", "agent"}, {"clip", 1.0}, {"noise", 0.5}}}}, updates);
  EXPECT_NEAR((a.row - updates.mean(0)).std().item<double>(), 0.5 / std::sqrt(5), 0.01);
}

TEST(AgentPrivacy, TheAdaptiveBoundFindsItsQuantile) {
  Json privacy{{"unit", "agent"}, {"where", "server"}, {"clip", 100.0}, {"adaptive", true}, {"noise", 0.01}};
  const Experiment e = fleet({{"agents", 200}, {"exchange", kStar}, {"privacy", privacy}});
  Tensor updates = at::zeros({200, 3}, at::kDouble);
  for (int64_t i = 0; i < 200; ++i) updates[i][0] = static_cast<double>(i) / 100;  // norms 0 to 2, median 1
  ExchangeState s = exchange_start(e.exchange, at::zeros_like(updates));
  Tensor rows = at::zeros_like(updates);
  for (int k = 0; k < 200; ++k) rows = exchange(e.exchange, s, rows + updates, Rng(1));
  EXPECT_NEAR(s.clip, 1, 0.2);
}

// Where no update ever moves the bound must not vanish.
TEST(AgentPrivacy, TheAdaptiveBoundStaysABound) {
  const AdaptiveClipping fast{.quantile = 0.5, .rate = 100};
  const Noise noise = Noise::of_seed(Rng(1));
  double low = 1, high = 1;
  for (int k = 0; k < 60; ++k) {
    low = fast.next(low, 1000, 1000, 1000, noise);
    high = fast.next(high, 0, 1000, 1000, noise);
  }
  EXPECT_GT(low, 0);
  EXPECT_TRUE(std::isfinite(high));
}

// What another process says of it may be anything.
TEST(AgentPrivacy, ABoundThatIsNoneIsNotHeard) {
  const Experiment e = fleet({{"exchange", kStar}, {"privacy", {{"unit", "agent"}, {"where", "server"}}}});
  struct Says final : Transport {
    Roster roster() override { return {}; }
    void send(Letter) override {}
    Post collect(Letter::Kind kind, int64_t round, std::span<const int64_t> from) override {
      return {{{from[0], {}, round, kind, bytes}}, {}};
    }
    Bytes bytes;
  } says;
  const ExchangeState whole = exchange_start(e.exchange, at::zeros({5, 3}, at::kDouble));
  for (const double bound : {0.5, 0., -1., std::nan(""), HUGE_VAL}) {
    ExchangeState s = part_of(e.exchange, whole, {3, 4});
    const Tensor row = at::full({3}, 7, at::kDouble);
    says.bytes = pack({.form = Form::kWhole, .clip = bound, .row = row}, s.type);
    const Tensor after = exchange(e.exchange, s, at::zeros({2, 3}, at::kDouble), Rng(1), &says);
    EXPECT_EQ(s.clip, bound == 0.5 ? 0.5 : 1.0) << bound;
    EXPECT_EQ(after[0][0].item<double>(), bound == 0.5 ? 7 : 0) << bound;
  }
}

TEST(TaskPrivacy, ClipsEachTaskAndAddsNoiseToTheSum) {
  const Experiment e = fleet({});
  State state = e.learner->init(split_keys(Rng(1), "agent", 2), at::kFloat);
  std::vector<int64_t> who{0, 0, 0, 1, 1, 1};
  const auto batch = e.family->sample(*e.model, asks_for(who, Rng(2)), Split::kTrain);
  const int64_t q = state.theta.size(1);
  const Tensor grads = normal(Rng(3), {6, q});
  const auto given = [&](const Tensor& rows, const TaskBatch&, Rng) {
    return Gradients{grads, at::zeros({rows.size(0)})};
  };
  const Guard guard{.clip = 0.5, .noise = 1e-9};
  const std::vector<Piece> whole{{0, 6}};
  const Tensor got = gather(state, *batch, whole, Rng(4), given, guard).grad;
  const Tensor expected = (grads * (0.5 / grads.norm(2, 1, true))).view({2, 3, q}).mean(1);
  EXPECT_LE(apart(got, expected), 1e-6);
  // The noise: sigma clip on the sum, over many keys.
  double square = 0;
  for (int k = 0; k < 200; ++k)
    square += (gather(state, *batch, whole, Rng(k), given, Guard{.clip = 0.5, .noise = 2}).grad - expected)
                  .square()
                  .mean()
                  .item<double>() /
              200;
  EXPECT_NEAR(std::sqrt(square), 2 * 0.5 / 3, 0.01);
}

TEST(ExamplePrivacy, UnclippedAndQuietItIsThePlainGradient) {
  for (const char* task : {"sinusoid", "blobs"}) {
    const Json sections{{"task", {{"kind", task}, {"shots", 4}, {"queries", 4}}},
                        {"learner", {{"kind", "pretrain"}, {"optimizer", "sgd"}, {"meta_lr", 0.1}}}};
    Json config = Json::parse(R"({"agents": 3, "model": {"hidden": [5]}})");
    for (const auto& [k, v] : sections.items()) config[k] = v;
    const Experiment plain = Experiment::build(Config::of(config, "plain"));
    config["privacy"] = {{"unit", "example"}, {"clip", 1e6}, {"noise", 1e-15}};
    const Experiment guarded = Experiment::build(Config::of(config, "guarded"));
    RunState a = start_run(plain), b = start_run(guarded);
    run_round(plain, a);
    run_round(guarded, b);
    EXPECT_LE(apart(a.learner.theta, b.learner.theta), 1e-6) << task;
    config["privacy"] = {{"unit", "example"}, {"clip", 1e-3}, {"noise", 1e-15}};
    const Experiment clipped = Experiment::build(Config::of(config, "clipped"));
    RunState c = start_run(clipped);
    const Tensor before = c.learner.theta;
    run_round(clipped, c);
    EXPECT_LE((c.learner.theta - before).norm(2, 1).max().item<double>(), 0.1 * 1e-3 * (1 + 1e-5));
  }
}

// ---- Accounts.

// A fleet whose server adds the noise.
Json at_server(const Json& privacy, const Json& server = Json::object(), int64_t agents = 5,
               int64_t every = 1) {
  Json star = kStar, all{{"unit", "agent"}, {"where", "server"}};
  star["every"] = every;
  for (const auto& [k, v] : privacy.items()) all[k] = v;
  return {{"agents", agents}, {"exchange", star}, {"server", server}, {"privacy", all}};
}

double gaussian(double sigma, int64_t steps, double delta = 1e-5) {
  return gaussian_epsilon(std::sqrt(static_cast<double>(steps)) / sigma, delta);
}

TEST(Account, IsTheFigureForWhatTheRunDoes) {
  const auto spent = [](const Json& sections, int64_t rounds) {
    return Account(fleet(sections)).epsilon(rounds);
  };
  const auto agent = [](double share, const char* sampling) {
    return at_server({{"noise", 1.5}}, {{"share", share}, {"sampling", sampling}}, 5, 3);
  };
  const Spending sampled{1.5, 0.4, 6};
  EXPECT_NEAR(spent(agent(0.4, "poisson"), 20), composed_epsilon({&sampled, 1}, 1e-5).upper, 1e-2);
  EXPECT_LT(spent(agent(0.4, "poisson"), 20), renyi_epsilon({&sampled, 1}, 1e-5));
  // A sample of fixed size: who comes takes another's place, and the sum moves by two bounds.
  EXPECT_NEAR(spent(agent(0.4, "fixed"), 20), gaussian(0.75, 6), 1e-9);
  // By turns, one in three: of 6 exchanges each agent is in 2.
  EXPECT_NEAR(spent(agent(0.4, "turns"), 20), gaussian(1.5, 2), 1e-9);
  Json local = agent(0.4, "poisson");
  local["privacy"]["where"] = "local";
  EXPECT_NEAR(spent(local, 20), gaussian(1.5, 6), 1e-9);
  EXPECT_EQ(spent(local, 2), 0);
  local["privacy"]["adjacency"] = "replace";
  EXPECT_NEAR(spent(local, 20), gaussian(0.75, 6), 1e-9);
  // Agents that bring the noise are protected from a server that knows who takes part: no coins count. The
  // Renyi accountant's figure, which holds for discrete Gaussians.
  Json shared = agent(0.8, "poisson");
  shared["privacy"]["where"] = "distributed", shared["server"]["secure"] = true;
  const Spending six{1.5, 1, 6};
  EXPECT_NEAR(spent(shared, 20), renyi_epsilon({&six, 1}, 1e-5), 1e-9);
  shared["privacy"]["adjacency"] = "replace";
  const Spending twice{0.75, 1, 6};
  EXPECT_NEAR(spent(shared, 20), renyi_epsilon({&twice, 1}, 1e-5), 1e-9);
  // Sinusoids are drawn anew, so a task is used once. (The Renyi accountant says 4.7285.)
  EXPECT_NEAR(spent({{"privacy", {{"unit", "task"}, {"noise", 1.0}}}}, 20), 4.377178, 1e-5);
  EXPECT_NEAR(Account(fleet({{"privacy", {{"unit", "task"}, {"noise", 1.0}}}})).renyi_bound(20), 4.728507,
              1e-4);
  EXPECT_FALSE(Account(fleet({})).open());
  // Hostile agents at the server say what they make of others' updates.
  Json hostile = at_server({{"noise", 6.0}});
  hostile["faults"] = {{"agents", {1}}};
  EXPECT_NEAR(spent(hostile, 20), gaussian(2, 20), 1e-9);
}

// All outcomes of n coins: the chance that `crowd` or more come up, and that the first is among them then.
struct Crowd {
  double there, in_it;
};
Crowd crowd_of(int64_t n, double share, int64_t crowd) {
  double there = 0, with_first = 0;
  for (uint64_t coins = 0; coins < uint64_t{1} << n; ++coins) {
    const int heads = std::popcount(coins);
    if (heads < crowd) continue;
    const double chance = std::pow(share, heads) * std::pow(1 - share, static_cast<double>(n) - heads);
    there += chance;
    if (coins & 1) with_first += chance;
  }
  return {there, with_first / there};
}

// That there is a sum says that many took part, so an agent is in it with more than its coin's chance.
TEST(Account, CountsWhatASecureSumThatComesOutSaysOfTheCoins) {
  struct Row {
    int64_t agents, crowd;
    double share, noise;
  };
  for (const auto& [agents, crowd, share, noise] :
       {Row{12, 3, .3, 1}, {16, 3, .2, .7}, {8, 6, .76, 1}, {10, 5, .51, .8}}) {
    const Crowd of = crowd_of(agents, share, crowd);
    ASSERT_GT(of.in_it, share);
    const Json secure{{"share", share}, {"secure", true}, {"crowd", crowd}};
    const Account account(fleet(at_server({{"noise", noise}}, secure, agents)));
    EXPECT_EQ(account.summary(1)["q"], 1);  // often the others are one too few
    // What one exchange tells for certain: a sum of this chance, and nothing where there is none.
    const double certain = certain_epsilon({{{1 - of.in_it, 0.}, {of.in_it, 1 / noise}}}, {{{1., 0.}}}, true,
                                           1, 1e-5 / of.there);
    EXPECT_GE(account.epsilon(1), certain) << agents;
    // Where messages may be lost, the coins are not counted on.
    Json lossy = at_server({{"noise", noise}}, secure, agents);
    lossy["faults"] = {{"lost", .05}};
    EXPECT_EQ(Account(fleet(lossy)).summary(1)["q"], 1);
  }
  // Of many, a crowd is next to certain, and coins hide as much as without one; between the two delta pays.
  const auto spent = [](int64_t agents, double share, bool secure, double delta) {
    Json file = at_server({{"noise", 1}, {"delta", delta}}, {{"share", share}, {"secure", secure}}, agents);
    return std::pair{Account(fleet(file)).epsilon(20), Account(fleet(file)).summary(20)["q"].get<double>()};
  };
  EXPECT_NEAR(spent(200, .5, true, 1e-5).first, spent(200, .5, false, 1e-5).first, 1e-9);
  EXPECT_EQ(spent(200, .5, true, 1e-5).second, .5);
  // 62 agents, a share of .3: w = .3 C(61, 2) .3^2 .7^59.
  const double told = .027 * 61 * 30 * std::pow(.7, 59);
  const double rounds =
      static_cast<double>(fleet(at_server({{"noise", 1}}, {{"share", .3}}, 62)).fleet.rounds);
  const double delta = 3 * told * rounds;
  EXPECT_NEAR(spent(62, .3, true, delta).first, spent(62, .3, false, 2 * told * rounds).first, 1e-6);
  EXPECT_EQ(spent(62, .3, true, 1.9 * told * rounds).second, 1);
}

// A table of six groups of twenty rows.
std::string groups_of_rows() {
  const std::string path = testing::TempDir() + fmt::format("privacy_groups_{}.csv", ::getpid());
  std::ofstream out(path);
  out << "task,x,y\n";
  for (int g = 0; g < 6; ++g)
    for (int i = 0; i < 20; ++i) out << 'g' << g << ',' << i << ',' << (i * 7 + g) % 11 << '\n';
  return path;
}

TEST(Account, CountsRepetitionsThatLearnFromTheSameTasks) {
  const Json table{{"kind", "table"},        {"path", groups_of_rows()}, {"shots", 10},
                   {"queries", 10},          {"test_queries", 10},       {"validation_fraction", 1. / 3},
                   {"test_fraction", 1. / 3}};
  for (const char* unit : {"task", "example"}) {
    const auto of = [&](int64_t seeds, const Json& task) {
      Json all{{"agents", 1},
               {"seeds", seeds},
               {"tasks", 1},
               {"learner", {{"kind", "pretrain"}}},
               {"privacy", {{"unit", unit}, {"noise", 8}, {"budget", 10}}}};
      if (!task.is_null()) all["task"] = task;
      return fleet(all);
    };
    // All repetitions have tasks of the same groups, in one round as in any.
    const Experiment ten = of(10, table);
    const auto batch = draw(ten, start_run(ten)).tasks;
    const auto& titles = dynamic_cast<const SupervisedBatch&>(*batch).data().titles;
    EXPECT_EQ(titles.size(), 10u);
    EXPECT_LE(std::set<std::string>(titles.begin(), titles.end()).size(), 2u);
    // So a group is in up to ten steps a round, each of which may move by two bounds.
    const Account account(ten);
    EXPECT_NEAR(account.epsilon(20), gaussian(4, 200), 1e-9);
    EXPECT_EQ(account.summary(20)["steps"], 200);
    EXPECT_NE(account.summary(20)["statement"].get<std::string>().find("10 repetitions"), std::string::npos);
    EXPECT_NEAR(Account(of(1, table)).epsilon(20), gaussian(4, 20), 1e-9);
    EXPECT_LT(account.last_round(20), Account(of(1, table)).last_round(20));
    // Where tasks are drawn anew each repetition has its own.
    EXPECT_NEAR(Account(of(10, Json())).epsilon(20), gaussian(8, 1), 1e-9);
  }
}

// What a hostile agent made of an agent's update in one exchange may be heard in another that the agent is
// not in, and then its coin hid nothing.
TEST(Account, CountsWhatHostileAgentsBringLater) {
  for (const char* how : {"plain", "compressed", "late"}) {
    Json sections = at_server({{"noise", 1e-9}, {"noise_key", "seed"}}, {{"share", 0.5}}, 6);
    sections["faults"] = {{"agents", {1}}, {"late", how == std::string("late") ? .5 : 0}};
    if (how == std::string("compressed"))
      sections["compression"] = {{"kind", "top_k"}, {"fraction", 0.2}, {"answers", false}};
    const Experiment e = fleet(sections);
    // Two fleets in which agent 0 learns otherwise, and an exchange that it is not in.
    bool heard_later = false;
    for (int seed = 0; seed < 10; ++seed) {
      Tensor rows[2];
      ExchangeState states[2];
      for (int side : {0, 1}) {
        rows[side] = at::zeros({6, 20}, at::kDouble);
        states[side] = exchange_start(e.exchange, rows[side]);
      }
      for (int64_t k = 0; k < 8; ++k) {
        const std::vector<int64_t> who = participants(e.exchange, states[0], k, Rng(seed));
        Tensor moved[2];
        for (int side : {0, 1}) {
          Tensor update = .1 * normal(Rng(k), {6, 20}, at::kDouble);
          if (side == 1) update[0] = -update[0];
          const Tensor before = states[side].server.row;
          rows[side] = exchange(e.exchange, states[side], rows[side] + update, Rng(seed));
          moved[side] = states[side].server.row - before;
        }
        const bool there = std::binary_search(who.begin(), who.end(), 0);
        heard_later = heard_later || (!there && apart(moved[0], moved[1]) > 1e-6);
      }
    }
    EXPECT_EQ(heard_later, how != std::string("plain")) << how;
    sections["privacy"]["noise"] = 1;
    EXPECT_EQ(Account(fleet(sections)).summary(1)["q"].get<double>(), heard_later ? 1 : .5) << how;
  }
}

TEST(Account, NamesWhatItTellsApart) {
  const auto told = [](const Json& sections) {
    const Experiment e = fleet(sections);
    const Json s = Account(e).summary(20);
    EXPECT_EQ(e.settings["privacy"]["adjacency"], s["adjacency"]);
    EXPECT_NE(s["statement"].get<std::string>().find(adjacency_words(s["adjacency"])), std::string::npos);
    return s["adjacency"].get<std::string>();
  };
  EXPECT_EQ(told(at_server({})), "add-remove");
  EXPECT_EQ(told(at_server({}, {{"share", 0.5}})), "add-remove");
  EXPECT_EQ(told(at_server({}, {{"share", 0.5}, {"sampling", "fixed"}})), "replace");
  EXPECT_EQ(told(at_server({}, {{"share", 0.5}, {"sampling", "turns"}})), "zero-out");
  EXPECT_EQ(told(at_server({}, {{"secure", true}})), "zero-out");
  EXPECT_EQ(told(at_server({{"where", "distributed"}}, {{"secure", true}})), "zero-out");
  EXPECT_EQ(told(at_server({{"mechanism", "tree"}})), "zero-out");
  EXPECT_EQ(told(at_server({{"where", "local"}})), "zero-out");
  EXPECT_EQ(told({{"privacy", {{"unit", "task"}}}}), "zero-out");
}

TEST(Account, ARunStopsBeforeItsBudgetIsPassed) {
  const Json sections{{"rounds", 1000},
                      {"exchange", kStar},
                      {"privacy", {{"unit", "agent"}, {"noise", 4.0}, {"budget", 6.0}}}};
  const Account account(fleet(sections));
  const int64_t last = account.last_round(1000);
  EXPECT_GT(last, 1);
  EXPECT_LT(last, 1000);
  EXPECT_LE(account.epsilon(last), 6.0);
  EXPECT_GT(account.epsilon(last + 1), 6.0);
  const Json told = account.summary(last);
  EXPECT_EQ(told["steps"], last);
  EXPECT_EQ(told["epsilon"], account.epsilon(last));
  EXPECT_LT(told["epsilon"].get<double>(), told["epsilon_renyi"].get<double>());
}

TEST(Account, ABudgetIsOfTheFigureThatIsStated) {
  // By the Renyi accountant 1,590 steps come to .63, so the old code stopped a budget of .3 long before.
  Json sections = at_server({{"noise", 1.057}, {"budget", 0.3}}, {{"share", 0.00123}});
  sections["rounds"] = 1590;
  const Account account(fleet(sections));
  EXPECT_EQ(account.last_round(1590), 1590);
  EXPECT_GT(account.renyi_bound(1590), .6);
  EXPECT_LT(account.epsilon(1590), .25);
}

TEST(Account, ATreeIsOneGaussianOfAllItsNodes) {
  // One turn in each of 4 exchanges of a tree that begins anew every 4: leaf 0 is in the nodes of 1, 2 and 4.
  const Json sections = at_server({{"mechanism", "tree"}, {"noise", 3.0}, {"restart", 4}},
                                  {{"share", 0.25}, {"sampling", "turns"}}, 8);
  const Account account(fleet(sections));
  EXPECT_NEAR(account.epsilon(1), gaussian_epsilon(1 / 3., 1e-5), 1e-9);
  EXPECT_NEAR(account.epsilon(4), gaussian_epsilon(std::sqrt(3.) / 3, 1e-5), 1e-9);
  EXPECT_NEAR(account.epsilon(20), gaussian_epsilon(std::sqrt(15.) / 3, 1e-5), 1e-9);
}

// ---- Where noise comes from.

TEST(NoiseKey, TwoRunsOfOneSeedShareNoNoise) {
  // On the old code both were equal bit for bit, and each agent's update could be told from its message.
  const Tensor updates = normal(Rng(1), {5, 400}, at::kDouble) * 1e-3;
  for (const char* where : {"local", "server"}) {
    for (const char* mechanism : {"gaussian", "tree"}) {
      if (std::string(where) == "local" && std::string(mechanism) == "tree") continue;
      Json privacy{{"unit", "agent"}, {"where", where}, {"noise", 0.5}, {"mechanism", mechanism}};
      const auto a = once({{"exchange", kStar}, {"privacy", privacy}}, updates),
                 b = once({{"exchange", kStar}, {"privacy", privacy}}, updates);
      EXPECT_GT((a.row - b.row).std().item<double>(), 0.5 * std::sqrt(2.) / 5 * 0.8) << where << mechanism;
      privacy["noise_key"] = "seed";
      EXPECT_EQ(apart(once({{"exchange", kStar}, {"privacy", privacy}}, updates).row,
                      once({{"exchange", kStar}, {"privacy", privacy}}, updates).row),
                0);
    }
  }
  for (const char* unit : {"task", "example"}) {
    const Json sections{{"learner", {{"kind", "pretrain"}}}, {"privacy", {{"unit", unit}}}};
    const Experiment e = fleet(sections);
    RunState a = start_run(e), b = start_run(e);
    run_round(e, a), run_round(e, b);
    EXPECT_GT(apart(a.learner.theta, b.learner.theta), 0) << unit;
  }
}

TEST(NoiseKey, CoinsThatAmplifyAreHiddenToo) {
  const auto drawn = [](const Json& sections, int64_t period) {
    const Experiment e = fleet(sections);
    const ExchangeState s = exchange_start(e.exchange, at::zeros({40, 1}));
    const auto who = participants(e.exchange, s, period, e.exchange_key());
    EXPECT_EQ(who, participants(e.exchange, s, period, e.exchange_key()));  // known again
    return who;
  };
  const Json hidden = at_server({}, {{"share", 0.5}}, 40),
             open = at_server({{"noise_key", "seed"}}, {{"share", 0.5}}, 40);
  EXPECT_NE(drawn(hidden, 3), drawn(hidden, 3));
  EXPECT_EQ(drawn(open, 3), drawn(open, 3));
  int64_t seen = 0;
  for (int64_t k = 0; k < 500; ++k) seen += static_cast<int64_t>(drawn(hidden, k).size());
  EXPECT_NEAR(static_cast<double>(seen) / 20000, 0.5, 4 * std::sqrt(0.25 / 20000));
}

TEST(NoiseKey, OfTheSystemIsNormalAndOneStreamAName) {
  const Noise noise = Noise::of_system();
  const int64_t n = 200001;  // an odd number
  const Tensor a = noise.split("a").normal({n}), b = noise.split("a", 1).normal({n}),
               c = noise.split("b").normal({n});
  EXPECT_TRUE(a.equal(noise.split("a").normal({n})));
  for (const Tensor& x : {a, b, c}) {
    EXPECT_NEAR(x.mean().item<double>(), 0, 5 / std::sqrt(n));
    EXPECT_NEAR(x.square().mean().item<double>(), 1, 5 * std::sqrt(2. / n));
    EXPECT_NEAR(x.pow(4).mean().item<double>(), 3, 5 * std::sqrt(96. / n));
    EXPECT_NEAR((x > 2).to(at::kDouble).mean().item<double>(), 0.0227501, 5 * std::sqrt(.0222 / n));
  }
  for (const auto& [x, y] : {std::pair{a, b}, {a, c}, {b, c}})
    EXPECT_NEAR((x * y).mean().item<double>(), 0, 5 / std::sqrt(n));
}

TEST(NoiseKey, OfTheSeedIsSaidToProtectNothing) {
  for (const Json& sections :
       {at_server({{"noise_key", "seed"}}), Json{{"privacy", {{"unit", "task"}, {"noise_key", "seed"}}}}}) {
    const Account account(fleet(sections));
    const Json told = account.summary(20);
    EXPECT_EQ(told["protects"], false);
    EXPECT_EQ(told["statement"].get<std::string>().find("protects nothing"), 0u);
    EXPECT_NE(account.terms().find("protects nothing"), std::string::npos);
    EXPECT_EQ(Account(fleet(at_server({}))).summary(20)["protects"], true);
  }
  EXPECT_NE(
      secure_statement(
          fleet({{"exchange", kStar}, {"server", {{"secure", true}}}, {"privacy", {{"noise_key", "seed"}}}}))
          .find("hides nothing"),
      std::string::npos);
}

// ---- Secure sums.

TEST(Server, RoundingDoesNotMakeAnUpdateLonger) {
  // On the old code a row of length .9996 came to 1.999 at 8 bits, where the account has 1.
  for (int64_t precision : {2, 4, 8, 12, 24, 48}) {
    for (int64_t q : {1, 17, 1000}) {
      const Json sections = at_server({{"noise", 1e-12}}, {{"secure", true}, {"precision", precision}});
      Tensor updates = at::zeros({5, q}, at::kDouble);
      updates[2] = 10 * normal(Rng(q), {q}, at::kDouble);
      const double length = 5 * once(sections, updates).row.norm().item<double>();
      EXPECT_LE(length, 1 + 1e-9) << precision << " " << q;
      if (precision >= 12) {
        EXPECT_GE(length, 0.98) << precision << " " << q;
      }
    }
  }
}

}  // namespace
}  // namespace symma
