// Teams whose players set numbers: the loss against finite differences, returns against their definition,
// and learning in worlds whose best play is known, with either head, with levels, and with running
// statistics of what is seen. Then who plays beside those who learn: scripts.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>

#include "envs/exits.h"
#include "envs/worlds.h"
#include "symma/learners/teams/teams.h"
#include "symma/nn/normalised.h"

namespace symma {
namespace {

TEST(NumbersLoss, ItsGradientIsThatOfItsValue) {
  Tensor outputs = 0.5 * normal(Rng(1), {2, 3, 2, 2, 4}, at::kDouble);
  outputs[0][0][0][0][3] = -9;  // below the least deviation: held there, and no gradient
  const Tensor action = normal(Rng(2), {2, 3, 2, 2, 2}, at::kDouble),
               advantage = normal(Rng(3), {2, 3, 2, 2}, at::kDouble);
  Tensor action_near = action.clone();
  action_near[0][0][0][0] = outputs[0][0][0][0].narrow(0, 0, 2) + 1e-3;
  const Tensor mask = at::ones({2, 3, 2, 2, 2}, at::kBool),
               log_p = log_probability(outputs, mask, action_near),
               old = log_p + 0.3 * normal(Rng(4), {2, 3, 2, 2}, at::kDouble);
  Tensor weight = at::ones({2, 3, 2, 2}, at::kDouble);
  weight[1][2][1].fill_(0), weight[0][1][0][1] = 0;
  for (const double clip : {0.0, 0.2}) {
    const auto loss = [&](const Tensor& z) {
      return policy_loss(z, mask, action_near, old, advantage, weight, clip, 0.05);
    };
    const Tensor ratio = (log_p - old).exp();
    const Tensor gain = clip > 0 ? at::minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
                                 : log_p * advantage;
    const Tensor entropy = (outputs.narrow(4, 2, 2).clamp_min(kLeastLogStd) + 0.5 + kHalfLog2Pi).sum(4);
    const Tensor mean = ((gain + 0.05 * entropy) * weight).sum({1, 2, 3}) / weight.sum({1, 2, 3});
    EXPECT_LE((loss(outputs).loss + mean).abs().max().item<double>(), 1e-10);
    const Tensor grad = loss(outputs).grad;
    for (int64_t i = 0; i < outputs.numel(); ++i) {
      Tensor up = outputs.clone(), down = outputs.clone();
      up.view(-1)[i] += 1e-6, down.view(-1)[i] -= 1e-6;
      const double slope = (loss(up).loss - loss(down).loss).sum().item<double>() / 2e-6;
      EXPECT_NEAR(grad.view(-1)[i].item<double>(), slope, 1e-6 * (1 + std::abs(slope))) << i;
    }
  }
}

// Lambda returns are the average of n-step returns with weights (1 - lambda) lambda^(n - 1), where all that
// is left goes to the longest.
TEST(LambdaReturns, AreTheAverageOfNStepReturns) {
  const int64_t t = 6;
  const Tensor reward = normal(Rng(1), {2, 3, t, 2}, at::kDouble),
               value = normal(Rng(2), {2, 3, t + 1, 2}, at::kDouble);
  Tensor alive = at::ones({2, 3, t}, at::kDouble), ends = at::zeros({2, 3, t}, at::kDouble),
         going = at::zeros({2, 3});
  alive[0][1].narrow(0, 4, 2).fill_(0), ends[0][1][3] = 1;  // ended by its own rules
  alive[1][0].narrow(0, 3, 3).fill_(0);                     // cut off at 3
  going[0][0] = 1, going[1][2] = 1;
  const Tensor paid = reward * alive.unsqueeze(3);
  for (const bool limit_ends : {false, true}) {
    for (const double lambda : {0.3, 0.95, 1.0}) {
      const Tensor found = lambda_returns(paid, alive, ends, value, 0.9, lambda, limit_ends, going);
      Tensor want = at::zeros_like(paid);
      for (int64_t n = 1; n < t; ++n)
        want += (1 - lambda) * std::pow(lambda, n - 1) *
                n_step_returns(paid, alive, ends, value, 0.9, n, limit_ends, going);
      want += std::pow(lambda, t - 1) * n_step_returns(paid, alive, ends, value, 0.9, t, limit_ends, going);
      EXPECT_LE((found - want).abs().max().item<double>(), 1e-12) << lambda << limit_ends;
    }
    const Tensor one = lambda_returns(paid, alive, ends, value, 0.9, 1e-300, limit_ends, going);
    EXPECT_LE((one - n_step_returns(paid, alive, ends, value, 0.9, 1, limit_ends, going))
                  .abs()
                  .max()
                  .item<double>(),
              1e-12);
  }
}

struct Scene {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  Scene(const Json& world, const std::string& net, Json task = Json::object(), const Rival* rival = nullptr) {
    task["world"] = world, task["copies"] = 4, task["own_reward"] = true;
    family = make<TaskFamilyRegistry>("control", task, int64_t{2});
    if (rival) dynamic_cast<MeetsRival&>(*family).meet(*rival);
    Json settings{{"hidden", {8}}};
    if (net == "gru") settings = {{"hidden", 8}};
    if (net == "gaussian") settings = {{"hidden", {8}}, {"std", 0.5}};
    if (net == "normalised") settings = {{"network", {{"kind", "gaussian"}, {"hidden", {8}}, {"std", 0.5}}}};
    if (net == "normalised_recurrent")
      settings = {{"network", {{"kind", "gru"}, {"hidden", 8}, {"std", 0.5}}}};
    model = make<ModelRegistry>(net, settings, family->spec().shape);
  }
  std::unique_ptr<Learner> learner(const std::string& name, const Json& settings) const {
    return make<LearnerRegistry>(name, settings, LearnerSetting{*model, family->spec()});
  }
  std::unique_ptr<TaskBatch> tasks(int round) const {
    const std::vector<int64_t> agents{0, 0, 1, 1};
    return family->sample(*model, asks_for(agents, Rng(10 + round)), Split::kTrain);
  }
  // The mean return of the last of `rounds` rounds, of the worse agent.
  double learned(const Learner& l, int rounds, State* end = nullptr) const {
    State s = l.init(split_keys(Rng(1), "agent", 2), at::kFloat);
    Tensor last = at::zeros({2});
    for (int i = 0; i < rounds; ++i) {
      const Tensor earned = l.step(s, *tasks(i), Rng(20 + i)).at("return");
      if (i >= rounds - 10) last = last + earned / 10;
    }
    EXPECT_TRUE(s.theta.isfinite().all().item<bool>());
    if (end) *end = s;
    return last.min().item<double>();
  }
};

// Walker i goes at most 1 + i / 2 a step from x ~ U(.5, 6): the mean of ceil(x / v), at 0.1 each.
double best_of_exits() {
  double out = 0;
  for (int64_t i = 0; i < 3; ++i) {
    double steps = 0;
    for (int k = 0; k < 100000; ++k)
      steps += std::ceil((0.5 + 5.5 * (k + 0.5) / 100000) / (1 + 0.5 * static_cast<double>(i))) / 100000;
    out += 1 - 0.1 * steps;
  }
  return out;
}

const Json kExits{{"kind", "exits_numbers"}, {"walkers", 3}};

TEST(Numbers, TeamsLearnToSetThem) {
  const double best = best_of_exits();
  const Scene idle(kExits, "gaussian");
  EXPECT_LT(idle.learned(*idle.learner("ippo", {{"lr", 0.0}}), 10), best - 1);
  for (const std::string name : {"ippo", "mappo", "ia2c", "maa2c"}) {
    for (const std::string head : {"clipped", "squashed"}) {
      for (const std::string net : {"gaussian", "gru"}) {
        if (net == "gru" && (name == "ia2c" || name == "maa2c")) continue;  // it takes them longer
        const Scene s(kExits, net, {{"head", head}});
        EXPECT_GT(s.learned(*s.learner(name, {{"lr", 0.01}, {"entropy", 0.001}}), 80), best - 0.25)
            << name << ", " << head << ", " << net;
      }
    }
  }
}

TEST(Numbers, GeneralisedAdvantagesAndRunningStatisticsLearnToo) {
  const double best = best_of_exits();
  for (const std::string net : {"normalised", "normalised_recurrent"}) {
    const Scene s(kExits, net);
    const auto l = s.learner("mappo", {{"lr", 0.01},
                                       {"entropy", 0.001},
                                       {"gae_lambda", 0.95},
                                       {"rollout_length", 8},
                                       {"standardise_advantages", true}});
    State end;
    EXPECT_GT(s.learned(*l, 80, &end), best - 0.25) << net;
    // A row that is given out plays by its statistics.
    const Layout& layout = s.model->layout();
    EXPECT_GT(layout.view(end.theta.narrow(1, 0, layout.size()), "input.count").min().item<double>(), 1000);
  }
}

TEST(Numbers, LevelsLetValueLearnersPlay) {
  Json world = kExits;
  EXPECT_THROW(Scene(world, "mlp").learner("iql", {}), UserError);
  world["levels"] = 3;
  const Scene s(world, "mlp");
  EXPECT_EQ(s.family->spec().shape.out, 3);
  for (const std::string name : {"iql", "vdn", "ippo"}) {
    Json settings{{"lr", 0.01}};
    if (name != "ippo")
      settings["buffer"] = 100, settings["batch"] = 16, settings["epsilon_steps"] = 2000,
      settings["target_update"] = 20;
    EXPECT_GT(s.learned(*s.learner(name, settings), name == "ippo" ? 80 : 120), best_of_exits() - 0.35)
        << name;
  }
}

// Who has left is worth nothing and earns nothing: values of those who are there are then those of exits.
TEST(Leaving, ValueLearnersLearnInWorldsThatPlayersLeave) {
  const double best = 3 * (1 - 0.1 * (0.5 + 2 + 3 + 4 + 5 + 6) / 5.5);
  const Scene s({{"kind", "exits"}, {"walkers", 3}}, "mlp");
  for (const std::string name : {"iql", "vdn"}) {
    const auto l = s.learner(
        name, {{"lr", 0.01}, {"buffer", 100}, {"batch", 16}, {"epsilon_steps", 2000}, {"target_update", 20}});
    EXPECT_GT(s.learned(*l, 120), best - 0.3) << name;
  }
}

TEST(Statistics, AreThoseOfAllThatWasSeen) {
  const auto model = make<ModelRegistry>("normalised", {{"network", {{"kind", "mlp"}, {"hidden", {4}}}}},
                                         ModelShape{{3}, 2});
  const auto& keeper = dynamic_cast<const HasInputStatistics&>(*model);
  Tensor theta = model->init(split_keys(Rng(1), "row", 2)).to(at::kDouble);
  const Tensor x = 5 + 3 * normal(Rng(2), {2, 50, 3}, at::kDouble);
  Tensor weight = at::ones({2, 50}, at::kDouble);
  weight[1].narrow(0, 10, 20).fill_(0);
  const Tensor raw = theta.clone();
  for (int part = 0; part < 5; ++part)
    theta = keeper.count(theta, x.narrow(1, 10 * part, 10), weight.narrow(1, 10 * part, 10));
  const Tensor own = weight[1].nonzero().view(-1), second = x[1].index_select(0, own);
  const Layout& l = model->layout();
  EXPECT_LE((l.view(theta, "input.mean")[0] - x[0].mean(0)).abs().max().item<double>(), 1e-12);
  EXPECT_LE((l.view(theta, "input.mean")[1] - second.mean(0)).abs().max().item<double>(), 1e-12);
  EXPECT_LE((l.view(theta, "input.variance")[1] - second.var(0, false)).abs().max().item<double>(), 1e-11);
  EXPECT_EQ(l.view(theta, "input.count")[1].item<double>(), 30);
  // Rows play as their network does on what is normalised by hand.
  const auto plain = make<ModelRegistry>("mlp", {{"hidden", {4}}}, ModelShape{{3}, 2});
  const Tensor rest = theta.narrow(1, 7, theta.size(1) - 7);
  const Tensor by_hand = (x[0] - x[0].mean(0)) / x[0].var(0, false).sqrt();
  EXPECT_LE((model->forward(theta, x, Mode::kEval)[0] -
             plain->forward(rest.narrow(0, 0, 1), by_hand.unsqueeze(0), Mode::kEval)[0])
                .abs()
                .max()
                .item<double>(),
            1e-6);
  EXPECT_TRUE(rest.equal(raw.narrow(1, 7, raw.size(1) - 7)));
  // No gradient reaches them.
  const Tensor leaf = theta.detach().clone().requires_grad_(true);
  model->forward(leaf, x, Mode::kTrain).square().sum().backward();
  EXPECT_EQ(leaf.grad().narrow(1, 0, 7).abs().sum().item<double>(), 0);
}

Rival rival(const std::string& kind, std::vector<int64_t> players = {}) {
  return {kind, ScriptRegistry::instance().draft(kind, "test")->build(), std::move(players)};
}

TEST(Rivals, AreJudgedOnTheSameEpisodes) {
  const Rival idle = rival("idle");
  const Scene s(kExits, "gaussian", {{"eval_copies", 3}}, &idle);
  const auto batch = s.tasks(0);
  const Scores found = batch->score(s.model->init(split_keys(Rng(1), "row", 4)), Rng(2));
  // Idle walkers stay: three pay 0.1 for each of 16 steps.
  EXPECT_NEAR(found.at("rival_return").min().item<double>(), -4.8, 1e-5);
  EXPECT_NEAR(found.at("rival_return").max().item<double>(), -4.8, 1e-5);
  EXPECT_FALSE(
      batch->score(Scene(kExits, "gaussian").model->init(split_keys(Rng(1), "row", 4)), Rng(2)).empty());
  const Rival off = rival("random");
  const Scene t(kExits, "gaussian", {{"eval_copies", 200}}, &off);
  const double random = t.tasks(0)
                            ->score(t.model->init(split_keys(Rng(1), "row", 4)), Rng(2))
                            .at("rival_return")
                            .mean()
                            .item<double>();
  EXPECT_GT(random, -1);
  EXPECT_LT(random, best_of_exits());
}

TEST(Rivals, PlayInTheirPlacesWhileOthersLearn) {
  const Rival idle = rival("idle", {1});
  for (const std::string head : {"clipped", "squashed"}) {
    const Scene s(kExits, "gaussian", {{"head", head}}, &idle);
    const auto l = s.learner("ippo", {{"lr", 0.01}, {"entropy", 0.001}});
    State end;
    // The team is those who learn: two walkers.
    double best = 0;
    for (const double v : {1.0, 2.0}) {
      double steps = 0;
      for (int k = 0; k < 100000; ++k) steps += std::ceil((0.5 + 5.5 * (k + 0.5) / 100000) / v) / 100000;
      best += 1 - 0.1 * steps;
    }
    EXPECT_GT(s.learned(*l, 80, &end), best - 0.2) << head;
    const auto batch = s.tasks(3);
    const auto& worlds = dynamic_cast<const ControlBatch&>(*batch);
    const TeamNet net(*s.model, 3, true);
    const Rollout o = worlds.roll_out(net, s.model->init(split_keys(Rng(1), "row", 4)), 2, {}, Rng(1));
    EXPECT_EQ(o.action.select(3, 1).abs().sum().item<double>(), 0);
    EXPECT_EQ(o.log_p.select(3, 1).abs().sum().item<double>(), 0);
    EXPECT_GT(o.log_p.select(3, 0).abs().sum().item<double>(), 0);
  }
  const auto refused = [&](std::vector<int64_t> players) {
    const Rival r = rival("idle", std::move(players));
    return error_of([&] { Scene(kExits, "gaussian", Json::object(), &r); });
  };
  EXPECT_NE(refused({3}).find("player 3"), std::string::npos);
  EXPECT_NE(refused({0, 1, 2}).find("nobody learns"), std::string::npos);
  EXPECT_NE(refused({1, 1}).find("twice"), std::string::npos);
}

TEST(Heads, WhatCannotBeSquashedIsOneClearLine) {
  EXPECT_NE(error_of([] {
              Scene({{"kind", "foraging"}}, "mlp", {{"head", "squashed"}});
            }).find("head"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              Scene({{"kind", "foraging"}}, "mlp", {{"metric", "cost"}});
            }).find("metric"),
            std::string::npos);
  EXPECT_NE(error_of([] { make_world("navigation", 1, "levels = 1\n"); }).find("levels"), std::string::npos);
  EXPECT_NE(error_of([] { make_world("navigation", 1, "levels = 100\nrobots = 1\n"); }).find("choices"),
            std::string::npos);
}

}  // namespace
}  // namespace symma
