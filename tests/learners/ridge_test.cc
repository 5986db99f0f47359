// Learners that set the last layer by a formula: solutions against dense linear algebra that shares no code
// with them, gradients against finite differences, and the posterior of ALPaCA against conditioning the joint
// Gaussian of all targets.
#include "symma/learners/points/ridge.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "core/every_simd.h"
#include "symma/core/errors.h"
#include "symma/core/rng.h"
#include "symma/learners/points/ridge_row.h"

namespace symma {
namespace {

double furthest(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a - b).abs().max().item<double>();
}

TEST(Ridge, IsTheLeastOfItsSumWhicheverSideIsSmaller) {
  for (const int64_t k : {1, 3, 4, 9}) {
    const int64_t d = 4;
    const Tensor z = normal(Rng(1), {2, k, d}, at::kDouble), r = normal(Rng(2), {2, k, 3}, at::kDouble),
                 v = normal(Rng(3), {2, 5, d}, at::kDouble);
    const Tensor inverse = at::linalg_inv(at::matmul(z.transpose(1, 2), z) + at::eye(d, z.options()));
    const Ridge ridge(z);
    EXPECT_LE(furthest(ridge.weights(r), at::matmul(inverse, at::matmul(z.transpose(1, 2), r))), 1e-12) << k;
    const Tensor wide = at::matmul(at::matmul(v, inverse), v.transpose(1, 2));
    EXPECT_LE(furthest(ridge.spread(v), wide.diagonal(0, 1, 2)), 1e-12) << k;
  }
}

// By plain loops, whose sums are taken in one order on every processor.
TEST(RidgeRow, IsTheSameOnEveryInstructionSet) {
  for (const int64_t inputs : {1, 7, 40}) {
    std::vector<double> first;
    on_every_simd([&](Simd) {
      RidgeRow row(5, 9, inputs, 3);
      Draws draws(Rng(4));
      std::vector<double> now;
      const auto fill = [&](const RidgeRow::Matrix& m) {
        for (int64_t i = 0; i < m.rows; ++i) draws.normals(m[i], m.columns);
      };
      const auto read = [&](const RidgeRow::Matrix& m) {
        for (int64_t i = 0; i < m.rows; ++i) now.insert(now.end(), m[i], m[i] + m.columns);
      };
      for (const auto& m : {row.z, row.s, row.y, row.prior}) fill(m);
      row.solve(true);
      read(row.output), read(row.spread);
      fill(row.output), fill(row.spread);
      row.back();
      read(row.dz), read(row.ds), read(row.dprior);
      if (first.empty()) first = now;
      EXPECT_EQ(now, first) << inputs;
    });
  }
}

TEST(Ridge, ARowThatIsNotFiniteIsNoOthersFault) {
  for (const int64_t k : {2, 9}) {
    Tensor z = normal(Rng(1), {3, k, 4}, at::kDouble);
    z[1][0][2] = std::numeric_limits<double>::quiet_NaN();
    const Tensor w = Ridge(z).weights(normal(Rng(2), {3, k, 1}, at::kDouble));
    EXPECT_TRUE(w[0].isfinite().all().item<bool>() && w[2].isfinite().all().item<bool>());
    EXPECT_TRUE(w[1].isnan().all().item<bool>());
  }
}

struct World {
  std::string name;
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<TaskBatch> batch;
  const SupervisedBatch& points() const { return dynamic_cast<const SupervisedBatch&>(*batch); }
  bool classes() const { return family->spec().kind == Kind::kClassification; }
};

World world(const std::string& name, const std::string& family, const Json& task, const std::string& model,
            const Json& net) {
  World w{name, make<TaskFamilyRegistry>(family, task, int64_t{1}), nullptr, nullptr};
  w.model = make<ModelRegistry>(model, net, w.family->spec().shape);
  w.batch = w.family->sample(*w.model, asks_for(std::vector<int64_t>(3, 0), Rng(11)), Split::kTrain);
  return w;
}

// Rows that count unequally, in groups of unequal size.
std::string table(bool classes) {
  const std::string path = testing::TempDir() + (classes ? "ridge_classes.csv" : "ridge_numbers.csv");
  std::ofstream csv(path);
  csv << "task,a,b,w,y\n";
  Draws d(Rng(2));
  for (int task = 0; task < 5; ++task) {
    for (int i = 0; i < 9 + 2 * task; ++i) {
      csv << "t" << task << "," << d.normal() << "," << d.normal() << "," << d.uniform(0.5, 2) << ",";
      if (classes) {
        csv << "xyz"[i % 3] << "\n";
      } else {
        csv << d.normal() << "\n";
      }
    }
  }
  return path;
}

// More examples than features, and fewer; numbers and classes; no body, a smooth one, and one of
// convolutions.
std::vector<World> worlds() {
  const Json smooth{{"hidden", {4}}, {"activation", "tanh"}};
  const auto rows = [&](bool classes) {
    return Json{{"path", table(classes)},
                {"predict", classes ? "classification" : "regression"},
                {"weight", "w"},
                {"shots", classes ? 2 : 3},
                {"queries", 6}};
  };
  std::vector<World> out;
  out.push_back(world("sines", "sinusoid", {{"shots", 8}, {"queries", 6}}, "mlp", smooth));
  out.push_back(world("few sines", "sinusoid", {{"shots", 2}, {"queries", 6}}, "mlp", smooth));
  out.push_back(world("blobs", "blobs", {{"ways", 3}, {"shots", 2}, {"queries", 3}}, "mlp", smooth));
  out.push_back(world("few blobs", "blobs", {{"ways", 2}, {"shots", 1}, {"queries", 3}}, "mlp", smooth));
  out.push_back(world("table", "table", rows(false), "mlp", {{"hidden", Json::array()}}));
  out.push_back(world("table of classes", "table", rows(true), "mlp", {{"hidden", Json::array()}}));
  return out;
}

std::unique_ptr<Learner> learner(const World& w, const std::string& kind, Json settings) {
  settings["optimizer"] = "sgd";
  settings["meta_lr"] = 1.0;
  return make<LearnerRegistry>(kind, settings, LearnerSetting{*w.model, w.family->spec()});
}

// A row in float64 whose parts are all away from where they begin.
State start(const Learner& l) {
  State s = l.init(split_keys(Rng(5), "agent", 1), at::kFloat);
  s.theta = s.theta.to(at::kDouble) + 0.1 * normal(Rng(6), s.theta.sizes().vec(), at::kDouble);
  for (auto& [name, t] : s.own) t = t.to(at::kDouble);
  return s;
}

// What the solution is made of, from scratch: [K, D] inputs with a one, [K, C] targets, [K] weights.
struct Dense {
  Tensor z, y, w;
};
Dense dense(const World& w, const Tensor& row, Stage stage, int64_t b) {
  const SupervisedBatch& p = w.points();
  const Tensor theta = row.narrow(1, 0, w.model->layout().size());
  const Tensor x = p.x(stage).slice(0, b, b + 1).to(at::kDouble);
  const Tensor f = w.model->features(theta, x, p.mode())[0];
  const Tensor label = p.y(stage)[b];
  Tensor y = label.to(at::kDouble);
  if (w.classes()) {
    y = at::zeros({f.size(0), w.family->spec().shape.out}, at::kDouble);
    for (int64_t k = 0; k < f.size(0); ++k) y[k][label[k].item<int64_t>()] = 1;
  }
  return {
      at::cat({f, at::ones({f.size(0), 1}, at::kDouble)}, 1), y,
      p.weight(stage).defined() ? p.weight(stage)[b].to(at::kDouble) : at::ones({f.size(0)}, at::kDouble)};
}
Tensor head_of(const World& w, const Tensor& row) {
  const auto& e = w.model->layout().at("head.weight");
  return row[0].slice(0, e.offset, w.model->layout().size()).view({-1, e.shape[1]});
}

TEST(R2d2, TheHeadSolvesTheNormalEquations) {
  for (const World& w : worlds()) {
    for (const std::string towards : {"zero", "start"}) {
      const auto l = learner(w, "r2d2", {{"towards", towards}, {"ridge", 0.3}, {"factor", 4}});
      const State s = start(*l);
      const int64_t p = w.model->layout().size();
      const double lambda = std::exp(s.theta[0][p].item<double>()),
                   factor = w.classes() ? std::exp(s.theta[0][p + 1].item<double>()) : 1;
      const auto rows = l->adapt(s, *w.batch, std::vector<int64_t>{0, 1, 7}, Rng(7));
      EXPECT_TRUE(rows[1].equal(rows[2]));
      EXPECT_TRUE(rows[0].equal(s.theta.narrow(1, 0, p).expand({3, p})));
      for (int64_t b = 0; b < 3; ++b) {
        const Dense d = dense(w, s.theta, Stage::kSupport, b);
        const Tensor prior = towards == "start" ? head_of(w, s.theta) / factor : at::zeros({}, at::kDouble);
        // The gradient of sum_k w_k |z_k W - y_k|^2 + lambda |W - W_0|^2 is 0.
        const Tensor solved = head_of(w, rows[1].slice(0, b, b + 1)) / factor;
        const Tensor off = at::matmul(d.z, solved) - d.y;
        const Tensor slope = at::matmul(d.z.t(), d.w.unsqueeze(1) * off) + lambda * (solved - prior);
        EXPECT_LE(slope.abs().max().item<double>(), 1e-11) << w.name << ", " << towards;
        EXPECT_TRUE(rows[1][b]
                        .slice(0, 0, w.model->layout().at("head.weight").offset)
                        .equal(rows[0][b].slice(0, 0, w.model->layout().at("head.weight").offset)));
      }
    }
  }
}

// p(query | support) as the quotient of two joint densities of all targets, output by output: targets are
// N(Z W_0, noise^2 (Z S Z^T + 1 / weight)), S = A A^T.
double log_density(const Tensor& y, const Tensor& mean, const Tensor& covariance) {
  const Tensor off = (y - mean).unsqueeze(1);
  const double square = at::matmul(off.t(), at::linalg_solve(covariance, off)).item<double>();
  const double log_det = std::get<1>(at::linalg_slogdet(covariance)).item<double>();
  return -0.5 * (square + log_det + static_cast<double>(y.size(0)) * std::log(2 * M_PI));
}

Tensor prior_factor(const World& w, const Tensor& row, bool full) {
  const int64_t d = head_of(w, row).size(0);
  Tensor a = at::zeros({d, d}, at::kDouble);
  int64_t at = w.model->layout().size();
  for (int64_t i = 0; i < d; ++i) {
    if (full) {
      for (int64_t j = 0; j < i; ++j) a[i][j] = row[0][at++];
    }
    a[i][i] = row[0][at++].exp();
  }
  return a;
}

TEST(Alpaca, IsExactBayesianLinearRegression) {
  for (const World& w : worlds()) {
    for (const std::string prior : {"full", "diagonal"}) {
      const auto l = learner(w, "alpaca", {{"prior", prior}, {"noise", 0.4}, {"spread", 0.7}});
      const State s = start(*l);
      const Tensor a = prior_factor(w, s.theta, prior == "full"), cov = at::matmul(a, a.t());
      const double noise = std::exp(s.theta[0][s.theta.size(1) - 1].item<double>());
      const double logits = w.classes() ? 1 / (noise * noise) : 1;
      const Tensor head = head_of(w, s.theta) / logits;
      const Tensor rows = l->adapt(s, *w.batch, std::vector<int64_t>{1}, Rng(7))[0];
      double surprise = 0;
      for (int64_t b = 0; b < 3; ++b) {
        const Dense known = dense(w, s.theta, Stage::kSupport, b),
                    asked = dense(w, s.theta, Stage::kQuery, b);
        const int64_t k = known.z.size(0), n = k + 1;
        const Tensor adapted = head_of(w, rows.slice(0, b, b + 1)) / logits;
        double of_task = 0, counts = 0;
        for (int64_t q = 0; q < asked.z.size(0); ++q) {
          const Tensor z = at::cat({known.z, asked.z.slice(0, q, q + 1)});
          const Tensor together = noise * noise *
                                  (at::matmul(at::matmul(z, cov), z.t()) +
                                   at::diag(at::cat({1 / known.w, at::ones({1}, at::kDouble)})));
          const Tensor before = together.slice(0, 0, k).slice(1, 0, k), across = together[k].slice(0, 0, k);
          for (int64_t c = 0; c < known.y.size(1); ++c) {
            const Tensor mean = at::matmul(z, head).select(1, c), y = known.y.select(1, c);
            const Tensor expected =
                mean[k] + at::dot(across, at::linalg_solve(before, y - mean.slice(0, 0, k)));
            EXPECT_NEAR(at::matmul(asked.z[q], adapted)[c].item<double>(), expected.item<double>(), 1e-10)
                << w.name << ", " << prior;
            of_task -= asked.w[q].item<double>() *
                       (log_density(at::cat({y, asked.y[q].slice(0, c, c + 1)}), mean, together) -
                        log_density(y, mean.slice(0, 0, k), before));
          }
          counts += asked.w[q].item<double>();
          ASSERT_EQ(n, z.size(0));
        }
        surprise += of_task / counts / 3;
      }
      if (w.classes()) continue;  // judged by cross-entropy
      State moved = s;
      EXPECT_NEAR(l->step(moved, *w.batch, Rng(7)).at("loss").item<double>(), surprise, 1e-9)
          << w.name << ", " << prior;
    }
  }
}

// d f / d theta by central differences, theta [1, Q].
Tensor numeric(const std::function<double(const Tensor&)>& f, const Tensor& theta, double h = 1e-5) {
  Tensor g = at::zeros_like(theta);
  for (int64_t i = 0; i < theta.size(1); ++i) {
    Tensor up = theta.clone(), down = theta.clone();
    up[0][i] += h;
    down[0][i] -= h;
    g[0][i] = (f(up) - f(down)) / (2 * h);
  }
  return g;
}

class ByFormula : public testing::TestWithParam<std::pair<std::string, Json>> {};

// The loss that a step tells, whose gradient it follows; where rows are judged by it, that loss is theirs
// after one step of adapting.
TEST_P(ByFormula, AStepFollowsTheGradientOfWhatItTells) {
  const auto& [kind, settings] = GetParam();
  for (const World& w : worlds()) {
    const auto l = learner(w, kind, settings);
    const State s = start(*l);
    const auto told = [&](const Tensor& theta) {
      State moved = s;
      moved.theta = theta;
      return l->step(moved, *w.batch, Rng(7)).at("loss").item<double>();
    };
    State moved = s;
    const double loss = l->step(moved, *w.batch, Rng(7)).at("loss").item<double>();
    const Tensor g = s.theta - moved.theta, expected = numeric(told, s.theta);
    EXPECT_GT(expected.abs().max().item<double>(), 1e-3);
    EXPECT_LE(furthest(g, expected), 1e-7 * std::max(1.0, expected.abs().max().item<double>()))
        << w.name << ", " << kind << settings;
    if (kind == "alpaca" && !w.classes()) continue;
    const Tensor rows = l->adapt(s, *w.batch, std::vector<int64_t>{1}, Rng(7))[0];
    EXPECT_NEAR(w.batch->loss(rows, Stage::kQuery, Rng(7)).mean().item<double>(), loss, 1e-10) << w.name;
  }
}

// Images, by a network of convolutions with more features than examples: the gradient along one direction (a
// step too short to meet a kink), and rows in float near those in double.
TEST_P(ByFormula, LearnsOnConvolutions) {
  const auto& [kind, settings] = GetParam();
  const ModelShape shape{{8, 8, 1}, 3};
  const auto model = make<ModelRegistry>("conv", {{"channels", 6}, {"blocks", 2}}, shape);
  Episodes e;
  e.support_x = normal(Rng(1), {2, 6, 8, 8, 1}), e.query_x = normal(Rng(2), {2, 6, 8, 8, 1});
  e.support_y = e.query_y = at::arange(6).remainder(3).expand({2, 6}).contiguous();
  const SupervisedBatch batch(*model, Kind::kClassification, e, Mode::kTrain);
  Json options = settings;
  options["optimizer"] = "sgd", options["meta_lr"] = 1.0;
  const TaskSpec spec{.shape = shape, .kind = Kind::kClassification, .metric = "accuracy", .classes = 3};
  const auto l = make<LearnerRegistry>(kind, options, LearnerSetting{*model, spec});
  const State s = start(*l);
  const auto told = [&](const Tensor& theta) {
    State moved = s;
    moved.theta = theta;
    return l->step(moved, batch, Rng(7)).at("loss").item<double>();
  };
  State moved = s;
  l->step(moved, batch, Rng(7));
  const Tensor along = normal(Rng(8), s.theta.sizes().vec(), at::kDouble) * 1e-8;
  const double slope = (told(s.theta + along) - told(s.theta - along)) / 2;
  EXPECT_NEAR(((s.theta - moved.theta) * along).sum().item<double>(), slope, 1e-5 * std::abs(slope));
  State single = s;
  single.theta = s.theta.to(at::kFloat);
  const std::vector<int64_t> one{1};
  const Tensor coarse = l->adapt(single, batch, one, Rng(7))[0], fine = l->adapt(s, batch, one, Rng(7))[0];
  EXPECT_LE(furthest(coarse.to(at::kDouble), fine), 1e-3 * fine.abs().max().item<double>());
}

TEST_P(ByFormula, NeedsPointsAndFeatures) {
  const auto& kind = GetParam().first;
  const auto& settings = GetParam().second;
  const auto refused = [&](const std::string& task, const std::string& model) {
    const auto family = make<TaskFamilyRegistry>(task, Json::object(), int64_t{1});
    const auto net = make<ModelRegistry>(model, Json::object(), family->spec().shape);
    try {
      make<LearnerRegistry>(kind, settings, LearnerSetting{*net, family->spec()});
    } catch (const UserError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  for (const auto& [task, model] :
       {std::pair{"games", "tabular"}, {"games", "mlp"}, {"quadratics", "point"}}) {
    const std::string said = refused(task, model);
    EXPECT_NE(said.find(kind), std::string::npos) << task << ": " << said;
    EXPECT_NE(said.find("labelled points"), std::string::npos) << task << ": " << said;
  }
}

INSTANTIATE_TEST_SUITE_P(Learners, ByFormula,
                         testing::Values(std::pair{std::string("r2d2"), Json{{"towards", "zero"}}},
                                         std::pair{std::string("r2d2"), Json{{"towards", "start"}}},
                                         std::pair{std::string("alpaca"), Json{{"prior", "full"}}},
                                         std::pair{std::string("alpaca"), Json{{"prior", "diagonal"}}}),
                         [](const auto& info) {
                           return info.param.first + "_" +
                                  info.param.second.front().template get<std::string>();
                         });

// A head that makes some of the outputs is no head to set: `ranking` has one, a table and a few rates have
// none. Each is refused while the learner is built, also by those that put a classifier in its place.
TEST(Features, AreOfALastLayerThatMakesAllOutputs) {
  const ModelShape shape{{6}, 3};
  TaskSpec spec{.shape = shape, .kind = Kind::kClassification, .metric = "accuracy"};
  spec.classes = 3;
  const auto ranking = make<ModelRegistry>("ranking", {{"context", 2}, {"thing", 2}}, shape);
  const auto mlp = make<ModelRegistry>("mlp", {{"hidden", {4}}}, shape);
  for (const char* kind : {"protonet", "r2d2", "pretrain", "fedrep"}) {
    std::string said;
    try {
      make<LearnerRegistry>(kind, Json::object(), LearnerSetting{*ranking, spec});
    } catch (const UserError& e) {
      said = e.what();
    }
    EXPECT_NE(said.find("[model] kind"), std::string::npos) << kind << ": " << said;
    EXPECT_NO_THROW(make<LearnerRegistry>(kind, Json::object(), LearnerSetting{*mlp, spec})) << kind;
  }
  const auto rates = make<ModelRegistry>("compartment", Json::object(), ModelShape{{2}, 1});
  const TaskSpec doses{.shape = {{2}, 1}, .kind = Kind::kRegression, .metric = "mse"};
  for (const char* kind : {"alpaca", "r2d2", "fedrep"})
    EXPECT_THROW(make<LearnerRegistry>(kind, Json::object(), LearnerSetting{*rates, doses}), UserError)
        << kind;
}

}  // namespace
}  // namespace symma
