// Learned optimisers: the gradient of a truncation against finite differences, persistent evolution
// strategies against the derivative of the whole way, and hand-made rivals against their formulas.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "symma/core/safetensors.h"
#include "symma/learners/rows.h"

namespace symma {
namespace {

struct World {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<TaskBatch> batch;
};

World quadratics(int64_t dims, int64_t tasks, double std = 0.5) {
  World w;
  w.family = make<TaskFamilyRegistry>("quadratics", {{"dims", dims}}, int64_t{1});
  w.model = make<ModelRegistry>("point", {{"std", std}}, w.family->spec().shape);
  w.batch = w.family->sample(*w.model, asks_for(std::vector<int64_t>(tasks, 0), Rng(11)), Split::kTrain);
  return w;
}

// The gradient that a step descends is then all of Adam's mean, and phi stays where it is.
std::unique_ptr<Learner> standing(const World& w, const std::string& kind, Json settings) {
  settings["meta_lr"] = 0.0;
  settings["beta1"] = 0.0;
  settings["clip_norm"] = 0.0;
  return make<LearnerRegistry>(kind, settings, LearnerSetting{*w.model, w.family->spec()});
}

// A task's start is its own, in whatever piece of work it stands.
TEST(Start, GoesByTheTask) {
  const World w = quadratics(3, 4);
  for (const char* kind : {"tuned", "lstm_optimizer", "mlp_optimizer"}) {
    const auto l =
        make<LearnerRegistry>(kind, {{"start", "drawn"}}, LearnerSetting{*w.model, w.family->spec()});
    const State s = l->init(split_keys(Rng(5), "agent", 1), at::kFloat);
    const std::vector<int64_t> steps{0};
    const Tensor whole = l->adapt(s, *w.batch, steps, Rng(6))[0],
                 second = l->adapt(s, *w.batch->slice(2, 4), steps, Rng(6))[0];
    EXPECT_TRUE(whole.narrow(0, 2, 2).equal(second)) << kind;
    EXPECT_FALSE(whole[0].equal(whole[2])) << kind;
  }
}

State start(const Learner& l, int64_t agents = 1) {
  State s = l.init(split_keys(Rng(5), "agent", agents), at::kFloat);
  s.theta = s.theta.to(at::kDouble);
  for (auto& [name, t] : s.own)
    if (t.is_floating_point()) t = t.to(at::kDouble);
  return s;
}

// Quadratics whose gradients are remembered, one for each call, and then given out whatever the point is:
// gradients that are held fixed, as the paper holds them.
class Frozen : public TaskBatch, public Portable {
 public:
  struct Memory {
    std::vector<Tensor> gradients;
    bool recording = true;
    size_t at = 0;
  };
  Frozen(std::shared_ptr<TaskBatch> real, std::shared_ptr<Memory> memory)
      : real_(std::move(real)), memory_(std::move(memory)) {}
  int64_t size() const override { return real_->size(); }
  std::unique_ptr<TaskBatch> slice(int64_t begin, int64_t end) const override {
    return real_->slice(begin, end);
  }
  Scores score(const Tensor& theta, Rng rng) const override { return real_->score(theta, rng); }
  TensorDict pack(Stage s) const override { return dynamic_cast<const Portable&>(*real_).pack(s); }
  std::unique_ptr<TaskBatch> unpack(const TensorDict& tasks) const override {
    memory_->at = 0;
    if (memory_->recording) memory_->gradients.clear();
    return std::make_unique<Frozen>(dynamic_cast<const Portable&>(*real_).unpack(tasks), memory_);
  }
  Tensor loss(const Tensor& theta, Stage s, Rng rng) const override {
    const Tensor at = leaf(theta), f = real_->loss(at, s, rng);
    if (memory_->recording) memory_->gradients.push_back(row_gradient(f, at, false));
    const Tensor g = memory_->gradients.at(memory_->at++);
    return f.detach() + (g * (theta - theta.detach())).sum(1);
  }

 private:
  std::shared_ptr<TaskBatch> real_;
  std::shared_ptr<Memory> memory_;
};

void check_unroll(const std::string& kind, Json settings) {
  settings["unroll"] = 4;
  settings["steps"] = 12;
  const World w = quadratics(3, 5);
  const auto memory = std::make_shared<Frozen::Memory>();
  const Frozen held(w.batch->slice(0, 5), memory);
  const bool exact = settings.value("order", 1) == 2;
  const TaskBatch& batch = exact ? *w.batch : static_cast<const TaskBatch&>(held);
  const auto l = standing(w, kind, settings);
  State s = start(*l);
  const int64_t p = w.model->layout().size();
  // The first truncation starts from nothing, the second from memories and, for a part of the tasks, anew.
  for (int truncation = 0; truncation < 2; ++truncation) {
    memory->recording = true;
    State after = s;
    l->step(after, batch, Rng(7));
    const Tensor gradient = after.own.at("adam.m");
    EXPECT_EQ(gradient.narrow(1, 0, p).abs().max().item<double>(), 0);
    memory->recording = false;
    const double h = 1e-5;
    double largest = 0;
    for (int64_t i = p; i < s.theta.size(1); ++i) {
      const auto value = [&](double move) {
        State moved = s;
        moved.theta = s.theta.clone();
        moved.theta[0][i] += move;
        return l->step(moved, batch, Rng(7)).at("loss").item<double>();
      };
      const double numeric = (value(h) - value(-h)) / (2 * h);
      largest = std::max(largest, std::abs(numeric));
      ASSERT_NEAR(gradient[0][i].item<double>(), numeric, 1e-7 * (1 + std::abs(numeric))) << kind << " " << i;
    }
    EXPECT_GT(largest, 1e-3) << "nothing to compare";
    s = after;
  }
}

TEST(Unroll, LstmAgainstFiniteDifferences) {
  check_unroll("lstm_optimizer", {{"hidden", {3, 2}}, {"preprocess", 0}});
  check_unroll("lstm_optimizer", {{"hidden", {3}}, {"objective", "log"}});
  check_unroll("lstm_optimizer", {{"hidden", {3}}, {"preprocess", 0}, {"order", 2}});
}

TEST(Unroll, MlpAgainstFiniteDifferences) {
  check_unroll("mlp_optimizer", {{"hidden", {3}}, {"objective", "log"}});
  check_unroll("mlp_optimizer", {{"hidden", {3, 2}}, {"start", "drawn"}, {"objective", "last"}});
  check_unroll("mlp_optimizer", {{"hidden", {3}}, {"objective", "log"}, {"order", 2}});
  check_unroll(
      "mlp_optimizer",
      {{"hidden", {3}}, {"order", 2}, {"power", 1}, {"decays", {0.5, 0.9}}, {"nominal", {0.0, 0.05}}});
}

TEST(Unroll, BallAgainstFiniteDifferences) {
  const Json small{{"hidden", {3}}, {"times", {5}}, {"objective", "log"}};
  Json exact = small;
  exact["order"] = 2;
  check_unroll("ball_optimizer", small);
  check_unroll("ball_optimizer", exact);
}

// Tasks w [B, D, D], y [B, D], and a row of start and optimiser for each.
std::vector<Tensor> way_of(const World& w, const Tensor& matrix, const Tensor& y, const Tensor& theta,
                           const Json& settings) {
  const auto batch = dynamic_cast<const Portable&>(*w.batch).unpack({{"w", matrix}, {"y", y}});
  const auto l = standing(w, "ball_optimizer", settings);
  State s = start(*l, matrix.size(0));
  s.theta = theta;
  return l->adapt(s, *batch, std::vector<int64_t>{1, 2, 5, 12}, Rng(3));
}

// Before it has learned, with a head of zeros: against the recurrence, written out.
TEST(Ball, StartsAsTheOneMadeByHand) {
  const int64_t d = 4;
  const World w = quadratics(d, 1, 1.0);
  const TensorDict task = dynamic_cast<const Portable&>(*w.batch).pack(Stage::kSupport);
  const Tensor a = task.at("w").to(at::kDouble), y = task.at("y").to(at::kDouble);
  const auto l = standing(w, "ball_optimizer", {{"hidden", {5}}});
  Tensor theta = start(*l).theta;
  theta.slice(1, d).zero_();
  Tensor z = theta.slice(1, 0, d)[0].clone(), step = at::zeros({d}, at::kDouble), before;
  const auto found =
      way_of(w, a, y, theta, {{"hidden", {5}}, {"first", .02}, {"size", 1.5}, {"momentum", .7}});
  double steepest = 0;
  size_t at = 0;
  for (int i = 1; i <= 12; ++i) {
    const Tensor g = 2 * a[0].t().mv(a[0].mv(z) - y[0]);
    double length = .02;
    if (i > 1) {
      const Tensor change = g - before;
      const double now = (change.dot(change) / change.dot(step).abs()).item<double>();
      steepest = std::max(steepest * std::exp(-.01), now);
      length = 1.5 / steepest;
    }
    step = .7 * step - length * g;
    before = g;
    z = z + step;
    if (i == 1 || i == 2 || i == 5 || i == 12) {
      EXPECT_TRUE(found[at++][0].allclose(z, 1e-9, 1e-9)) << i << found[at - 1] << z;
    }
  }
}

// What it does on a problem it does on the same one turned, stretched and multiplied, but for the first step,
// whose size is given.
TEST(Ball, KnowsNoCoordinatesAndNoScale) {
  const int64_t d = 4, b = 3;
  const World w = quadratics(d, b, 1.0);
  const TensorDict task = dynamic_cast<const Portable&>(*w.batch).pack(Stage::kSupport);
  const Tensor a = task.at("w").to(at::kDouble), y = task.at("y").to(at::kDouble);
  const Json settings{{"hidden", {5}}, {"first", .02}};
  const auto l = standing(w, "ball_optimizer", settings);
  Tensor theta = start(*l, b).theta;
  theta.slice(1, d) = 0.5 * normal(Rng(8), {1, theta.size(1) - d}).to(at::kDouble);
  const auto plain = way_of(w, a, y, theta, settings);
  const Tensor turn = std::get<0>(at::linalg_qr(normal(Rng(9), {d, d}).to(at::kDouble)));
  const double wide = 3, tall = 7;  // z' = wide turn z, f' = tall^2 f
  Tensor moved = theta.clone();
  moved.slice(1, 0, d) = wide * theta.slice(1, 0, d).mm(turn.t());
  Json there = settings;
  there["first"] = .02 * wide * wide / (tall * tall);
  const auto found = way_of(w, tall / wide * a.matmul(turn.t()), tall * y, moved, there);
  for (size_t i = 0; i < plain.size(); ++i)
    EXPECT_TRUE(found[i].allclose(wide * plain[i].mm(turn.t()), 1e-6, 1e-6)) << found[i] << plain[i];
  EXPECT_GT((plain[3] - plain[0]).abs().max().item<double>(), 1e-2);
}

// All tasks are one and the same quadratic, and agents differ by their perturbations alone. A round's
// estimates are those of tasks of all ages, so their mean is the derivative of the mean loss over a whole way
// of `steps`, with nothing held fixed: finite differences of that know nothing of truncations.
TEST(Pes, MeanIsTheDerivativeOfTheWholeWay) {
  for (const std::string kind : {"mlp_optimizer", "lstm_optimizer"}) {
    const int64_t agents = 60, each = 60;
    World w = quadratics(2, 1, 1.0);
    const auto& one = dynamic_cast<const Portable&>(*w.batch);
    TensorDict same = one.pack(Stage::kSupport);
    for (auto& [name, t] : same) t = t.repeat_interleave(agents * each, 0);
    const auto many = one.unpack(same);
    const Json rule{{"hidden", {2}}, {"steps", 6}, {"scale", 0.3}};
    Json in_parts = rule, whole = rule;
    in_parts["estimator"] = "pes", in_parts["unroll"] = 2, in_parts["sigma"] = 1e-3;
    whole["unroll"] = 6;
    const auto pes = standing(w, kind, in_parts), way = standing(w, kind, whole);
    State s = start(*pes, agents);
    s.theta = s.theta.slice(0, 0, 1).repeat({agents, 1});
    // Three rounds until no task is left that began in the middle, and then three of each age.
    for (int i = 0; i < 3; ++i) pes->step(s, *many, Rng(20 + i));
    Tensor estimate = at::zeros_like(s.theta);
    for (int i = 0; i < 3; ++i) {
      pes->step(s, *many, Rng(30 + i));
      estimate += s.own.at("adam.m") / 3;
    }
    const State single = start(*way);
    const int64_t p = w.model->layout().size(), q = single.theta.size(1) - p;
    Tensor truth = at::zeros({q}, at::kDouble);
    for (int64_t i = 0; i < q; ++i) {
      const auto value = [&](double move) {
        State moved = single;
        moved.theta = s.theta.slice(0, 0, 1).clone();
        moved.theta[0][p + i] += move;
        return way->step(moved, *w.batch, Rng(7)).at("loss").item<double>();
      };
      truth[i] = (value(1e-5) - value(-1e-5)) / 2e-5;
    }
    estimate = estimate.narrow(1, p, q);
    const Tensor mean = estimate.mean(0), error = estimate.std(0) / std::sqrt(static_cast<double>(agents));
    // Four and a half standard errors, of some fifty numbers, and the bias of sigma.
    EXPECT_TRUE(((mean - truth).abs() <= 4.5 * error + 1e-4 * truth.abs().max()).all().item<bool>())
        << kind << at::stack({mean, truth, error}, 1);
    // The errors are small enough to tell: the estimate's own direction is the true one.
    const double cosine = ((mean * truth).sum() / mean.norm() / truth.norm()).item<double>();
    EXPECT_GT(cosine, 0.9) << kind;
  }
}

TEST(LearnedOptimizer, GoesOnWithTheOptimiserOfARun) {
  const World w = quadratics(3, 4), other = quadratics(7, 4);
  const auto build = [](const World& world, Json settings) {
    return make<LearnerRegistry>("mlp_optimizer", settings,
                                 LearnerSetting{*world.model, world.family->spec()});
  };
  const State trained = build(w, Json::object())->init(split_keys(Rng(3), "agent", 2), at::kFloat);
  const std::string run = testing::TempDir() + "optimiser_of_a_run." + std::to_string(getpid());
  std::filesystem::create_directories(run);
  Json layout = Json::array();
  for (const auto& e : w.model->layout().entries()) layout.push_back({{"name", e.name}, {"shape", e.shape}});
  write_safetensors(run + "/checkpoint.safetensors",
                    {{{"theta", trained.theta}}, {{"layout", layout.dump()}}});
  const State s = build(other, {{"from", run}})->init(split_keys(Rng(9), "agent", 2), at::kFloat);
  for (int64_t agent : {0, 1}) EXPECT_TRUE(s.theta[agent].slice(0, 7).equal(trained.theta[0].slice(0, 3)));
  EXPECT_THROW(build(other, {{"from", run}, {"hidden", {5}}}), UserError);
  EXPECT_THROW(build(other, {{"from", run + "/nowhere"}}), UserError);
  std::filesystem::remove_all(run);
}

TEST(LearnedOptimizer, TasksStayForTheirStepsAndThenGiveWay) {
  const World w = quadratics(3, 3);
  const auto l = standing(w, "lstm_optimizer", {{"unroll", 5}, {"steps", 15}});
  State s = start(*l);
  std::vector<Tensor> tasks, ages;
  for (int i = 0; i < 6; ++i) {
    const auto fresh =
        w.family->sample(*w.model, asks_for(std::vector<int64_t>(3, 0), Rng(100 + i)), Split::kTrain);
    l->step(s, *fresh, Rng(i));
    tasks.push_back(s.own.at("kept.task.w")[0]);
    ages.push_back(s.own.at("kept.age")[0]);
  }
  // Task 0 starts with all its steps, 1 with ten of them, 2 with five.
  for (const auto& [task, born] : {std::pair{0, 3}, {1, 2}, {2, 1}}) {
    for (int i = 1; i < 6; ++i) {
      const bool renewed = i >= born && (i - born) % 3 == 0;
      EXPECT_EQ(tasks[i][task].equal(tasks[i - 1][task]), !renewed) << task << " " << i;
      if (renewed) {
        EXPECT_EQ(ages[i][task].item<int64_t>(), 5);
      }
    }
  }
  EXPECT_THROW(standing(w, "lstm_optimizer", {{"unroll", 7}, {"steps", 15}}), UserError);
}

TEST(Tuned, ChoosesWhatEndsLowest) {
  const World w = quadratics(4, 30);
  const std::vector<double> rates{1e-4, 0.01, 0.03, 10};
  const auto build = [&](const Json& settings) {
    return make<LearnerRegistry>("tuned", settings, LearnerSetting{*w.model, w.family->spec()});
  };
  const auto l = build({{"optimizer", "sgd"}, {"rates", rates}, {"steps", 25}});
  State s = l->init(split_keys(Rng(1), "agent", 1), at::kFloat);
  const Scores scores = l->step(s, *w.batch, Rng(2));
  const Tensor begin = hand_out(s.theta, 30);
  const std::vector<int64_t> steps{0, 1, 25};
  double best = INFINITY, with = 0;
  for (double rate : rates) {
    const Tensor end = descend(begin, *w.batch, steps, {.inner_lr = rate}, Rng(3))[2];
    const double value = w.batch->loss(end, Stage::kSupport, Rng(3)).log().mean().item<double>();
    if (value < best) best = value, with = rate;
  }
  EXPECT_EQ(scores.at("rate").item<double>(), with);
  EXPECT_NEAR(scores.at("loss").item<double>(), best, 1e-5);
  const auto path = l->adapt(s, *w.batch, steps, Rng(4)),
             plain = descend(begin, *w.batch, steps, {.inner_lr = with}, Rng(4));
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(path[i].allclose(plain[i], 1e-6, 1e-6));
  // Adam against the one that few-shot learners have.
  const auto of_adam = build({{"optimizer", "adam"}, {"rates", {0.05}}});
  const auto adam = of_adam->adapt(of_adam->init(split_keys(Rng(1), "agent", 1), at::kFloat), *w.batch, steps,
                                   Rng(4)),
             known = descend(begin, *w.batch, steps, {.inner_lr = 0.05, .adam = true}, Rng(4));
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(adam[i].allclose(known[i], 1e-5, 1e-5));
}

// On f(z) = (w z - y)^2 momentum and Nesterov's are linear recurrences, and RMSprop's first steps are known.
TEST(Tuned, MomentaAreTheirRecurrences) {
  const World w = quadratics(1, 1, 1.0);
  const TensorDict task = dynamic_cast<const Portable&>(*w.batch).pack(Stage::kSupport);
  const double a = task.at("w").item<double>(), y = task.at("y").item<double>();
  for (const std::string kind : {"momentum", "nesterov", "rmsprop"}) {
    const auto l =
        make<LearnerRegistry>("tuned", {{"optimizer", kind}, {"rates", {0.02}}, {"momenta", {0.7}}},
                              LearnerSetting{*w.model, w.family->spec()});
    const State s = start(*l);
    double z = s.theta.item<double>(), m = 0, v = 0;
    for (int i = 0; i < 9; ++i) {
      const double g = 2 * a * (a * z - y);
      m = 0.7 * m + g;
      v = 0.99 * v + 0.01 * g * g;
      z -= 0.02 * (kind == "momentum" ? m : kind == "nesterov" ? g + 0.7 * m : g / (std::sqrt(v) + 1e-8));
    }
    EXPECT_NEAR(l->adapt(s, *w.batch, std::vector<int64_t>{9}, Rng(1))[0].item<double>(), z, 1e-10) << kind;
  }
}

// On a function of one number a secant is the curvature, so the second step ends at the bottom. In two
// dimensions, the recurrences written out.
TEST(Tuned, SecantsAreBarzilaiAndBorweins) {
  for (const std::string kind : {"bb", "abbmin"}) {
    const World line = quadratics(1, 4, 1.0);
    const auto on = [&](const World& w) {
      return make<LearnerRegistry>("tuned", {{"optimizer", kind}, {"rates", {0.02}}, {"momenta", {0.6}}},
                                   LearnerSetting{*w.model, w.family->spec()});
    };
    const auto l = on(line);
    const TensorDict task = dynamic_cast<const Portable&>(*line.batch).pack(Stage::kSupport);
    const Tensor bottom = task.at("y").to(at::kDouble) / task.at("w").to(at::kDouble).view({4, 1});
    for (const int64_t steps : {2, 9}) {
      const Tensor found = l->adapt(start(*l), *line.batch, std::vector<int64_t>{steps}, Rng(1))[0];
      EXPECT_TRUE(found.allclose(bottom, 1e-9, 1e-9)) << found << bottom;
    }

    const World w = quadratics(3, 1, 1.0);
    const TensorDict one = dynamic_cast<const Portable&>(*w.batch).pack(Stage::kSupport);
    const Tensor a = one.at("w")[0].to(at::kDouble), y = one.at("y")[0].to(at::kDouble);
    const auto of = on(w);
    const State s = start(*of);
    Tensor z = s.theta[0].clone(), step, before;
    std::vector<double> shorter;
    for (int i = 0; i < 8; ++i) {
      const Tensor g = 2 * a.t().mv(a.mv(z) - y);
      double length = 0.02;
      if (i > 0) {
        const Tensor change = g - before;
        const double sy = step.dot(change).item<double>(), yy = change.dot(change).item<double>(),
                     ss = step.dot(step).item<double>();
        shorter.push_back(sy / yy);
        if (shorter.size() > 6) shorter.erase(shorter.begin());
        length = kind == "bb"                ? sy / yy
                 : sy * sy / (ss * yy) > 0.6 ? ss / sy
                                             : *std::min_element(shorter.begin(), shorter.end());
      }
      step = -length * g;
      before = g;
      z = z + step;
    }
    EXPECT_TRUE(of->adapt(s, *w.batch, std::vector<int64_t>{8}, Rng(1))[0][0].allclose(z, 1e-8, 1e-8))
        << kind;
  }
}

}  // namespace
}  // namespace symma
