// Personal models against closed forms: the proximal optimum that Ditto comes to, the update rules of APFL
// and FedRep from gradients by finite differences, and what of a row is said to others.
#include "symma/learners/personal.h"

#include <gtest/gtest.h>

#include "fleet/fleets.h"

namespace symma {
namespace {

struct World {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<TaskBatch> batch;  // two agents, two tasks each
};

World world(const std::string& task, const Json& options, const std::string& model, const Json& net) {
  World w;
  w.family = make<TaskFamilyRegistry>(task, options, int64_t{2});
  w.model = make<ModelRegistry>(model, net, w.family->spec().shape);
  w.batch = w.family->sample(*w.model, asks_for(std::vector<int64_t>{0, 0, 1, 1}, Rng(11)), Split::kTrain);
  return w;
}
World quadratics() {
  return world("quadratics", {{"dims", 3}}, "point", Json::object());
}
World sines() {
  return world("sinusoid", {{"shots", 4}, {"queries", 3}}, "mlp", {{"hidden", {3}}, {"activation", "tanh"}});
}

std::unique_ptr<Learner> learner(const World& w, const std::string& kind, Json settings) {
  settings["optimizer"] = "sgd";
  return make<LearnerRegistry>(kind, settings, LearnerSetting{*w.model, w.family->spec()});
}

State start(const Learner& l) {
  State s = l.init(split_keys(Rng(5), "agent", 2), at::kFloat);
  s.theta = s.theta.to(at::kDouble);
  for (auto& [name, t] : s.own)
    t = (t.to(at::kDouble) +
         (name == "share" ? 0.0 : 0.3) * normal(Rng(6).split(name), t.sizes().vec(), at::kDouble));
  return s;
}

// An agent's loss at a row [P]: the mean over its tasks, support and query together.
double loss_of(const World& w, int64_t agent, const Tensor& row) {
  const auto tasks = w.batch->slice(2 * agent, 2 * agent + 2);
  const Tensor rows = row.unsqueeze(0).expand({2, row.size(0)});
  return ((tasks->loss(rows, Stage::kSupport, Rng(7)) + tasks->loss(rows, Stage::kQuery, Rng(7))) / 2)
      .mean()
      .item<double>();
}
Tensor slope_of(const World& w, int64_t agent, const Tensor& row, double h = 1e-5) {
  Tensor g = at::zeros_like(row);
  for (int64_t i = 0; i < row.size(0); ++i) {
    Tensor up = row.clone(), down = row.clone();
    up[i] += h, down[i] -= h;
    g[i] = (loss_of(w, agent, up) - loss_of(w, agent, down)) / (2 * h);
  }
  return g;
}
double furthest(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// On a quadratic with Hessian H and slope g at 0: v = (H + lambda)^-1 (lambda w - g).
TEST(Ditto, ComesToTheProximalOptimum) {
  const World w = quadratics();
  for (const double pull : {0.0, 0.7, 30.0}) {
    const auto l = learner(w, "ditto", {{"pull", pull}, {"personal_lr", 0.02}, {"meta_lr", 0.0}});
    State s = start(*l);
    for (int i = 0; i < 6000; ++i) l->step(s, *w.batch, Rng(i));
    for (int64_t a = 0; a < 2; ++a) {
      const Tensor zero = at::zeros({3}, at::kDouble), g = slope_of(w, a, zero);
      std::vector<Tensor> columns;
      for (int64_t i = 0; i < 3; ++i) {
        Tensor e = at::zeros({3}, at::kDouble);
        e[i] = 1;
        columns.push_back(slope_of(w, a, e, 1e-3) - slope_of(w, a, zero, 1e-3));
      }
      const Tensor h = at::stack(columns, 1) + pull * at::eye(3, at::kDouble);
      const Tensor best = at::linalg_solve(h, pull * s.own.at("anchor")[a] - g);
      EXPECT_LE(furthest(s.own.at("personal")[a], best), 1e-5 * (1 + best.abs().max().item<double>()))
          << pull;
    }
  }
}

TEST(Ditto, TheCommonRowLearnsAsIfThereWereNoPersonalOne) {
  const World w = sines();
  const auto l = learner(w, "ditto", {{"meta_lr", 0.1}, {"personal_lr", 0.05}, {"pull", 0.3}});
  const State s = start(*l);
  State moved = s;
  l->step(moved, *w.batch, Rng(7));
  for (int64_t a = 0; a < 2; ++a) {
    EXPECT_LE(furthest(moved.theta[a], s.theta[a] - 0.1 * slope_of(w, a, s.theta[a])), 1e-8);
    const Tensor v = s.own.at("personal")[a];
    const Tensor expected = v - 0.05 * (slope_of(w, a, v) + 0.3 * (v - s.own.at("anchor")[a]));
    EXPECT_LE(furthest(moved.own.at("personal")[a], expected), 1e-8);
  }
}

TEST(Apfl, FollowsItsThreeUpdates) {
  const World w = sines();
  const auto l = learner(
      w, "apfl",
      {{"meta_lr", 0.1}, {"personal_lr", 0.05}, {"share", 0.25} /* exact in a float */, {"share_lr", 0.02}});
  const State s = start(*l);
  State moved = s;
  l->step(moved, *w.batch, Rng(7));
  for (int64_t a = 0; a < 2; ++a) {
    const Tensor v = s.own.at("own")[a], common = s.theta[a], mixed = 0.25 * v + 0.75 * common;
    const Tensor g = slope_of(w, a, mixed);
    EXPECT_LE(furthest(moved.theta[a], common - 0.1 * slope_of(w, a, common)), 1e-8);
    EXPECT_LE(furthest(moved.own.at("own")[a], v - 0.05 * 0.25 * g), 1e-8);
    EXPECT_NEAR(moved.own.at("share")[a].item<double>(), 0.25 - 0.02 * at::dot(v - common, g).item<double>(),
                1e-7);
    EXPECT_LE(furthest(l->adapt(s, *w.batch, std::vector<int64_t>{0}, Rng(7))[0][2 * a], mixed), 1e-12);
  }
}

TEST(Apfl, TheShareStaysAShare) {
  const World w = sines();
  const auto l = learner(w, "apfl", {{"share_lr", 1e4}, {"meta_lr", 0.01}});
  State s = start(*l);
  for (int i = 0; i < 3; ++i) {
    l->step(s, *w.batch, Rng(i));
    EXPECT_TRUE(s.own.at("share").ge(0).logical_and(s.own.at("share").le(1)).all().item<bool>());
  }
}

TEST(FedRep, MovesTheHeadOnTheBodyAndThenTheBodyForTheHead) {
  const World w = sines();
  const auto l =
      learner(w, "fedrep", {{"head_steps", 2}, {"head_lr", 0.05}, {"meta_lr", 0.1}, {"proximal", 0.5}});
  State s = start(*l);
  s.own["anchor"] = s.theta;
  State moved = s;
  l->step(moved, *w.batch, Rng(7));
  const int64_t body = w.model->layout().at("head.weight").offset;
  EXPECT_EQ(dynamic_cast<const Personal&>(*l).said(), body);
  for (int64_t a = 0; a < 2; ++a) {
    Tensor row = s.theta[a].clone();
    for (int k = 0; k < 2; ++k) row.slice(0, body).sub_(0.05 * slope_of(w, a, row).slice(0, body));
    const Tensor g = slope_of(w, a, row);
    row.slice(0, 0, body).sub_(0.1 * g.slice(0, 0, body));
    EXPECT_LE(furthest(moved.theta[a], row), 1e-8);
  }
  const auto no_body = make<ModelRegistry>("mlp", {{"hidden", Json::array()}}, w.family->spec().shape);
  EXPECT_THROW(make<LearnerRegistry>("fedrep", Json::object(), LearnerSetting{*no_body, w.family->spec()}),
               UserError);
}

// After an exchange with everyone the bodies are the same, and the heads are as they were; bits are charged
// for what is said alone.
TEST(FedRep, HeadsStayHome) {
  Json all{{"agents", 3}, {"rounds", 2}, {"tasks", 2}, {"same_start", false}};
  all["task"]["kind"] = "sinusoid";
  all["model"] = {{"kind", "mlp"}, {"hidden", {5}}};
  all["learner"]["kind"] = "fedrep";
  for (const char* topology : {"full", "star"}) {
    all["exchange"]["topology"] = topology;
    const Experiment e = Experiment::build(Config::of(all, "fedrep.toml"));
    RunState run = start_run(e);
    const Tensor before = run.learner.theta.clone();
    communicate(e, run);
    const int64_t body = e.model->layout().at("head.weight").offset, width = before.size(1);
    EXPECT_LT(body, width);
    EXPECT_TRUE(run.learner.theta.slice(1, body).equal(before.slice(1, body))) << topology;
    EXPECT_LE(furthest(run.learner.theta.slice(1, 0, body),
                       before.slice(1, 0, body).mean(0, true).expand({3, body})),
              1e-6)
        << topology;
    const int64_t messages = 6;  // to each other; to the server and back
    EXPECT_EQ(run.exchange.total_bits(), messages * body * 32) << topology;
  }
}

}  // namespace
}  // namespace symma
