// Numbers as JSON has them: what is not finite is null.
#pragma once

#include <cmath>

#include "symma/core/options.h"
#include "symma/core/tensor.h"

namespace symma {

inline Json number(double x) {
  return std::isfinite(x) ? Json(x) : Json(nullptr);
}

inline Json numbers(const Tensor& t) {
  Json out = Json::array();
  const Tensor d = t.to(at::kCPU, at::kDouble).contiguous();
  for (int64_t i = 0; i < d.numel(); ++i) out.push_back(number(d.data_ptr<double>()[i]));
  return out;
}

}  // namespace symma
