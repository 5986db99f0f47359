#include "symma/nn/kernels/norm.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "symma/core/rng.h"
#include "symma/nn/kernels/mlp.h"
#include "symma/nn/kernels/patches.h"
#include "symma/nn/kernels/product.h"

namespace symma {
namespace {

struct Inputs {
  Tensor y, gamma, beta;
};

Inputs inputs(int64_t b, int64_t n, int64_t c, at::ScalarType type) {
  const Rng rng(3);
  return {leaf(normal(rng.split("y"), {b, n, c}, type)), leaf(normal(rng.split("gamma"), {b, c}, type)),
          leaf(normal(rng.split("beta"), {b, c}, type))};
}

// Value, gradients, and gradients of a weighted sum of the gradients.
std::vector<Tensor> derivatives(const Inputs& in, bool composite) {
  const auto f = composite ? norm_relu_composite : norm_relu;
  const Tensor h = f(in.y, in.gamma, in.beta, 1e-5);
  const Tensor weight = normal(Rng(4).split("w"), h.sizes(), h.scalar_type());
  auto first =
      torch::autograd::grad({(h.square() * weight).sum()}, {in.y, in.gamma, in.beta}, {}, true, true);
  Tensor mixed = at::zeros({}, h.options());
  for (size_t i = 0; i < first.size(); ++i)
    mixed = mixed + (first[i] * normal(Rng(5).split("v", i), first[i].sizes(), h.scalar_type())).sum();
  auto second = torch::autograd::grad({mixed}, {in.y, in.gamma, in.beta});
  std::vector<Tensor> all{h};
  all.insert(all.end(), first.begin(), first.end());
  all.insert(all.end(), second.begin(), second.end());
  return all;
}

void expect_close(const Tensor& a, const Tensor& b, double tolerance, const std::string& what) {
  EXPECT_LE((a - b).abs().max().item<double>(), tolerance * std::max(1.0, b.abs().max().item<double>()))
      << what;
}

TEST(NormRelu, AgreesWithTheCompositePath) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (const auto& [b, n, c] : {std::tuple{1, 2, 1}, {3, 7, 5}, {2, 33, 65}, {4, 49, 64}}) {
      const auto a = derivatives(inputs(b, n, c, type), false), e = derivatives(inputs(b, n, c, type), true);
      for (size_t i = 0; i < a.size(); ++i)
        expect_close(a[i], e[i], type == at::kFloat ? 2e-5 : 1e-10,
                     fmt::format("{}x{}x{} output {}", b, n, c, i));
    }
  }
}

// gradcheck and gradgradcheck: first and second derivatives against central differences of the value and of
// the first derivative.
TEST(NormRelu, GradientsAreThoseOfFiniteDifferences) {
  const Inputs in = inputs(2, 7, 3, at::kDouble);
  const std::vector<Tensor> at{in.y.detach(), in.gamma.detach(), in.beta.detach()};
  const auto loss = [](const std::vector<Tensor>& v) {
    const Tensor h = norm_relu(v[0], v[1], v[2], 1e-3);
    return (h.square() * normal(Rng(4), h.sizes(), at::kDouble)).sum();
  };
  // The gradient at `v`, contracted with fixed directions.
  const auto slope = [&](const std::vector<Tensor>& v) {
    const auto g = torch::autograd::grad({loss(v)}, v, {}, true, true);
    Tensor sum = at::zeros({}, at::kDouble);
    for (size_t i = 0; i < g.size(); ++i)
      sum = sum + (g[i] * normal(Rng(5).split("v", i), g[i].sizes(), at::kDouble)).sum();
    return sum;
  };
  const auto leaves = [&] { return std::vector<Tensor>{leaf(at[0]), leaf(at[1]), leaf(at[2])}; };
  const auto check = [&](const std::function<Tensor(const std::vector<Tensor>&)>& f,
                         const std::string& what) {
    const auto start = leaves();
    const auto g = torch::autograd::grad({f(start)}, start);
    for (size_t i = 0; i < at.size(); ++i) {
      for (int64_t k = 0; k < at[i].numel(); ++k) {
        const auto moved = [&](double by) {
          auto v = leaves();
          Tensor copy = at[i].clone();
          copy.view(-1)[k] += by;
          v[i] = leaf(copy);
          return f(v).item<double>();
        };
        EXPECT_NEAR(g[i].reshape(-1)[k].item<double>(), (moved(1e-6) - moved(-1e-6)) / 2e-6, 1e-6)
            << what << ", input " << i << ", entry " << k;
      }
    }
  };
  check(loss, "first");
  check(slope, "second");
}

TEST(NormRelu, RefusesAThirdDerivative) {
  const Inputs in = inputs(2, 5, 3, at::kDouble);
  const auto first = torch::autograd::grad({norm_relu(in.y, in.gamma, in.beta, 1e-5).square().sum()}, {in.y},
                                           {}, true, true);
  EXPECT_THROW(torch::autograd::grad({first[0].square().sum()}, {in.y}, {}, true, true), c10::Error);
  CompositePath composite;
  const auto again = torch::autograd::grad({norm_relu(in.y, in.gamma, in.beta, 1e-5).square().sum()}, {in.y},
                                           {}, true, true);
  EXPECT_NO_THROW(torch::autograd::grad({again[0].square().sum()}, {in.y}, {}, true, true));
}

// Against at::bmm, up to third derivatives, and laid out as the operands are.
TEST(Product, HasTheDerivativesOfBmmOfEveryOrder) {
  const auto derivatives = [](bool plain) {
    const Tensor a = leaf(normal(Rng(1), {3, 7, 5}, at::kDouble)),
                 b = leaf(normal(Rng(2), {3, 5, 4}, at::kDouble));
    std::vector<Tensor> all{plain ? at::bmm(a, b) : kernels::product(a, b)};
    Tensor value = (all[0].pow(4) * normal(Rng(3), all[0].sizes(), at::kDouble)).sum();
    for (int order = 1; order <= 3; ++order) {
      const auto g = torch::autograd::grad({value}, {a, b}, {}, true, true);
      value = (g[0] * normal(Rng(4), a.sizes(), at::kDouble)).sum() +
              (g[1].square() * normal(Rng(5), b.sizes(), at::kDouble)).sum();
      all.insert(all.end(), g.begin(), g.end());
    }
    return all;
  };
  const auto actual = derivatives(false), expected = derivatives(true);
  ASSERT_EQ(actual.size(), 7u);
  for (size_t i = 0; i < actual.size(); ++i)
    expect_close(actual[i], expected[i], 1e-12, fmt::format("output {}", i));
}

// The same numbers as libtorch's im2col, whose rows run (channel, row, column).
TEST(Patches, AgreeWithIm2colForOddSizes) {
  for (const auto& [n, h, w, c] : {std::tuple{2, 28, 28, 1}, {1, 7, 5, 3}, {3, 1, 1, 2}, {2, 4, 9, 65}}) {
    const Tensor x = leaf(normal(Rng(6), {n, h, w, c}, at::kDouble));
    const int64_t oh = (h + 1) / 2, ow = (w + 1) / 2;
    const Tensor expected = at::im2col(x.permute({0, 3, 1, 2}), {3, 3}, {1, 1}, {1, 1}, {2, 2})
                                .view({n, c, 9, oh, ow})
                                .permute({0, 3, 4, 2, 1})
                                .reshape({n, oh, ow, 9 * c});
    const Tensor actual = kernels::patches(x);
    EXPECT_TRUE(actual.equal(expected));
    const Tensor v = normal(Rng(7), expected.sizes(), at::kDouble);
    const auto ga = torch::autograd::grad({(actual.square() * v).sum()}, {x}, {}, true, true),
               ge = torch::autograd::grad({(expected.square() * v).sum()}, {x}, {}, true, true);
    expect_close(ga[0], ge[0], 1e-12, "first");
    expect_close(torch::autograd::grad({ga[0].square().sum()}, {x})[0],
                 torch::autograd::grad({ge[0].square().sum()}, {x})[0], 1e-12, "second");
  }
}

}  // namespace
}  // namespace symma
