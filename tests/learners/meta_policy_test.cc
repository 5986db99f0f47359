// Meta-learners of policies, and what they are made of: densities, advantages and surrogates against closed
// forms, ProMP's gradient against finite differences, and the trust region against the distance that it asks
// for.
#include <gtest/gtest.h>

#include <cmath>

#include "envs/exits.h"
#include "symma/core/parallel.h"
#include "symma/learners/learner.h"
#include "symma/tasks/advantages.h"
#include "symma/tasks/control.h"

namespace symma {
namespace {

// ---- Policies over numbers.

TEST(Numbers, DensityAndDivergenceAreThoseOfTheNormalDistribution) {
  // Two numbers: means 0.3 and -1, deviations 0.5 and 2; then others.
  const Tensor p = at::tensor({0.3, -1.0, std::log(0.5), std::log(2.0)}, at::kDouble);
  const Tensor q = at::tensor({0.1, 0.5, std::log(0.8), std::log(1.5)}, at::kDouble);
  const auto density = [](double x, double m, double s) {
    return std::exp(-0.5 * (x - m) * (x - m) / (s * s)) / (s * std::sqrt(2 * M_PI));
  };
  const Tensor action = at::tensor({0.7, 0.2}, at::kDouble);
  EXPECT_NEAR(log_probability(p, {}, action).item<double>(),
              std::log(density(0.7, 0.3, 0.5) * density(0.2, -1, 2)), 1e-12);
  // The divergence by numerical integration, one number after the other.
  double kl = 0;
  const double m[2][2] = {{0.3, 0.1}, {-1, 0.5}}, s[2][2] = {{0.5, 0.8}, {2, 1.5}};
  for (int i = 0; i < 2; ++i) {
    constexpr double kStep = 1e-3;
    for (double x = -20; x < 20; x += kStep) {
      const double a = density(x, m[i][0], s[i][0]), b = density(x, m[i][1], s[i][1]);
      if (a > 1e-300 && b > 1e-300) kl += kStep * a * std::log(a / b);
    }
  }
  EXPECT_NEAR(divergence(p, q, {}, true).item<double>(), kl, 1e-6);
  EXPECT_NEAR(divergence(p, p, {}, true).item<double>(), 0, 1e-12);
}

struct Made {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<TaskBatch> draw(std::vector<int64_t> agents, uint64_t key) const {
    return family->sample(*model, asks_for(agents, Rng(key)), Split::kTrain);
  }
};

Made made(Json more = {}, int64_t robots = 1) {
  Json settings{{"world", {{"kind", "navigation"}, {"robots", robots}, {"limit", 12}}},
                {"vary", {"goal_0_x", "goal_0_y"}},
                {"copies", 6},
                {"player_index", false},
                {"baseline", "linear"},
                {"surrogate", "low_variance"}};
  if (!more.is_null()) settings.update(more);
  Made m;
  m.family = make<TaskFamilyRegistry>("control", settings, int64_t{1});
  m.model = make<ModelRegistry>("gaussian", {{"hidden", {6}}, {"activation", "tanh"}, {"std", 0.4}},
                                m.family->spec().shape);
  return m;
}

const ControlBatch& worlds(const TaskBatch& b) {
  return dynamic_cast<const ControlBatch&>(b);
}

TEST(Numbers, ARolloutKnowsTheDensityOfWhatItDrew) {
  const Made m = made({}, 2);
  const auto batch = m.draw({0, 0}, 3);
  const Tensor theta = m.model->init(split_keys(Rng(4), "row", 2));
  const auto lesson = worlds(*batch).play(theta, Stage::kSupport, Rng(5));
  const Tensor now = ControlBatch::log_p(worlds(*batch).outputs(theta, lesson), lesson);
  EXPECT_LE(((now - lesson.drawn) * lesson.episodes.alive).abs().max().item<double>(), 1e-4);
  // The actions' spread is the policy's: 2 tasks x 6 episodes x 12 steps x 2 robots x 2 numbers.
  const Tensor mean = worlds(*batch).outputs(theta, lesson).narrow(4, 0, 2);
  const Tensor z =
      ((lesson.episodes.action - mean) / 0.4)
          .masked_select(lesson.episodes.alive.to(at::kBool).view({2, 6, 12, 1, 1}).expand_as(mean));
  EXPECT_NEAR(z.mean().item<double>(), 0, 4 / std::sqrt(static_cast<double>(z.numel())));
  EXPECT_NEAR(z.square().mean().item<double>(), 1, 6 / std::sqrt(static_cast<double>(z.numel())));
}

TEST(Numbers, LearnersThatChooseRefuseThem) {
  const Made m = made();
  for (const char* kind : {"coma", "qmix"}) {
    try {
      make<LearnerRegistry>(kind, {}, LearnerSetting{*m.model, m.family->spec()});
      ADD_FAILURE() << kind;
    } catch (const UserError& e) {
      EXPECT_NE(std::string(e.what()).find("numbers"), std::string::npos) << e.what();
    }
  }
}

// ---- Advantages.

TEST(Advantages, ALinearBaselineIsExactWhereReturnsAreLinear) {
  // A reward of 1 a step without discount: the return to go is linear in time, for episodes of one length.
  Rollout o;
  const int64_t t = 10;
  o.input = normal(Rng(1), {2, 3, t + 1, 1, 2});
  o.alive = at::ones({2, 3, t});
  const Tensor reward = at::ones({2, 3, t});
  const Tensor value = linear_values(o, reward, 2, 1.0);
  for (int64_t s = 0; s < t; ++s)
    EXPECT_LE((value.select(2, s) - static_cast<double>(t - s)).abs().max().item<double>(), 2e-2) << s;
  EXPECT_EQ(value.select(2, t).abs().max().item<double>(), 0);
}

TEST(Advantages, AreTheSumsThatTheyAreDefinedBy) {
  const Tensor reward = normal(Rng(1), {1, 2, 5}, at::kDouble),
               value = normal(Rng(2), {1, 2, 6}, at::kDouble);
  Tensor alive = at::ones({1, 2, 5}, at::kDouble);
  alive[0][1][4] = 0, alive[0][1][3] = 0;
  Tensor v = value.clone();
  v.slice(2, 5) = 0;
  v[0][1].slice(0, 3) = 0;
  const Tensor r = reward * alive;
  const Tensor a = generalised_advantages(r, alive, v, 0.9, 0.7);
  for (int64_t e = 0; e < 2; ++e) {
    const int64_t length = e == 0 ? 5 : 3;
    for (int64_t s = 0; s < length; ++s) {
      double sum = 0;
      for (int64_t k = s; k < length; ++k) {
        sum += std::pow(0.9 * 0.7, k - s) * (r[0][e][k] + 0.9 * v[0][e][k + 1] - v[0][e][k]).item<double>();
      }
      EXPECT_NEAR(a[0][e][s].item<double>(), sum, 1e-12);
    }
  }
  const Tensor z = standardised(a, alive);
  EXPECT_NEAR(mean_over_steps(z, alive).item<double>(), 0, 1e-12);
  EXPECT_NEAR(mean_over_steps(z.square(), alive).item<double>(), 1, 1e-6);
}

TEST(Advantages, TheUnbiasedSurrogateHasDicesDerivatives) {
  // Where an advantage is the return to go, sum_t (W_t - W_{t-1}) A_t = sum_t W_t r_t - sum_t r_t.
  const Tensor z = normal(Rng(1), {1, 3, 4}, at::kDouble).requires_grad_(true);
  const Tensor reward = normal(Rng(2), {1, 3, 4}, at::kDouble), alive = at::ones({1, 3, 4}, at::kDouble);
  const Tensor log_p = -z.square();
  const Tensor to_go = reward.flip(2).cumsum(2).flip(2);
  const Tensor weight = (log_p - log_p.detach()).cumsum(2).exp();
  Tensor a = policy_surrogate(log_p, log_p.detach(), to_go, alive, false)[0] * 4.0;  // 4 steps of each of 3
  Tensor b = -(weight * reward).sum(2).mean(1)[0];
  for (int order = 1; order <= 3; ++order) {
    const Tensor da = row_gradient(a.view({1}), z, true), db = row_gradient(b.view({1}), z, true);
    EXPECT_LE((da - db).abs().max().item<double>(), 1e-12) << order;
    EXPECT_GT(db.abs().max().item<double>(), 1e-3);
    a = (da * reward).sum(), b = (db * reward).sum();
  }
}

TEST(Advantages, ATasksLossIsMinusItsReturnWhateverTheSurrogate) {
  for (const char* surrogate : {"dice", "low_variance"}) {
    const Made m = made({{"surrogate", surrogate}, {"gamma", 1.0}});
    const auto batch = m.draw({0, 0}, 3);
    const Tensor theta = m.model->init(split_keys(Rng(4), "row", 2));
    const Tensor loss = batch->loss(theta, Stage::kSupport, Rng(5));
    const auto lesson = worlds(*batch).play(theta, Stage::kSupport, Rng(5));
    EXPECT_LE((loss + lesson.episodes.team.mean(1)).abs().max().item<double>(), 1e-4);
  }
}

// ---- Learners.

class EveryMetaPolicy : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Learner> learner(const Made& m, Json settings = {{"inner_steps", 2}}) const {
    return make<LearnerRegistry>(GetParam(), settings, LearnerSetting{*m.model, m.family->spec()});
  }
};

TEST_P(EveryMetaPolicy, IsAFunctionOfStateTasksAndKey) {
  const Made m = made({}, 2);
  const auto l = learner(m);
  const auto run = [&](int threads) {
    set_threads(threads);
    State s = l->init(split_keys(Rng(1), "agent", 2), at::kFloat);
    for (int i = 0; i < 2; ++i)
      l->step(s, *m.draw(std::vector<int64_t>(24, 0), 10 + i), Rng(20 + i));  // three pieces of work
    return s;
  };
  const State a = run(1), b = run(2);
  set_threads(0);
  EXPECT_TRUE(a.theta.equal(b.theta));
  for (const auto& [name, t] : a.own) {
    EXPECT_EQ(t.size(0), 2) << name;
    EXPECT_TRUE(t.equal(b.own.at(name))) << name;
  }
  EXPECT_TRUE(a.steps.eq(2).all().item<bool>());
  EXPECT_TRUE(a.theta.isfinite().all().item<bool>());
  EXPECT_FALSE(a.theta.equal(l->init(split_keys(Rng(1), "agent", 2), at::kFloat).theta));
}

TEST_P(EveryMetaPolicy, AnAgentLearnsFromItsOwnTasksAlone) {
  const Made m = made();
  const auto l = learner(m);
  const State both = l->init(split_keys(Rng(1), "agent", 2), at::kFloat);
  const auto batch = m.draw({0, 0, 0, 0}, 2);
  State together = both, alone = both.rows(1, 2);
  l->step(together, *batch, Rng(3));
  l->step(alone, *batch->slice(2, 4), Rng(3));
  EXPECT_LE((together.theta[1] - alone.theta[0]).abs().max().item<double>(), 1e-4);
}

TEST_P(EveryMetaPolicy, ZeroStepsChangeNothingAndStepsAreAPath) {
  const Made m = made();
  const auto l = learner(m);
  const State s = l->init(split_keys(Rng(1), "agent", 2), at::kFloat);
  const auto batch = m.draw({0, 0, 0, 0}, 2);
  const std::vector<int64_t> all{0, 1, 3}, last{3};
  const auto path = l->adapt(s, *batch, all, Rng(3));
  EXPECT_TRUE(path[0].equal(s.theta.repeat_interleave(2, 0)));
  EXPECT_TRUE(path[2].equal(l->adapt(s, *batch, last, Rng(3))[0]));
  EXPECT_FALSE(path[1].equal(path[2]));
  EXPECT_FALSE(path[1].requires_grad());
}

TEST_P(EveryMetaPolicy, NeedsAWorldAndAdvantages) {
  const auto says = [](const std::string& word, const std::function<void()>& call) {
    try {
      call();
      ADD_FAILURE() << "nothing is wrong";
    } catch (const UserError& e) {
      EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << e.what();
    }
  };
  const auto family = make<TaskFamilyRegistry>("blobs", {}, int64_t{1});
  const auto net = make<ModelRegistry>("mlp", {}, family->spec().shape);
  says("control", [&] { make<LearnerRegistry>(GetParam(), {}, LearnerSetting{*net, family->spec()}); });
  const Made m = made({{"baseline", "episodes"}, {"surrogate", "dice"}});
  says("baseline", [&] {
    const auto l = learner(m);
    State s = l->init(split_keys(Rng(1), "agent", 1), at::kFloat);
    l->step(s, *m.draw({0}, 2), Rng(3));
  });
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryMetaPolicy, testing::Values("maml_trpo", "promp"),
                         [](const auto& info) { return info.param; });

// The step is as long as the quadratic model of the divergence allows, and that model is right only if the
// metric is, and with it both Jacobians. What is left are terms of third order, so the error falls as the
// length of the step, the root of max_kl; with a metric of other derivatives it would stay. Many steps of
// conjugate gradients go far along directions in which the metric is all but flat, where those terms are
// large: at a max_kl of 1e-5 the divergence is 9 and 15% off after 30 of them.
TEST(MamlTrpo, AStepIsAsLongInAdaptedPoliciesAsTheRegionAllows) {
  for (const int64_t steps : {1, 2}) {
    for (const int64_t cg_steps : {4, 30}) {
      const auto moved = [&](double max_kl, uint64_t draw) {
        const Made m = made();
        const auto l = make<LearnerRegistry>("maml_trpo",
                                             {{"max_kl", max_kl},
                                              {"inner_lr", 0.3},
                                              {"inner_steps", steps},
                                              {"damping", 0.0},
                                              {"cg_steps", cg_steps}},
                                             LearnerSetting{*m.model, m.family->spec()});
        State s = l->init(split_keys(Rng(1), "agent", 1), at::kFloat);
        s.theta = s.theta.to(at::kDouble);
        return l->step(s, *m.draw({0, 0, 0}, draw), Rng(3)).at("kl").item<double>() / max_kl;
      };
      // A hair above max_kl is refused, and the line search then takes 0.98 of what it should have been: that
      // says nothing of the metric. So some draws are passed over.
      int told = 0;
      for (uint64_t draw = 0; draw < 12 && told < 3; ++draw) {
        // A tenth of the length is a root of ten less of error. At ten times these lengths terms of the next
        // order are as large in some draws.
        const double far = 1 - moved(1e-10, draw), near = 1 - moved(1e-11, draw);
        if (far > 0.03 || near > 0.03) continue;
        ++told;
        EXPECT_LT(near, 0.005) << steps << " " << cg_steps << " " << draw;
        if (cg_steps == 30) {
          EXPECT_GT(far / near, 2) << steps << " " << draw;
          EXPECT_LT(far / near, 5) << steps << " " << draw;
        }
      }
      EXPECT_EQ(told, 3) << steps << " " << cg_steps;
    }
  }
}

// Where the first length is refused, what is taken is nearly all that the region allows.
TEST(MamlTrpo, ARefusedLengthSaysWhichWouldFit) {
  int near = 0;
  for (uint64_t draw = 0; draw < 12; ++draw) {
    const Made m = made();
    const auto l = make<LearnerRegistry>("maml_trpo", {{"max_kl", 1e-7}, {"damping", 0.0}, {"cg_steps", 4}},
                                         LearnerSetting{*m.model, m.family->spec()});
    State s = l->init(split_keys(Rng(1), "agent", 1), at::kFloat);
    s.theta = s.theta.to(at::kDouble);
    const double kl = l->step(s, *m.draw({0, 0, 0}, draw), Rng(3)).at("kl").item<double>() / 1e-7;
    EXPECT_LE(kl, 1);
    EXPECT_GT(kl, 0.95);
    near += kl < 0.97;
  }
  EXPECT_GT(near, 0);
}

// A share of the episodes is a share of all that is known of them, who was there too.
TEST(MamlTrpo, AShareOfEpisodesWhosePlayersLeave) {
  const auto family = make<TaskFamilyRegistry>(
      "control", {{"world", {{"kind", "exits"}, {"walkers", 2}}}, {"copies", 4}, {"baseline", "linear"}},
      int64_t{1});
  const auto model = make<ModelRegistry>("mlp", {{"hidden", {8}}}, family->spec().shape);
  for (const double share : {0.5, 0.25}) {
    const auto l =
        make<LearnerRegistry>("maml_trpo", {{"metric_share", share}}, LearnerSetting{*model, family->spec()});
    State s = l->init(split_keys(Rng(1), "agent", 1), at::kFloat);
    const std::vector<int64_t> agents{0, 0};
    EXPECT_NO_THROW(l->step(s, *family->sample(*model, asks_for(agents, Rng(2)), Split::kTrain), Rng(3)));
    EXPECT_TRUE(s.theta.isfinite().all().item<bool>());
  }
}

TEST(MamlTrpo, LearnsToNavigate) {
  const Made m = made({{"vary", {"goal_0_x"}}});
  for (const double share : {1.0, 0.3}) {
    const auto l = make<LearnerRegistry>("maml_trpo", {{"metric_share", share}},
                                         LearnerSetting{*m.model, m.family->spec()});
    State s = l->init(split_keys(Rng(1), "agent", 1), at::kFloat);
    double first = 0, last = 0, moved = 0;
    for (int i = 0; i < 40; ++i) {
      const Scores said = l->step(s, *m.draw(std::vector<int64_t>(8, 0), i), Rng(i));
      const double reached = said.at("return").item<double>();
      (i < 5 ? first : last) += i < 5 || i >= 35 ? reached / 5 : 0;
      moved += said.at("kl").item<double>() / 40;
      EXPECT_LE(said.at("kl").item<double>(), 0.01);
    }
    EXPECT_GT(last, first + 1);
    EXPECT_GT(moved, 0.003) << "the region is made use of, however the metric is estimated";
  }
}

TEST(Promp, ItsGradientIsThatOfItsObjective) {
  const Made m = made();
  constexpr double kRate = 0.3, kWeight = 0.1;
  const auto l = make<LearnerRegistry>(
      "promp", {{"epochs", 1}, {"inner_lr", kRate}, {"kl_weight", kWeight}, {"clip", 0.9}},
      LearnerSetting{*m.model, m.family->spec()});
  State s = l->init(split_keys(Rng(1), "agent", 1), at::kDouble);
  const auto batch = m.draw({0, 0}, 2);
  const Tensor theta = s.theta;
  l->step(s, *batch, Rng(3));
  const Tensor g = s.own.at("adam.m") / 0.1;  // Adam's first moment after one step

  // The same, by the task's public parts and central differences.
  const ControlBatch& tasks = worlds(*batch);
  const auto adapted = [&](const Tensor& rows, const ControlBatch::Lesson& lesson) {
    const Tensor at = leaf(rows);
    const Tensor loss = tasks.surrogate(ControlBatch::log_p(tasks.outputs(at, lesson), lesson), lesson);
    return at.detach() - kRate * row_gradient(loss, at, false);
  };
  const Tensor rows = theta.repeat({2, 1});
  const auto support = tasks.play(rows, Stage::kSupport, Rng(3).split("inner", 0));
  const auto query = tasks.play(adapted(rows, support), Stage::kQuery, Rng(3).split("outer"));
  const Tensor before = tasks.outputs(rows, support);
  const auto objective = [&](const Tensor& at) {
    const Tensor r = at.repeat({2, 1}), phi = adapted(r, support);
    const Tensor gain = tasks.surrogate(ControlBatch::log_p(tasks.outputs(phi, query), query), query);
    const Tensor kl = mean_over_steps(ControlBatch::apart(before, tasks.outputs(r, support), support),
                                      support.episodes.alive);
    return (gain + kWeight * kl).mean().item<double>();
  };
  double largest = 0;
  for (int64_t i = 0; i < theta.size(1); i += 3) {
    Tensor up = theta.clone(), down = theta.clone();
    up[0][i] += 1e-5, down[0][i] -= 1e-5;
    EXPECT_NEAR(g[0][i].item<double>(), (objective(up) - objective(down)) / 2e-5, 1e-5) << i;
    largest = std::max(largest, std::abs(g[0][i].item<double>()));
  }
  EXPECT_GT(largest, 1e-3);
}

}  // namespace
}  // namespace symma
