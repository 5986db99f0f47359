// Meta-gradients of an MLP with a standard loss and plain gradient descent inside, without an autograd graph.
//
//   theta_{k+1} = theta_k - r * grad L_s(theta_k), k = 0..S-1;        the meta-gradient is d L_q(theta_S) / d
//   theta_0
//
// (Finn et al. 2017, arXiv:1703.03400; rates r per parameter: Li et al. 2017, Meta-SGD, arXiv:1707.09835).
// Exact for any number of steps: with g = grad L_q(theta_S), for k = S-1..0, g <- g - H_k (r * g), where H_k
// is the Hessian of L_s at theta_k and its products with vectors cost two passes of derivatives (Pearlmutter
// 1994). Each row is done in the cache by one thread; nothing is kept per row but the results. The other
// learners' ways stand at MetaGradient.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "symma/core/tensor.h"
#include "symma/nn/kernels/shape.h"

namespace symma {

struct Examples {
  Tensor x;           // [B, K, in]
  Tensor y;           // squared error: [B, K, out], as x; cross-entropy: labels [B, K], int64, in 0..out-1
  Tensor share = {};  // [B, K], each point's of the loss, rows that are 1 together; undefined: all alike
};

enum class MetaGradient {
  kSteps,     // through the inner steps, above
  kHead,      // the same of steps that move the last layer alone: ANIL, Raghu et al. 2020, arXiv:1909.09157
  kSolution,  // g of (I + H_S / pull) g = grad L_q(theta_S), by conjugate gradients, where steps go down L_s
              // + pull / 2 |theta - theta_0|^2: iMAML, Rajeswaran et al. 2019, arXiv:1909.04630
  kEnd,       // theta_0 - theta_S, where steps go down L_s and L_q in turn: Reptile, Nichol et al. 2018,
              // arXiv:1803.02999
  kPooled,    // grad (L_s + L_q) / 2 at theta_0: no steps, as where all tasks' points are pooled
};

struct MamlMlpOptions {
  HeadLoss loss = HeadLoss::kSquaredError;
  MetaGradient by = MetaGradient::kSteps;
  int64_t inner_steps = 1;
  int order = 2;               // 1: the Hessians are left out; of kSteps and kHead
  bool rate_gradient = false;  // also d L_q / d r; of kSteps and kHead
  bool recompute = false;  // keep only the rows of each inner step, and run it forward once more on the way
                           // back; of kSteps
  double pull = 0;         // of kSolution, and above 0 there; one rate for each row, then
  int64_t cg_steps = 0;    // of kSolution
};

struct MamlMlpResult {
  Tensor query_loss;     // [B], after the inner steps; of kEnd, what the last step goes down from; of
                         // kPooled, (L_s + L_q) / 2
  Tensor support_loss;   // [B], before them
  Tensor gradient;       // [B, >=P], of each row's own query loss in its start
  Tensor rate_gradient;  // [B, >=P], in rates per parameter; undefined unless asked for
};

// float32 or float64 on the CPU. `rates` is a number for all, one for each row [B], or one for each row and
// parameter [B or 1, >=P]. theta may have more columns than the network: they do not move, and their
// gradients are zero. Results do not depend on the number of threads. Throws c10::Error for shapes that do
// not fit.
MamlMlpResult maml_mlp(const Tensor& theta /*[B,>=P]*/, const Examples& support, const Examples& query,
                       const Tensor& rates, const MlpShape&, const MamlMlpOptions&);

// The rows after each of `steps` (ascending) steps on the support examples, [B, >=P] each, new tensors. With
// `pull`, down L_s + pull / 2 |theta - theta_0|^2, and rates are not per parameter.
std::vector<Tensor> maml_mlp_adapt(const Tensor& theta /*[B,>=P]*/, const Examples& support,
                                   const Tensor& rates, const MlpShape&, HeadLoss,
                                   std::span<const int64_t> steps, double pull = 0);

}  // namespace symma
