// A table's rows are its logits, and the last action's may be none.
#include <gtest/gtest.h>

#include "symma/nn/model.h"

namespace symma {
namespace {

TEST(Tabular, AStatesLogitsAreItsRowOfTheTable) {
  const ModelShape shape{{5}, 3};
  const Tensor states = at::eye(5).expand({2, 5, 5});
  const auto all = make<ModelRegistry>("tabular", {{"minimal", false}}, shape);
  const Tensor theta = all->init(split_keys(Rng(1), "row", 2));
  EXPECT_EQ(all->layout().size(), 15);
  EXPECT_TRUE(all->forward(theta, states, Mode::kEval).equal(theta.view({2, 5, 3})));
  EXPECT_FALSE(theta[0].equal(theta[1]));
  // The same for fewer numbers: one logit less, which is 0.
  const auto few = make<ModelRegistry>("tabular", {{"minimal", true}}, shape);
  EXPECT_EQ(few->layout().size(), 10);
  const Tensor small = few->init(split_keys(Rng(1), "row", 2)),
               logits = few->forward(small, states, Mode::kEval);
  EXPECT_TRUE(logits.narrow(2, 0, 2).equal(small.view({2, 5, 2})));
  EXPECT_TRUE(logits.select(2, 2).eq(0).all().item<bool>());
  // With two actions, the sigmoid of the one number is the probability of the first.
  const auto two = make<ModelRegistry>("tabular", {{"std", 2.}}, ModelShape{{5}, 2});
  const Tensor p = two->init(split_keys(Rng(1), "row", 2)), y = two->forward(p, states, Mode::kEval);
  EXPECT_LE((at::softmax(y, 2).select(2, 0) - p.sigmoid()).abs().max().item<double>(), 1e-6);
  EXPECT_EQ(make<ModelRegistry>("tabular", {{"std", 0.}}, shape)
                ->init(split_keys(Rng(1), "row", 2))
                .abs()
                .max()
                .item<double>(),
            0);
  // A mixture of states has the mixture of their logits.
  const Tensor half = at::full({2, 1, 5}, 0.2);
  EXPECT_LE((all->forward(theta, half, Mode::kEval).squeeze(1) - theta.view({2, 5, 3}).mean(1))
                .abs()
                .max()
                .item<double>(),
            1e-6);
}

}  // namespace
}  // namespace symma
