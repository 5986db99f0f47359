// Fleets that exchange in every way that a file can ask for: a run is a function of its settings and its
// seed, whatever is exchanged; faults do what they say; what cannot be combined is refused.
#include <gtest/gtest.h>

#include "exchange/choco.h"

#include <filesystem>

#include "fleet/fleets.h"
#include "fleet/ways.h"
#include "symma/core/parallel.h"
#include "symma/exchange/messages.h"
#include "symma/learners/rows.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

// ---- Resume equals unbroken, threads do not matter: over the registries.

class EveryWay : public testing::TestWithParam<Json> {};
INSTANTIATE_TEST_SUITE_P(Registry, EveryWay, testing::ValuesIn(every_way()));

TEST_P(EveryWay, IsAFunctionOfSettingsAndSeed) {
  const Experiment e = fleet(GetParam());
  const auto rounds = [&](RunState run, int64_t until, int threads) {
    set_threads(threads);
    while (run.round < until) run_round(e, run);
    set_threads(0);
    return run;
  };
  const RunState unbroken = rounds(start_run(e), 7, 1);
  expect_same(unbroken, rounds(start_run(e), 7, 2));
  const std::string file =
      (std::filesystem::path(testing::TempDir()) / fmt::format("exchange_{}.safetensors", ::getpid()))
          .string();
  save_checkpoint(file, e, rounds(start_run(e), 4, 2));
  expect_same(unbroken, rounds(load_checkpoint(file, e), 7, 1));
  std::filesystem::remove(file);
  // The file with every default filled in is the same experiment.
  const Experiment again = Experiment::build(Config::parse(e.toml, "again"));
  EXPECT_EQ(again.toml, e.toml);
  EXPECT_GT(unbroken.exchange.total_bits(), 0);
}

// ---- The wide way with nothing in it is plain mixing.

TEST(Exchange, WithNoFaultThatHappensIsPlainMixing) {
  for (const char* topology : {"ring", "star", "full"}) {
    for (const char* payload : {"parameters", "updates"}) {
      const Json graph{{"topology", topology}, {"payload", payload}};
      const Experiment plain = fleet({{"exchange", graph}}),
                       wide = fleet({{"exchange", graph}, {"faults", {{"lost", 1e-12}}}});
      ASSERT_TRUE(plain.exchange.plain());
      ASSERT_FALSE(wide.exchange.plain());
      const Tensor start = normal(Rng(4), {1, 30}).repeat({5, 1}), moved = start + normal(Rng(5), {5, 30});
      ExchangeState a = exchange_start(plain.exchange, start), b = exchange_start(wide.exchange, start);
      const Tensor x = exchange(plain.exchange, a, moved, Rng(1)),
                   y = exchange(wide.exchange, b, moved, Rng(1));
      EXPECT_TRUE(x.allclose(y, 1e-5, 1e-6)) << topology << " " << payload;
      EXPECT_EQ(a.bits, b.bits);
    }
  }
}

TEST(Exchange, CompressedParametersOnAGraphAreChocoGossip) {
  const Experiment e = fleet({{"exchange", {{"topology", "ring"}}},
                              {"compression", {{"kind", "top_k"}, {"fraction", 0.1}, {"gamma", 0.3}}}});
  Tensor rows = normal(Rng(2), {5, 200}, at::kDouble);
  const Tensor mean = rows.mean(0);
  ExchangeState s = exchange_start(e.exchange, rows);
  // The first message is whole: from then on everybody knows what was said.
  ChocoState choco{rows.clone(), std::vector<Tensor>(5)};
  const Tensor first = exchange(e.exchange, s, rows, Rng(1));
  EXPECT_TRUE(first.allclose(rows + 0.3 * (mixing_weights(e.exchange.graph).mm(rows) - rows), 1e-12, 1e-12));
  rows = first;
  for (int k = 0; k < 30; ++k) {
    const ChocoRound expected =
        choco_round(*e.exchange.compressor, rows, mixing_weights(e.exchange.graph), 0.3, 0, choco, Rng(9));
    rows = exchange(e.exchange, s, rows, Rng(1));
    ASSERT_LE((rows - expected.rows).abs().max().item<double>(), 1e-12) << k;
    EXPECT_LE((rows.mean(0) - mean).abs().max().item<double>(), 1e-13);
  }
  EXPECT_LT(s.total_bits(), 10 * 200 * 64 + 30 * 10 * 20 * 40);
}

// Updates are counted from rows that must be mixed too: agents that only mixed their updates would keep what
// sets them apart.
TEST(Exchange, UpdatesOnAGraphReachConsensus) {
  for (const char* more :
       {"", R"(, "compression": {"kind": "top_k", "fraction": 0.2, "gamma": 0.3})",
        R"(, "privacy": {"unit": "agent", "clip": 100, "noise": 1e-12})", R"(, "faults": {"lost": 0.2})",
        R"(, "compression": {"kind": "top_k", "fraction": 0.2, "gamma": 0.2}, "faults": {"lost": 0.1})"}) {
    const Experiment e = fleet(
        Json::parse(std::string(R"({"exchange": {"topology": "ring", "payload": "updates"})") + more + "}"));
    // Agents that start apart, and then take the same steps. Where nothing is lost the mean moves by them,
    // too.
    Tensor rows = normal(Rng(2), {5, 40}, at::kDouble);
    const double apart = disagreement(rows);
    const Tensor mean = rows.mean(0);
    ExchangeState s = exchange_start(e.exchange, rows);
    for (int k = 0; k < 400; ++k) rows = exchange(e.exchange, s, rows + 0.01, Rng(1));
    EXPECT_LT(disagreement(rows), 1e-4 * apart) << more;
    if (!e.exchange.faults.gaps()) {
      EXPECT_LE((rows.mean(0) - mean - 4).abs().max().item<double>(), 1e-4) << more;
    }
  }
}

// What an agent's noise hides must not come out by the row that its next update is counted from.
TEST(Exchange, AnAgentMixesWhatItSaidAndNotWhatItsNoiseHides) {
  const Experiment e =
      fleet({{"exchange", {{"topology", "ring"}, {"payload", "updates"}}},
             {"privacy", {{"unit", "agent"}, {"clip", 1}, {"noise", 0.5}, {"noise_key", "seed"}}}});
  const Tensor start = at::zeros({5, 30}, at::kDouble);
  Tensor moved = 0.1 * normal(Rng(2), {5, 30}, at::kDouble), other = moved.clone();
  other[0] = -other[0];
  ExchangeState a = exchange_start(e.exchange, start), b = exchange_start(e.exchange, start);
  const Tensor x = exchange(e.exchange, a, moved, Rng(1)), y = exchange(e.exchange, b, other, Rng(1));
  // Everybody's new row moves by the weight of what agent 0 said, its own as its neighbours'.
  const Tensor shift = (x - y).select(0, 0), of_neighbour = (x - y).select(0, 1);
  EXPECT_LE((shift - of_neighbour).abs().max().item<double>(), 1e-12);
}

TEST(Exchange, ErrorFeedbackLosesNothing) {
  // What the server has heard of an agent and what is left over make up all that the agent wanted to say.
  const Experiment e = fleet({{"exchange", {{"topology", "star"}, {"payload", "updates"}}},
                              {"compression", {{"kind", "top_k"}, {"fraction", 0.1}, {"answers", false}}}});
  Tensor rows = at::zeros({5, 100}, at::kDouble), wanted = at::zeros({5, 100}, at::kDouble);
  ExchangeState s = exchange_start(e.exchange, rows);
  for (int k = 0; k < 8; ++k) {
    const Tensor update = normal(Rng(k), {5, 100}, at::kDouble);
    wanted = wanted + update;
    rows = exchange(e.exchange, s, rows + update, Rng(1));
    const Tensor heard = rows[0] + s.sender.residual.mean(0);
    EXPECT_LE((heard - wanted.mean(0)).abs().max().item<double>(), 1e-5);  // values travel as floats
  }
}

// An agent that says its first row for ever: the first that it said, whenever that was.
TEST(Attacks, StaleAgentsSayWhatTheySaidFirst) {
  for (const char* payload : {"parameters", "updates"}) {
    for (const char* sampling : {"fixed", "poisson", "turns"}) {
      const Experiment e = fleet({{"agents", 8},
                                  {"exchange", {{"topology", "star"}, {"payload", payload}}},
                                  {"server", {{"share", 0.25}, {"sampling", sampling}}},
                                  {"faults", {{"kind", "stale"}, {"agents", {1, 2, 3, 4, 5, 6}}}}});
      Tensor rows = at::zeros({8, 3}, at::kDouble);
      ExchangeState s = exchange_start(e.exchange, rows);
      std::vector<Tensor> first(8);
      for (int64_t k = 0; k < 12; ++k) {
        // Those who take part learn, and the others stand still.
        const std::vector<int64_t> who = participants(e.exchange, s, k, Rng(1));
        const Tensor step = normal(Rng(k), {8, 3}, at::kDouble);
        Tensor learned = rows.clone();
        for (const int64_t i : who) learned[i] += step[i];
        Tensor sum = at::zeros({3}, at::kDouble);
        for (const int64_t i : who) {
          const Tensor said = payload == std::string("updates") ? learned[i] - rows[i] : learned[i];
          if (!first[i].defined()) first[i] = said.clone();
          sum += e.exchange.hostile(i) ? first[i] : said;
        }
        const Tensor before = s.server.row;
        if (k == 5) {  // stopped, saved and gone on with
          ExchangeState again = exchange_start(e.exchange, rows);
          keep(again, kept(s));
          again.rounds = s.rounds;
          s = again;
        }
        rows = exchange(e.exchange, s, learned, Rng(1));
        if (who.empty()) continue;
        const Tensor mean = sum / static_cast<double>(who.size()),
                     expected = payload == std::string("updates") ? before + mean : mean;
        EXPECT_TRUE(s.server.row.allclose(expected, 1e-12, 1e-12)) << payload << sampling << k;
      }
    }
  }
}

// ---- Faults.

class Faulty : public testing::Test {
 protected:
  // What one exchange makes of the rows on a full graph, in the k-th exchange.
  Tensor after(const Json& faults, int rounds = 1, const char* topology = "full") {
    const Experiment e = fleet({{"exchange", {{"topology", topology}}}, {"faults", faults}});
    state = exchange_start(e.exchange, rows);
    Tensor out;
    for (int k = 0; k < rounds; ++k) out = exchange(e.exchange, state, rows + k, Rng(1));
    return out;
  }
  Tensor rows = normal(Rng(2), {5, 20}, at::kDouble);
  Tensor mean = rows.mean(0, true).expand({5, 20});
  ExchangeState state;
  int64_t whole = 20 * 20 * 64;  // bits of one exchange, each to each
};

TEST_F(Faulty, LostAndCutMessagesLeaveRowsAlone) {
  EXPECT_TRUE(after({{"lost", 1.0}}).equal(rows));
  EXPECT_EQ(state.total_bits(), whole);
  EXPECT_TRUE(after({{"cut", 1.0}}).equal(rows));
  EXPECT_LT(state.total_bits(), whole);
  EXPECT_GT(state.total_bits(), 0);
}

TEST_F(Faulty, DoubledMessagesCostTwiceAndCountOnce) {
  EXPECT_TRUE(after({{"doubled", 1.0}}).allclose(mean, 1e-12, 1e-12));
  EXPECT_EQ(state.total_bits(), 2 * whole);
}

TEST_F(Faulty, LateMessagesComeOneExchangeLater) {
  EXPECT_TRUE(after({{"late", 1.0}}).equal(rows));
  // In the second exchange each has its own new row, and the others' of the first.
  EXPECT_TRUE(after({{"late", 1.0}}, 2).allclose(mean + 0.2, 1e-12, 1e-12));
}

// A server that asks for a share hands its row to whoever takes part next, over lines as bad as any.
TEST_F(Faulty, OnTheWayDownFromAServerThatAsksForAShare) {
  const int64_t row = 20 * 64, rounds = 6;
  for (const char* sampling : {"fixed", "poisson", "turns"}) {
    for (const char* fault : {"none", "lost", "cut", "doubled", "late"}) {
      const Experiment e = fleet(
          {{"agents", 8},
           {"exchange", {{"topology", "star"}, {"payload", "updates"}}},
           {"server", {{"share", 0.5}, {"sampling", sampling}}},
           {"faults",
            {{fault == std::string("none") ? "lost" : fault, fault == std::string("none") ? 1e-12 : 1.0}}}});
      Tensor now = normal(Rng(2), {1, 20}, at::kDouble).repeat({8, 1}), told_before;
      ExchangeState s = exchange_start(e.exchange, now);
      std::vector<bool> asked(8, false);
      for (int64_t k = 0; k < rounds; ++k) {
        const Tensor learned = now + normal(Rng(k), {8, 20}, at::kDouble);
        const std::vector<int64_t> bits = s.bits;
        now = exchange(e.exchange, s, learned, Rng(1));
        const Tensor told = s.server.row;
        std::vector<bool> asks(8, false);
        for (const int64_t i : participants(e.exchange, s, k + 1, Rng(1))) asks[i] = true;
        for (int64_t i = 0; i < 8; ++i) {
          const std::string what = fmt::format("{} {} exchange {} agent {}", sampling, fault, k, i),
                            f = fault;
          const bool comes = f == "none" || f == "doubled" || !asks[i];
          const bool waited = f == "late" && asks[i] && asked[i];
          EXPECT_TRUE(now[i].equal(comes ? told : waited ? told_before : learned[i])) << what;
          const int64_t down = s.bits[2 * i + 1] - bits[2 * i + 1];
          if (f == "cut")
            EXPECT_TRUE(asks[i] ? down < row : down == 0) << what;
          else
            EXPECT_EQ(down, !asks[i] ? 0 : f == "doubled" ? 2 * row : row) << what;
        }
        asked = asks, told_before = told.clone();
      }
    }
  }
}

TEST_F(Faulty, TheOrderOfArrivalDoesNotMatter) {
  const Tensor in_order = after({{"late", 0.5}}, 4);
  EXPECT_TRUE(after({{"late", 0.5}, {"reordered", 1.0}}, 4).equal(in_order));
  EXPECT_FALSE(after({{"late", 0.0}, {"lost", 1e-12}}, 4).equal(in_order));
}

TEST_F(Faulty, ChancesAreWhatTheySay) {
  int64_t gone = 0, all = 0;
  const Experiment e = fleet({{"exchange", {{"topology", "full"}}}, {"faults", {{"lost", 0.3}}}});
  ExchangeState s = exchange_start(e.exchange, rows);
  for (s.rounds = 0; s.rounds < 200; ++s.rounds) {
    for (int64_t at = 0; at < 20; ++at, ++all)
      gone += passage_of(e.exchange.faults, at / 4, at % 4, Rng(5).split("round", s.rounds)).lost;
  }
  EXPECT_NEAR(static_cast<double>(gone) / static_cast<double>(all), 0.3, 4 * std::sqrt(0.21 / 4000));
}

TEST_F(Faulty, TheServerAveragesThoseWhoSpeak) {
  const Tensor honest = rows.slice(0, 0, 4).mean(0, true).expand({5, 20});
  EXPECT_TRUE(after({{"kind", "silent"}, {"agents", {4}}}, 1, "star").allclose(honest, 1e-12, 1e-12));
  const Tensor flipped = (4 * honest - honest) / 5;
  EXPECT_TRUE(after({{"kind", "sign_flip"}, {"agents", {4}}}, 1, "star").allclose(flipped, 1e-12, 1e-12));
  // A stale agent says in the second exchange what it said in the first.
  const Tensor stale = mean + 0.8;
  EXPECT_TRUE(after({{"kind", "stale"}, {"agents", {4}}}, 2, "star").allclose(stale, 1e-12, 1e-12));
}

TEST(Faults, StatisticsAreOverTheHonest) {
  const Experiment e = fleet({{"exchange", {{"topology", "ring"}}},
                              {"faults", {{"kind", "not_finite"}, {"agents", {1, 2}}}},
                              {"aggregator", {{"kind", "median"}, {"bad", 1}}}});
  EXPECT_EQ(e.counted(), (std::vector<int64_t>{0, 3, 4}));
  RunState run = start_run(e);
  for (int k = 0; k < 3; ++k) run_round(e, run);
  const Subject subject{*e.learner, *e.model, *e.family, run.learner, e.counted()};
  const EvalResult r = evaluate(subject, Split::kTest, 10, {0, 1}, false, Rng(3));
  const Json all = eval_json(r, e.spec, "");
  double sum = 0;
  for (int a : {0, 3, 4}) sum += all["per_agent"][a][1].get<double>() / 3;
  EXPECT_NEAR(all["mean"][1].get<double>(), sum, 1e-9);
  EXPECT_NEAR(all["over_agents"]["mean"][1].get<double>(), sum, 1e-9);
  // Three are too few for a bootstrap.
  EXPECT_TRUE(all["over_agents"]["iqm_low"][1].is_null());
  EXPECT_GT(all["over_agents"]["ci95"][1].get<double>(), 0);
  EXPECT_EQ(all["per_agent"].size(), 5u);
}

TEST(Faults, FlippedLabelsAreTheHostileAgentsAlone) {
  const Experiment e = fleet({{"exchange", {{"topology", "none"}}}});
  const Experiment flip = fleet({{"exchange", {{"topology", "ring"}, {"every", 1000}}},
                                 {"faults", {{"kind", "label_flip"}, {"agents", {2}}}}});
  RunState a = start_run(e), b = start_run(flip);
  for (int k = 0; k < 3; ++k) run_round(e, a), run_round(flip, b);
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(a.learner.theta[i].equal(b.learner.theta[i]), i != 2) << i;
}

// A flipped few-shot task must not be another honest one: who has learned it well is wrong on its queries.
TEST(Faults, FlippedTasksAreNotLearnedByAdapting) {
  struct Row {
    const char *task, *score;
    double right, wrong;  // after adapting: no worse than this, and no better
  };
  for (const auto& [task, score, right, wrong] :
       {Row{"blobs", "accuracy", .8, .4}, Row{"sinusoid", "mse", 6, 12}}) {
    const Experiment e = fleet({{"task", {{"kind", task}, {"shots", 10}, {"queries", 10}}},
                                {"learner", {{"kind", "maml"}, {"inner_lr", .02}}},
                                {"model", {{"hidden", {32}}}}});
    const std::vector<int64_t> who(60, 4), steps{1000};
    std::vector<int64_t> all(60);
    for (int64_t i = 0; i < 60; ++i) all[i] = i;
    const State one = e.learner->init(split_keys(Rng(1), "agent", 1), at::kFloat);
    const auto honest = e.family->sample(*e.model, asks_for(who, Rng(2)), Split::kTrain);
    const auto flipped = dynamic_cast<const SupervisedBatch&>(*honest).flipped(all);
    const auto after = [&](const TaskBatch& batch) {
      const Tensor rows = e.learner->adapt(one, batch, steps, Rng(3)).back();
      return batch.score(rows, Rng(4)).at(score).mean().item<double>();
    };
    const double sign = std::string(score) == "mse" ? -1 : 1;
    EXPECT_GE(sign * after(*honest), sign * right) << task << " " << after(*honest);
    EXPECT_LE(sign * after(*flipped), sign * wrong) << task << " " << after(*flipped);
  }
}

// ---- What cannot be combined.

struct Refusal {
  const char *settings, *words;
};

class Refused : public testing::TestWithParam<Refusal> {};
INSTANTIATE_TEST_SUITE_P(
    Settings, Refused,
    testing::Values(
        Refusal{R"("exchange": {"topology": "star"}, "aggregator": {"kind": "krum", "bad": 1},
                   "server": {"secure": true})",
                "sees the sum alone"},
        Refusal{R"("exchange": {"topology": "star"}, "aggregator": {"before": ["nnm"]},
                   "server": {"secure": true})",
                "sees the sum alone"},
        Refusal{R"("exchange": {"topology": "star"}, "compression": {"kind": "top_k"},
                   "server": {"secure": true})",
                "masks hide"},
        Refusal{R"("exchange": {"topology": "ring"}, "server": {"secure": true})", "has no server"},
        Refusal{R"("exchange": {"topology": "ring"}, "server": {"share": 0.5})", "has no server"},
        Refusal{R"("exchange": {"topology": "star"}, "server": {"optimizer": "adam"})", "needs updates"},
        Refusal{R"("exchange": {"topology": "ring"}, "aggregator": {"kind": "krum", "bad": 2})",
                "2 bad rows among 3"},
        Refusal{R"("exchange": {"topology": "full"}, "aggregator": {"kind": "median", "bad": 3})",
                "3 bad rows among 5"},
        Refusal{R"("exchange": {"topology": "full"}, "aggregator": {"kind": "median", "before": ["bucketing"],
                   "bad": 2})",
                "2 bad rows among 5"},
        Refusal{R"("exchange": {"topology": "full"}, "aggregator": {"kind": "medain"})", "\"medain\""},
        Refusal{R"("exchange": {"topology": "full"}, "aggregator": {"before": ["nmm"]})", "\"nmm\""},
        Refusal{
            R"("exchange": {"topology": "star"}, "compression": {"kind": "top_k"}, "faults": {"lost": 0.1})",
            "must miss none"},
        Refusal{R"("exchange": {"topology": "star", "strategy": "gradient-tracking"})", "there is a server"},
        Refusal{R"("exchange": {"topology": "full", "strategy": "exact-diffusion", "every": 2})",
                "after each step"},
        Refusal{R"("exchange": {"topology": "full", "strategy": "exact-diffusion", "payload": "updates"})",
                "mixes rows"},
        Refusal{
            R"("exchange": {"topology": "full", "strategy": "gradient-tracking"}, "aggregator": {"kind": "median"})",
            "weighted means"},
        Refusal{R"("exchange": {"topology": "star"}, "compression": {"kind": "top_k", "gamma": 0.5})",
                "gossip"},
        Refusal{
            R"("exchange": {"topology": "star"}, "compression": {"kind": "top_k"}, "server": {"share": 0.5})",
            "every agent must have heard"},
        Refusal{R"("exchange": {"topology": "full"}, "faults": {"agents": [5]})", "agent 5 is not there"},
        Refusal{R"("exchange": {"topology": "full"}, "faults": {"agents": [0, 1, 2, 3, 4]})",
                "no agent is honest"},
        Refusal{R"("exchange": {"topology": "full"}, "faults": {"lost": 1.5})", "out of range"},
        Refusal{R"("exchange": {"topology": "full"}, "privacy": {"unit": "agent"})", "payload is parameters"},
        Refusal{R"("exchange": {"topology": "full", "payload": "updates"},
                   "privacy": {"unit": "agent", "where": "server"})",
                "has no server"},
        Refusal{R"("exchange": {"topology": "star", "payload": "updates"}, "aggregator": {"kind": "median"},
                   "privacy": {"unit": "agent", "where": "server"})",
                "noise to a sum"},
        Refusal{R"("exchange": {"topology": "star", "payload": "updates"},
                   "privacy": {"unit": "agent", "adaptive": true})",
                "only a server"},
        Refusal{R"("learner": {"kind": "scratch"}, "privacy": {"unit": "task"})", "does not clip"},
        Refusal{R"("learner": {"kind": "maml"}, "privacy": {"unit": "example"})", "does not clip"},
        Refusal{R"("privacy": {"unit": "task", "noise": 0.1, "budget": 0.5})", "the budget"},
        Refusal{R"("privacy": {"unit": "task", "adjacency": "add-remove"})", "drawn in the place"},
        Refusal{R"("exchange": {"topology": "ring", "payload": "updates"},
                   "privacy": {"unit": "agent", "adjacency": "add-remove"})",
                "says by itself"},
        Refusal{R"("exchange": {"topology": "star", "payload": "updates"},
                   "server": {"share": 0.5, "sampling": "fixed"},
                   "privacy": {"unit": "agent", "where": "server", "adjacency": "add-remove"})",
                "takes another's place"},
        Refusal{R"("exchange": {"topology": "star", "payload": "updates"}, "server": {"share": 0.5},
                   "privacy": {"unit": "agent", "where": "server", "adjacency": "replace"})",
                "no account"},
        Refusal{R"("exchange": {"topology": "star", "payload": "updates"}, "server": {"secure": true},
                   "privacy": {"unit": "agent", "where": "server", "adjacency": "add-remove"})",
                "how many take part"},
        Refusal{R"("exchange": {"topology": "star", "payload": "updates"}, "server": {"secure": true},
                   "faults": {"agents": [1]}, "privacy": {"unit": "agent", "where": "server"})",
                "nobody clips"},
        Refusal{R"("exchange": {"topology": "star", "payload": "updates"},
                   "privacy": {"unit": "agent", "where": "server", "adaptive": true, "noise": 20})",
                "count_noise"},
        Refusal{R"("exchange": {"topology": "ring", "payload": "updates"},
                   "privacy": {"unit": "agent", "mechanism": "tree"})",
                "sums of a server"},
        Refusal{R"("exchange": {"topology": "star", "payload": "updates"},
                   "privacy": {"unit": "agent", "where": "server", "mechanism": "tree", "adaptive": true})",
                "one bound"},
        Refusal{R"("privacy": {"unit": "task", "mechanism": "tree"})", "unit \"agent\" at a server"}));

TEST_P(Refused, WithTheReason) {
  try {
    fleet(Json::parse("{" + std::string(GetParam().settings) + "}"));
    FAIL() << "accepted: " << GetParam().settings;
  } catch (const UserError& e) {
    EXPECT_NE(std::string(e.what()).find(GetParam().words), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace symma
