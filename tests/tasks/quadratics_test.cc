// Random quadratics against plain loops and against what is known of least squares.
#include <gtest/gtest.h>

#include "symma/tasks/task.h"

namespace symma {
namespace {

struct Made {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<TaskBatch> draw(std::vector<int64_t> agents, Split split = Split::kTrain,
                                  uint64_t key = 1) const {
    return family->sample(*model, asks_for(agents, Rng(key)), split);
  }
};

Made quadratics(Json task, int64_t agents = 1, const std::string& model = "point",
                const Json& net = Json::object()) {
  Made m;
  m.family = make<TaskFamilyRegistry>("quadratics", task, agents);
  m.model = make<ModelRegistry>(model, net, m.family->spec().shape);
  return m;
}

TensorDict parts(const TaskBatch& b) {
  return dynamic_cast<const Portable&>(b).pack(Stage::kSupport);
}

TEST(Quadratics, LossIsTheSumOfSquaresAndItsGradient) {
  const Made m = quadratics({{"dims", 4}});
  const auto batch = m.draw({0, 0, 0});
  const Tensor z = normal(Rng(5), {3, 4}, at::kDouble), w = parts(*batch).at("w").to(at::kDouble),
               y = parts(*batch).at("y").to(at::kDouble);
  const Tensor at = leaf(z), loss = batch->loss(at, Stage::kSupport, Rng(1));
  const Tensor gradient = row_gradient(loss, at, false);
  for (int64_t b = 0; b < 3; ++b) {
    double f = 0;
    std::vector<double> g(4);
    for (int64_t i = 0; i < 4; ++i) {
      double miss = -y[b][i].item<double>();
      for (int64_t j = 0; j < 4; ++j) miss += w[b][i][j].item<double>() * z[b][j].item<double>();
      f += miss * miss;
      for (int64_t j = 0; j < 4; ++j) g[j] += 2 * miss * w[b][i][j].item<double>();
    }
    EXPECT_NEAR(loss[b].item<double>(), f, 1e-12 * (1 + f));
    for (int64_t j = 0; j < 4; ++j) EXPECT_NEAR(gradient[b][j].item<double>(), g[j], 1e-11);
  }
  const Tensor best = at::bmm(at::linalg_inv(w), y.unsqueeze(2)).squeeze(2);
  EXPECT_LT(batch->loss(best, Stage::kQuery, Rng(1)).max().item<double>(), 1e-16);
  const Scores scores = batch->score(z, Rng(1));
  EXPECT_TRUE(scores.at("log10_loss").allclose(loss.detach().log10()));
  EXPECT_EQ(m.family->spec().metric, "log10_loss");
}

// At the origin the loss is |y|^2: D on average for normal numbers, D / 3 for uniform ones.
TEST(Quadratics, HaveTheDistributionOfThePaperOrOfItsCode) {
  for (const auto& [kind, mean, low] : {std::tuple{"normal", 10.0, -10.0}, {"uniform", 10.0 / 3, 0.0}}) {
    const Made m = quadratics({{"distribution", kind}});
    const auto batch = m.draw(std::vector<int64_t>(2000, 0));
    const Tensor f = batch->loss(at::zeros({2000, 10}), Stage::kSupport, Rng(1)).to(at::kDouble);
    EXPECT_NEAR(f.mean().item<double>(), mean, 5 * f.std().item<double>() / std::sqrt(2000.0));
    EXPECT_GE(parts(*batch).at("w").min().item<double>(), low);
  }
}

TEST(Quadratics, AgentsHoldPartsOfTheCurvatures) {
  const Made m = quadratics({{"dims", 30}, {"scale", {0.1, 10.0}}}, 2);
  const auto size = [&](int64_t agent, Split split) {
    const Tensor w = parts(*m.draw(std::vector<int64_t>(200, agent), split)).at("w");
    return w.square().mean(at::IntArrayRef{1, 2}).sqrt();
  };
  // The root mean square of 900 numbers is within a tenth of s.
  EXPECT_LT(size(0, Split::kTrain).max().item<double>(), 1.1);
  EXPECT_GT(size(0, Split::kTrain).min().item<double>(), 0.09);
  EXPECT_GT(size(1, Split::kTrain).min().item<double>(), 0.9);
  const Tensor all = size(kEveryone, Split::kTest);
  EXPECT_LT(all.min().item<double>(), 0.3);
  EXPECT_GT(all.max().item<double>(), 3);
  EXPECT_NEAR(size(0, Split::kOod).mean().item<double>(), 2, 0.05);
  EXPECT_THROW(quadratics({{"scale", {2.0, 1.0}}}), UserError);
}

TEST(Quadratics, PlacesSplitsAndSlices) {
  const Made m = quadratics(Json::object());
  const auto one = m.draw({0}), three = m.draw({0, 0, 0}), test = m.draw({0}, Split::kTest);
  EXPECT_TRUE(parts(*one).at("w")[0].equal(parts(*three).at("w")[0]));
  EXPECT_FALSE(parts(*one).at("w")[0].equal(parts(*three).at("w")[1]));
  EXPECT_FALSE(parts(*one).at("w").equal(parts(*test).at("w")));
  const Tensor z = m.model->init(split_keys(Rng(2), "row", 3));
  const Tensor whole = three->loss(z, Stage::kSupport, Rng(1));
  EXPECT_TRUE(
      three->slice(1, 3)->loss(z.slice(0, 1, 3), Stage::kSupport, Rng(1)).allclose(whole.slice(0, 1, 3)));
  const auto again = dynamic_cast<const Portable&>(*one).unpack(parts(*three));
  EXPECT_TRUE(again->loss(z, Stage::kQuery, Rng(1)).equal(whole));
}

// Whatever the model, the point is what it answers.
TEST(Quadratics, AnyModelCanHoldThePoint) {
  const Made m = quadratics({{"dims", 3}}, 1, "mlp", {{"hidden", {4}}});
  const auto batch = m.draw({0, 0});
  const Tensor theta = m.model->init(split_keys(Rng(2), "row", 2));
  const Tensor z = m.model->forward(theta, at::ones({2, 1, 1}), Mode::kTrain).squeeze(1);
  const Made p = quadratics({{"dims", 3}});
  EXPECT_TRUE(
      p.draw({0, 0})->loss(z, Stage::kSupport, Rng(1)).allclose(batch->loss(theta, Stage::kSupport, Rng(1))));
  EXPECT_EQ(p.model->layout().size(), 3);
  const Tensor start =
      make<ModelRegistry>("point", {{"std", 2.0}}, ModelShape{{1}, 1000})->init(split_keys(Rng(1), "row", 3));
  EXPECT_NEAR(start.std().item<double>(), 2, 0.1);
}

}  // namespace
}  // namespace symma
