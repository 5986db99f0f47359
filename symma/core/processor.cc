#include "symma/core/processor.h"

#include <atomic>
#include <stdexcept>

namespace symma {
namespace {

Simd best_simd() {
  if (has_simd(Simd::kAvx512)) return Simd::kAvx512;
  if (has_simd(Simd::kAvx2)) return Simd::kAvx2;
  return Simd::kBaseline;
}

std::atomic<Simd>& chosen() {
  static std::atomic<Simd> level{best_simd()};
  return level;
}

}  // namespace

bool has_simd(Simd level) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (level == Simd::kAvx512) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && has_simd(Simd::kAvx2);
  }
  if (level == Simd::kAvx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return level == Simd::kBaseline;
}

Simd simd() {
  return chosen().load(std::memory_order_relaxed);
}

void select_simd(Simd level) {
  if (!has_simd(level)) throw std::invalid_argument("this processor lacks the chosen instruction set");
  chosen().store(level);
}

const char* name_of(Simd level) {
  return level == Simd::kAvx512 ? "avx512" : level == Simd::kAvx2 ? "avx2" : "baseline";
}

}  // namespace symma
