// The fused MLP against plain tensor operations and against finite differences.
#include "symma/nn/kernels/mlp.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "core/every_simd.h"
#include "symma/core/parallel.h"
#include "symma/core/rng.h"

namespace symma {
namespace {

constexpr Activation kAll[] = {Activation::kIdentity, Activation::kRelu, Activation::kTanh,
                               Activation::kSigmoid, Activation::kGelu};

Tensor gradient(const Tensor& y, const Tensor& x) {
  return torch::autograd::grad({y}, {x}, {}, /*retain_graph=*/true, /*create_graph=*/true,
                               /*allow_unused=*/true)[0];
}
Tensor plain_gradient(const Tensor& y, const Tensor& x) {
  const Tensor g = torch::autograd::grad({y}, {x}, {}, true, false, true)[0];
  return g.defined() ? g : at::zeros_like(x);
}

struct Values {
  std::vector<std::pair<const char*, Tensor>> list;
};

// The value and every first and second derivative, contracted with fixed random directions.
template <class Forward>
Values derivatives(Forward forward, const Tensor& theta0, const Tensor& x0, int64_t out) {
  const Rng rng(11);
  const Tensor theta = leaf(theta0), x = leaf(x0);
  const auto type = theta0.scalar_type();
  const auto direction = [&](const char* name, at::IntArrayRef sizes) {
    return normal(rng.split(name), sizes, at::kFloat).to(type);
  };
  const Tensor c = leaf(direction("c", {x.size(0), x.size(1), out}));
  const Tensor u = direction("u", theta.sizes()), s = direction("s", x.sizes());
  const Tensor y = forward(theta, x);
  const Tensor loss = (y * c).sum() + 0.5 * (y * y).sum();
  const Tensor gt = gradient(loss, theta), gx = gradient(loss, x);
  const Tensor in_theta = (gt * u).sum(), in_x = (gx * s).sum();
  return {{{"y", y},
           {"dtheta", gt},
           {"dx", gx},
           {"dtheta dtheta", plain_gradient(in_theta, theta)},
           {"dtheta dx", plain_gradient(in_theta, x)},
           {"dtheta dc", plain_gradient(in_theta, c)},
           {"dx dtheta", plain_gradient(in_x, theta)},
           {"dx dx", plain_gradient(in_x, x)},
           {"dx dc", plain_gradient(in_x, c)},
           {"both", plain_gradient(in_theta + in_x, theta)}}};
}

double relative_error(const Tensor& a, const Tensor& b) {
  return ((a - b).abs().max() / b.abs().max().clamp_min(1e-3)).item<double>();
}

// In double the two paths agree. In float the kernel is held against the composite path in double, on the
// same numbers: where what is added cancels, either path in float is off by more than the tolerance, by how
// much goes by the order of its sums (which differs between processors and between libtorches), and the
// kernel may be off by twice as much as the other.
void agree(const MlpShape& shape, int64_t rows, int64_t samples, at::ScalarType type, double tolerance,
           int64_t extra = 0) {
  const Rng rng(7);
  const Tensor theta =
      (normal(rng.split("theta"), {rows, shape.params() + extra}, at::kFloat) * 0.4).to(type);
  const Tensor x = normal(rng.split("x"), {rows, samples, shape.widths[0]}, at::kFloat).to(type);
  const int64_t out = shape.widths.back();
  const auto composite = [&](auto& t, auto& v) { return mlp_forward_composite(t, v, shape); };
  const auto fused = derivatives([&](auto& t, auto& v) { return mlp_forward(t, v, shape); }, theta, x, out);
  const auto plain = derivatives(composite, theta, x, out);
  const auto exact =
      type == at::kDouble ? plain : derivatives(composite, theta.to(at::kDouble), x.to(at::kDouble), out);
  for (size_t i = 0; i < fused.list.size(); ++i) {
    const Tensor& truth = exact.list[i].second;
    const double bound =
        type == at::kFloat ? std::max(tolerance, 2 * relative_error(plain.list[i].second, truth)) : tolerance;
    EXPECT_LE(relative_error(fused.list[i].second, truth), bound)
        << fused.list[i].first << ", widths " << at::IntArrayRef(shape.widths) << ", activation "
        << static_cast<int>(shape.activation) << ", K " << samples << ", " << type;
  }
}

TEST(MlpKernel, AgreesWithCompositeAtOddSizes) {
  on_every_simd([](Simd) {
    for (Activation f : kAll) {
      for (const auto& widths : std::vector<std::vector<int64_t>>{{1, 1},
                                                                  {7, 5},
                                                                  {33, 1},
                                                                  {1, 7, 1},
                                                                  {1, 40, 40, 1},
                                                                  {7, 33, 65, 1},
                                                                  {65, 1, 7, 2},
                                                                  {33, 65, 7, 33, 5},
                                                                  {8, 16, 24, 8}}) {
        for (int64_t samples : {1, 7, 10}) {
          agree({widths, f}, 3, samples, at::kDouble, 1e-10);
          agree({widths, f}, 3, samples, at::kFloat, 1e-5);
        }
      }
    }
  });
}

TEST(MlpKernel, AgreesWithCompositeWhenDeepAndWide) {
  for (Activation f : {Activation::kRelu, Activation::kTanh}) {
    agree({{20, 256, 200, 10}, f}, 2, 33, at::kDouble, 1e-10);
    agree({{20, 256, 200, 10}, f}, 2, 33, at::kFloat, 1e-5);
  }
}

TEST(MlpKernel, ExtraColumnsAreLeftAloneAndGetZeroGradient) {
  const MlpShape shape{{3, 7, 2}, Activation::kTanh};
  agree(shape, 4, 5, at::kDouble, 1e-10, /*extra=*/9);
  const Tensor theta = leaf(normal(Rng(1), {4, shape.params() + 9}, at::kDouble));
  const Tensor x = normal(Rng(2), {4, 5, 3}, at::kDouble);
  const Tensor g = gradient(mlp_forward(theta, x, shape).pow(2).sum(), theta);
  EXPECT_EQ(g.narrow(1, shape.params(), 9).abs().max().item<double>(), 0);
  EXPECT_GT(g.narrow(1, 0, shape.params()).abs().max().item<double>(), 0);
}

TEST(MlpKernel, TakesRowsThatStandApartAndInputsThatAreShared) {
  const MlpShape shape{{3, 9, 1}, Activation::kGelu};
  const Tensor wide = normal(Rng(1), {8, shape.params() + 4}, at::kDouble);
  const Tensor theta = wide.slice(0, 0, 8, 2).narrow(1, 2, shape.params());  // every second row, some columns
  const Tensor x = normal(Rng(2), {1, 5, 3}, at::kDouble).expand({4, 5, 3});
  const Tensor turned = normal(Rng(3), {4, 3, 5}, at::kDouble).transpose(1, 2);
  for (const Tensor& in : {x, turned}) {
    EXPECT_LT(relative_error(mlp_forward(theta, in, shape), mlp_forward_composite(theta, in, shape)), 1e-12);
    const Tensor t = leaf(theta);
    EXPECT_LT(relative_error(gradient(mlp_forward(t, in, shape).sum(), t),
                             gradient(mlp_forward_composite(t, in, shape).sum(), t)),
              1e-12);
  }
}

// Central differences of f(at) in every coordinate of `at`, one at a time.
template <class F>
Tensor differences(F f, const Tensor& at, double h) {
  Tensor out = at::empty_like(at);
  const Tensor flat = at.reshape({-1});
  for (int64_t i = 0; i < flat.numel(); ++i) {
    const auto moved = [&](double by) {
      Tensor copy = flat.clone();
      copy[i] += by;
      return f(copy.reshape(at.sizes()));
    };
    out.view(-1)[i] = (moved(h) - moved(-h)) / (2 * h);
  }
  return out;
}

TEST(MlpKernel, GradientsAreThoseOfFiniteDifferences) {
  for (Activation f : {Activation::kIdentity, Activation::kTanh, Activation::kSigmoid, Activation::kGelu,
                       Activation::kRelu}) {
    const MlpShape shape{{2, 5, 3, 1}, f};
    const Tensor theta = normal(Rng(3), {2, shape.params()}, at::kDouble),
                 x = normal(Rng(4), {2, 3, 2}, at::kDouble);
    const auto loss = [&](const Tensor& t, const Tensor& v) { return mlp_forward(t, v, shape).pow(2).sum(); };
    const auto value = [](const Tensor& t) { return t.item<double>(); };
    const Tensor t = leaf(theta), v = leaf(x);
    const Tensor gt = gradient(loss(t, v), t), gx = gradient(loss(t, v), v);
    EXPECT_LT(
        relative_error(gt, differences([&](const Tensor& p) { return value(loss(p, x)); }, theta, 1e-6)),
        1e-6);
    EXPECT_LT(
        relative_error(gx, differences([&](const Tensor& p) { return value(loss(theta, p)); }, x, 1e-6)),
        1e-6);
    // Second derivatives: of u . dL/dtheta + s . dL/dx in both.
    const Tensor u = normal(Rng(5), theta.sizes(), at::kDouble), s = normal(Rng(6), x.sizes(), at::kDouble);
    const auto slope = [&](const Tensor& p, const Tensor& q) {
      const Tensor pl = leaf(p), ql = leaf(q);
      const auto g = torch::autograd::grad({loss(pl, ql)}, {pl, ql});
      return value((g[0] * u).sum() + (g[1] * s).sum());
    };
    const Tensor l = loss(t, v);
    const Tensor contracted = (gradient(l, t) * u).sum() + (gradient(l, v) * s).sum();
    EXPECT_LT(relative_error(plain_gradient(contracted, t),
                             differences([&](const Tensor& p) { return slope(p, x); }, theta, 1e-6)),
              1e-6);
    EXPECT_LT(relative_error(plain_gradient(contracted, v),
                             differences([&](const Tensor& p) { return slope(theta, p); }, x, 1e-6)),
              1e-6);
  }
}

TEST(MlpKernel, SameBitsForOneAndTwoThreads) {
  const MlpShape shape{{3, 33, 17, 2}, Activation::kTanh};
  const Tensor theta = normal(Rng(1), {301, shape.params()}), x = normal(Rng(2), {301, 10, 3});
  const auto run = [&](int count) {
    set_threads(count);
    return derivatives([&](auto& t, auto& v) { return mlp_forward(t, v, shape); }, theta, x, 2);
  };
  const auto one = run(1), two = run(2);
  for (size_t i = 0; i < one.list.size(); ++i) {
    EXPECT_TRUE(one.list[i].second.equal(two.list[i].second)) << one.list[i].first;
  }
}

TEST(MlpKernel, ThirdDerivativeIsRefusedUnlessComposite) {
  const MlpShape shape{{2, 4, 1}, Activation::kTanh};
  const Tensor theta = leaf(normal(Rng(1), {2, shape.params()}, at::kDouble)),
               x = normal(Rng(2), {2, 3, 2}, at::kDouble);
  const auto third = [&] {
    const Tensor g = gradient(mlp_forward(theta, x, shape).pow(2).sum(), theta);
    const Tensor h = gradient(g.pow(2).sum(), theta);
    return gradient(h.pow(2).sum(), theta);
  };
  try {
    third();
    FAIL() << "no error";
  } catch (const c10::Error& e) {
    EXPECT_NE(std::string(e.what()).find("third derivative"), std::string::npos) << e.what();
  }
  const CompositePath composite;
  EXPECT_GT(third().abs().max().item<double>(), 0);
}

// Tensors without memory stand for those of another device: the kernels would read their null pointers.
TEST(MlpKernel, OtherDevicesAndTypesTakeTheCompositePath) {
  const MlpShape shape{{2, 4, 1}, Activation::kTanh};
  const Tensor theta = normal(Rng(1), {2, shape.params()}), x = normal(Rng(2), {2, 3, 2});
  const Tensor elsewhere = mlp_forward(theta.to(at::kMeta), x.to(at::kMeta), shape);
  EXPECT_TRUE(elsewhere.is_meta());
  EXPECT_EQ(elsewhere.sizes(), at::IntArrayRef({2, 3, 1}));
  const Tensor rough = mlp_forward(theta.to(at::kBFloat16), x.to(at::kBFloat16), shape);
  EXPECT_EQ(rough.scalar_type(), at::kBFloat16);
  EXPECT_LT(relative_error(rough.to(at::kFloat), mlp_forward(theta, x, shape)), 0.05);
}

TEST(MlpKernel, WrongShapesAreRefused) {
  const MlpShape shape{{2, 4, 1}, Activation::kTanh};
  EXPECT_THROW(mlp_forward(at::zeros({2, shape.params() - 1}), at::zeros({2, 3, 2}), shape), c10::Error);
  EXPECT_THROW(mlp_forward(at::zeros({2, shape.params()}), at::zeros({1, 3, 2}), shape), c10::Error);
  EXPECT_THROW(mlp_forward(at::zeros({2, shape.params()}), at::zeros({2, 3, 3}), shape), c10::Error);
  EXPECT_THROW(mlp_forward(at::zeros({2, shape.params()}), at::zeros({2, 3, 2}, at::kDouble), shape),
               c10::Error);
}

}  // namespace
}  // namespace symma
