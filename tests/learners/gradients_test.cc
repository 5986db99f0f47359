// The gradient of every learner against finite differences in float64, and second-order MAML against a double
// loop that shares no code with it. A learner's gradient is read off a step of its outer SGD with meta_lr
// = 1.
#include <gtest/gtest.h>

#include <fstream>

#include "symma/learners/learner.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

struct World {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<TaskBatch> batch;
};

World world(const std::string& family, const Json& task, const std::string& model, const Json& net,
            int64_t tasks) {
  World w;
  w.family = make<TaskFamilyRegistry>(family, task, int64_t{1});
  w.model = make<ModelRegistry>(model, net, w.family->spec().shape);
  w.batch = w.family->sample(*w.model, asks_for(std::vector<int64_t>(tasks, 0), Rng(11)), Split::kTrain);
  return w;
}

// A smooth little net: finite differences want no kinks.
World sines(int64_t hidden = 4) {
  return world("sinusoid", {{"shots", 5}, {"queries", 6}}, "mlp",
               {{"hidden", {hidden}}, {"activation", "tanh"}}, 3);
}
World clusters() {
  return world("blobs", {{"ways", 3}, {"shots", 2}, {"queries", 3}}, "mlp",
               {{"hidden", {4}}, {"activation", "tanh"}}, 3);
}

std::unique_ptr<Learner> learner(const World& w, const std::string& kind, Json settings) {
  if (kind != "scratch") {
    settings["optimizer"] = "sgd";
    settings["meta_lr"] = 1.0;
  }
  return make<LearnerRegistry>(kind, settings, LearnerSetting{*w.model, w.family->spec()});
}

State start(const Learner& l) {
  State s = l.init(split_keys(Rng(5), "agent", 1), at::kFloat);
  s.theta = s.theta.to(at::kDouble);
  for (auto& [name, t] : s.own) t = t.to(at::kDouble);
  return s;
}

Tensor gradient_of_step(const Learner& l, const State& at_state, const TaskBatch& batch) {
  State s = at_state;
  l.step(s, batch, Rng(7));
  return at_state.theta - s.theta;
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

void expect_close(const Tensor& a, const Tensor& b, double tolerance) {
  ASSERT_EQ(a.sizes(), b.sizes());
  EXPECT_GT(b.abs().max().item<double>(), 1e-3) << "nothing to compare";
  EXPECT_LE((a - b).abs().max().item<double>(), tolerance * std::max(1.0, b.abs().max().item<double>()))
      << a << b;
}

// Mean query loss after `steps` steps of adaptation: what second-order learners descend.
std::function<double(const Tensor&)> adapted_loss(const World& w, const Learner& l, int64_t steps) {
  return [&w, &l, steps](const Tensor& theta) {
    const State s = State::of(theta);
    return w.batch->loss(l.adapt(s, *w.batch, std::vector<int64_t>{steps}, Rng(7))[0], Stage::kQuery, Rng(7))
        .mean()
        .item<double>();
  };
}

void check_maml(const World& w, Json settings, int64_t steps, double tolerance = 1e-7) {
  settings["inner_steps"] = steps;
  settings["inner_lr"] = 0.05;
  const auto l = learner(w, "maml", settings);
  const State s = start(*l);
  expect_close(gradient_of_step(*l, s, *w.batch), numeric(adapted_loss(w, *l, steps), s.theta), tolerance);
}

TEST(Gradients, MamlOneStep) {
  check_maml(sines(), {}, 1);
}
TEST(Gradients, MamlThreeSteps) {
  check_maml(sines(), {}, 3);
}
TEST(Gradients, MamlOfClassification) {
  check_maml(clusters(), {}, 2);
}
TEST(Gradients, MetaSgdInPointAndRates) {
  check_maml(sines(), {{"learn_lr", true}}, 2);
}
TEST(Gradients, Anil) {
  check_maml(sines(), {{"adapt", "head"}}, 2);
}
TEST(Gradients, AnilWithLearnedRates) {
  check_maml(clusters(), {{"adapt", "head"}, {"learn_lr", true}}, 2);
}

TEST(Gradients, FirstOrderMamlIsTheGradientAtTheAdaptedPoint) {
  const World w = sines();
  const auto l = learner(w, "maml", {{"order", 1}, {"inner_steps", 2}, {"inner_lr", 0.05}});
  const State s = start(*l);
  const Tensor phi = l->adapt(s, *w.batch, std::vector<int64_t>{2}, Rng(7))[0];
  Tensor mean = at::zeros_like(s.theta);
  for (int64_t b = 0; b < 3; ++b) {
    const auto one = w.batch->slice(b, b + 1);
    mean += numeric([&](const Tensor& at) { return one->loss(at, Stage::kQuery, Rng(7)).item<double>(); },
                    phi.slice(0, b, b + 1)) /
            3;
  }
  expect_close(gradient_of_step(*l, s, *w.batch), mean, 1e-8);
}

TEST(Gradients, FirstOrderMetaSgdRates) {
  // With one inner step nothing is left out of the rates' gradient: it is -grad L_support . grad L_query, as
  // of second order.
  const World w = sines();
  const auto first = learner(w, "maml", {{"order", 1}, {"learn_lr", true}}),
             second = learner(w, "maml", {{"order", 2}, {"learn_lr", true}});
  const State s = start(*first);
  const int64_t p = w.model->layout().size();
  expect_close(gradient_of_step(*first, s, *w.batch).slice(1, p, 2 * p),
               gradient_of_step(*second, s, *w.batch).slice(1, p, 2 * p), 1e-12);
}

TEST(Gradients, ImplicitMamlOfASolvedInnerProblem) {
  const World w = sines();
  // With the inner problem solved and the linear system too, the implicit gradient is that of the solution
  // itself. lambda = 8 makes the inner problem convex enough to be solved to the last digit; with 2 its
  // slowest direction is still moving after 600 steps.
  const auto l =
      learner(w, "imaml", {{"inner_steps", 300}, {"inner_lr", 0.05}, {"lambda", 8.0}, {"cg_steps", 40}});
  const State s = start(*l);
  expect_close(gradient_of_step(*l, s, *w.batch), numeric(adapted_loss(w, *l, 300), s.theta), 1e-7);
}

// In the start and in the logarithms of the weights.
TEST(Gradients, ImplicitMamlWithLearnedWeights) {
  const World w = sines();
  const auto l = learner(
      w, "imaml",
      {{"inner_steps", 400}, {"inner_lr", 0.05}, {"lambda", 8.0}, {"learn_lambda", true}, {"cg_steps", 40}});
  State s = start(*l);
  const int64_t p = w.model->layout().size();
  ASSERT_EQ(s.theta.size(1), 2 * p);
  s.theta.narrow(1, p, p).add_(normal(Rng(9), {1, p}, at::kDouble), 0.3);
  expect_close(gradient_of_step(*l, s, *w.batch), numeric(adapted_loss(w, *l, 400), s.theta), 1e-7);
}

// Newton's steps end where hundreds of gradient steps do, and what is learned from there is the same.
TEST(Gradients, ImplicitMamlByNewton) {
  const World w = sines();
  for (const bool weights : {false, true}) {
    SCOPED_TRACE(weights ? "learned weights" : "one weight");
    const Json common{{"lambda", 8.0}, {"learn_lambda", weights}};
    Json slow = common, fast = common;
    slow.update({{"inner_steps", 600}, {"inner_lr", 0.05}, {"cg_steps", 40}});
    fast.update({{"inner_steps", 12}, {"inner_solver", "newton"}});
    const auto by_gradient = learner(w, "imaml", slow), by_newton = learner(w, "imaml", fast);
    State s = start(*by_newton);
    const int64_t p = w.model->layout().size();
    if (weights) s.theta.narrow(1, p, p).add_(normal(Rng(9), {1, p}, at::kDouble), 0.3);
    const Tensor solved = by_newton->adapt(s, *w.batch, {{12}}, Rng(2))[0];
    expect_close(solved, by_gradient->adapt(s, *w.batch, {{600}}, Rng(2))[0], 1e-8);
    for (int64_t b = 0; b < 3; ++b)  // who else is there makes no difference, in no digit
      EXPECT_TRUE(
          by_newton->adapt(s, *w.batch->slice(b, b + 1), {{12}}, Rng(2))[0].equal(solved.narrow(0, b, 1)));
    const Tensor g = gradient_of_step(*by_newton, s, *w.batch);
    expect_close(g, gradient_of_step(*by_gradient, s, *w.batch), 1e-7);
    expect_close(g, numeric(adapted_loss(w, *by_newton, 12), s.theta), 1e-7);
  }
}

TEST(Gradients, NewtonIsForModelsOfAFewNumbers) {
  const World w = sines(48);
  try {
    (void)learner(w, "imaml", {{"inner_solver", "newton"}});
    FAIL() << "was taken";
  } catch (const UserError& e) {
    EXPECT_EQ(e.place(), "[learner] inner_solver");
    EXPECT_NE(e.wrong().find("145"), std::string::npos) << e.wrong();
  }
}

TEST(Gradients, ReptileIsTheWayThatDescentGoes) {
  const World w = sines();
  const auto l = learner(w, "reptile", {{"inner_steps", 3}, {"inner_lr", 0.05}});
  const State s = start(*l);
  Tensor mean = at::zeros_like(s.theta);
  for (int64_t b = 0; b < 3; ++b) {
    const auto one = w.batch->slice(b, b + 1);
    Tensor phi = s.theta.clone();
    for (const Stage stage : {Stage::kSupport, Stage::kQuery, Stage::kSupport}) {
      phi -=
          0.05 * numeric([&](const Tensor& at) { return one->loss(at, stage, Rng(7)).item<double>(); }, phi);
    }
    mean += (s.theta - phi) / 3;
  }
  expect_close(gradient_of_step(*l, s, *w.batch), mean, 1e-8);
}

TEST(Gradients, Protonet) {
  const World w = clusters();
  const auto l = learner(w, "protonet", {});
  const State s = start(*l);
  const Tensor g = gradient_of_step(*l, s, *w.batch);
  expect_close(g, numeric(adapted_loss(w, *l, 1), s.theta), 1e-7);
  // The head is set from prototypes, never learned.
  const auto& head = w.model->layout().at("head.weight");
  EXPECT_EQ(g.slice(1, head.offset).abs().max().item<double>(), 0);
}

TEST(Gradients, PretrainOnPooledPoints) {
  const World w = sines();
  const auto l = learner(w, "pretrain", {});
  const State s = start(*l);
  const auto pooled = [&](const Tensor& theta) {
    const Tensor rows = theta.expand({3, theta.size(1)});
    return ((w.batch->loss(rows, Stage::kSupport, Rng(7)) + w.batch->loss(rows, Stage::kQuery, Rng(7))) / 2)
        .mean()
        .item<double>();
  };
  expect_close(gradient_of_step(*l, s, *w.batch), numeric(pooled, s.theta), 1e-8);
}

// Three classes by two numbers, the same in every task.
World classes_of_rows() {
  const std::string path = testing::TempDir() + "classes.csv";
  {
    std::ofstream csv(path);
    csv << "task,a,b,y\n";
    Draws d(Rng(2));
    for (int task = 0; task < 4; ++task) {
      for (int i = 0; i < 20; ++i)
        csv << "t" << task << "," << d.normal() << "," << d.normal() << ","
            << "xyz"[i % 3] << "\n";
    }
  }
  return world("table", {{"path", path}, {"predict", "classification"}, {"shots", 2}, {"queries", 6}}, "mlp",
               {{"hidden", {4}}, {"activation", "tanh"}}, 2);
}

// On a table an output is the same class everywhere: there is no classifier to throw away.
TEST(Gradients, PretrainKeepsItsHeadWhereClassesStay) {
  const World w = classes_of_rows();
  const auto l = learner(w, "pretrain", {});
  const State s = start(*l);
  ASSERT_EQ(s.theta.size(1), w.model->layout().size());
  const auto pooled = [&](const Tensor& theta) {
    const Tensor rows = theta.expand({2, theta.size(1)});
    return ((2 * w.batch->loss(rows, Stage::kSupport, Rng(7)) +
             2 * w.batch->loss(rows, Stage::kQuery, Rng(7))) /
            4)
        .mean()
        .item<double>();
  };
  expect_close(gradient_of_step(*l, s, *w.batch), numeric(pooled, s.theta), 1e-8);
  const auto rows = l->adapt(s, *w.batch, std::vector<int64_t>{0}, Rng(7));
  EXPECT_TRUE(at::equal(rows[0][1], s.theta[0].to(rows[0].options())));
}

TEST(Gradients, PretrainOnAllClasses) {
  const World w = classes_of_rows();
  TaskSpec spec = w.family->spec();
  spec.classes = 3;  // as of drawings, where a task names classes of its own
  const auto l = make<LearnerRegistry>("pretrain", Json{{"optimizer", "sgd"}, {"meta_lr", 1.0}},
                                       LearnerSetting{*w.model, spec});
  const State s = start(*l);
  const auto& batch = dynamic_cast<const SupervisedBatch&>(*w.batch);
  const int64_t p = w.model->layout().size(), f = 4, classes = 3;
  ASSERT_EQ(s.theta.size(1), p + f * classes + classes);
  const auto pooled = [&](const Tensor& theta) {
    double sum = 0;
    for (int64_t b = 0; b < 2; ++b) {
      const Tensor x =
          at::cat({batch.data().support_x[b], batch.data().query_x[b]}).to(at::kDouble).unsqueeze(0);
      const Tensor y = at::cat({batch.data().support_class[b], batch.data().query_class[b]});
      const Tensor features = w.model->features(theta.slice(1, 0, p), x, Mode::kTrain)[0];
      const Tensor logits = features.mm(theta[0].slice(0, p, p + f * classes).view({f, classes})) +
                            theta[0].slice(0, p + f * classes);
      sum -= at::log_softmax(logits, 1).gather(1, y.unsqueeze(1)).mean().item<double>() / 2;
    }
    return sum;
  };
  expect_close(gradient_of_step(*l, s, *w.batch), numeric(pooled, s.theta), 1e-8);
}

TEST(Gradients, ScratchDescendsTheSupportLoss) {
  const World w = sines();
  const auto l = learner(w, "scratch", {{"inner_lr", 0.05}, {"inner_optimizer", "sgd"}});
  const State s = start(*l);
  const auto one = w.batch->slice(0, 1);
  const auto rows = l->adapt(s, *one, std::vector<int64_t>{0, 1}, Rng(7));
  const Tensor g = numeric(
      [&](const Tensor& at) { return one->loss(at, Stage::kSupport, Rng(7)).item<double>(); }, s.theta);
  expect_close((rows[0] - rows[1]) / 0.05, g, 1e-8);
}

TEST(Gradients, MamlOfTheConvolutionalNet) {
  const TaskSpec spec{
      .shape = {{8, 8, 1}, 3}, .kind = Kind::kClassification, .metric = "accuracy", .higher_is_better = true};
  const auto model = make<ModelRegistry>("conv", {{"channels", 3}, {"blocks", 2}}, spec.shape);
  Episodes e;
  e.support_x = uniform(Rng(1), {2, 3, 8, 8, 1}, 0, 1);
  e.support_y = at::arange(3, at::kLong).repeat({2, 1});
  e.query_x = uniform(Rng(2), {2, 6, 8, 8, 1}, 0, 1);
  e.query_y = at::arange(3, at::kLong).repeat({2, 2});
  const SupervisedBatch batch(*model, Kind::kClassification, e, Mode::kTrain);
  const auto l = make<LearnerRegistry>(
      "maml", {{"optimizer", "sgd"}, {"meta_lr", 1.0}, {"inner_lr", 0.1}, {"inner_steps", 2}},
      LearnerSetting{*model, spec});
  const State s = start(*l);
  const auto f = [&](const Tensor& theta) {
    return batch
        .loss(l->adapt(State::of(theta), batch, std::vector<int64_t>{2}, Rng(7))[0], Stage::kQuery, Rng(7))
        .mean()
        .item<double>();
  };
  // ReLU has kinks; steps this small rarely cross one.
  expect_close(gradient_of_step(*l, s, batch), numeric(f, s.theta, 1e-7), 1e-5);
}

// ---- An independent double loop: y = V tanh(W x + b) + c by hand, Hessian-vector products by dual numbers.

struct Dual {
  double v, d;
};
Dual operator+(Dual a, Dual b) {
  return {a.v + b.v, a.d + b.d};
}
Dual operator-(Dual a, Dual b) {
  return {a.v - b.v, a.d - b.d};
}
Dual operator*(Dual a, Dual b) {
  return {a.v * b.v, a.v * b.d + a.d * b.v};
}
Dual tanh(Dual a) {
  const double t = std::tanh(a.v);
  return {t, (1 - t * t) * a.d};
}
double tanh_of(double a) {
  return std::tanh(a);
}
Dual tanh_of(Dual a) {
  return tanh(a);
}
double constant(double x, double) {
  return x;
}
Dual constant(double x, Dual) {
  return {x, 0};
}

// Gradient of the mean squared error, in a row laid out [W(h), b(h), V(h), c].
template <class T>
std::vector<T> loop_gradient(const std::vector<T>& row, const std::vector<double>& xs,
                             const std::vector<double>& ys, int h) {
  std::vector<T> g(row.size(), constant(0, row[0]));
  const T scale = constant(2.0 / static_cast<double>(xs.size()), row[0]);
  for (size_t k = 0; k < xs.size(); ++k) {
    const T x = constant(xs[k], row[0]);
    std::vector<T> a(h, x);
    T y = row[3 * h];
    for (int j = 0; j < h; ++j) {
      a[j] = tanh_of(row[j] * x + row[h + j]);
      y = y + row[2 * h + j] * a[j];
    }
    const T e = scale * (y - constant(ys[k], row[0]));
    g[3 * h] = g[3 * h] + e;
    for (int j = 0; j < h; ++j) {
      const T back = e * row[2 * h + j] * (constant(1, row[0]) - a[j] * a[j]);
      g[2 * h + j] = g[2 * h + j] + e * a[j];
      g[h + j] = g[h + j] + back;
      g[j] = g[j] + back * x;
    }
  }
  return g;
}

TEST(Gradients, MamlAgreesWithAnIndependentDoubleLoop) {
  for (const int steps : {1, 5}) {
    const World w = sines();
    const auto l = learner(w, "maml", {{"inner_steps", steps}, {"inner_lr", 0.05}});
    const State s = start(*l);
    const auto& data = dynamic_cast<const SupervisedBatch&>(*w.batch).data();
    const auto list = [](const Tensor& t) {
      const Tensor d = t.to(at::kDouble).contiguous();
      return std::vector<double>(d.data_ptr<double>(), d.data_ptr<double>() + d.numel());
    };
    const std::vector<double> theta = list(s.theta);
    std::vector<double> mean(theta.size());
    for (int64_t b = 0; b < 3; ++b) {
      const auto sx = list(data.support_x[b]), sy = list(data.support_y[b]), qx = list(data.query_x[b]),
                 qy = list(data.query_y[b]);
      std::vector<std::vector<double>> path{theta};
      for (int k = 0; k < steps; ++k) {
        auto next = path.back();
        const auto g = loop_gradient(next, sx, sy, 4);
        for (size_t i = 0; i < next.size(); ++i) next[i] -= 0.05 * g[i];
        path.push_back(next);
      }
      std::vector<double> g = loop_gradient(path.back(), qx, qy, 4);
      for (int k = steps; k-- > 0;) {
        std::vector<Dual> at;
        for (size_t i = 0; i < g.size(); ++i) at.push_back({path[k][i], g[i]});
        const auto hv = loop_gradient(at, sx, sy, 4);
        for (size_t i = 0; i < g.size(); ++i) g[i] -= 0.05 * hv[i].d;
      }
      for (size_t i = 0; i < g.size(); ++i) mean[i] += g[i] / 3;
    }
    expect_close(gradient_of_step(*l, s, *w.batch), at::tensor(mean, at::kDouble).unsqueeze(0), 1e-10);
    // In the precision that runs have.
    State single = State::of(s.theta.to(at::kFloat));
    expect_close(gradient_of_step(*l, single, *w.batch).to(at::kDouble),
                 at::tensor(mean, at::kDouble).unsqueeze(0), 1e-5);
  }
}

}  // namespace
}  // namespace symma
