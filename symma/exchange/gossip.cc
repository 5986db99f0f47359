#include "symma/exchange/gossip.h"

namespace symma {

Sent send_with_feedback(const Compressor& compressor, const Tensor& row, const Tensor& residual,
                        Tensor& memory, Rng rng) {
  Tensor wanted = row.detach().to(at::kDouble);
  if (residual.defined()) wanted = wanted + residual;
  Sent sent;
  sent.bytes = encode(compressor, wanted, memory, rng);
  sent.row = decode_own(compressor, sent.bytes, row.size(0));
  sent.residual = wanted - sent.row;
  return sent;
}

bool moved_enough(const Tensor& row, const Tensor& last, double threshold) {
  if (!last.defined() || threshold <= 0) return true;
  const Tensor a = row.detach().to(at::kDouble), b = last.detach().to(at::kDouble);
  const double moved = (a - b).norm().item<double>(), size = b.norm().item<double>();
  return !(moved <= threshold * size);  // a NaN has moved
}

}  // namespace symma
