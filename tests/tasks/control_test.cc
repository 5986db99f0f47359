// Worlds as tasks: what a batch promises, the surrogate loss against enumeration and importance weights, and
// what a person can get wrong.
#include <gtest/gtest.h>

#include <cmath>

#include "envs/exits.h"
#include "symma/core/parallel.h"
#include "symma/tasks/control.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

const Json kForaging = {{"kind", "foraging"}, {"rows", 5},  {"columns", 5},
                        {"agents", 2},        {"foods", 2}, {"limit", 12}};

struct Made {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<TaskBatch> draw(std::vector<int64_t> agents, uint64_t key,
                                  Split split = Split::kTrain) const {
    return family->sample(*model, asks_for(agents, Rng(key)), split);
  }
};

Made made(Json settings, const std::string& model = "mlp", int64_t agents = 2) {
  Made m;
  m.family = make<TaskFamilyRegistry>("control", settings, agents);
  m.model = make<ModelRegistry>(
      model, model == "mlp" ? Json{{"hidden", {6}}, {"activation", "tanh"}} : Json{{"hidden", 6}},
      m.family->spec().shape);
  return m;
}

const ControlBatch& worlds(const TaskBatch& b) {
  return dynamic_cast<const ControlBatch&>(b);
}

Rollout play(const Made& m, const TaskBatch& b, const Tensor& theta, Behaviour how = {}, uint64_t key = 9) {
  const TeamNet net(*m.model, m.family->spec().players, theta.size(1) == m.model->layout().size());
  return worlds(b).roll_out(net, theta, 4, how, Rng(key));
}

void expect_equal(const Rollout& a, const Rollout& b) {
  EXPECT_TRUE(a.input.equal(b.input));
  EXPECT_TRUE(a.action.equal(b.action));
  EXPECT_TRUE(a.reward.equal(b.reward));
  EXPECT_TRUE(a.alive.equal(b.alive));
}

TEST(Control, ASliceAndAnyNumberOfThreadsGiveTheSameEpisodes) {
  for (const std::string net : {"mlp", "gru"}) {
    const Made m = made({{"world", kForaging}}, net);
    const auto batch = m.draw({0, 1, 1}, 3);
    const Tensor theta = m.model->init(split_keys(Rng(4), "row", 3));
    set_threads(1);
    const Rollout whole = play(m, *batch, theta);
    set_threads(2);
    expect_equal(whole, play(m, *batch, theta));
    set_threads(0);
    const Rollout part = play(m, *batch->slice(1, 3), theta.slice(0, 1, 3));
    EXPECT_TRUE(part.action.equal(whole.action.slice(0, 1, 3))) << net;
    EXPECT_TRUE(part.reward.equal(whole.reward.slice(0, 1, 3)));
    EXPECT_FALSE(whole.action[0].equal(whole.action[1]));
    EXPECT_LE((batch->loss(theta, Stage::kQuery, Rng(1)).slice(0, 1, 3) -
               batch->slice(1, 3)->loss(theta.slice(0, 1, 3), Stage::kQuery, Rng(1)))
                  .abs()
                  .max()
                  .item<double>(),
              1e-5);
  }
}

TEST(Control, EpisodesAreWhole) {
  const Made m = made({{"world", kForaging}});
  const auto batch = m.draw({0, 1}, 5);
  const Rollout o =
      play(m, *batch, m.model->init(split_keys(Rng(4), "row", 2)), {Behaviour::Pick::kGreedy, {1.0, 1.0}});
  const Tensor length = o.alive.sum(2);  // [R, E]
  EXPECT_GE(length.min().item<double>(), 1);
  // A step is taken until the end and none after it; an episode that ends early was ended by the world.
  EXPECT_TRUE((o.alive.narrow(2, 1, 11) <= o.alive.narrow(2, 0, 11)).all().item<bool>());
  EXPECT_TRUE((o.terminated.sum(2) == 1).logical_or(length == 12).all().item<bool>());
  EXPECT_TRUE((o.terminated.cumsum(2).narrow(2, 0, 11) * o.alive.narrow(2, 1, 11) == 0).all().item<bool>());
  EXPECT_LE((o.team - o.reward.select(3, 0).sum(2)).abs().max().item<double>(), 1e-6);
  EXPECT_LE((o.team - o.earned.sum(2)).abs().max().item<double>(), 1e-6);
  // Player numbers stand at the end of what players see.
  const Tensor index = o.input.select(2, 0).narrow(3, o.input.size(4) - 2, 2);
  EXPECT_TRUE(index.equal(at::eye(2).expand_as(index)));
}

// Fragments laid end to end are the episodes, to the last bit, whatever their lengths.
TEST(Rollouts, FragmentsEndToEndAreTheWhole) {
  const Json exits = {{"kind", "exits"}, {"walkers", 3}};
  const Json navigation = {{"kind", "navigation"}, {"robots", 2}, {"limit", 12}};
  for (const Json& world : {kForaging, exits, navigation}) {
    for (const std::string net : {"mlp", "gru"}) {
      for (const bool feedback : {false, true}) {
        const Made m =
            made({{"world", world}, {"feedback", feedback}, {"recall", feedback}, {"own_reward", true}}, net);
        const auto batch = m.draw({0, 1, 1}, 3);
        const Tensor theta = m.model->init(split_keys(Rng(4), "row", 3));
        const TeamNet team(*m.model, m.family->spec().players, true);
        const int64_t limit = m.family->spec().limit;
        const Rollout whole = worlds(*batch).roll_out(team, theta, 4, {}, Rng(9));
        for (const int64_t length : {int64_t{1}, int64_t{5}, limit - 1, limit, limit + 3}) {
          Rollouts play = worlds(*batch).rollouts(team, 4, {}, Rng(9));
          int64_t at = 0;
          Rollout o;
          while (!play.over()) {
            o = play.next(length, theta);
            const int64_t t = o.alive.size(2);
            EXPECT_LE(t, length);
            const auto same = [&](const Tensor& a, const Tensor& b) { return a.equal(b.narrow(2, at, t)); };
            EXPECT_TRUE(same(o.action, whole.action));
            EXPECT_TRUE(same(o.log_p, whole.log_p));
            EXPECT_TRUE(same(o.reward, whole.reward));
            EXPECT_TRUE(same(o.alive, whole.alive));
            EXPECT_TRUE(same(o.terminated, whole.terminated));
            const Tensor on = o.alive.view({3, 4, t, 1, 1});  // what is seen at the steps that are taken
            EXPECT_TRUE(
                same(o.input.narrow(2, 0, t) * on,
                     whole.input * at::constant_pad_nd(whole.alive, {0, 1}).view({3, 4, limit + 1, 1, 1})));
            EXPECT_EQ(o.memory.defined(), net == "gru" && at > 0);
            at += t;
            if (o.going.any().item<bool>()) {
              EXPECT_FALSE(play.over());
            }
            EXPECT_TRUE(o.going.eq(1).equal(whole.alive.sum(2) > static_cast<double>(at)));
          }
          EXPECT_TRUE(o.team.equal(whole.team));
          EXPECT_TRUE(o.earned.equal(whole.earned));
          EXPECT_TRUE(o.length.equal(whole.alive.sum(2)));
          EXPECT_EQ(whole.alive.narrow(2, at, limit - at).sum().item<double>(), 0);
        }
      }
    }
  }
}

TEST(Rollouts, ARecurrentNetGoesOnFromItsMemory) {
  for (const bool shared : {true, false}) {
    const Made m = made({{"world", {{"kind", "navigation"}, {"robots", 2}, {"limit", 12}}}}, "gru");
    const TeamNet net(*m.model, 2, shared);
    const Tensor theta = net.init(split_keys(Rng(4), "row", 2));
    const auto batch = m.draw({0, 1}, 5);
    Rollouts play = worlds(*batch).rollouts(net, 3, {}, Rng(6));
    play.next(5, theta);
    const Rollout o = play.next(7, theta);
    const auto of = [&](const Tensor& memory) {
      return log_probability(net.forward(theta, o.input.narrow(2, 0, 7), memory), o.mask.narrow(2, 0, 7),
                             o.action);
    };
    EXPECT_LE((of(o.memory) - o.log_p).abs().max().item<double>(), 1e-4);
    EXPECT_GT((of({}) - o.log_p).abs().max().item<double>(), 1e-3);
  }
}

TEST(Rollouts, WhoHasLeftIsNotThereToLearn) {
  const Json world = {{"kind", "exits"}, {"walkers", 3}};
  for (const bool own : {true, false}) {
    const Made m = made({{"world", world}, {"own_reward", own}, {"baseline", "linear"}});
    EXPECT_TRUE(m.family->spec().leaving);
    const auto batch = m.draw({0, 1}, 5);
    const Tensor theta = m.model->init(split_keys(Rng(4), "row", 2));
    const Rollout o = play(m, *batch, theta);
    const Tensor away = 1 - o.present.narrow(2, 0, 16), there = o.alive.unsqueeze(3) * (1 - away);
    EXPECT_GT((away * o.alive.unsqueeze(3)).sum().item<double>(), 0);
    EXPECT_EQ((away * o.reward).abs().sum().item<double>(), 0);
    EXPECT_EQ((away * o.log_p).abs().sum().item<double>(), 0);
    EXPECT_GT((there * o.log_p).abs().sum().item<double>(), 0);
    EXPECT_LE((o.earned.sum(2) - o.team).abs().max().item<double>(), 1e-5);
    EXPECT_LE((o.team_reward(own).sum(2) - o.team).abs().max().item<double>(), 1e-5);
    // A lesson's log probability is of who is there alone: in no other player's outputs has it a derivative.
    const auto lesson = worlds(*batch).play(theta, Stage::kSupport, Rng(3));
    const Tensor outputs = worlds(*batch).outputs(theta, lesson).detach().requires_grad_(true);
    const Tensor g = row_gradient(ControlBatch::log_p(outputs, lesson).sum().view({1}), outputs, false);
    const Tensor gone = (1 - lesson.episodes.present.narrow(2, 0, 16)).unsqueeze(4);
    EXPECT_EQ((g * gone).abs().sum().item<double>(), 0);
    EXPECT_GT((g * (1 - gone)).abs().sum().item<double>(), 0);
  }
}

// The worlds' settings are built from by all pieces of work at once: the thread sanitizer's test.
TEST(Control, WorldsAreBuiltFromManyThreads) {
  const Made m = made({{"world", kForaging}});
  const auto batch = m.draw({0, 1}, 5);
  set_threads(4);
  std::vector<int64_t> agents(64);
  parallel_for(64, 1, [&](int64_t i, int64_t) { agents[i] = worlds(*batch).world(i % 2, 3)->spec().agents; });
  set_threads(0);
  for (int64_t a : agents) EXPECT_EQ(a, 2);
}

TEST(Control, ARecurrentNetActsAsItIsUnrolled) {
  for (const bool shared : {true, false}) {
    const Made m = made({{"world", kForaging}}, "gru");
    const TeamNet net(*m.model, 2, shared);
    const Tensor theta = net.init(split_keys(Rng(4), "row", 2));
    const Rollout o = worlds(*m.draw({0, 1}, 5)).roll_out(net, theta, 3, {}, Rng(6));
    const Tensor log_p =
        masked_log_softmax(net.forward(theta, o.input.narrow(2, 0, 12)), o.mask.narrow(2, 0, 12))
            .gather(4, o.action.unsqueeze(4))
            .squeeze(4);
    EXPECT_LE(((log_p - o.log_p) * o.alive.unsqueeze(3)).abs().max().item<double>(), 1e-5);
  }
}

TEST(Control, ARowOfManyNetworksGivesEachPlayerItsOwn) {
  const Made m = made({{"world", kForaging}});
  const auto batch = m.draw({0}, 5);
  const TeamNet apart(*m.model, 2, false), together(*m.model, 2, true);
  const Tensor theta = m.model->init(split_keys(Rng(4), "row", 2));  // two networks
  const Rollout o = worlds(*batch).roll_out(apart, theta.view({1, -1}), 3, {}, Rng(6));
  const Tensor x = o.input.narrow(2, 0, 12), y = apart.forward(theta.view({1, -1}), x);
  for (int64_t a = 0; a < 2; ++a) {
    const Tensor one = together.forward(theta.slice(0, a, a + 1), x);
    EXPECT_LE((y.select(3, a) - one.select(3, a)).abs().max().item<double>(), 1e-6);
  }
}

TEST(Control, ConstantsVaryByTaskWithinTheirRanges) {
  const Made m = made({{"world", kForaging}, {"vary", {"penalty", "max_agent_level"}}}, "mlp", 2);
  const auto penalties = [&](int64_t agent, Split split) {
    const auto batch = m.draw(std::vector<int64_t>(30, agent), 5, split);
    std::vector<double> out;
    for (int64_t i = 0; i < 30; ++i) {
      auto world = worlds(*batch).world(i, 1);
      Frame f;
      world->reset(Rng(1), f);
      // Ten numbers of the episode, then the task: foods, max_agent_level, penalty.
      const Tensor saved = dynamic_cast<Restorable&>(*world).save(0);
      out.push_back(saved[12].item<double>());
    }
    return out;
  };
  for (double p : penalties(0, Split::kTrain)) EXPECT_LE(p, 0.05);
  for (double p : penalties(1, Split::kTrain)) EXPECT_GE(p, 0.05);
  for (double p : penalties(kEveryone, Split::kOod)) EXPECT_GE(p, 0.2);
  const auto some = penalties(kEveryone, Split::kTest);
  EXPECT_GT(*std::max_element(some.begin(), some.end()), *std::min_element(some.begin(), some.end()) + 0.05);
}

TEST(Control, AnOracleIsTrainedOnTheRangeOfTheTest) {
  const auto trained_on = [](bool oracle) {
    const Json kitchen{{"kind", "kitchen"}, {"partner", true}};
    const Made m = made({{"world", kitchen}, {"vary", {"partner"}}, {"oracle", oracle}}, "mlp", 1);
    return dynamic_cast<const Shares&>(*m.family).share(0);
  };
  EXPECT_EQ(trained_on(false), "partner 0 to 15");
  EXPECT_EQ(trained_on(true), "partner 16 to 23");
}

// First the constants of its own task, then what it sees, who it is and what it did.
TEST(Control, PlayersAreToldTheConstantsOfTheirTask) {
  const Json vary{"penalty", "max_agent_level"};
  const auto settings = [&](bool context) {
    return Json{
        {"world", kForaging}, {"vary", vary}, {"context", context}, {"feedback", true}, {"recall", true}};
  };
  const Made plain = made(settings(false)), told = made(settings(true));
  const TaskSpec a = plain.family->spec(), b = told.family->spec();
  EXPECT_EQ(b.seen, a.seen + 2);
  EXPECT_EQ(b.shape.in[0], a.shape.in[0] + 4) << "once as it is, once recalled";
  const auto batch = told.draw({0, 1, 0, 1}, 3);
  const Rollout all = play(told, *batch, told.model->init(split_keys(Rng(4), "row", 4)));
  const Rollout one =
      play(told, *batch->slice(2, 3), told.model->init(split_keys(Rng(4), "row", 4)).narrow(0, 2, 1));
  EXPECT_TRUE(all.input.narrow(0, 2, 1).equal(one.input));
  for (int64_t i = 0; i < 4; ++i) {
    auto world = worlds(*batch).world(i, 1);
    Frame f;
    world->reset(Rng(1), f);
    const Tensor saved =
        dynamic_cast<Restorable&>(*world).save(0);  // ten numbers, then foods, level, penalty
    const double penalty = saved[12].item<double>(), level = saved[11].item<double>();
    const auto& ranges = dynamic_cast<HasTasks&>(*world).task_parameters();
    const auto scaled = [&](size_t j, double x) {
      const auto [low, high] = ranges[j].train;
      return 2 * (x - low) / (high - low) - 1;
    };
    const Tensor seen = all.input[i][0][0][1];  // of the second player, before the first step
    EXPECT_NEAR(seen[0].item<double>(), scaled(2, penalty), 1e-6);
    EXPECT_NEAR(seen[1].item<double>(), scaled(1, level), 1e-6);
    EXPECT_EQ(seen[a.seen + 2].item<float>(), 0);
    EXPECT_EQ(seen[a.seen + 3].item<float>(), 1);
  }
}

// ---- The surrogate.

Tensor derivative(const Tensor& y, const Tensor& x) {
  return row_gradient(y.view({1}), x, true);
}

// J(z) of two steps with two actions, p = softmax(z), and a reward table by what was done in both.
const double kReward[2][2] = {{1.0, -0.5}, {0.3, 2.0}};
constexpr double kGamma = 0.9;

Tensor exact(const Tensor& z) {
  const Tensor p = at::softmax(z, 1)[0];
  Tensor j = at::zeros({}, z.options());
  for (int a = 0; a < 2; ++a) {
    j = j + p[a] * kReward[a][a];
    for (int b = 0; b < 2; ++b) j = j + kGamma * p[a] * p[b] * kReward[a][b];
  }
  return j;
}

TEST(Dice, ItsDerivativesHaveTheRightMeanToTheThirdOrder) {
  const Tensor z = at::tensor({0.3, -0.4}, at::kDouble).view({1, 2}).requires_grad_(true);
  for (const int64_t episodes : {1, 2}) {
    // All outcomes of `episodes` episodes of two steps, each with its probability held constant.
    Tensor mean_surrogate = at::zeros({}, at::kDouble);
    const int64_t outcomes = episodes == 1 ? 4 : 16;
    for (int64_t o = 0; o < outcomes; ++o) {
      Tensor log_p = at::zeros({0}, at::kDouble), reward = at::zeros({1, episodes, 2}, at::kDouble);
      const Tensor l = at::log_softmax(z, 1)[0];
      std::vector<Tensor> parts;
      double probability = 1;
      for (int64_t e = 0; e < episodes; ++e) {
        const int64_t a = o >> (2 * e) & 1, b = o >> (2 * e + 1) & 1;
        parts.push_back(at::stack({l[a], l[b]}));
        probability *= std::exp(l[a].item<double>() + l[b].item<double>());
        reward[0][e][0] = kReward[a][a];
        reward[0][e][1] = kReward[a][b];
      }
      log_p = at::stack(parts).unsqueeze(0);
      mean_surrogate = mean_surrogate - probability * dice(log_p, reward, at::ones_like(reward), kGamma)[0];
    }
    Tensor j = exact(z), s = mean_surrogate;
    EXPECT_NEAR(j.item<double>(), s.item<double>(), 1e-12);
    for (int order = 1; order <= 3; ++order) {
      const Tensor dj = derivative(j, z), ds = derivative(s, z);
      EXPECT_LE((dj - ds).abs().max().item<double>(), 1e-12)
          << "order " << order << ", episodes " << episodes;
      EXPECT_GT(dj.abs().max().item<double>(), 1e-3);
      j = (dj * at::tensor({0.7, -0.2}, at::kDouble)).sum();
      s = (ds * at::tensor({0.7, -0.2}, at::kDouble)).sum();
    }
  }
}

TEST(Dice, TheTasksLossIsTheReturnOfImportanceWeightedEpisodes) {
  Made m = made(
      {{"world", {{"kind", "matrix_game"}, {"memory", 1}, {"limit", 4}}}, {"copies", 1}, {"gamma", 0.9}});
  const auto batch = m.draw({0}, 5);
  const Tensor theta = m.model->init(split_keys(Rng(4), "row", 1)).to(at::kDouble);
  const TeamNet net(*m.model, 2, true);
  const Rollout o = worlds(*batch).roll_out(net, theta, 1, {}, Rng(6).split("support"));
  const auto log_p = [&](const Tensor& at) {
    return at::log_softmax(net.forward(at, o.input.narrow(2, 0, 4)), 4)
        .gather(4, o.action.unsqueeze(4))
        .view({4, 2});
  };
  const Tensor base = log_p(theta);
  const auto weighted = [&](const Tensor& at) {
    const Tensor now = log_p(at);
    double sum = 0, ratio = 0;
    for (int64_t t = 0; t < 4; ++t) {
      ratio += (now[t] - base[t]).sum().item<double>();
      sum += std::pow(0.9, t) * o.reward[0][0][t][0].item<double>() * std::exp(ratio);
    }
    return -sum;
  };
  const Tensor at_theta = leaf(theta);
  const Tensor loss = batch->loss(at_theta, Stage::kSupport, Rng(6));
  EXPECT_NEAR(loss.item<double>(), weighted(theta), 1e-6);
  const Tensor g = row_gradient(loss, at_theta, true);
  for (int64_t i = 0; i < theta.size(1); i += 3) {
    Tensor up = theta.clone(), down = theta.clone();
    up[0][i] += 1e-5, down[0][i] -= 1e-5;
    EXPECT_NEAR(g[0][i].item<double>(), (weighted(up) - weighted(down)) / 2e-5, 1e-6);
  }
  // The curvature along a direction.
  const Tensor v = normal(Rng(8), theta.sizes(), at::kDouble);
  const double h = 1e-4;
  const double numeric = (weighted(theta + h * v) - 2 * weighted(theta) + weighted(theta - h * v)) / (h * h);
  EXPECT_NEAR((row_gradient((g * v).sum(1), at_theta, false) * v).sum().item<double>(), numeric,
              1e-4 * std::max(1.0, std::abs(numeric)));
}

// ---- What a person can get wrong.

std::string complaint(const std::string& text) {
  try {
    const Config c = Config::parse(text, "x.toml");
    const auto draft = TaskFamilyRegistry::instance().draft("control", "");
    Fields fields;
    draft->fields(fields);
    c.read("task", fields, {"kind"});
    draft->build(1);
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

// Played by hand: the mean over steps, players and copies of how far the policy's mean is from the teacher's
// numbers, or of minus the log probability of its choices. Where a task is judged elsewhere, so is the query.
TEST(Imitation, IsTheDistanceToATeacherWhereThePolicyGoes) {
  const Json homes{{"kind", "homes"}, {"limit", 30}, {"see", "scaled"}},
      roads{{"kind", "roads"}, {"limit", 6}};
  const Json hindsight{{"kind", "self_consumption"}, {"next_hour", true}};
  for (const auto& [world, teacher, head] : {std::tuple{homes, hindsight, "clipped"},
                                             {homes, hindsight, "squashed"},
                                             {roads, Json{{"kind", "yesterday"}}, "clipped"}}) {
    const bool numbers = world["kind"] == "homes";
    Made m;
    m.family =
        make<TaskFamilyRegistry>("control",
                                 Json{{"world", world},
                                      {"teacher", teacher},
                                      {"head", head},
                                      {"copies", 2},
                                      {"player_index", false},
                                      {"vary", numbers ? Json{"home", "first_day"} : Json{"demand_scale"}}},
                                 1);
    m.model = make<ModelRegistry>(numbers ? "gaussian" : "mlp", Json{{"hidden", {6}}, {"activation", "tanh"}},
                                  m.family->spec().shape);
    const auto batch = m.draw({0, 0, 0}, 3);
    const Tensor theta = m.model->init(split_keys(Rng(4), "row", 3)).to(at::kDouble);
    const auto script = make<ScriptRegistry>(
        teacher["kind"], teacher.contains("next_hour") ? Json{{"next_hour", true}} : Json::object());
    std::vector<Tensor> found;
    for (const Stage stage : {Stage::kSupport, Stage::kQuery}) {
      const bool query = stage == Stage::kQuery;
      found.push_back(batch->loss(theta, stage, Rng(7)));
      for (int64_t b = 0; b < 3; ++b) {
        const auto env = worlds(*batch).world(b, 2, query);
        const EnvSpec& spec = env->spec();
        const Rng own = Rng(7).split(query ? "query" : "support").split("task", worlds(*batch).key(b).key());
        Frame frame;
        env->reset(own.split("world"), frame);
        double sum = 0;
        for (int64_t t = 0; t < spec.limit; ++t) {
          const Tensor seen = frame.obs.reshape({1, -1, spec.obs}).to(at::kDouble);
          const Tensor said =
              m.model->forward(theta.slice(0, b, b + 1), seen, Mode::kTrain).reshape({2, spec.agents, -1});
          const Tensor taught = scripted(*script, *env, frame, own.split("teacher", t));
          if (numbers) {
            Tensor mean = said.narrow(2, 0, spec.actions);
            if (std::string(head) == "squashed") mean = mean.tanh();  // between -1 and 1
            sum += (mean - taught).square().sum(2).mean().item<double>();
            env->step(mean.to(at::kFloat), frame);
          } else {
            sum -= log_probability(said, frame.mask, taught).mean().item<double>();
            env->step(said.masked_fill(frame.mask.logical_not(), -1e9).argmax(2), frame);
          }
        }
        EXPECT_NEAR(found.back()[b].item<double>(), sum / static_cast<double>(spec.limit), 1e-6)
            << world.dump() << " " << head << " task " << b;
      }
    }
    // In another week.
    if (numbers) EXPECT_GT((found[0] - found[1]).abs().min().item<double>(), 1e-6);
    const Tensor at = leaf(theta);
    const Tensor slope = row_gradient(batch->loss(at, Stage::kSupport, Rng(7)), at, false);
    const Tensor lower = batch->loss(theta - 1e-4 * slope, Stage::kSupport, Rng(7));
    EXPECT_TRUE((lower < found[0]).all().item<bool>()) << world.dump();
  }
}

// Who learns from one stretch of time is judged in those that follow, and so is the rule beside it.
TEST(Control, WhatIsJudgedLaterIsJudgedThere) {
  const Json homes{{"kind", "homes"}, {"limit", 30}, {"judged_windows", 2}};
  Made m;
  m.family = make<TaskFamilyRegistry>(
      "control",
      Json{{"world", homes}, {"vary", {"home", "first_day"}}, {"eval_copies", 2}, {"player_index", false}},
      1);
  const auto script = make<ScriptRegistry>("self_consumption", Json::object());
  dynamic_cast<MeetsRival&>(*m.family).meet(
      {"self_consumption", make<ScriptRegistry>("self_consumption", Json::object()), {}});
  m.model = make<ModelRegistry>("gaussian", Json{{"hidden", {6}}}, m.family->spec().shape);
  const auto batch = m.draw({0}, 3, Split::kTest);
  const Scores scores = batch->score(m.model->init(split_keys(Rng(4), "row", 1)), Rng(7));
  const auto by_rule = [&](bool judged) {
    const auto env = worlds(*batch).world(0, 2, judged);
    Frame frame;
    env->reset(Rng(1), frame);
    for (int64_t t = 0; t < 30; ++t) env->step(scripted(*script, *env, frame, Rng(1)), frame);
    const auto& judge = dynamic_cast<const Judged&>(*env);
    return (judge.scores(0)[0] + judge.scores(1)[0]) / 2;
  };
  EXPECT_NEAR(scores.at("rival_score").item<double>(), by_rule(true), 1e-9);
  EXPECT_GT(std::abs(by_rule(true) - by_rule(false)), 1e-6);
}

// Players handed their own rewards, of whom one learns, are a team of one: a script's rewards are in neither
// loss, nor in what is shown of an episode.
TEST(Control, WhatAScriptEarnsIsNobodysReward) {
  const Json rps{{"kind", "matrix_game"}, {"game", "rock_paper_scissors"}, {"limit", 6}};
  const Json foraging{{"kind", "foraging"}, {"rows", 5},  {"columns", 5},
                      {"agents", 2},        {"foods", 3}, {"limit", 30}};
  for (const Json& world : {rps, foraging}) {
    const auto with = [&](bool own) {
      Made m;
      m.family = make<TaskFamilyRegistry>("control",
                                          Json{{"world", world}, {"own_reward", own}, {"eval_copies", 1}}, 1);
      dynamic_cast<MeetsRival&>(*m.family).meet(
          {"random", make<ScriptRegistry>("random", Json::object()), {1}});
      m.model = make<ModelRegistry>("mlp", Json{{"hidden", {6}}}, m.family->spec().shape);
      return m;
    };
    const Made own = with(true), team = with(false);
    const Tensor theta = own.model->init(split_keys(Rng(4), "row", 1));
    double most = 0;
    for (uint64_t key = 0; key < 4; ++key) {
      const auto a = own.draw({0}, key), b = team.draw({0}, key);
      const Tensor of_own = a->loss(theta, Stage::kQuery, Rng(7));
      EXPECT_NEAR(of_own.item<double>(), b->loss(theta, Stage::kQuery, Rng(7)).item<double>(), 1e-6);
      EXPECT_NEAR(worlds(*a).losses(theta.unsqueeze(0), Stage::kQuery, Rng(7)).item<double>(),
                  worlds(*b).losses(theta.unsqueeze(0), Stage::kQuery, Rng(7)).item<double>(), 1e-6);
      const Scores scores = a->score(theta, Rng(8));
      const auto pictures = worlds(*a).watch(0, theta, Rng(8).split("score"));
      ASSERT_FALSE(pictures.empty());
      EXPECT_NEAR(pictures.back().earned, scores.at("return").item<double>(), 1e-5);
      EXPECT_NEAR(scores.at("return_0").item<double>(), scores.at("return").item<double>(), 1e-5);
      most = std::max(most, std::abs(scores.at("return_1").item<double>()));
    }
    EXPECT_GT(most, 0) << "the script earned something";
  }
}

TEST(Control, BadInputIsOneClearError) {
  EXPECT_EQ(complaint("[task]\nkind = \"control\"\n[task.world]\nkind = \"foraging\"\nrows = 7\n"), "");
  EXPECT_EQ(complaint("[task]\nworld = \"foraging\"\n"), "");
  const auto says = [](const std::string& text, const std::vector<std::string>& words) {
    const std::string found = complaint(text);
    for (const auto& w : words) EXPECT_NE(found.find(w), std::string::npos) << found << " lacks " << w;
  };
  says("[task]\nworld = \"foraging\"\ncontext = true\n", {"[task] context", "name some in vary"});
  says("[task]\nworld = \"forageing\"\n", {"x.toml:2", "forageing", "did you mean foraging"});
  says("[task.world]\nkind = \"foraging\"\nrowz = 7\n", {"x.toml:3", "[task.world] rowz", "rows"});
  says("[task.world]\nkind = \"foraging\"\nrows = \"7\"\n", {"x.toml:3", "[task.world] rows", "integer"});
  says("[task.world]\nkind = \"foraging\"\nfoods = 0\n", {"x.toml:3", "[task.world] foods", "out of range"});
  says("[task.world]\nkind = 3\n", {"[task] world", "integer"});
  says("[task]\nworld = 3\n", {"[task] world", "integer"});
  says("[task]\nworld = \"foraging\"\nvary = [\"penalti\"]\n", {"[task] vary", "penalti", "penalty"});
  says("[task]\nworld = \"foraging\"\nteacher = \"self_consumption\"\n",
       {"[task] teacher", "plays \"homes\"", "leave it out"});
  says("[task]\nworld = \"foraging\"\nteacher = \"nobody\"\n", {"teacher", "nobody"});
  says("[task]\ncopies = 0\n", {"[task] copies", "out of range"});
  says("[task.world]\nkind = \"foraging\"\nrows = 4\ncolumns = 4\nfoods = 9\n", {"foraging", "do not fit"});
}

}  // namespace
}  // namespace symma
