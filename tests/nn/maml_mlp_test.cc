// MAML without a graph against the same through autograd.
#include "symma/nn/kernels/maml_mlp.h"
#include "symma/nn/kernels/mlp.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/every_simd.h"
#include "symma/core/parallel.h"
#include "symma/core/rng.h"

namespace symma {
namespace {

Tensor head_loss(const Tensor& y, const Tensor& target, HeadLoss loss) {  // [B]
  if (loss == HeadLoss::kSquaredError) return (y - target).pow(2).mean({1, 2});
  return -at::log_softmax(y, 2).gather(2, target.unsqueeze(2)).mean({1, 2});
}

struct Case {
  MlpShape shape;
  HeadLoss loss;
  int64_t rows, support, query;
  at::ScalarType type;
  int64_t extra = 0;
  Tensor theta = {}, rates = {};
  Examples s = {}, q = {};

  void draw(bool per_parameter) {
    const Rng rng(3);
    const int64_t in = shape.widths[0], out = shape.widths.back();
    theta = normal(rng.split("theta"), {rows, shape.params() + extra}, type) *
            0.2;  // small enough for the inner loops to be stable
    rates = per_parameter ? uniform(rng.split("rates"), theta.sizes(), 0.005, 0.05, type)
                          : uniform(rng.split("rates"), {rows}, 0.005, 0.05, type);
    const auto examples = [&](const char* name, int64_t k) {
      const Rng r = rng.split(name);
      const Tensor x = normal(r.split("x"), {rows, k, in}, type);
      if (loss == HeadLoss::kSquaredError) return Examples{x, normal(r.split("y"), {rows, k, out}, type)};
      return Examples{
          x,
          uniform(r.split("y"), {rows, k}, 0, static_cast<double>(out), at::kDouble).floor().to(at::kLong)};
    };
    s = examples("support", support);
    q = examples("query", query);
  }
};

MamlMlpResult by_autograd(const Case& c, const MamlMlpOptions& options, std::vector<Tensor>* path = nullptr) {
  const Tensor start = leaf(c.theta);
  const Tensor rates =
      leaf(c.rates.dim() == 2 ? c.rates : c.rates.unsqueeze(1).expand(c.theta.sizes()).contiguous());
  Tensor theta = start;
  MamlMlpResult r;
  for (int64_t k = 0; k <= options.inner_steps; ++k) {
    if (path) path->push_back(theta.detach());
    const Tensor loss = head_loss(mlp_forward(theta, c.s.x, c.shape), c.s.y, c.loss);
    if (k == 0) r.support_loss = loss.detach();
    if (k == options.inner_steps) break;
    Tensor g = torch::autograd::grad({loss.sum()}, {theta}, {}, true, options.order == 2)[0];
    if (options.order == 1) g = g.detach();
    theta = theta - rates * g;
  }
  const Tensor loss = head_loss(mlp_forward(theta, c.q.x, c.shape), c.q.y, c.loss);
  r.query_loss = loss.detach();
  const auto g = torch::autograd::grad({loss.sum()}, {start, rates}, {}, false, false, true);
  r.gradient = g[0];
  r.rate_gradient = g[1].defined() ? g[1] : at::zeros_like(rates);
  return r;
}

double relative_error(const Tensor& a, const Tensor& b) {
  return ((a - b).abs().max() / b.abs().max().clamp_min(1e-3)).item<double>();
}

void expect_equal(const MamlMlpResult& a, const MamlMlpResult& b, double tolerance, const std::string& what) {
  EXPECT_LT(relative_error(a.query_loss, b.query_loss), tolerance) << "query loss, " << what;
  EXPECT_LT(relative_error(a.support_loss, b.support_loss), tolerance) << "support loss, " << what;
  EXPECT_LT(relative_error(a.gradient, b.gradient), tolerance) << "gradient, " << what;
  if (a.rate_gradient.defined()) {
    EXPECT_LT(relative_error(a.rate_gradient, b.rate_gradient), tolerance) << "rates, " << what;
  }
}

MamlMlpResult fused(const Case& c, const MamlMlpOptions& options) {
  return maml_mlp(c.theta, c.s, c.q, c.rates, c.shape, options);
}

TEST(MamlMlp, AgreesWithAutograd) {
  on_every_simd([](Simd) {
    for (auto type : {at::kDouble, at::kFloat}) {
      const double tolerance = type == at::kDouble ? 1e-10 : 1e-5;
      for (HeadLoss loss : {HeadLoss::kSquaredError, HeadLoss::kCrossEntropy}) {
        for (Activation f : {Activation::kIdentity, Activation::kRelu, Activation::kTanh,
                             Activation::kSigmoid, Activation::kGelu}) {
          for (const auto& widths :
               std::vector<std::vector<int64_t>>{{1, 40, 40, 1}, {7, 33, 65, 5}, {3, 1, 2}, {5, 3}}) {
            for (int64_t steps : {0, 1, 2, 5}) {
              Case c{{widths, f}, loss, 3, 10, 7, type};
              c.draw(steps == 2);
              MamlMlpOptions options{.loss = loss, .inner_steps = steps, .order = 2, .rate_gradient = true};
              const std::string what = std::to_string(widths.size()) + " widths, activation " +
                                       std::to_string(static_cast<int>(f)) + ", steps " +
                                       std::to_string(steps) + ", loss " +
                                       std::to_string(static_cast<int>(loss)) + ", " + at::toString(type);
              const auto truth = by_autograd(c, options);
              expect_equal(fused(c, options), truth, tolerance, what);
              options.recompute = true;
              options.rate_gradient = steps % 2;
              expect_equal(fused(c, options), truth, tolerance, what + ", recomputed");
              options.order = 1;
              options.rate_gradient = true;
              expect_equal(fused(c, options), by_autograd(c, options), tolerance, what + ", order 1");
            }
          }
        }
      }
    }
  });
}

TEST(MamlMlp, RecomputingGivesTheSameBits) {
  Case c{{{2, 16, 9, 1}, Activation::kGelu}, HeadLoss::kSquaredError, 4, 10, 15, at::kFloat};
  c.draw(false);
  const auto kept = fused(c, {.inner_steps = 4}), again = fused(c, {.inner_steps = 4, .recompute = true});
  EXPECT_TRUE(kept.gradient.equal(again.gradient));
}

TEST(MamlMlp, MetaGradientIsThatOfFiniteDifferences) {
  Case c{{{2, 5, 1}, Activation::kTanh}, HeadLoss::kSquaredError, 1, 4, 6, at::kDouble};
  c.draw(true);
  const MamlMlpOptions options{.inner_steps = 3, .rate_gradient = true};
  const auto r = fused(c, options);
  const auto slope = [&](Tensor Case::*which, int64_t i) {
    const auto moved = [&](double by) {
      Case d = c;
      d.*which = (c.*which).clone();
      (d.*which)[0][i] += by;
      return fused(d, options).query_loss.item<double>();
    };
    return (moved(1e-6) - moved(-1e-6)) / 2e-6;
  };
  for (int64_t i = 0; i < c.shape.params(); ++i) {
    EXPECT_NEAR(r.gradient[0][i].item<double>(), slope(&Case::theta, i), 1e-8);
    EXPECT_NEAR(r.rate_gradient[0][i].item<double>(), slope(&Case::rates, i), 1e-8);
  }
}

TEST(MamlMlp, AdaptGivesTheRowsOfEachStepAndExtraColumnsStay) {
  for (HeadLoss loss : {HeadLoss::kSquaredError, HeadLoss::kCrossEntropy}) {
    Case c{{{3, 7, 9, 4}, Activation::kTanh}, loss, 5, 6, 6, at::kDouble, /*extra=*/3};
    c.draw(false);
    std::vector<Tensor> truth;
    const auto options = MamlMlpOptions{.loss = loss, .inner_steps = 4, .rate_gradient = true};
    const auto slow = by_autograd(c, options, &truth);
    const std::vector<int64_t> all{0, 1, 2, 3, 4}, some{0, 3, 3};
    const auto rows = maml_mlp_adapt(c.theta, c.s, c.rates, c.shape, loss, all);
    ASSERT_EQ(rows.size(), truth.size());
    for (size_t k = 0; k < rows.size(); ++k)
      EXPECT_LT(relative_error(rows[k], truth[k]), 1e-10) << "step " << k;
    const auto asked = maml_mlp_adapt(c.theta, c.s, c.rates, c.shape, loss, some);
    ASSERT_EQ(asked.size(), some.size());
    for (size_t i = 0; i < some.size(); ++i) EXPECT_TRUE(asked[i].equal(rows[some[i]])) << some[i];
    expect_equal(fused(c, options), slow, 1e-10, "extra columns");
    EXPECT_EQ(fused(c, options).gradient.narrow(1, c.shape.params(), 3).abs().max().item<double>(), 0);
  }
}

TEST(MamlMlp, ALongWayIsTheSameInOneGoOrInTwo) {
  Case c{{{3, 7, 9, 4}, Activation::kTanh}, HeadLoss::kSquaredError, 5, 6, 6, at::kFloat};
  c.draw(false);
  const auto from = [&](const Tensor& theta, int64_t steps) {
    return maml_mlp_adapt(theta, c.s, c.rates, c.shape, c.loss, std::vector<int64_t>{steps})[0];
  };
  EXPECT_TRUE(from(c.theta, 37).equal(from(from(c.theta, 11), 26)));
  EXPECT_FALSE(from(c.theta, 37).equal(from(c.theta, 36)));
}

TEST(MamlMlp, OneRateForAllAndOneRowOfRates) {
  Case c{{{3, 8, 1}, Activation::kRelu}, HeadLoss::kSquaredError, 5, 6, 6, at::kFloat};
  c.draw(true);
  const auto with = [&](const Tensor& rates) {
    return maml_mlp(c.theta, c.s, c.q, rates, c.shape, {.inner_steps = 2}).gradient;
  };
  EXPECT_TRUE(with(at::full({}, 0.05)).equal(with(at::full({5}, 0.05))));
  EXPECT_TRUE(with(at::full({}, 0.05)).equal(with(at::full({1, c.shape.params()}, 0.05))));
  EXPECT_TRUE(with(c.rates[0].unsqueeze(0)).equal(with(c.rates[0].unsqueeze(0).expand(c.rates.sizes()))));
}

TEST(MamlMlp, SameBitsForOneAndTwoThreads) {
  Case c{{{1, 40, 40, 1}, Activation::kRelu}, HeadLoss::kSquaredError, 101, 10, 10, at::kFloat};
  c.draw(false);
  set_threads(1);
  const auto one = fused(c, {.inner_steps = 3, .rate_gradient = true});
  set_threads(2);
  const auto two = fused(c, {.inner_steps = 3, .rate_gradient = true});
  EXPECT_TRUE(one.gradient.equal(two.gradient));
  EXPECT_TRUE(one.rate_gradient.equal(two.rate_gradient));
  EXPECT_TRUE(one.query_loss.equal(two.query_loss));
}

TEST(MamlMlp, WhatDoesNotFitIsRefused) {
  Case c{{{3, 8, 4}, Activation::kRelu}, HeadLoss::kCrossEntropy, 2, 6, 6, at::kFloat};
  c.draw(false);
  const MamlMlpOptions options{.loss = HeadLoss::kCrossEntropy};
  EXPECT_NO_THROW(fused(c, options));
  Case bad = c;
  bad.s.y = c.s.y + 4;
  EXPECT_THROW(fused(bad, options), c10::Error);
  bad = c;
  bad.rates = at::zeros({3});
  EXPECT_THROW(fused(bad, options), c10::Error);
  bad = c;
  bad.q.x = c.q.x.to(at::kDouble);
  EXPECT_THROW(fused(bad, options), c10::Error);
  EXPECT_THROW(fused(c, {.loss = HeadLoss::kSquaredError}), c10::Error);
  EXPECT_THROW(fused(c, {.loss = HeadLoss::kCrossEntropy, .order = 3}), c10::Error);
}

}  // namespace
}  // namespace symma
