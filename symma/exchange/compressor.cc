#include "symma/exchange/compressor.h"

#include <algorithm>

#include "symma/core/errors.h"

namespace symma {

Bytes encode(const Compressor& compressor, const Tensor& row, Tensor& memory, Rng rng) {
  if (const auto* warm = dynamic_cast<const WarmStart*>(&compressor))
    return warm->encode_warm(row, memory, rng);
  return compressor.encode(row, rng);
}

Tensor decode_own(const Compressor& compressor, const Bytes& bytes, int64_t size) {
  const Decoded decoded = compressor.decode(bytes, size);
  if (!decoded.ok())
    throw UserError("[compression] kind", "does not read what it wrote: " + decoded.fault,
                    "mend its decode, or choose another");
  return decoded.row;
}

Tensor values_of(const Tensor& row) {
  TORCH_CHECK(row.dim() == 1 && row.size(0) >= 1, "a row is [P], not ", row.sizes());
  return row.detach().to(at::kCPU, at::kDouble).contiguous();
}

}  // namespace symma
