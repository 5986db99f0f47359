// The convolution against libtorch's own, with derivatives up to the third, on every instruction set that
// this machine has.
#include "symma/nn/kernels/convolution.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "symma/core/processor.h"
#include "symma/core/rng.h"

namespace symma {
namespace {

// As libtorch computes it: rows as groups of one convolution, channels first.
Tensor reference(const Tensor& x, const Tensor& weight) {
  const int64_t b = weight.size(0), k = x.size(0) / b, c = x.size(3), f = weight.size(2);
  const Tensor images = x.view({b, k, x.size(1), x.size(2), c})
                            .permute({1, 0, 4, 2, 3})
                            .reshape({k, b * c, x.size(1), x.size(2)});
  const Tensor filters = weight.view({b, 3, 3, c, f}).permute({0, 4, 3, 1, 2}).reshape({b * f, c, 3, 3});
  const Tensor y = at::conv2d(images, filters, {}, {2, 2}, {1, 1}, {1, 1}, b);
  return y.view({k, b, f, y.size(2), y.size(3)})
      .permute({1, 0, 3, 4, 2})
      .reshape({b, k * y.size(2) * y.size(3), f});
}

struct Case {
  int64_t rows, images, h, w, c, f;
  bool image_gradient;
};

// The value, and its derivatives up to `orders`, each contracted with fixed directions.
std::vector<Tensor> derivatives(const Case& s, at::ScalarType type, bool plain, int orders) {
  const Tensor data = normal(Rng(1), {s.rows * s.images, s.h, s.w, s.c}, at::kDouble).to(type);
  const Tensor x = s.image_gradient ? leaf(data) : data;
  const Tensor w = leaf(normal(Rng(2), {s.rows, 9 * s.c, s.f}, at::kDouble).to(type));
  std::vector<Tensor> inputs{w};
  if (s.image_gradient) inputs.push_back(x);
  std::vector<Tensor> all{plain ? reference(x, w) : kernels::convolution(x, w)};
  Tensor value = (all[0].pow(3) * normal(Rng(3), all[0].sizes(), at::kDouble).to(type)).mean();
  for (int order = 1; order <= orders; ++order) {
    const auto g = torch::autograd::grad({value}, inputs, {}, true, true);
    value = at::zeros({}, x.options());
    for (size_t i = 0; i < g.size(); ++i)
      value =
          value + (g[i].square() * normal(Rng(4).split("v", i), g[i].sizes(), at::kDouble).to(type)).sum();
    all.insert(all.end(), g.begin(), g.end());
  }
  return all;
}

void expect_agreement(const Case& s, at::ScalarType type, int orders, double tolerance) {
  const auto actual = derivatives(s, type, false, orders), expected = derivatives(s, type, true, orders);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].sizes(), expected[i].sizes());
    const double size = expected[i].abs().max().item<double>();
    EXPECT_GT(size, 0);
    EXPECT_LE((actual[i] - expected[i]).abs().max().item<double>(), tolerance * size) << fmt::format(
        "{} rows of {} images {}x{}x{} to {}, output {}", s.rows, s.images, s.h, s.w, s.c, s.f, i);
  }
}

class OnEverySimd : public testing::TestWithParam<Simd> {
 protected:
  void SetUp() override {
    if (!has_simd(GetParam())) GTEST_SKIP() << "this processor lacks it";
    select_simd(GetParam());
  }
  void TearDown() override { select_simd(before_); }

 private:
  Simd before_ = simd();
};

using Convolution = OnEverySimd;

// Channels that fill vectors and such that don't; images of one pixel, odd and even; one image and several.
TEST_P(Convolution, HasTheDerivativesOfConv2dUpToTheThird) {
  for (const Case& s :
       {Case{1, 1, 1, 1, 8, 8, true}, Case{2, 1, 2, 3, 8, 24, true}, Case{2, 5, 4, 4, 16, 16, true},
        Case{3, 2, 7, 5, 8, 40, true}, Case{1, 3, 9, 8, 72, 8, true}, Case{2, 5, 14, 14, 1, 64, false},
        Case{2, 2, 5, 6, 3, 32, false}, Case{2, 2, 5, 6, 3, 5, true}, Case{1, 2, 4, 4, 33, 65, true},
        Case{1, 2, 4, 4, 16, 7, true}, Case{1, 2, 4, 4, 5, 16, true}})
    expect_agreement(s, at::kDouble, 3, 1e-12);
}

TEST_P(Convolution, AgreesInFloat) {
  for (const Case& s : {Case{2, 5, 14, 14, 64, 64, true}, Case{2, 5, 28, 28, 1, 64, false},
                        Case{1, 2, 3, 3, 16, 48, true}, Case{1, 1, 7, 7, 32, 16, true}})
    expect_agreement(s, at::kFloat, 2, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Kernels, Convolution, testing::ValuesIn(kEverySimd),
                         [](const auto& info) { return name_of(info.param); });

// One row seen by all tasks, stride 0, as the start of MAML is handed out.
TEST(ConvolutionRows, TakeAnExpandedWeight) {
  const Tensor x = normal(Rng(1), {6, 4, 4, 16}, at::kFloat), w = normal(Rng(2), {1, 144, 16}, at::kFloat);
  EXPECT_TRUE(
      kernels::convolution(x, w.expand({3, 144, 16})).equal(kernels::convolution(x, w.repeat({3, 1, 1}))));
}

}  // namespace
}  // namespace symma
