// The kernel that does a learner's step whole against the same learner through autograd over plain tensor
// operations, and when each is taken.
#include "symma/learners/fused.h"
#include "symma/nn/kernels/mlp.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>

#include "symma/core/parallel.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

// Points of B tasks for a perceptron, and the learner of it.
struct World {
  World(Kind kind, std::vector<int64_t> hidden, const std::string& activation, int64_t in, int64_t out,
        int64_t shots, Json settings, bool weighted = false) {
    const TaskSpec spec{.shape = {{in}, out}, .kind = kind, .metric = "loss"};
    model = make<ModelRegistry>("mlp", {{"hidden", hidden}, {"activation", activation}}, spec.shape);
    const Rng rng(3);
    const int64_t b = 6, queries = 9;
    const auto targets = [&](const char* name, int64_t k) {
      return kind == Kind::kRegression
                 ? normal(rng.split(name), {b, k, out})
                 : uniform(rng.split(name), {b, k}, 0, static_cast<double>(out)).floor().to(at::kLong);
    };
    Episodes e;
    e.support_x = normal(rng.split("sx"), {b, shots, in});
    e.support_y = targets("sy", shots);
    e.query_x = normal(rng.split("qx"), {b, queries, in});
    e.query_y = targets("qy", queries);
    if (weighted) {  // as where tasks are of unequal size: what only fills the tensor counts nothing
      e.support_weight = uniform(rng.split("sw"), {b, shots}, 0.5, 2);
      e.query_weight = uniform(rng.split("qw"), {b, queries}, 0.5, 2) *
                       (at::arange(queries) < 4 + at::arange(b).unsqueeze(1)).to(at::kFloat);
    }
    batch = std::make_unique<SupervisedBatch>(*model, kind, e, Mode::kTrain);
    if (settings.is_null()) settings = Json::object();
    const std::string name = settings.value("kind", "maml");
    settings.erase("kind");
    if (name != "scratch") settings["optimizer"] = "sgd", settings["meta_lr"] = 1.0;
    learner = make<LearnerRegistry>(name, settings, LearnerSetting{*model, spec});
  }

  State start(at::ScalarType type) const {
    State s = learner->init(split_keys(Rng(5), "agent", 2), at::kFloat);
    s.theta = s.theta.to(type);
    for (auto& [name, t] : s.own) {
      if (t.is_floating_point()) t = t.to(type);
    }
    return s;
  }

  // The meta-gradient, read off a step of outer SGD with meta_lr = 1, and the loss: [N, Q] and [N].
  std::pair<Tensor, Tensor> gradient_and_loss(at::ScalarType type) const {
    const State before = start(type);
    State after = before;
    const Tensor loss = learner->step(after, *batch, Rng(7)).at("loss");
    return {before.theta - after.theta, loss};
  }
  Tensor gradient(at::ScalarType type) const { return gradient_and_loss(type).first; }

  std::unique_ptr<Model> model;
  std::unique_ptr<SupervisedBatch> batch;
  std::unique_ptr<Learner> learner;
};

double relative_error(const Tensor& a, const Tensor& b) {
  return ((a - b).abs().max() / b.abs().max().clamp_min(1e-3)).item<double>();
}

class FusedMamlTest : public testing::Test {
 protected:
  void SetUp() override { set_threads(1); }  // CompositePath holds for one thread
  void TearDown() override { set_threads(0); }
};

TEST_F(FusedMamlTest, TheLearnersStepIsThatOfTheCompositePath) {
  for (const auto kind : {Kind::kRegression, Kind::kClassification}) {
    for (const auto& hidden : std::vector<std::vector<int64_t>>{{1}, {7, 33}, {65}, {40, 40}}) {
      for (const int64_t shots : {1, 7}) {
        for (const Json& settings :
             {Json{{"inner_steps", 1}}, Json{{"inner_steps", 3}, {"recompute", true}},
              Json{{"inner_steps", 2}, {"order", 1}}, Json{{"inner_steps", 3}, {"learn_lr", true}},
              Json{{"inner_steps", 2}, {"learn_lr", true}, {"order", 1}}}) {
          const World w(kind, hidden, "tanh", 3, kind == Kind::kRegression ? 1 : 5, shots, settings);
          for (const auto type : {at::kFloat, at::kDouble}) {
            const Tensor fused = w.gradient(type);
            const CompositePath composite;
            EXPECT_LT(relative_error(fused, w.gradient(type)), type == at::kFloat ? 1e-5 : 1e-10)
                << settings.dump() << ", widest " << hidden.back() << ", shots " << shots << ", " << type;
          }
        }
      }
    }
  }
}

// Gradient and loss in double against the composite path's, and the loss in float: how far the gradient in
// float is from it.
double off_in_float(const World& w, const std::string& what) {
  const auto [fused, loss] = w.gradient_and_loss(at::kDouble);
  const auto [rounded, rounded_loss] = w.gradient_and_loss(at::kFloat);
  const CompositePath composite;
  const auto [plain, plain_loss] = w.gradient_and_loss(at::kDouble);
  EXPECT_LT(relative_error(fused, plain), 1e-10) << what;
  EXPECT_LT(relative_error(loss, plain_loss), 1e-10) << what;
  EXPECT_FALSE(fused.equal(plain)) << "one way was taken twice: " << what;
  EXPECT_LT(relative_error(rounded_loss, plain_loss.to(at::kFloat)), 1e-5) << what;
  return relative_error(rounded.to(at::kDouble), plain);
}

const std::vector<std::string> kActivations{"identity", "relu", "tanh", "sigmoid", "gelu"};

// Learners whose gradient is not that through steps of the whole row.
TEST_F(FusedMamlTest, OtherLearnersStepsAreThoseOfTheCompositePath) {
  const Json anil{{"adapt", "head"}, {"inner_lr", 0.1}}, reptile{{"kind", "reptile"}, {"inner_lr", 0.05}},
      imaml{{"kind", "imaml"}, {"inner_lr", 0.05}};
  const auto with = [](Json settings, const Json& more) {
    settings.update(more);
    return settings;
  };
  for (const auto kind : {Kind::kRegression, Kind::kClassification}) {
    for (const auto& f : kActivations) {
      for (const auto& hidden : std::vector<std::vector<int64_t>>{{7, 33}, {65}, {16, 8, 24}}) {
        for (const int64_t out : {1, 5}) {
          if (kind == Kind::kClassification && out == 1) continue;
          for (const Json& settings :
               {anil, with(anil, {{"inner_steps", 3}}), with(anil, {{"inner_steps", 2}, {"order", 1}}),
                with(anil, {{"inner_steps", 3}, {"learn_lr", true}}),
                with(anil, {{"inner_steps", 2}, {"learn_lr", true}, {"order", 1}}),
                with(reptile, {{"inner_steps", 2}}), with(reptile, {{"inner_steps", 5}}),
                with(imaml, {{"inner_steps", 1}, {"cg_steps", 1}}),
                with(imaml, {{"inner_steps", 7}, {"cg_steps", 4}})}) {
            const World w(kind, hidden, f, 3, out, 4, settings);
            const std::string what =
                fmt::format("{}, {}, widest {}, {} outputs", settings.dump(), f, hidden.back(), out);
            const double rounding = off_in_float(w, what);
            // In float as near to that as the general way is. Where a system is all but singular, conjugate
            // gradients magnify rounding, which is a draw for each: with 65 sigmoids 1.3e-3, and in the
            // general way 1.7e-3 by libtorch 1.13, .5e-3 by 2.8.
            const CompositePath composite;
            const Tensor plain = w.gradient(at::kDouble);
            EXPECT_LT(rounding, 1e-5 + 4 * relative_error(w.gradient(at::kFloat).to(at::kDouble), plain))
                << what;
          }
        }
      }
    }
  }
}

// Of unequal tasks, by every learner that a kernel serves.
TEST_F(FusedMamlTest, WeightedPointsAreThoseOfTheCompositePath) {
  for (const auto kind : {Kind::kRegression, Kind::kClassification}) {
    for (const int64_t out : {1, 3}) {
      if (kind == Kind::kClassification && out == 1) continue;
      std::vector<Json> learners{
          {{"kind", "maml"}, {"inner_steps", 3}},
          {{"kind", "maml"}, {"inner_steps", 2}, {"order", 1}},
          {{"kind", "maml"}, {"inner_steps", 2}, {"learn_lr", true}, {"recompute", true}},
          {{"kind", "maml"}, {"adapt", "head"}, {"inner_steps", 2}},
          {{"kind", "reptile"}},
          {{"kind", "imaml"}, {"inner_steps", 3}, {"cg_steps", 2}},
          {{"kind", "pretrain"}},
          {{"kind", "alpaca"}},
          {{"kind", "r2d2"}, {"towards", "start"}}};
      if (kind == Kind::kClassification) learners.push_back({{"kind", "protonet"}});
      for (const Json& settings : learners) {
        const World w(kind, {7, 17}, "tanh", 3, out, 5, settings, /*weighted=*/true);
        const std::string what = fmt::format("{}, {} outputs", settings.dump(), out);
        const State s = w.start(at::kDouble);
        EXPECT_LT(off_in_float(w, what), 1e-4) << what;
        const auto adapted = w.learner->adapt(s, *w.batch, std::vector<int64_t>{1, 3}, Rng(7));
        const CompositePath composite;
        const auto slowly = w.learner->adapt(s, *w.batch, std::vector<int64_t>{1, 3}, Rng(7));
        for (size_t i = 0; i < adapted.size(); ++i)
          EXPECT_LT(relative_error(adapted[i], slowly[i]), 1e-10) << what;
      }
    }
  }
}

TEST_F(FusedMamlTest, ALabelThatIsNoneIsRefusedAndNotWrittenTo) {
  for (const char* kind : {"alpaca", "r2d2", "protonet", "pretrain", "maml"}) {
    World w(Kind::kClassification, {7, 17}, "relu", 3, 3, 5, {{"kind", kind}});
    Episodes e = w.batch->data();
    e.query_y = e.query_y.clone();
    e.query_y[2][1] = 1000000;
    w.batch = std::make_unique<SupervisedBatch>(*w.model, Kind::kClassification, e, Mode::kTrain);
    EXPECT_THROW(w.gradient(at::kFloat), c10::Error) << kind;
  }
}

// A thread keeps its memory from task to task.
TEST_F(FusedMamlTest, ARowThatIsNotFiniteIsNoOthersFault) {
  for (const char* kind : {"alpaca", "r2d2", "protonet", "pretrain"}) {
    const World w(Kind::kClassification, {7, 17}, "relu", 3, 3, 5, {{"kind", kind}});
    const auto gradients = [&](bool spoiled) {
      State before = w.start(at::kDouble);
      if (spoiled) before.theta[0].fill_(std::numeric_limits<double>::quiet_NaN());
      State after = before;
      w.learner->step(after, *w.batch, Rng(7));
      return before.theta - after.theta;
    };
    const Tensor spoiled = gradients(true);
    EXPECT_TRUE(spoiled[0].isnan().any().item<bool>()) << kind;
    EXPECT_TRUE(spoiled[1].equal(gradients(false)[1])) << kind;
  }
}

// Support and query are then the same points, and are gone through once.
TEST_F(FusedMamlTest, ExamplesThatAreTasksOfTheirOwnAreThoseOfTheCompositePath) {
  for (const auto kind : {Kind::kRegression, Kind::kClassification}) {
    const World w(kind, {7, 17}, "tanh", 3, 3, 5, {{"kind", "pretrain"}});
    const auto apart = w.batch->apart();
    const Tensor rows = w.start(at::kDouble).theta.narrow(0, 0, 1).expand({apart->size(), -1});
    const Gradients fused = gradient_on_all(*w.model, rows, *apart, Rng(7));
    const CompositePath composite;
    const Gradients plain = gradient_on_all(*w.model, rows, *apart, Rng(7));
    EXPECT_LT(relative_error(fused.grad, plain.grad), 1e-10);
    EXPECT_LT(relative_error(fused.loss, plain.loss), 1e-10);
    EXPECT_FALSE(fused.grad.equal(plain.grad)) << "one way was taken twice";
  }
}

// Heads that are a formula, and points that are pooled: no inner steps.
TEST_F(FusedMamlTest, HeadsByHandAndPooledPointsAreThoseOfTheCompositePath) {
  const auto kinds = [](Kind kind) {
    std::vector<Json> out{
        {{"kind", "alpaca"}, {"spread", 0.7}, {"noise", 0.4}},
        {{"kind", "alpaca"}, {"prior", "diagonal"}, {"spread", 1.3}, {"noise", 0.9}},
        {{"kind", "r2d2"}, {"ridge", 0.5}, {"factor", 3}},
        {{"kind", "r2d2"}, {"towards", "start"}, {"ridge", 2}, {"factor", 3}},
        {{"kind", "pretrain"}},
        {{"kind", "ditto"}},
        {{"kind", "apfl"}},
        {{"kind", "fedrep"}},
    };
    if (kind == Kind::kClassification) out.push_back({{"kind", "protonet"}});
    return out;
  };
  for (const auto kind : {Kind::kRegression, Kind::kClassification}) {
    for (const auto& f : kActivations) {
      for (const auto& hidden : std::vector<std::vector<int64_t>>{{}, {7, 33}, {65}, {16, 8, 24}}) {
        for (const int64_t out : {1, 5}) {
          if (kind == Kind::kClassification && out == 1) continue;
          for (const Json& settings : kinds(kind)) {
            // Without hidden layers there is no body to share, and a prototype of inputs learns nothing.
            if (hidden.empty() && settings["kind"] != "alpaca" && settings["kind"] != "r2d2") continue;
            const World w(kind, hidden, f, 3, out, 4, settings);
            const std::string what =
                fmt::format("{}, {}, hidden {}, {} outputs", settings.dump(), f, Json(hidden).dump(), out);
            EXPECT_LT(off_in_float(w, what), 1e-5) << what;
          }
        }
      }
    }
  }
}

TEST_F(FusedMamlTest, AdaptedRowsAreThoseOfTheCompositePath) {
  const std::vector<int64_t> steps{0, 1, 2, 10};
  for (const Json& settings :
       {Json{{"inner_lr", 0.1}}, Json{{"inner_lr", 0.1}, {"learn_lr", true}},
        Json{{"inner_lr", 0.1}, {"adapt", "head"}},
        Json{{"inner_lr", 0.1}, {"adapt", "head"}, {"learn_lr", true}},
        Json{{"kind", "reptile"}, {"inner_lr", 0.1}}, Json{{"kind", "imaml"}, {"inner_lr", 0.1}},
        Json{{"kind", "scratch"}, {"inner_optimizer", "sgd"}, {"inner_lr", 0.1}},
        Json{{"kind", "scratch"}, {"inner_optimizer", "sgd"}, {"inner_lr", 0.2}, {"later_lr", 0.05}},
        Json{{"kind", "scratch"}, {"inner_lr", 0.1}}}) {
    for (const auto& f : kActivations) {
      const World w(Kind::kClassification, {7, 33}, f, 3, 5, 4, settings);
      const State s = w.start(at::kDouble);
      const auto fused = w.learner->adapt(s, *w.batch, steps, Rng(7));
      const CompositePath composite;
      const auto plain = w.learner->adapt(s, *w.batch, steps, Rng(7));
      ASSERT_EQ(fused.size(), plain.size());
      for (size_t i = 0; i < steps.size(); ++i)
        EXPECT_LT(relative_error(fused[i], plain[i]), 1e-10) << steps[i] << ", " << settings.dump() << f;
    }
  }
}

TEST_F(FusedMamlTest, SeveralPiecesAndThreadsGiveTheBitsOfOne) {
  for (const Json& settings : {Json{}, Json{{"adapt", "head"}}, Json{{"kind", "reptile"}},
                               Json{{"kind", "imaml"}}, Json{{"kind", "pretrain"}}, Json{{"kind", "r2d2"}}}) {
    const World w(Kind::kRegression, {200, 400}, "relu", 3, 1, 4,
                  settings);  // 80,000 parameters: three tasks a piece
    set_threads(1);
    const Tensor one = w.gradient(at::kFloat);
    set_threads(2);
    EXPECT_TRUE(w.gradient(at::kFloat).equal(one)) << settings.dump();
  }
}

// What only autograd does: one graph of all inner steps against one step at a time.
TEST_F(FusedMamlTest, RecomputingWithoutTheKernelGivesTheSameGradient) {
  for (const bool learn_lr : {false, true}) {
    Json settings{{"adapt", "head"}, {"inner_steps", 4}, {"inner_lr", 0.05}, {"learn_lr", learn_lr}};
    const CompositePath general;
    const auto gradient = [&] {
      return World(Kind::kClassification, {7}, "tanh", 3, 5, 4, settings).gradient(at::kDouble);
    };
    const Tensor kept = gradient();
    settings["recompute"] = true;
    EXPECT_LT(relative_error(gradient(), kept), 1e-12);
    settings["adapt"] = "all";
    const Tensor again = gradient();
    settings["recompute"] = false;
    EXPECT_LT(relative_error(again, gradient()), 1e-12);
  }
}

class OwnLoss : public SupervisedBatch {
  using SupervisedBatch::SupervisedBatch;
};

TEST_F(FusedMamlTest, IsTakenWhereItApplies) {
  const World w(Kind::kRegression, {8}, "relu", 3, 1, 4, {});
  const Tensor rows = w.start(at::kFloat).theta;
  EXPECT_TRUE(kernel_applies(*w.model, rows, *w.batch));
  EXPECT_TRUE(kernel_applies(*w.model, rows.to(at::kDouble), *w.batch));
  // Rows on another device, for which tensors without memory stand, take the general way.
  EXPECT_FALSE(kernel_applies(*w.model, rows.to(at::kMeta), *w.batch));
  EXPECT_FALSE(kernel_applies(*w.model, rows.to(at::kBFloat16), *w.batch));
  EXPECT_FALSE(
      kernel_applies(*w.model, rows, OwnLoss(*w.model, w.batch->kind(), w.batch->data(), Mode::kTrain)));
  const auto conv = make<ModelRegistry>("conv", {{"channels", 2}, {"blocks", 1}}, ModelShape{{4, 4, 1}, 2});
  EXPECT_FALSE(kernel_applies(*conv, rows, *w.batch));
  const CompositePath composite;
  EXPECT_FALSE(kernel_applies(*w.model, rows, *w.batch));
  EXPECT_FALSE(fused_maml(*w.model, rows, at::full({}, 0.1), *w.batch, {}).has_value());
}

}  // namespace
}  // namespace symma
