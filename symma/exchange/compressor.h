// Compression: a row into the bytes that a wire carries, and back.
//
// The receiver knows the compressor, its options and the length of a row; the bytes hold the rest. Their
// number times 8 is what the ledger counts. A message that is not one of the compressor's is its sender's
// fault, and a value.
#pragma once

#include <span>
#include <string>

#include "symma/core/registry.h"
#include "symma/core/rng.h"
#include "symma/core/tensor.h"
#include "symma/exchange/bits.h"

namespace symma {

struct Decoded {
  Tensor row;         // [P] double, undefined where there is a fault
  std::string fault;  // what is wrong with the message, or ""
  bool ok() const { return fault.empty(); }
};

class Compressor {
 public:
  virtual ~Compressor() = default;
  virtual Bytes encode(const Tensor& row /*[P]*/, Rng) const = 0;
  virtual Decoded decode(std::span<const uint8_t> bytes, int64_t size /*P*/) const = 0;
  // E C(x) = x.
  virtual bool unbiased() const = 0;
  // The largest delta with E|x - C(x)|^2 <= (1 - delta) |x|^2 for all x of `size` values; 0 where none is
  // promised.
  virtual double contraction(int64_t size) const = 0;
};

// Optional: a compressor that does better from where the last message to the same peers left off.
class WarmStart {
 public:
  virtual ~WarmStart() = default;
  // As encode, from `memory`, which is undefined at first and then holds what to hand in next time.
  virtual Bytes encode_warm(const Tensor& row /*[P]*/, Tensor& memory, Rng) const = 0;
};

using CompressorRegistry = Registry<Compressor>;

// encode_warm where the compressor can, else encode.
Bytes encode(const Compressor&, const Tensor& row, Tensor& memory, Rng);

// What an agent's own message decodes to. Throws UserError where a compressor of somebody's own cannot read
// it.
Tensor decode_own(const Compressor&, const Bytes&, int64_t size);

// The row's values, contiguous double, on the processor.
Tensor values_of(const Tensor& row);

}  // namespace symma
