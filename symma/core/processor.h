// Which of the processor's vector instructions loops use. One choice for all that is compiled for several:
// `widest` (simd.h), kernels (nn/kernels), normal numbers. Functions marked SYMMA_CLONES are picked by the
// loader, before a program can choose.
#pragma once

namespace symma {

enum class Simd { kBaseline, kAvx2, kAvx512 };
constexpr Simd kEverySimd[] = {Simd::kBaseline, Simd::kAvx2, Simd::kAvx512};

// The best this processor has, unless `select_simd` chose another.
Simd simd();
bool has_simd(Simd);
void select_simd(Simd);  // for tests and measurements; std::invalid_argument where the processor lacks it
const char* name_of(Simd);

}  // namespace symma
