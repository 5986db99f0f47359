// What a perceptron is, in plain types: for the kernels, and for what is built without libtorch.
#pragma once

#include <cstdint>
#include <vector>

namespace symma {

enum class Activation { kIdentity, kRelu, kTanh, kSigmoid, kGelu };  // gelu is the exact one, z Phi(z)

struct MlpShape {
  std::vector<int64_t> widths;  // in, hidden..., out
  Activation activation = Activation::kRelu;
  int64_t params() const {  // P
    int64_t n = 0;
    for (size_t l = 1; l < widths.size(); ++l) n += (widths[l - 1] + 1) * widths[l];
    return n;
  }
};

// Squared error is the mean over K and out; cross-entropy (of softmax, with natural logarithm) the mean over
// K.
enum class HeadLoss { kSquaredError, kCrossEntropy };

}  // namespace symma
