// The gates of an LSTM against plain tensor operations and finite differences.
#include "symma/nn/kernels/lstm.h"

#include <gtest/gtest.h>

#include "symma/core/rng.h"

namespace symma {
namespace {

TEST(LstmGates, AgreeWithPlainOperationsForthAndBack) {
  for (const auto type : {at::kDouble, at::kFloat}) {
    // A narrowed memory is not contiguous, as the optimiser's is not.
    const Tensor z = leaf(2 * normal(Rng(1), {3, 20, 17}, type)), wide = normal(Rng(2), {3, 9, 17}, type);
    const Tensor c = leaf(wide.narrow(1, 2, 5)), u = normal(Rng(3), {3, 10, 17}, type);
    const Tensor ours = lstm_gates(z, c), plain = lstm_gates_composite(z, c);
    const double tolerance = type == at::kDouble ? 1e-13 : 1e-5;
    EXPECT_LT((ours - plain).abs().max().item<double>(), tolerance);
    for (const Tensor& in : {z, c})
      EXPECT_LT((vector_jacobian(ours, in, u) - vector_jacobian(plain, in, u)).abs().max().item<double>(),
                tolerance);
  }
}

TEST(LstmGates, GradientsAreThoseOfFiniteDifferences) {
  const Tensor z = normal(Rng(1), {1, 4, 1}, at::kDouble), c = normal(Rng(2), {1, 1, 1}, at::kDouble),
               u = normal(Rng(3), {1, 2, 1}, at::kDouble);
  const Tensor at_z = leaf(z), at_c = leaf(c), out = lstm_gates(at_z, at_c);
  const Tensor to_z = vector_jacobian(out, at_z, u), to_c = vector_jacobian(out, at_c, u);
  const auto value = [&](const Tensor& gates, const Tensor& cell) {
    return (lstm_gates(gates, cell) * u).sum().item<double>();
  };
  const double h = 1e-6;
  for (int64_t k = 0; k < 4; ++k) {
    const Tensor e = h * at::eye(4, at::kDouble)[k].view({1, 4, 1});
    EXPECT_NEAR(to_z.view(-1)[k].item<double>(), (value(z + e, c) - value(z - e, c)) / (2 * h), 1e-8);
  }
  EXPECT_NEAR(to_c.item<double>(), (value(z, c + h) - value(z, c - h)) / (2 * h), 1e-8);
}

TEST(LstmGates, SecondDerivativesAreRefused) {
  const Tensor z = leaf(normal(Rng(1), {1, 8, 3})), c = normal(Rng(2), {1, 2, 3});
  EXPECT_THROW(row_gradient(lstm_gates(z, c).sum(), z, true), c10::Error);
}

}  // namespace
}  // namespace symma
