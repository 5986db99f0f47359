// The row kernels in what every processor of the build's architecture has.
#include "symma/core/simd.h"
#include "symma/nn/kernels/plan.h"
#include "symma/nn/kernels/taps.h"

// 32-byte vectors are made of two here.
#define BIG_BYTES 16
#define SMALL_BYTES 16
#define TILE_ROWS 4
#define TILE_VECTORS 2

namespace symma::kernels::baseline {
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
}  // namespace symma::kernels::baseline
