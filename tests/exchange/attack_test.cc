// Attacks: a golden value, each by its definition, and that the rules bear what the mean does not.
#include "symma/exchange/attack.h"

#include <gtest/gtest.h>

#include "exchange/build_part.h"
#include "symma/exchange/aggregator.h"

namespace symma {
namespace {

Scene scene(int64_t h, int64_t p, uint64_t seed) {
  return {normal(Rng(seed), {h, p}, at::kDouble) + 3, normal(Rng(seed + 1), {p}, at::kDouble) + 3, h + 2, 2};
}

double apart(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>();
}

TEST(Alie, GoldenValue) {
  const Tensor x =
      at::tensor({1., 2., 3., 2., 1., 4., 0., 3., 2., 3., 2., 2., 1., 4., 3.}, at::kDouble).view({5, 3});
  const Tensor sent = built<AttackRegistry>("alie")->send({x, x[0], 7, 2}, Rng(1));
  EXPECT_LE(apart(sent, at::tensor({3.110263, 4.110263, 4.05499}, at::kDouble)), 1e-5);
  const Tensor down = built<AttackRegistry>("alie", {{"down", true}})->send({x, x[0], 7, 2}, Rng(1));
  EXPECT_LE(apart(sent + down, 2 * x.mean(0)), 1e-12);
}

TEST(Alie, ChoosesTauAsThePaperDoes) {
  // The paper's example: n = 50, 24 corrupted, s = 50/2 + 1 - 24 = 2, z the quantile of (26 - 2) / 26.
  const Scene s = scene(26, 9, 1);
  const Tensor sent = built<AttackRegistry>("alie", {{"tau", 0.}})->send({s.honest, s.own, 50, 24}, Rng(1));
  EXPECT_LE(apart(sent, s.honest.mean(0) + 1.4260769 * s.honest.std(0)), 1e-6);
  EXPECT_NEAR(normal_quantile(.975), 1.9599640, 1e-7);
}

TEST(Attacks, AreWhatTheySay) {
  const Scene s = scene(6, 40, 2);
  const Tensor mu = s.honest.mean(0);
  EXPECT_EQ(apart(built<AttackRegistry>("sign_flip")->send(s, Rng(1)), -mu), 0);
  EXPECT_LE(apart(built<AttackRegistry>("inner_product", {{"tau", .5}})->send(s, Rng(1)), -.5 * mu), 1e-15);
  EXPECT_EQ(apart(built<AttackRegistry>("mimic", {{"whom", int64_t{8}}})->send(s, Rng(1)), s.honest[2]), 0);
  EXPECT_EQ(built<AttackRegistry>("not_finite")->send(s, Rng(1)).isnan().sum().item<int64_t>(), 40);
  EXPECT_EQ(apart(built<AttackRegistry>("stale")->send({s.honest, s.own, 8, 2, mu}, Rng(1)), mu), 0);
  EXPECT_EQ(apart(built<AttackRegistry>("label_flip")->send(s, Rng(1)), s.own), 0);
  const Tensor some = built<AttackRegistry>("not_finite", {{"share", .3}, {"value", "inf"}})->send(s, Rng(1));
  EXPECT_EQ(some.isinf().sum().item<int64_t>() + some.eq(s.own).sum().item<int64_t>(), 40);
  EXPECT_GT(some.isinf().sum().item<int64_t>(), 2);
  const Tensor big = at::zeros({100000}, at::kDouble);
  EXPECT_NEAR(
      built<AttackRegistry>("noise", {{"sd", 3.}})->send({{}, big, 1, 1}, Rng(1)).std().item<double>(), 3,
      .03);
}

class EachAttack : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Registry, EachAttack, ::testing::ValuesIn(AttackRegistry::instance().names()));

TEST_P(EachAttack, IsRepeatableAndLeavesHonestRowsAlone) {
  const auto attack = built<AttackRegistry>(GetParam());
  const Scene s = scene(5, 30, 3);
  const Tensor honest = s.honest.clone(), own = s.own.clone();
  const Tensor a = attack->send(s, Rng(4)), b = attack->send(s, Rng(4));
  if (GetParam() == "silent") {
    EXPECT_FALSE(a.defined());
    return;
  }
  EXPECT_TRUE(at::allclose(a, b, 0, 0, /*equal_nan=*/true));
  a.fill_(0);
  EXPECT_EQ(apart(s.honest, honest), 0);
  EXPECT_EQ(apart(s.own, own), 0);
  EXPECT_EQ(attack->send({{}, s.own, 1, 1}, Rng(1)).numel(), 30);
  EXPECT_EQ(attack->send({s.honest.to(at::kFloat), s.own.to(at::kFloat), 7, 2}, Rng(1)).scalar_type(),
            at::kFloat);
}

TEST_P(EachAttack, IsBorneByRobustRules) {
  // 2 of 12 hostile. Each robust rule stays within the honest spread of the honest mean. Attacks that hide
  // within that spread move no rule far; those that do not ruin the mean.
  const auto attack =
      built<AttackRegistry>(GetParam(), GetParam() == "noise" ? Settings{{"sd", 100.}} : Settings{});
  if (GetParam() == "silent") return;  // there is no row to bear
  const Scene s = scene(10, 200, 5);
  Tensor x = at::cat({s.honest, at::zeros({2, 200}, at::kDouble)});
  for (int64_t i = 0; i < 2; ++i) x[10 + i] = attack->send({s.honest, s.honest[i], 12, 2}, Rng(6 + i));
  const Tensor truth = s.honest.mean(0);
  const double spread = (s.honest - truth).norm(2, 1).max().item<double>();
  for (const std::string& name : AggregatorRegistry::instance().names()) {
    const auto rule = built<AggregatorRegistry>(name);
    if (!rule->laws().robust || name == "cge")
      continue;  // cge trusts small norms, which sign_flip's and ALIE's may be
    const Tensor out = aggregate(*rule, {x, 2, {}}, Rng(1));
    EXPECT_LE((out - truth).norm().item<double>(), 1.05 * spread) << name;
  }
}

}  // namespace
}  // namespace symma
