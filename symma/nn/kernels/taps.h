// Convolution without a matrix of patches, as sums of small products whose rows are gathered: what the
// kernels of each instruction set (target_*.cc) are given. Internal to nn/kernels; see convolution.cc.
#pragma once

#include <cstdint>

namespace symma::kernels {

constexpr int kTaps = 9;  // weights of a filter in one channel

struct Tap {
  int32_t index;  // 0..8
  int32_t at;     // where its operand stands, from the row's place in `in`
};

// Rows of the result that take the same taps, so that none multiplies the border's zeros.
struct TapGroup {
  const Tap* taps;
  int64_t n_taps;
  const int32_t *in, *out;  // [rows]: places of the operand and of the result
  int64_t rows;
};

// The pairs of places that one tap joins.
struct TapPairs {
  const int32_t *x, *g;  // [count]
  int64_t count;
};

// n is a multiple of 64 bytes everywhere.
template <class T>
struct ConvolutionKernels {
  // out[row, :n] = sum over taps of in[row + tap, :depth] w[tap], w [9, depth, n].
  void (*gather)(const TapGroup* groups, int64_t count, const T* in, const T* w, int64_t depth, int64_t n,
                 T* out);
  // w[tap] = sum over its pairs of x[:depth]^T g[:n], w [9, depth, n].
  void (*weights)(const TapPairs* taps, const T* x, const T* g, int64_t depth, int64_t n, T* w);
  // to [9, n, depth] from [9, depth, n], each tap turned.
  void (*turn)(const T* from, int64_t depth, int64_t n, T* to);
};

// Those of simd() (core/processor.h).
template <class T>
const ConvolutionKernels<T>& convolution_kernels();

#if defined(__x86_64__)
namespace avx512 {
template <class T>
const ConvolutionKernels<T>& convolution_table();
}
namespace avx2 {
template <class T>
const ConvolutionKernels<T>& convolution_table();
}
#endif
namespace baseline {
template <class T>
const ConvolutionKernels<T>& convolution_table();
}

}  // namespace symma::kernels
