// What the kernels make of an activation's input, against the C library's long double.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/every_simd.h"
#include "symma/nn/kernels/mlp.h"

namespace symma {
namespace {

constexpr int64_t kWide = 16;

// f(x) elementwise, by a network whose weights are the identity.
Tensor applied(Activation f, const Tensor& x) {
  const Tensor layer = at::cat({at::eye(kWide, x.options()).flatten(), at::zeros({kWide}, x.options())});
  return mlp_forward(at::cat({layer, layer}).unsqueeze(0), x.view({1, -1, kWide}), {{kWide, kWide, kWide}, f})
      .flatten();
}

long double truth(Activation f, long double x) {
  switch (f) {
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    default:
      return x * std::erfc(-x / std::sqrt(2.0L)) / 2;
  }
}

template <class T>
void expect_close(Activation f, double reach, const char* level) {
  const auto type = c10::CppTypeToScalarType<T>::value;
  const Tensor near = at::linspace(-reach, reach, 32000, at::kDouble),
               small = at::logspace(-30, 0, 1600, 10, at::kDouble);
  const Tensor x = at::cat({near, small, -small}).to(type), y = applied(f, x);
  double worst = 0, at_worst = 0;
  for (int64_t i = 0; i < x.numel(); ++i) {
    const T in = x.data_ptr<T>()[i];
    const long double right = truth(f, in);
    if (std::abs(right) < std::numeric_limits<T>::min()) continue;
    // The square in the normal density is rounded, and the density falls with it.
    const double unit = std::numeric_limits<T>::epsilon() * (f == Activation::kGelu ? 1 + in * in / 4 : 1);
    const double off = static_cast<double>(std::abs((y.data_ptr<T>()[i] - right) / right)) / unit;
    if (off > worst) worst = off, at_worst = in;
  }
  EXPECT_LT(worst, f == Activation::kGelu ? 5 : 3)
      << level << ", activation " << static_cast<int>(f) << " at " << at_worst << ", " << type;
  EXPECT_GT(worst, 0);
}

template <class T>
void expect_ends(Activation f) {
  const auto type = c10::CppTypeToScalarType<T>::value;
  const auto of = [&](double x) { return applied(f, at::full({kWide}, x, type))[0].template item<double>(); };
  EXPECT_TRUE(std::isnan(of(NAN)));
  EXPECT_EQ(of(1e4), f == Activation::kGelu ? 1e4 : 1);
  EXPECT_NEAR(of(-1e4), f == Activation::kTanh ? -1 : 0, 1e-30);
  if (f != Activation::kSigmoid) {
    EXPECT_EQ(of(0), 0);  // padding stays zero
  }
}

TEST(Activations, AreTheFunctionsToFewUnitsInTheLastPlace) {
  on_every_simd([](Simd level) {
    for (const auto f : {Activation::kTanh, Activation::kSigmoid, Activation::kGelu}) {
      expect_close<float>(f, 12, name_of(level));
      expect_close<double>(f, 30, name_of(level));
      expect_ends<float>(f);
      expect_ends<double>(f);
    }
  });
}

}  // namespace
}  // namespace symma
