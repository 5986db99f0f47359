// Poker against what is known of it: values, exploitability and counterfactual regrets as OpenSpiel 2.0.2 has
// them, Kuhn's solution in closed form, and derivatives by finite differences.
#include "symma/tasks/hands.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "symma/core/errors.h"
#include "symma/learners/learner.h"
#include "symma/tasks/games.h"

namespace symma {
namespace {

Tensor uniform_policy(const Hands& h) {
  const Tensor legal = h.legal.to(at::kDouble);
  return legal / legal.sum(1, true);
}
double value_of(const Hands& h, const Tensor& a, const Tensor& b) {
  const auto log = [](const Tensor& p) { return p.clamp_min(1e-300).log().unsqueeze(0); };
  return values(h, log(a), log(b)).item<double>();
}

TEST(Kuhn, HasItsStatesAndUniformPlayIsAsKnown) {
  const Hands h = kuhn();
  EXPECT_EQ(h.states, 12);
  EXPECT_EQ(h.worth.numel(), 30);
  const Tensor u = uniform_policy(h);
  EXPECT_NEAR(nash_conv(h, u), .9166667, 1e-6);
  EXPECT_NEAR(value_of(h, u, u), .125, 1e-6);
}

TEST(Leduc, HasItsStatesAndUniformPlayIsAsKnown) {
  const Hands h = leduc();
  EXPECT_EQ(h.states, 936);
  const Tensor u = uniform_policy(h);
  EXPECT_NEAR(nash_conv(h, u), 4.747222, 1e-6);
  EXPECT_NEAR(value_of(h, u, u), -.078125, 1e-6);
}

TEST(Cfr, ComesAsFarAsOpenSpiels) {
  const Hands k = kuhn(), l = leduc();
  EXPECT_NEAR(nash_conv(k, cfr(k, 10)), .137398, 1e-6);
  EXPECT_NEAR(nash_conv(k, cfr(k, 20)), .081340, 1e-6);
  EXPECT_NEAR(nash_conv(k, cfr(k, 100)), .016452, 1e-6);
  EXPECT_NEAR(nash_conv(l, cfr(l, 10)), 1.777157, 1e-6);
  EXPECT_NEAR(nash_conv(l, cfr(l, 20)), .906291, 1e-6);
}

// Kuhn 1950: seat 0 bets the jack with probability a in [0, 1/3], the king with 3a, passes the queen and
// calls with it with a + 1/3; seat 1 bets the jack and calls with the queen with 1/3. The value is -1/18.
TEST(Kuhn, ItsSolutionsCannotBeExploited) {
  const Hands h = kuhn();
  for (const double a : {0.0, 0.2, 1.0 / 3}) {
    const std::map<std::string, double> bet{
        {"0:J", a},        {"0:Q", 0},  {"0:K", 3 * a}, {"0:Jpb", 0}, {"0:Qpb", a + 1.0 / 3}, {"0:Kpb", 1},
        {"1:Jp", 1.0 / 3}, {"1:Qp", 0}, {"1:Kp", 1},    {"1:Jb", 0},  {"1:Qb", 1.0 / 3},      {"1:Kb", 1}};
    Tensor p = at::zeros({12, 2}, at::kDouble);
    for (int64_t s = 0; s < 12; ++s) p[s][1] = bet.at(h.names[s]), p[s][0] = 1 - bet.at(h.names[s]);
    EXPECT_NEAR(nash_conv(h, p), 0, 1e-12) << a;
    EXPECT_NEAR(value_of(h, p, p), -1.0 / 18, 1e-12) << a;
    EXPECT_NEAR(best_response(h, p, 0), -1.0 / 18, 1e-12) << a;
  }
}

// A best response does at least as well as any of many policies.
TEST(Hands, BestResponsesAreBest) {
  for (const Hands& h : {kuhn(), leduc()}) {
    const auto drawn = [&](uint64_t i) {
      const Tensor logits = 2 * normal(Rng(3).split("policy", i), {h.states, h.actions}, at::kDouble);
      return at::softmax(logits.masked_fill(h.legal.logical_not(), -1e9), 1);
    };
    const Tensor rival = drawn(0);
    const double most0 = best_response(h, rival, 0), most1 = best_response(h, rival, 1);
    for (uint64_t i = 1; i <= 6; ++i) {
      const Tensor one = drawn(i);
      EXPECT_LE(value_of(h, one, rival), most0);
      EXPECT_LE(-value_of(h, rival, one), most1);
    }
  }
}

// With the king at uniform play: a pass is passed (1) or bet at, and then folded (-1) or called (2); a bet is
// folded to (1) or called (2). Elsewhere they are the derivatives of the value by the policy, but for how
// likely a state is.
TEST(Hands, ActionsAreWorthWhatFollows) {
  const Hands k = kuhn();
  const Tensor of_king =
      action_values(k, uniform_policy(k))[std::find(k.names.begin(), k.names.end(), "0:K") - k.names.begin()];
  EXPECT_NEAR(of_king[0].item<double>(), .75, 1e-12);
  EXPECT_NEAR(of_king[1].item<double>(), 1.5, 1e-12);
  for (const Hands& h : {kuhn(), leduc()}) {
    const Tensor logits = normal(Rng(4), {h.states, h.actions}, at::kDouble);
    const Tensor policy = at::softmax(logits.masked_fill(h.legal.logical_not(), -1e9), 1);
    const Tensor q = action_values(h, policy);
    const Tensor fixed = policy.clamp_min(1e-300).log().unsqueeze(0),
                 free = leaf(policy.clamp_min(1e-300).unsqueeze(0));
    for (const int64_t seat : {0, 1}) {
      const Tensor value = seat == 0 ? values(h, free.log(), fixed) : -values(h, fixed, free.log());
      const Tensor slope = row_gradient(value, free, false)[0];
      for (int64_t s = 0; s < h.states; ++s) {
        if (h.seat[s] != seat) continue;
        const Tensor of = q[s].masked_select(h.legal[s]), d = slope[s].masked_select(h.legal[s]);
        const double likely = (d.dot(of) / of.dot(of)).item<double>();
        EXPECT_GT(likely, 0);
        EXPECT_LE(likely, 1);
        EXPECT_LE((d - likely * of).abs().max().item<double>(), 1e-12) << h.names[s];
      }
    }
  }
}

struct Made {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
};
Made made(Json settings, const std::string& model = "tabular", const Json& net = Json::object()) {
  Made m;
  m.family = make<TaskFamilyRegistry>("games", settings, int64_t{2});
  m.model = make<ModelRegistry>(model, net, m.family->spec().shape);
  return m;
}

TEST(PokerTasks, GradientsAreThoseOfValues) {
  for (const std::string rivals : {"personas", "uniform", "cfr", "random"}) {
    const Made m = made({{"poker", "kuhn"}, {"rivals", rivals}});
    const auto batch =
        m.family->sample(*m.model, asks_for(std::vector<int64_t>{0, 1}, Rng(4)), Split::kTrain);
    const Tensor rows = normal(Rng(5), {2, m.model->layout().size()}, at::kDouble), at = leaf(rows);
    const Tensor g = row_gradient(batch->loss(at, Stage::kQuery, Rng(1)), at, false);
    for (int64_t i = 0; i < rows.size(1); ++i) {
      Tensor up = rows.clone(), down = rows.clone();
      up.select(1, i).add_(1e-5), down.select(1, i).sub_(1e-5);
      const Tensor slope =
          (batch->loss(up, Stage::kQuery, Rng(1)) - batch->loss(down, Stage::kQuery, Rng(1))) / 2e-5;
      EXPECT_LE((g.select(1, i) - slope).abs().max().item<double>(), 1e-7) << rivals;
    }
    const Scores s = batch->score(rows, Rng(1));
    EXPECT_LE((s.at("return") + batch->loss(rows, Stage::kQuery, Rng(1))).abs().max().item<double>(), 1e-6);
    const Tensor policy = dynamic_cast<const GameBatch&>(*batch).policy(rows).exp();
    EXPECT_NEAR(s.at("nash_conv")[1].item<double>(), nash_conv(kuhn(), policy[1]), 1e-12);
  }
}

TEST(PokerTasks, SayWhatDoesNotGoTogether) {
  const auto says = [](const Json& settings, const std::string& word) {
    try {
      made(settings);
      ADD_FAILURE() << settings;
    } catch (const UserError& e) {
      EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << e.what();
    }
  };
  says({{"rivals", "cfr"}}, "[task] rivals");
  says({{"test_rivals", "uniform"}}, "[task] test_rivals");
  says({{"poker", "kuhn"}, {"value", "sampled"}}, "[task] value");
  says({{"poker", "omaha"}}, "poker");
}

// A row after so many steps of self-play, [3, P].
Tensor self_play(const Made& m, const Json& settings, int64_t steps) {
  const auto l =
      make<LearnerRegistry>("mirror_descent", settings, LearnerSetting{*m.model, m.family->spec()});
  State s = l->init(split_keys(Rng(1), "agent", 3), at::kDouble);
  const auto batch =
      m.family->sample(*m.model, asks_for(std::vector<int64_t>{0, 1, 2}, Rng(1)), Split::kTrain);
  for (int64_t i = 0; i < steps; ++i) l->step(s, *batch, Rng(1));
  return l->adapt(s, *batch, std::vector<int64_t>{0}, Rng(1))[0].narrow(1, 0, m.model->layout().size());
}

// Uniform play is at .917.
TEST(MirrorDescent, PlayAgainstItselfEndsNearASolution) {
  const Made m = made({{"poker", "kuhn"}, {"rivals", "random"}});
  const auto batch =
      m.family->sample(*m.model, asks_for(std::vector<int64_t>{0, 1, 2}, Rng(9)), Split::kTest);
  const Tensor open = batch->score(self_play(m, Json::object(), 3000), Rng(1)).at("nash_conv");
  EXPECT_LT(open.max().item<double>(), .02) << open;
}

// pi = softmax(q / alpha), in every state at once.
TEST(MirrorDescent, WithAPullThatStaysComesToTheQuantalResponseEquilibrium) {
  for (const bool minimal : {true, false}) {
    const Made m = made({{"poker", "kuhn"}, {"rivals", "random"}}, "tabular", {{"minimal", minimal}});
    const Tensor rows = self_play(m, {{"anneal", false}, {"magnet", .3}, {"step_size", .1}}, 3000);
    const auto batch =
        m.family->sample(*m.model, asks_for(std::vector<int64_t>{0, 1, 2}, Rng(9)), Split::kTest);
    const Tensor policy = dynamic_cast<const GameBatch&>(*batch).policy(rows).exp();
    for (int64_t i = 0; i < 3; ++i)
      EXPECT_LE(
          (at::softmax(action_values(kuhn(), policy[i]) / .3, 1) - policy[i]).abs().max().item<double>(),
          1e-9);
  }
}

}  // namespace
}  // namespace symma
