// The row kernels for processors with AVX-512 (F, VL, BW, DQ).
#include "symma/core/simd.h"
#include "symma/nn/kernels/plan.h"
#include "symma/nn/kernels/taps.h"

#if defined(__x86_64__)
#include <immintrin.h>

// In force to the end of the file, so that templates instantiated there have it too. No header may follow but
// ours.
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")
#define HAS_FMA
#define HAS_AVX512
#define BIG_BYTES 64
#define SMALL_BYTES 32
#define TILE_ROWS 8
#define TILE_VECTORS 4

namespace symma::kernels::avx512 {
// Each builds on those before it.
// clang-format off
#include "symma/nn/kernels/simd-inl.h"
#include "symma/nn/kernels/matmul-inl.h"
#include "symma/nn/kernels/functions-inl.h"
#include "symma/nn/kernels/activations-inl.h"
#include "symma/nn/kernels/rows-inl.h"
#include "symma/nn/kernels/maml-inl.h"
#include "symma/nn/kernels/anil-inl.h"
#include "symma/nn/kernels/implicit-inl.h"
#include "symma/nn/kernels/table-inl.h"
#include "symma/nn/kernels/convolution-inl.h"
// clang-format on
template const RowKernels<float>& table<float>();
template const RowKernels<double>& table<double>();
}  // namespace symma::kernels::avx512
#endif
