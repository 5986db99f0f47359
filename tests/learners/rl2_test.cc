// RL^2: the memory that it hands on, what it is shown, and how far it comes on bandits whose optimum is
// known.
#include <gtest/gtest.h>

#include <cmath>

#include "symma/core/parallel.h"
#include "symma/learners/learner.h"
#include "symma/tasks/control.h"

namespace symma {
namespace {

struct Made {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<Learner> learner;
  std::unique_ptr<TaskBatch> draw(std::vector<int64_t> agents, uint64_t key,
                                  Split split = Split::kTrain) const {
    return family->sample(*model, asks_for(agents, Rng(key)), split);
  }
};

Made made(const Json& world, const Json& vary, Json options = Json::object(), Json model = Json::object(),
          int64_t copies = 3) {
  Made m;
  m.family = make<TaskFamilyRegistry>(
      "control",
      {{"world", world}, {"vary", vary}, {"copies", copies}, {"feedback", true}, {"greedy", false}},
      int64_t{2});
  Json shape{{"hidden", 8}, {"memory", true}};
  shape.update(model);
  m.model = make<ModelRegistry>("gru", shape, m.family->spec().shape);
  m.learner = make<LearnerRegistry>("rl2", options, LearnerSetting{*m.model, m.family->spec()});
  return m;
}

const Json kForaging{{"kind", "foraging"}, {"rows", 5},  {"columns", 5},
                     {"agents", 2},        {"foods", 1}, {"limit", 12}};
const Json kRobots{{"kind", "navigation"}, {"robots", 2}, {"limit", 6}};

const ControlBatch& worlds(const TaskBatch& b) {
  return dynamic_cast<const ControlBatch&>(b);
}

// ---- What is shown and remembered.

TEST(Feedback, ShowsWhatWasDoneAndEarnedAndTheEnd) {
  const Made m = made(kForaging, Json::array());
  const auto batch = m.draw({0, 0}, 1);
  const TeamNet net(*m.model, 2, true);
  const Rollout o = worlds(*batch).roll_out(net, net.init(split_keys(Rng(2), "row", 2)), 3, {}, Rng(3));
  const int64_t n = o.mask.size(4), t = o.action.size(2), from = o.input.size(4) - n - 2;
  EXPECT_EQ(o.input.select(2, 0).narrow(3, from, n + 2).abs().sum().item<double>(), 0);
  int ends = 0, early = 0;
  for (int64_t r = 0; r < 2; ++r) {
    for (int64_t e = 0; e < 3; ++e) {
      const auto length = o.alive[r][e].sum().item<int64_t>();
      for (int64_t s = 0; s < length; ++s) {
        for (int64_t a = 0; a < 2; ++a) {
          const Tensor told = o.input[r][e][s + 1][a].narrow(0, from, n + 2);
          EXPECT_EQ(told.narrow(0, 0, n).argmax().item<int64_t>(), o.action[r][e][s][a].item<int64_t>());
          EXPECT_EQ(told.narrow(0, 0, n).sum().item<double>(), 1);
          EXPECT_EQ(told[n].item<float>(), o.reward[r][e][s][a].item<float>());
          EXPECT_EQ(told[n + 1].item<float>(), s + 1 == length ? 1 : 0);
        }
      }
      ++ends, early += length < t;
    }
  }
  EXPECT_EQ(ends, 6);
  EXPECT_GT(early, 0) << "some episode ends before the limit, or the test shows less than it says";
}

// Two episodes with the memory handed on are one sequence of what was seen, each with its last look.
TEST(Feedback, RecallShowsWhatWasSeenTheStepBefore) {
  const auto family = make<TaskFamilyRegistry>(
      "control", {{"world", kForaging}, {"feedback", true}, {"recall", true}, {"greedy", false}}, int64_t{1});
  const auto plain = make<TaskFamilyRegistry>(
      "control", {{"world", kForaging}, {"feedback", true}, {"greedy", false}}, int64_t{1});
  const auto model = make<ModelRegistry>("gru", {{"hidden", 8}}, family->spec().shape);
  const auto batch = family->sample(*model, asks_for(std::vector<int64_t>{0}, Rng(1)), Split::kTrain);
  const TeamNet net(*model, 2, true);
  const Rollout o = worlds(*batch).roll_out(net, net.init(split_keys(Rng(2), "row", 1)), 3, {}, Rng(3));
  const int64_t in = o.input.size(4), seen = in - plain->spec().shape.in[0];
  EXPECT_EQ(o.input.select(2, 0).narrow(3, in - seen, seen).abs().sum().item<double>(), 0);
  for (int64_t e = 0; e < 3; ++e) {
    const auto length = o.alive[0][e].sum().item<int64_t>();
    const Tensor x = o.input[0][e];  // [T + 1, A, I]
    EXPECT_TRUE(
        x.narrow(0, 1, length).narrow(2, in - seen, seen).equal(x.narrow(0, 0, length).narrow(2, 0, seen)));
    EXPECT_GT(x.narrow(0, 0, length).narrow(2, 0, seen).abs().sum().item<double>(), 0);
  }
}

TEST(Memory, HandedOnIsAsIfNothingHadCome) {
  const Made m = made(kForaging, Json::array());
  const auto batch = m.draw({0, 0, 1, 1}, 1);
  const TeamNet net(*m.model, 2, true);
  const Tensor theta = net.init(split_keys(Rng(2), "row", 2));  // two rows play four tasks
  Tensor memory;
  std::vector<Rollout> episodes;
  for (uint64_t k = 0; k < 2; ++k)
    episodes.push_back(worlds(*batch).roll_out(net, theta, 3, {}, Rng(3).split("episode", k), &memory));
  EXPECT_EQ(memory.sizes(), at::IntArrayRef({4, 3, 2, 8}));
  bool early = false;
  for (int64_t r = 0; r < 4; ++r) {
    for (int64_t e = 0; e < 3; ++e) {
      std::vector<Tensor> looks;
      for (const Rollout& o : episodes) {
        const auto length = o.alive[r][e].sum().item<int64_t>();
        early = early || length < o.alive.size(2);
        looks.push_back(o.input[r][e].slice(0, 0, length + 1));
      }
      const Tensor x = at::cat(looks);  // [S, A, in]
      const Tensor y = net.forward(theta.slice(0, r / 2, r / 2 + 1), x.unsqueeze(0).unsqueeze(0))[0][0];
      int64_t at = 0;
      for (const Rollout& o : episodes) {
        const auto length = o.alive[r][e].sum().item<int64_t>();
        const Tensor log_p = log_probability(y.slice(0, at, at + length), o.mask[r][e].slice(0, 0, length),
                                             o.action[r][e].slice(0, 0, length));
        EXPECT_LE((log_p - o.log_p[r][e].slice(0, 0, length)).abs().max().item<double>(), 1e-5);
        at += length + 1;
      }
    }
  }
  EXPECT_TRUE(early);
}

TEST(Memory, InARowIsWhereItsSequencesBegin) {
  const auto model =
      make<ModelRegistry>("gru", {{"hidden", 5}, {"memory", true}, {"std", 0.3}}, ModelShape{{3}, 4});
  const auto& net = dynamic_cast<const Recurrent&>(*model);
  const Tensor theta = model->init(split_keys(Rng(1), "row", 2)), x = normal(Rng(2), {2, 4, 1, 3});
  EXPECT_EQ(net.first(theta).abs().sum().item<double>(), 0);
  const auto& place = model->layout().at("memory");
  Tensor h = at::zeros({2, 1, 5});
  for (int64_t s = 0; s < 2; ++s) h = net.advance(theta, x.select(1, s), h).second;
  Tensor later = theta.clone();
  later.narrow(1, place.offset, 5).copy_(h.squeeze(1));
  const Tensor whole = net.unroll(theta, x), rest = net.unroll(later, x.slice(1, 2));
  EXPECT_LE((whole.slice(1, 2) - rest).abs().max().item<double>(), 1e-6);
  // Deviations are the row's own, whatever is seen.
  EXPECT_LE((whole.narrow(3, 2, 2) - std::log(0.3)).abs().max().item<double>(), 1e-6);
  EXPECT_THROW(make<ModelRegistry>("gru", {{"std", 0.3}}, ModelShape{{3}, 5}), UserError);
}

// ---- Adapting.

TEST(Rl2, StepsAreEpisodesAndMoveTheMemoryAlone) {
  for (const Json& world : {kForaging, kRobots}) {
    const bool robots = world == kRobots;
    const Made m = made(world, robots ? Json{"goal_*"} : Json::array(), {},
                        robots ? Json{{"std", 0.2}} : Json::object());
    const State s = m.learner->init(split_keys(Rng(1), "agent", 1), at::kFloat);
    const auto batch = m.draw({kEveryone, kEveryone, kEveryone}, 2, Split::kTest);
    const std::vector<int64_t> steps{0, 1, 3}, last{3};
    const auto path = m.learner->adapt(s, *batch, steps, Rng(3));
    const int64_t p = m.model->layout().size();
    const auto& place = m.model->layout().at("memory");
    ASSERT_EQ(path[0].sizes(), at::IntArrayRef({3, 2 * p}));
    const Tensor start = s.theta.narrow(1, 0, p);
    EXPECT_TRUE(path[0].view({3, 2, p}).equal(start.expand({3, 2, p})));
    EXPECT_TRUE(path[2].equal(m.learner->adapt(s, *batch, last, Rng(3))[0]));
    for (size_t k = 1; k < 3; ++k) {
      const Tensor moved = (path[k] - path[0]).view({3, 2, p});
      EXPECT_TRUE(moved.narrow(2, place.offset, place.size()).abs().sum(2).gt(0).all().item<bool>());
      Tensor others = moved.clone();
      others.narrow(2, place.offset, place.size()).zero_();
      EXPECT_EQ(others.abs().sum().item<double>(), 0);
    }
    // A task in a slice remembers what it does in the whole.
    const auto part = m.learner->adapt(s, *batch->slice(1, 3), last, Rng(3))[0];
    EXPECT_LE((part - path[2].slice(0, 1)).abs().max().item<double>(), 1e-5);
    EXPECT_EQ(batch->score(path[2], Rng(4)).at("return").size(0), 3);
  }
}

TEST(Rl2, IsAFunctionOfStateTasksAndKey) {
  const Made m = made(kRobots, {"goal_*"}, {{"minibatches", 2}, {"epochs", 2}}, {{"std", 0.2}}, 40);
  const auto run = [&](int threads) {
    set_threads(threads);
    State s = m.learner->init(split_keys(Rng(1), "agent", 2), at::kFloat);
    for (int i = 0; i < 2; ++i)
      m.learner->step(s, *m.draw(std::vector<int64_t>{0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1}, 10 + i),
                      Rng(20 + i));
    return s;
  };
  const State a = run(1), b = run(2);
  set_threads(0);
  EXPECT_TRUE(a.theta.isfinite().all().item<bool>());
  EXPECT_TRUE(a.theta.equal(b.theta));
  for (const auto& [name, t] : a.own) EXPECT_TRUE(t.equal(b.own.at(name))) << name;
  EXPECT_EQ(a.own.at("env_steps")[0].item<double>(), 2 * 2 * 7 * 40 * 6);
  const auto& place = m.model->layout().at("memory");
  EXPECT_EQ(a.theta.narrow(1, place.offset, place.size()).abs().sum().item<double>(), 0)
      << "it is not learned";
}

// After h rounds a step is half as long, and after 60 h it is none.
TEST(Rl2, StepSizesFall) {
  const auto moved = [](int64_t halve_every, int64_t step) {
    const Made m = made(kForaging, Json::array(),
                        {{"halve_every", halve_every}, {"epochs", 1}, {"minibatches", 1}, {"clip_norm", 0}});
    State s = m.learner->init(split_keys(Rng(1), "agent", 1), at::kFloat);
    const Tensor before = s.theta;
    s.steps = s.steps + step;
    m.learner->step(s, *m.draw({0, 0}, 2), Rng(3));
    return (s.theta - before).abs().max().item<double>();
  };
  const double whole = moved(0, 7);
  EXPECT_NEAR(moved(7, 7), whole / 2, 1e-3 * whole);
  EXPECT_LT(moved(7, 420), 1e-6 * whole + 1e-9);
}

// What is learned from is less its mean: a bandit's is that of what a trial of ten pulls earned.
TEST(Rl2, StandardisesRewardsByWhatWasEarned) {
  const Made m = made({{"kind", "bandit"}, {"arms", 2}, {"limit", 5}}, {"arm_*"},
                      {{"episodes", 2}, {"standardise_rewards", true}}, Json::object(), 20);
  State s = m.learner->init(split_keys(Rng(1), "agent", 1), at::kFloat);
  const Scores scores = m.learner->step(s, *m.draw({0, 0, 0}, 2), Rng(3));
  const double mean = scores.at("return_trial")[0].item<double>() / 10;
  const Tensor kept = s.own.at("reward")[0];
  EXPECT_EQ(kept[0].item<double>(), 3 * 20 * 10);
  EXPECT_NEAR(kept[1].item<double>(), mean, 1e-6);
  EXPECT_NEAR(kept[2].item<double>(), 600 * mean * (1 - mean), 1e-3);
}

// With `span` cells begin to forget in U[1, span - 1] steps: without input or weights on the memory, z is the
// logistic of its bias.
TEST(Rl2, AMemoryWithASpanBeginsLong) {
  const ModelShape shape{{3}, 2};
  const auto half = make<ModelRegistry>("gru", {{"hidden", 2000}}, shape),
             lasting = make<ModelRegistry>("gru", {{"hidden", 2000}, {"span", 100}}, shape);
  const Tensor moved = lasting->init(split_keys(Rng(1), "row", 1)) - half->init(split_keys(Rng(1), "row", 1));
  const auto& bias = lasting->layout().at("input.bias");
  const Tensor times = moved.narrow(1, bias.offset + 2000, 2000).to(at::kDouble).exp();
  EXPECT_EQ(moved.count_nonzero().item<int64_t>(), 2000);
  EXPECT_NEAR(times.mean().item<double>(), 50, 4 * 98 / std::sqrt(12.0 * 2000));
  EXPECT_GE(times.min().item<double>(), 0.99);
  EXPECT_LE(times.max().item<double>(), 99.01);
}

TEST(Rl2, AnAgentLearnsFromItsOwnTasksAlone) {
  const Made m = made(kForaging, Json::array());
  const State both = m.learner->init(split_keys(Rng(1), "agent", 2), at::kFloat);
  const auto batch = m.draw({0, 0, 1, 1}, 2);
  State together = both, alone = both.rows(1, 2);
  m.learner->step(together, *batch, Rng(3));
  m.learner->step(alone, *batch->slice(2, 4), Rng(3));
  EXPECT_FALSE(together.theta.equal(both.theta));
  EXPECT_LE((together.theta[1] - alone.theta[0]).abs().max().item<double>(), 1e-5);
}

TEST(Rl2, SaysWhatItNeeds) {
  const auto family = make<TaskFamilyRegistry>("control", {}, int64_t{1});
  for (const Json& options : {Json{{"hidden", 4}}, Json{{"hidden", 4}, {"memory", true}}}) {
    const auto model = make<ModelRegistry>("gru", options, family->spec().shape);
    try {
      const auto learner = make<LearnerRegistry>("rl2", {}, LearnerSetting{*model, family->spec()});
      State s = learner->init(split_keys(Rng(1), "agent", 1), at::kFloat);
      learner->step(s, *family->sample(*model, asks_for(std::vector<int64_t>{0}, Rng(1)), Split::kTrain),
                    Rng(2));
      ADD_FAILURE();
    } catch (const UserError& e) {
      const std::string remedy = options.contains("memory") ? "feedback = true" : "memory = true";
      EXPECT_NE(std::string(e.what()).find(remedy), std::string::npos) << e.what();
    }
  }
}

// ---- How far it comes.

// Two arms and five pulls, each an episode of its own: random play earns 2.5, and the best that can be done
// is 2.8889, by dynamic programming over counts.
TEST(Rl2, ComesNearTheOptimumOfSmallBandits) {
  const Made m =
      made({{"kind", "bandit"}, {"arms", 2}, {"limit", 1}}, {"arm_*"},
           {{"episodes", 5}, {"lr", 5e-3}, {"gamma", 1.0}, {"minibatches", 2}, {"critic_hidden", 8}},
           Json::object(), 1);
  State s = m.learner->init(split_keys(Rng(1), "agent", 1), at::kFloat);
  for (int i = 0; i < 60; ++i)
    m.learner->step(s, *m.draw(std::vector<int64_t>(300, kEveryone), 100 + i), Rng(i));
  const auto batch = m.draw(std::vector<int64_t>(4000, kEveryone), 7, Split::kTest);
  const std::vector<int64_t> steps{0, 1, 2, 3, 4};
  Tensor earned = at::zeros({4000});
  const auto path = m.learner->adapt(s, *batch, steps, Rng(3));
  for (size_t k = 0; k < steps.size(); ++k)
    earned += batch->score(path[k], Rng(4).split("pull", k)).at("return");
  // Pulls that are scored are not those that are remembered, so the error is less than that of whole trials.
  const double error = earned.std().item<double>() / std::sqrt(4000.0);
  EXPECT_GT(earned.mean().item<double>(), 2.5 + 0.8 * 0.3889 - 3 * error);
  EXPECT_LT(earned.mean().item<double>(), 2.8889 + 3 * error);
}

}  // namespace
}  // namespace symma
