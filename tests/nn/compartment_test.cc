// Curves after a dose against the differential equations that they solve, and their derivatives where both
// rates are the same.
#include <gtest/gtest.h>

#include <cmath>

#include "symma/core/errors.h"
#include "symma/nn/model.h"

namespace symma {
namespace {

Tensor answer(const Json& options, const std::vector<double>& row, const Tensor& x) {
  const auto model = make<ModelRegistry>("compartment", options, ModelShape{{x.size(2)}, 1});
  return model->forward(at::tensor(row, at::kDouble).unsqueeze(0), x, Mode::kEval);
}

// gut' = -ka gut, blood' = ka gut - ke blood, by Runge and Kutta's rule; C = blood / volume, Cl = ke volume.
double integrated(double ka, double ke, double cl, double dose, double until) {
  const int steps = 4000;
  const double h = until / steps;
  double gut = dose, blood = 0;
  for (int i = 0; i < steps; ++i) {
    const auto slope = [&](double g, double b) { return std::pair{-ka * g, ka * g - ke * b}; };
    const auto [g1, b1] = slope(gut, blood);
    const auto [g2, b2] = slope(gut + h / 2 * g1, blood + h / 2 * b1);
    const auto [g3, b3] = slope(gut + h / 2 * g2, blood + h / 2 * b2);
    const auto [g4, b4] = slope(gut + h * g3, blood + h * b3);
    gut += h / 6 * (g1 + 2 * g2 + 2 * g3 + g4), blood += h / 6 * (b1 + 2 * b2 + 2 * b3 + b4);
  }
  return blood / (cl / ke);
}

// Where absorption is the slower of both rates, at the precision that rows are learned in.
TEST(Compartment, SlowAbsorptionOverflowsNothing) {
  const auto model = make<ModelRegistry>("compartment", Json::object(), ModelShape{{2}, 1});
  const Tensor x = at::tensor({48.F, 4.F}).view({1, 1, 2}),
               row = at::tensor({-4.F, 1.1F, -3.F}).view({1, 3}).requires_grad_(true);
  const Tensor y = model->forward(row, x, Mode::kTrain);
  y.sum().backward();
  EXPECT_NEAR(y.item<double>(), integrated(std::exp(-4.), std::exp(1.1), std::exp(-3.), 4, 48), 1e-3);
  EXPECT_TRUE(row.grad().isfinite().all().item<bool>());
}

TEST(Compartment, OralIsTheSolutionOfItsEquations) {
  for (const double ka : {1.6, 0.3, 0.09, 0.0900001, 0.02}) {
    const double ke = 0.09, cl = 0.04, dose = 4;
    for (const double t : {0.0, 0.5, 3.0, 12.0, 24.0}) {
      const Tensor x = at::tensor({t, dose}, at::kDouble).view({1, 1, 2});
      EXPECT_NEAR(answer(Json::object(), {std::log(ka), std::log(ke), std::log(cl)}, x).item<double>(),
                  integrated(ka, ke, cl, dose, t), 1e-8)
          << ka << " at " << t;
    }
  }
}

TEST(Compartment, DerivativesAreThoseOfItsValueAlsoWhereRatesMeet) {
  const Tensor x = at::tensor({0.5, 4.0, 9.0, 4.0}, at::kDouble).view({1, 2, 2});
  const auto model = make<ModelRegistry>("compartment", Json::object(), ModelShape{{2}, 1});
  for (const double apart : {0.0, 1e-6, 1e-3, 0.7}) {
    const Tensor row = at::tensor({-2.4 + apart, -2.4, -3.2}, at::kDouble).unsqueeze(0);
    const auto value = [&](const Tensor& r) { return model->forward(r, x, Mode::kEval).square().sum(); };
    const Tensor at_row = leaf(row);
    const Tensor g = row_gradient(value(at_row).unsqueeze(0), at_row, false);
    for (int64_t i = 0; i < 3; ++i) {
      Tensor up = row.clone(), down = row.clone();
      up[0][i] += 1e-5, down[0][i] -= 1e-5;
      const double slope = (value(up) - value(down)).item<double>() / 2e-5;
      EXPECT_NEAR(g[0][i].item<double>(), slope, 1e-6 * (1 + std::abs(slope))) << apart;
    }
  }
}

TEST(Compartment, InjectionIsTwoExponentials) {
  const Tensor x = at::tensor({0.0, 1.5}, at::kDouble).view({1, 2, 1});
  const Tensor c = answer({{"route", "injection"}}, {0.2, 0.1, -0.5, -1.0}, x).flatten();
  EXPECT_NEAR(c[0].item<double>(), std::exp(0.2) + std::exp(-0.5), 1e-12);
  EXPECT_NEAR(c[1].item<double>(),
              std::exp(0.2 - 1.5 * std::exp(0.1)) + std::exp(-0.5 - 1.5 * std::exp(-1.0)), 1e-12);
}

TEST(Compartment, SaysWhatItTakes) {
  const auto refused = [](const Json& options, const ModelShape& shape, const std::string& word) {
    try {
      make<ModelRegistry>("compartment", options, shape);
      ADD_FAILURE() << "not refused";
    } catch (const UserError& e) {
      EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << e.what();
    }
  };
  refused(Json::object(), {{3}, 1}, "time and dose");
  refused({{"route", "injection"}}, {{2}, 1}, "one column, time");
  refused(Json::object(), {{2}, 3}, "one number");
  refused({{"start", {1.0}}}, {{2}, 1}, "[model] start");
  refused({{"route", "drip"}}, {{2}, 1}, "route");
}

}  // namespace
}  // namespace symma
