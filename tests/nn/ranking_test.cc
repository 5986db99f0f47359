// Outputs by hand, and that the order of things is the order of outputs.
#include <gtest/gtest.h>

#include "symma/core/errors.h"
#include "symma/nn/model.h"

namespace symma {
namespace {

TEST(Ranking, ScoresEachThingAlike) {
  const auto model =
      make<ModelRegistry>("ranking", {{"context", 2}, {"thing", 3}, {"hidden", {5}}}, ModelShape{{14}, 6});
  const Tensor theta = model->init(split_keys(Rng(1), "row", 2)), x = normal(Rng(2), {2, 7, 14});
  const Tensor y = model->forward(theta, x, Mode::kEval);
  ASSERT_EQ(y.sizes(), at::IntArrayRef({2, 7, 6}));
  const auto part = [&](const char* name, int64_t b) { return model->layout().view(theta, name)[b]; };
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t k = 0; k < 7; ++k) {
      const Tensor own = x[b][k].narrow(0, 0, 2), things = x[b][k].narrow(0, 2, 12).reshape({4, 3});
      for (int64_t i = 0; i < 4; ++i) {
        const Tensor in = at::cat({own, things.mean(0), things[i]});
        const Tensor h = (at::matmul(in, part("score0.weight", b)) + part("score0.bias", b)).relu();
        const Tensor out = at::matmul(h, part("score1.weight", b)) + part("score1.bias", b);
        EXPECT_NEAR(y[b][k][i].item<double>(), out.item<double>(), 1e-5);
      }
      const Tensor rest =
          at::matmul(at::cat({own, at::ones({1})}), part("head.weight", b)) + part("head.bias", b);
      EXPECT_NEAR(y[b][k][4].item<double>(), rest[0].item<double>(), 1e-5);
      EXPECT_NEAR(y[b][k][5].item<double>(), rest[1].item<double>(), 1e-5);
    }
  }
  // Things 0 and 2 change places.
  Tensor swapped = x.clone();
  swapped.narrow(2, 2, 3).copy_(x.narrow(2, 8, 3)), swapped.narrow(2, 8, 3).copy_(x.narrow(2, 2, 3));
  const Tensor z = model->forward(theta, swapped, Mode::kEval);
  const std::vector<int64_t> order{2, 1, 0, 3, 4, 5};
  for (int64_t i = 0; i < 6; ++i)
    EXPECT_LE((z.select(2, i) - y.select(2, order[i])).abs().max().item<double>(), 1e-5);
}

TEST(Ranking, EveryOutputMayBeAThing) {
  const auto model =
      make<ModelRegistry>("ranking", {{"context", 2}, {"thing", 3}, {"hidden", {5}}}, ModelShape{{14}, 4});
  const Tensor theta = model->init(split_keys(Rng(1), "row", 2)), x = normal(Rng(2), {2, 7, 14});
  const auto more =
      make<ModelRegistry>("ranking", {{"context", 2}, {"thing", 3}, {"hidden", {5}}}, ModelShape{{14}, 5});
  const Tensor padded = at::constant_pad_nd(theta, {0, more->layout().size() - theta.size(1)});
  EXPECT_TRUE(model->forward(theta, x, Mode::kEval)
                  .allclose(more->forward(padded, x, Mode::kEval).narrow(2, 0, 4), 1e-6, 1e-6));
}

TEST(Ranking, SizesThatDoNotFitAreSaid) {
  for (const auto& [context, thing, out] : {std::tuple(2, 5, 6), {2, 0, 6}, {2, 3, 3}, {14, 3, 6}}) {
    try {
      make<ModelRegistry>("ranking", {{"context", context}, {"thing", thing}}, ModelShape{{14}, out});
      FAIL();
    } catch (const UserError& e) {
      EXPECT_NE(std::string(e.what()).find("14 numbers"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace symma
