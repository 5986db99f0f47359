// What a letter holds: a row whole, in the fleet's type; or how it differs from the one before, as the
// compressor put it; and what the receiver must know beside.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "symma/core/tensor.h"
#include "symma/exchange/bits.h"

namespace symma {

enum class Form : uint8_t { kNothing, kStill, kWhole, kDifference };

struct Content {
  Form form = Form::kNothing;
  bool within = false;  // an update that was within the clipping bound
  double clip = 0;      // the bound from now on, in a server's answer
  // For each receiver: whether the sender has missed something that this one said; whether this one has asked
  // for whole rows. Empty where nothing can be missed.
  std::vector<bool> behind = {}, again = {};
  Bytes difference = {};
  Tensor row = {};  // [Q] double, rounded to what travels; undefined where nobody needs it
};

Bytes pack(const Content&, at::ScalarType);

// Nothing where the bytes are not a letter to so many, of a row of `columns`: its sender's fault. Nothing is
// allocated by what they claim.
std::optional<Content> unpack(std::span<const uint8_t> bytes, size_t receivers, int64_t columns,
                              at::ScalarType);

// A row of the fleet's type as bytes and back.
Bytes bytes_of_row(const Tensor& row /*[Q]*/, at::ScalarType);

}  // namespace symma
