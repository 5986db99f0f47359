// What every learner of worlds must keep to, and the parts that they are made of.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "envs/exits.h"
#include "symma/core/parallel.h"
#include "symma/learners/teams/replay.h"
#include "symma/learners/teams/teams.h"
#include "symma/learners/teams/value_based.h"

namespace symma {
namespace {

struct Case {
  std::string learner, model;
  bool shared;
  bool pool = false;     // plays against its past
  int64_t fragment = 0;  // learns after so many steps
};

std::string name_of(const Case& c) {
  return c.learner + "_" + c.model + (c.shared ? "_shared" : "_apart") + (c.pool ? "_pool" : "") +
         (c.fragment > 0 ? "_fragments" : "");
}
void PrintTo(const Case& c, std::ostream* out) {
  *out << name_of(c);
}

std::vector<Case> cases() {
  const auto family = make<TaskFamilyRegistry>("control", {}, int64_t{1});
  const auto model = make<ModelRegistry>("mlp", {{"hidden", {4}}}, family->spec().shape);
  std::vector<Case> out;
  for (const auto& name : LearnerRegistry::instance().names()) {
    const auto l = [&]() -> std::unique_ptr<Learner> {
      try {
        return make<LearnerRegistry>(name, {{"share_parameters", true}},
                                     LearnerSetting{*model, family->spec()});
      } catch (const UserError&) {
        return nullptr;  // it learns from labelled points: conformance_test.cc
      }
    }();
    if (!l) continue;
    for (const std::string net : {"mlp", "gru"}) {
      for (const bool shared : {true, false}) out.push_back({name, net, shared});
    }
    Fields fields;
    const auto draft = LearnerRegistry::instance().draft(name, "");
    draft->fields(fields);
    for (const auto& f : fields.list()) {
      if (f.name == "pool")
        out.push_back({name, "mlp", true, true}), out.push_back({name, "gru", false, true});
      if (f.name == "rollout_length")
        out.push_back({name, "mlp", true, false, 3}), out.push_back({name, "gru", false, false, 3});
    }
  }
  return out;
}

class EveryTeam : public testing::TestWithParam<Case> {
 protected:
  EveryTeam()
      : family(make<TaskFamilyRegistry>(
            "control",
            {{"world",
              {{"kind", "foraging"}, {"rows", 5}, {"columns", 5}, {"agents", 2}, {"foods", 2}, {"limit", 8}}},
             {"copies", 3}},
            int64_t{3})),
        model(make<ModelRegistry>(GetParam().model,
                                  GetParam().model == "mlp" ? Json{{"hidden", {8}}} : Json{{"hidden", 8}},
                                  family->spec().shape)) {
    Json settings{{"share_parameters", GetParam().shared}, {"standardise_rewards", true}, {"adam_eps", 1e-2}};
    const auto draft = LearnerRegistry::instance().draft(GetParam().learner, "");
    Fields fields;
    draft->fields(fields);
    for (const auto& f : fields.list()) {
      if (f.name == "buffer") settings["buffer"] = 10;
      if (f.name == "batch") settings["batch"] = 4;
      if (GetParam().pool && f.name == "pool") settings["pool"] = 2, settings["pool_every"] = 1;
      if (GetParam().fragment > 0 && f.name == "rollout_length")
        settings["rollout_length"] = GetParam().fragment;
    }
    learner = make<LearnerRegistry>(GetParam().learner, settings, LearnerSetting{*model, family->spec()});
  }

  std::unique_ptr<TaskBatch> tasks(std::vector<int64_t> agents, uint64_t key,
                                   Split split = Split::kTrain) const {
    return family->sample(*model, asks_for(agents, Rng(key)), split);
  }
  int64_t columns() const { return model->layout().size() * (GetParam().shared ? 1 : 2); }

  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<Learner> learner;
};

void expect_same(const State& a, const State& b) {
  EXPECT_TRUE(a.theta.equal(b.theta));
  for (const auto& [name, t] : a.own) EXPECT_TRUE(t.equal(b.own.at(name))) << name;
}

State clone(const State& s) {
  State out{s.id, s.theta.clone(), s.steps, {}};
  for (const auto& [name, t] : s.own) out.own[name] = t.clone();
  return out;
}

TEST_P(EveryTeam, StateIsOneRowAnAgentAndStaysFinite) {
  State s = learner->init(split_keys(Rng(1), "agent", 3), at::kFloat);
  const auto fresh = clone(s);
  for (int i = 0; i < 3; ++i) learner->step(s, *tasks({0, 0, 1, 1, 2, 2}, 2 + i), Rng(3 + i));
  EXPECT_TRUE(s.steps.eq(3).all().item<bool>());
  EXPECT_GE(s.theta.size(1), columns());
  EXPECT_TRUE(s.theta.isfinite().all().item<bool>());
  EXPECT_FALSE(s.theta.equal(fresh.theta));
  for (const auto& [name, t] : fresh.own) EXPECT_EQ(t.sizes(), s.own.at(name).sizes()) << name;
  EXPECT_EQ(s.own.size(), fresh.own.size());
  for (const auto& [name, t] : s.own) EXPECT_EQ(t.size(0), 3) << name;
  const double steps = s.own.at("env_steps").min().item<double>();
  EXPECT_GE(steps, 6);
  EXPECT_LE(s.own.at("env_steps").max().item<double>(), 3 * 6 * 8);
}

TEST_P(EveryTeam, IsAFunctionOfStateTasksAndKey) {
  const auto run = [&](int threads) {
    set_threads(threads);
    State s = learner->init(split_keys(Rng(1), "agent", 3), at::kFloat);
    for (int i = 0; i < 3; ++i) learner->step(s, *tasks({0, 1, 2}, 10 + i), Rng(20 + i));
    return s;
  };
  const State a = run(1), b = run(2);
  set_threads(0);
  expect_same(a, b);
}

TEST_P(EveryTeam, ACopyOfTheStateGoesOnTheSame) {
  State s = learner->init(split_keys(Rng(1), "agent", 2), at::kFloat);
  for (int i = 0; i < 3; ++i) learner->step(s, *tasks({0, 1}, 2 + i), Rng(3 + i));
  State copy = clone(s), alias = s;
  const State before = clone(s);
  learner->step(s, *tasks({0, 1}, 14), Rng(5));
  expect_same(alias, before);  // nobody else's memory was written to
  learner->step(copy, *tasks({0, 1}, 14), Rng(5));
  expect_same(s, copy);
}

TEST_P(EveryTeam, AnAgentLearnsFromItsOwnTasksAlone) {
  State both = learner->init(split_keys(Rng(1), "agent", 2), at::kFloat);
  for (int i = 0; i < 3; ++i) learner->step(both, *tasks({0, 0, 1, 1}, 4 + i), Rng(5 + i));
  const auto batch = tasks({0, 0, 1, 1}, 2);
  State together = clone(both), alone = clone(both).rows(1, 2);
  learner->step(together, *batch, Rng(3));
  learner->step(alone, *batch->slice(2, 4), Rng(3));
  EXPECT_LE((together.theta[1] - alone.theta[0]).abs().max().item<double>(), 1e-5);
}

TEST_P(EveryTeam, ZeroStepsChangeNothingAndStepsAreAPath) {
  const State s = learner->init(split_keys(Rng(1), "agent", 2), at::kFloat);
  const auto batch = tasks({0, 0, 1, 1}, 2, Split::kTest);
  const std::vector<int64_t> all{0, 2, 4}, last{4};
  const auto path = learner->adapt(s, *batch, all, Rng(3));
  ASSERT_EQ(path.size(), 3u);
  EXPECT_TRUE(path[0].equal(s.theta.slice(1, 0, columns()).repeat_interleave(2, 0)));
  EXPECT_TRUE(path[2].equal(learner->adapt(s, *batch, last, Rng(3))[0]));
  EXPECT_FALSE(path[2].equal(path[0]));
  EXPECT_EQ(batch->score(path[2], Rng(1)).at("return").size(0), 4);
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryTeam, testing::ValuesIn(cases()),
                         [](const auto& info) { return name_of(info.param); });

// ---- Parts.

// ---- Episodes by fragments.

std::vector<std::string> fragment_learners() {
  std::vector<std::string> out;
  for (const Case& c : cases())
    if (c.fragment > 0 && c.model == "mlp") out.push_back(c.learner);
  return out;
}

struct Field {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  explicit Field(const std::string& net, const Json& world)
      : family(make<TaskFamilyRegistry>("control", {{"world", world}, {"copies", 3}, {"own_reward", true}},
                                        int64_t{2})),
        model(make<ModelRegistry>(net, net == "mlp" ? Json{{"hidden", {8}}} : Json{{"hidden", 8}},
                                  family->spec().shape)) {}
  std::unique_ptr<Learner> learner(const std::string& name, Json settings) const {
    return make<LearnerRegistry>(name, settings, LearnerSetting{*model, family->spec()});
  }
  Scores step(const Learner& l, State& s, int round) const {
    const std::vector<int64_t> agents{0, 0, 1, 1};
    return l.step(s, *family->sample(*model, asks_for(agents, Rng(10 + round)), Split::kTrain),
                  Rng(20 + round));
  }
};

const Json kField = {{"kind", "foraging"}, {"rows", 5},  {"columns", 5},
                     {"agents", 2},        {"foods", 2}, {"limit", 8}};

TEST(Fragments, OfAnEpisodesLengthAreTheEpisode) {
  ASSERT_GE(fragment_learners().size(), 5U);
  for (const auto& name : fragment_learners()) {
    for (const std::string net : {"mlp", "gru"}) {
      const Field f(net, kField);
      std::vector<State> ends;
      std::vector<Scores> scores;
      for (const int64_t length : {0, 8, 100}) {
        const auto l = f.learner(name, {{"rollout_length", length}, {"standardise_rewards", true}});
        State s = l->init(split_keys(Rng(1), "agent", 2), at::kFloat);
        for (int i = 0; i < 3; ++i) scores.push_back(f.step(*l, s, i));
        ends.push_back(s);
      }
      for (size_t i = 1; i < ends.size(); ++i) {
        expect_same(ends[0], ends[i]);
        for (const auto& [key, t] : scores[2]) EXPECT_TRUE(t.equal(scores[3 * i + 2].at(key))) << key;
      }
    }
  }
}

// Where the policy stays as it is, what was played and earned doesn't depend on where it was cut.
TEST(Fragments, ReturnsAndStepsAreThoseOfTheWhole) {
  for (const auto& name : fragment_learners()) {
    for (const std::string net : {"mlp", "gru"}) {
      const Field f(net, kField);
      std::vector<Tensor> earned, steps, updates;
      for (const int64_t length : {0, 3, 7}) {
        const auto l = f.learner(name, {{"rollout_length", length}, {"lr", 0.0}});
        State s = l->init(split_keys(Rng(1), "agent", 2), at::kFloat);
        earned.push_back(f.step(*l, s, 0).at("return"));
        steps.push_back(s.own.at("env_steps"));
        updates.push_back(s.own.at("adam.t"));
      }
      for (size_t i = 1; i < earned.size(); ++i) {
        EXPECT_TRUE(earned[0].equal(earned[i])) << name;
        EXPECT_TRUE(steps[0].equal(steps[i])) << name;
      }
      EXPECT_GT(updates[1].max().item<int64_t>(), updates[0].max().item<int64_t>());
    }
  }
}

TEST(Fragments, TheStepThatTheyEndAtLeadsOnAndTheLimitDoesNot) {
  const Tensor reward = at::ones({1, 2, 2, 1}), alive = at::ones({1, 2, 2}), end = at::zeros({1, 2, 2}),
               value = at::full({1, 2, 3, 1}, 8.0), going = at::tensor({1.F, 0.F}).view({1, 2});
  const Tensor r = n_step_returns(reward, alive, end, value, 0.5, 5, true, going).view(-1);
  EXPECT_TRUE(r.equal(at::tensor({1 + 0.5F * (1 + 0.5F * 8), 1 + 0.5F * 8, 1.5F, 1.F})));
}

TEST(Fragments, LearnInWorldsThatPlayersLeave) {
  // Who always walks from x ~ U(.5, 6) leaves after ceil(x) steps, 3.73 on average, at 0.1 each. Who knows
  // nothing earns about .8 or less.
  const double best = 3 * (1 - 0.1 * (0.5 + 2 + 3 + 4 + 5 + 6) / 5.5);
  for (const auto& name : fragment_learners()) {
    const Field f("mlp", {{"kind", "exits"}, {"walkers", 3}});
    for (const int64_t length : {0, 5}) {
      const auto l = f.learner(name, {{"rollout_length", length}, {"lr", 0.01}});
      State s = l->init(split_keys(Rng(1), "agent", 2), at::kFloat);
      Tensor last = at::zeros({2});
      for (int i = 0; i < 60; ++i) {
        const Tensor earned = f.step(*l, s, i).at("return");
        if (i >= 50) last = last + earned / 10;
      }
      EXPECT_TRUE(s.theta.isfinite().all().item<bool>());
      EXPECT_GT(last.min().item<double>(), best - 0.15) << name << ", " << length;
    }
  }
  EXPECT_THROW(Field("mlp", kField).learner("coma", {{"rollout_length", 1}}), UserError);
}

TEST(PolicyLoss, ItsGradientIsThatOfItsValue) {
  const Tensor logits = normal(Rng(1), {2, 3, 2, 2, 4}, at::kDouble);
  Tensor mask = at::ones({2, 3, 2, 2, 4}, at::kBool);
  mask.select(4, 2).select(3, 1).fill_(false);
  Tensor action = at::zeros({2, 3, 2, 2}, at::kLong);
  action.select(1, 1).fill_(1), action.select(1, 2).fill_(3);
  const Tensor advantage = normal(Rng(2), {2, 3, 2, 2}, at::kDouble),
               log_p = masked_log_softmax(logits, mask).gather(4, action.unsqueeze(4)).squeeze(4),
               old = log_p + 0.3 * normal(Rng(3), {2, 3, 2, 2}, at::kDouble);
  Tensor weight = at::ones({2, 3, 2, 2}, at::kDouble);
  weight[1][2][1].fill_(0), weight[0][1][0][1] = 0;
  for (const double clip : {0.0, 0.2}) {
    const auto loss = [&](const Tensor& z) {
      return policy_loss(z, mask, action, old, advantage, weight, clip, 0.05).loss;
    };
    // The value, by plain tensor operations.
    const Tensor ratio = (log_p - old).exp();
    const Tensor gain = clip > 0 ? at::minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
                                 : log_p * advantage;
    const Tensor all = masked_log_softmax(logits, mask), entropy = -(all.exp() * all).sum(4);
    const Tensor mean = ((gain + 0.05 * entropy) * weight).sum({1, 2, 3}) / weight.sum({1, 2, 3});
    EXPECT_LE((loss(logits) + mean).abs().max().item<double>(), 1e-12);
    const Tensor grad = policy_loss(logits, mask, action, old, advantage, weight, clip, 0.05).grad;
    for (int64_t i = 0; i < logits.numel(); ++i) {
      Tensor up = logits.clone(), down = logits.clone();
      up.view(-1)[i] += 1e-6, down.view(-1)[i] -= 1e-6;
      EXPECT_NEAR(grad.view(-1)[i].item<double>(), (loss(up) - loss(down)).sum().item<double>() / 2e-6, 1e-8);
    }
  }
}

TEST(Returns, OfTwoStepsByHand) {
  // Three steps, then the limit; and two steps, then an end.
  const Tensor reward = at::tensor({1., 2., 4., 1., 2., 0.}, at::kDouble).view({1, 2, 3, 1});
  const Tensor alive = at::tensor({1., 1., 1., 1., 1., 0.}, at::kDouble).view({1, 2, 3});
  const Tensor end = at::tensor({0., 0., 0., 0., 1., 0.}, at::kDouble).view({1, 2, 3});
  const Tensor value = at::tensor({8., 16., 32., 64., 8., 16., 32., 64.}, at::kDouble).view({1, 2, 4, 1});
  const Tensor r = n_step_returns(reward, alive, end, value, 0.5, 2, false).view(-1);
  const Tensor want = at::tensor({1 + 1 + 8., 2 + 2 + 16., 4 + 32., 1 + 1., 2., 0.}, at::kDouble);
  EXPECT_TRUE(r.equal(want)) << r;
  const Tensor cut = n_step_returns(reward, alive, end, value, 0.5, 2, true).view(-1);
  EXPECT_TRUE(cut.equal(at::tensor({1 + 1 + 8., 2 + 2., 4., 1 + 1., 2., 0.}, at::kDouble))) << cut;
}

TEST(Goal, OfTwoEpisodesByHand) {
  // Two steps and an end; two steps and the limit; and a place that repeats the first.
  Transitions s;
  s.going = at::tensor({.5, 0., .5, .5, .5}, at::kDouble).view({1, 5});
  s.follows = at::tensor({1, 0, 1, 0, 0}, at::kInt).view({1, 5}).to(at::kBool);
  const Tensor r = at::tensor({1., 2., 4., 8., 1.}, at::kDouble).view({1, 5});
  const Tensor v = at::tensor({16., 32., 64., 128., 16.}, at::kDouble).view({1, 5});
  EXPECT_TRUE(s.goal(r, v).equal(r + s.going * v));
  s.lambda = 0.25;
  const double last = 8 + .5 * 128;
  const Tensor want = at::tensor(
      {1 + .5 * (.75 * 16 + .25 * 2), 2., 4 + .5 * (.75 * 64 + .25 * last), last, 9.}, at::kDouble);
  EXPECT_TRUE(s.goal(r, v).view(-1).equal(want)) << s.goal(r, v);
  // Of each player apart, the same.
  const Tensor two = s.goal(at::stack({r, 2 * r}, 2), at::stack({v, 2 * v}, 2));
  EXPECT_TRUE(two.select(2, 0).view(-1).equal(want));
  EXPECT_TRUE(two.select(2, 1).view(-1).equal(2 * want));
}

// What two rows of IQL that play a matrix game of one step say at `seen` [K, 3], turned by `read`: the mean
// over the second half of `rounds`.
Tensor late_mean(Json game, Json settings, const Tensor& seen, int rounds,
                 const std::function<Tensor(const Tensor&)>& read) {
  game.update({{"kind", "matrix_game"}, {"limit", 1}});
  const auto family = make<TaskFamilyRegistry>("control", {{"world", game}, {"copies", 32}}, int64_t{1});
  const auto model = make<ModelRegistry>("mlp", {{"hidden", {8}}}, family->spec().shape);
  settings.update({{"buffer", 640}, {"batch", 64}, {"updates", 2}, {"lr", 0.01}, {"limit_ends", true}});
  const auto learner = make<LearnerRegistry>("iql", settings, LearnerSetting{*model, family->spec()});
  State s = learner->init(split_keys(Rng(1), "agent", 2), at::kFloat);
  const Tensor x = seen.expand({2, seen.size(0), 3});
  Tensor sum = at::zeros({2, seen.size(0), family->spec().shape.out}, at::kDouble);
  for (int k = 0; k < rounds; ++k) {
    learner->step(s, *family->sample(*model, asks_for(std::vector<int64_t>{0, 1}, Rng(k)), Split::kTrain),
                  Rng(k));
    if (k >= rounds / 2) sum += read(model->forward(s.theta, x, Mode::kEval)).to(at::kDouble);
  }
  return sum / (rounds - rounds / 2);
}
Json custom(const std::vector<double>& row) {
  return {{"game", "custom"}, {"row", row}};
}

// Two players who draw from the softmax of their values come to the logit equilibrium (McKelvey and Palfrey
// 1995): p = 1 / (1 + exp(-(value of the first action - value of the second) / temperature)), the same of
// both.
TEST(Temperature, TwoPlayersComeToTheLogitEquilibrium) {
  const double temperature = 0.5;
  const Tensor mean = late_mean(
      custom({1., 0., 0., .5}), {{"temperature", temperature}, {"epsilon_start", 0.}, {"epsilon_end", 0.}},
      at::cat({at::zeros({2, 1}), at::eye(2)}, 1), 600, [](const Tensor& y) { return y.softmax(2); });
  double p = 0.5;
  for (int k = 0; k < 100; ++k) p = 1 / (1 + std::exp(-(p - 0.5 * (1 - p)) / temperature));
  EXPECT_LE((mean.select(2, 0) - p).abs().max().item<double>(), 0.03) << mean << " " << p;
}

// Against a player who draws from two payoffs, 1 and 0, evenly, the value v where errors that lower it weigh
// b balances 1 - v against b v: it is the expectile 1 / (1 + b), and the mean where b is 1.
TEST(Hysteresis, ValuesAreExpectilesOfWhatActionsPay) {
  for (const double b : {1., 0.25}) {
    const Tensor mean =
        late_mean(custom({1., 0., 3., 3.}), {{"hysteresis", b}, {"epsilon_end", 1.}},
                  at::tensor({0.F, 1.F, 0.F}).view({1, 3}), 400, [](const Tensor& y) { return y; })
            .squeeze(1);  // of the first player's two actions
    EXPECT_LE((mean.select(1, 0) - 1 / (1 + b)).abs().max().item<double>(), 0.03) << b << " " << mean;
    EXPECT_LE((mean.select(1, 1) - 3).abs().max().item<double>(), 0.03) << b << " " << mean;
  }
}

// The step by hand: errors of -4, 0 and 2 (value less target), of which the last alone would lower a value.
TEST(Hysteresis, WeighsWhatLowersAValue) {
  Transitions s;
  s.hysteresis = 0.25;
  s.weight = at::full({1, 3}, 1. / 3, at::kDouble);
  const Tensor target = at::tensor({5., 1., 1.}, at::kDouble).view({1, 3});
  const Tensor value = at::tensor({1., 1., 3.}, at::kDouble).view({1, 3}).clone().requires_grad_();
  const Tensor loss = s.squared_error(value, target);
  EXPECT_DOUBLE_EQ(loss.item<double>(), (16 + 0 + .25 * 4) / 3);
  loss.backward();
  const Tensor want = at::tensor({-8., 0., .25 * 4}, at::kDouble).view({1, 3}) / 3;
  EXPECT_TRUE(value.grad().allclose(want, 0, 1e-15)) << value.grad();
}

// Climbing (Claus and Boutilier 1998) against a player who tries everything: an action is worth the expectile
// of its three payoffs, the root of sum_j w_j (payoff_j - v) = 0, w = 1 where the payoff is above v and b
// where below. The mean (b = 1) is best at the safe (c, c), which pays 5; the other at (a, a), which pays 11.
TEST(Hysteresis, ClimbsWhereMeansStaySafe) {
  const double pay[2][3][3] = {{{11, -30, 0}, {-30, 7, 0}, {0, 6, 5}},   // of the row player's actions
                               {{11, -30, 0}, {-30, 7, 6}, {0, 0, 5}}};  // of the column player's
  for (const double b : {1., 0.1}) {
    const Tensor mean = late_mean(Json{{"game", "climbing"}}, {{"hysteresis", b}, {"epsilon_end", 1.}},
                                  at::cat({at::zeros({2, 1}), at::eye(2)}, 1), 800,
                                  [](const Tensor& y) { return y; });  // [2, players, actions]
    for (int64_t p = 0; p < 2; ++p) {
      Tensor want = at::empty({3}, at::kDouble);
      for (int64_t i = 0; i < 3; ++i) {
        double low = -30, high = 11;
        for (int k = 0; k < 60; ++k) {
          const double v = (low + high) / 2;
          double pull = 0;
          for (const double x : pay[p][i]) pull += (x > v ? 1 : b) * (x - v);
          (pull > 0 ? low : high) = v;
        }
        want[i] = low;
      }
      EXPECT_EQ(want.argmax().item<int64_t>(), b == 1 ? 2 : 0);
      for (int64_t row = 0; row < 2; ++row) {
        const Tensor got = mean[row][p];
        EXPECT_EQ(got.argmax().item<int64_t>(), b == 1 ? 2 : 0) << b << " " << got;
        EXPECT_LE((got - want).abs().max().item<double>(), 0.5) << b << " " << got << " " << want;
      }
    }
  }
}

TEST(Points, TakeAndPutAreInverse) {
  const Tensor alive = at::tensor({1., 1., 0., 1., 0., 0., 1., 1., 1., 1., 1., 0.}).view({2, 2, 3});
  const Points p = points_of(alive);
  EXPECT_EQ(p.place.size(1), 5);
  const Tensor x = normal(Rng(1), {2, 2, 3, 4});
  EXPECT_TRUE(put(take(x, p), p, 2, 3).equal(x * alive.unsqueeze(3)));
}

TEST(Standardise, IsThatOfAllRewardsSoFar) {
  State s = State::of(at::zeros({1, 1}), {{"reward", at::zeros({1, 3}, at::kDouble)}});
  const Tensor a = normal(Rng(1), {1, 2, 3, 2}), b = 3 + 2 * normal(Rng(2), {1, 2, 3, 2});
  const Tensor on = at::ones({1, 2, 3});
  standardise(s, a, on);
  const Tensor got = standardise(s, b, on);
  const Tensor all = at::cat({a, b}).to(at::kDouble);
  EXPECT_LE((got - (b - all.mean()) / all.std(false)).abs().max().item<double>(), 1e-4);
}

// Who has left earns 0, rather than the mean below it, and counts for nothing.
TEST(Standardise, LeavesOutWhoIsNotThere) {
  State s = State::of(at::zeros({1, 1}), {{"reward", at::zeros({1, 3}, at::kDouble)}}), same = s;
  const Tensor reward = at::tensor({3.F, 5.F, 1.F, 0.F, 2.F, 0.F}).view({1, 1, 3, 2}),
               there = at::tensor({1.F, 1.F, 1.F, 0.F, 1.F, 0.F}).view({1, 1, 3, 2}),
               on = at::ones({1, 1, 3});
  const Tensor got = standardise(s, reward, on, there);
  EXPECT_TRUE(got.masked_select(there.eq(0)).eq(0).all().item<bool>());
  const Tensor seen = at::tensor({3., 5., 1., 2.}, at::kDouble);
  EXPECT_NEAR(got[0][0][0][1].item<double>(), (5 - 2.75) / seen.std(false).item<double>(), 1e-4);
  EXPECT_EQ(s.own.at("reward")[0][0].item<double>(), 4);
  // Players of a script are never there.
  EXPECT_TRUE(standardise(same, reward, on, at::tensor({1.F, 0.F})).select(3, 1).eq(0).all().item<bool>());
  EXPECT_EQ(same.own.at("reward")[0][0].item<double>(), 3);
}

// Arriving is worth its reward, and what others earn afterwards is no loss to who has left.
TEST(Standardise, LearnersTellItWhoIsThere) {
  for (const char* name : {"ippo", "ia2c", "coma", "iql", "vdn"}) {
    const Field f("mlp", {{"kind", "exits"}, {"walkers", 3}});
    const auto l = f.learner(name, {{"standardise_rewards", true}});
    State s = l->init(split_keys(Rng(1), "agent", 2), at::kFloat);
    f.step(*l, s, 0);
    const Tensor counted = s.own.at("reward").select(1, 0);
    const Tensor steps = s.own.contains("env_steps") ? s.own.at("env_steps") : Tensor();
    ASSERT_TRUE(steps.defined()) << name;
    // Three walkers, of whom the first to leave leaves before the last.
    EXPECT_TRUE(counted.lt(3 * steps).all().item<bool>()) << name << counted << steps;
  }
}

TEST(Replay, ThatHoldsLessThanAnUpdateIsRefused) {
  const Field f("mlp", kField);
  for (const char* name : {"iql", "vdn", "qmix", "qtran"}) {
    EXPECT_THROW(f.learner(name, {{"buffer", 5}, {"batch", 8}}), UserError) << name;
    f.learner(name, {{"buffer", 8}, {"batch", 8}});
  }
}

TEST(Replay, KeepsTheLatestAndDrawsWithoutRepeats) {
  const auto family = make<TaskFamilyRegistry>("control", {{"copies", 3}}, int64_t{1});
  const auto model = make<ModelRegistry>("mlp", {{"hidden", {4}}}, family->spec().shape);
  const TeamShape shape(LearnerSetting{*model, family->spec()}, "test");
  State s = State::of(at::zeros({2, 1}));
  replay_init(s, 2, 4, shape);
  for (int i = 0; i < 2; ++i) {
    Rollout o;
    o.input = at::full({2, 3, 26, 2, shape.input}, i * 3.0);
    for (int64_t e = 0; e < 3; ++e) o.input.select(1, e).add_(static_cast<double>(e));
    o.mask = at::ones({2, 3, 26, 2, shape.actions}, at::kBool);
    o.action = at::zeros({2, 3, 25, 2}, at::kLong);
    o.reward = at::zeros({2, 3, 25, 2});
    o.alive = at::zeros({2, 3, 25}), o.terminated = at::zeros({2, 3, 25});
    o.alive.narrow(2, 0, 5 + i).fill_(1);
    replay_add(s, o);
  }
  EXPECT_EQ(replay_size(s, 0), 4);
  EXPECT_EQ(replay_size(s, 1), 4);
  const Rollout drawn = replay_draw(s, 4, {Rng(1), Rng(2)});
  for (int64_t row = 0; row < 2; ++row) {
    const Tensor numbers = std::get<0>(drawn.input[row].select(1, 0).select(1, 0).select(1, 0).sort());
    EXPECT_TRUE(numbers.equal(at::tensor({2.F, 3.F, 4.F, 5.F}))) << numbers;  // 0 and 1 were written over
  }
  EXPECT_EQ(drawn.alive.size(2), 6);
  EXPECT_EQ(drawn.input.size(2), 7);
}

}  // namespace
}  // namespace symma
