// A gated recurrent unit's memory against plain tensor operations, forth, back and back again.
#include "symma/nn/kernels/gru.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "symma/core/rng.h"

namespace symma {
namespace {

struct Case {
  std::vector<Tensor> in;  // input, weight, bias, first
  Tensor u;
};

Case make_case(int64_t b, int64_t t, int64_t k, int64_t h, double size = 1) {
  Case c{{leaf(size * normal(Rng(1), {b, t, k, 3 * h})), leaf(0.5 * normal(Rng(2), {b, h, 3 * h})),
          leaf(normal(Rng(3), {b, 3 * h})), leaf(normal(Rng(4), {b, k, h}))},
         normal(Rng(5), {b, t, k, h})};
  return c;
}

Tensor ours(const Case& c) {
  return gru_states(c.in[0], c.in[1], c.in[2], c.in[3]);
}
Tensor plain(const Case& c) {
  return gru_states_composite(c.in[0], c.in[1], c.in[2], c.in[3]);
}
// As if in float64.
Case wide(const Case& c) {
  Case out{{}, c.u.to(at::kDouble)};
  for (const Tensor& x : c.in) out.in.push_back(leaf(x.detach().to(at::kDouble)));
  return out;
}
double apart(const Tensor& a, const Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

TEST(GruStates, AgreeWithPlainOperationsInFloat64) {
  for (const Case& c : {make_case(1, 7, 5, 19), make_case(3, 4, 2, 16), make_case(2, 1, 3, 1)}) {
    const Case truth = wide(c);
    const Tensor found = ours(c), expected = plain(truth);
    EXPECT_LT(apart(found, expected), 2e-6);
    const auto grads = torch::autograd::grad({found}, c.in, {c.u}),
               true_grads = torch::autograd::grad({expected}, truth.in, {truth.u});
    for (size_t i = 0; i < 4; ++i)
      EXPECT_LT(apart(grads[i], true_grads[i]), 2e-5 * (1 + true_grads[i].abs().max().item<double>())) << i;
  }
}

// Sums at which gates are all open or all shut, and past where exp overflows.
TEST(GruStates, HoldsAtTheEnds) {
  const Case c = make_case(1, 3, 4, 33, 60);
  EXPECT_LT(apart(ours(c), plain(wide(c))), 2e-5);
  EXPECT_TRUE(torch::autograd::grad({ours(c)}, c.in, {c.u})[0].isfinite().all().item<bool>());
}

// The derivative of a function of the derivative.
TEST(GruStates, SecondDerivativesAreThoseOfPlainOperations) {
  const Case c = make_case(2, 3, 2, 5), truth = wide(c);
  const auto second = [](const Tensor& states, const Case& of) {
    const auto grads = torch::autograd::grad({states}, of.in, {of.u}, true, true);
    Tensor sum = at::zeros({}, states.options());
    for (const Tensor& g : grads) sum = sum + g.square().sum();
    return torch::autograd::grad({sum}, of.in);
  };
  const auto found = second(ours(c), c), expected = second(plain(truth), truth);
  for (size_t i = 0; i < 4; ++i)
    EXPECT_LT(apart(found[i], expected[i]), 1e-4 * (1 + expected[i].abs().max().item<double>())) << i;
}

// A sequence's numbers do not depend on those beside it.
TEST(GruStates, RowsAreIndependent) {
  const Case c = make_case(3, 4, 6, 8);
  const Tensor all = ours(c);
  const Tensor part = gru_states(c.in[0].narrow(0, 1, 1), c.in[1].narrow(0, 1, 1), c.in[2].narrow(0, 1, 1),
                                 c.in[3].narrow(0, 1, 1));
  EXPECT_LT(apart(all.narrow(0, 1, 1), part), 1e-6);
}

}  // namespace
}  // namespace symma
