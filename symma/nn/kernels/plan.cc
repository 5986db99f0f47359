// Memory layout of a row, and the kernels of the chosen instruction set.
#include "symma/nn/kernels/plan.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <vector>

#include "symma/core/processor.h"

namespace symma::kernels {
namespace {

struct OwnedPlan {
  Plan plan;
  std::vector<LayerPlan> layers;
};

}  // namespace

template <class T>
Plan plan_of(const MlpShape& shape, int64_t samples, LayerPlan* layers) {
  Plan p{};
  p.activation = shape.activation;
  p.samples = samples;
  p.unit = 32 / static_cast<int64_t>(sizeof(T));
  p.depth = static_cast<int64_t>(shape.widths.size()) - 1;
  const auto pad = [&](int64_t n) { return (n + p.unit - 1) / p.unit * p.unit; };
  p.narrow_head = p.depth > 1 && shape.widths.back() <= p.unit / 4;
  p.identical = true;
  for (int64_t l = 0; l < p.depth; ++l) {
    const bool last = l + 1 == p.depth;
    const bool narrow = last && p.narrow_head;
    LayerPlan y{};
    y.in = shape.widths[l];
    y.out = shape.widths[l + 1];
    y.ld_in = l == 0 ? y.in : pad(y.in);
    y.ld_out = narrow ? y.out : pad(y.out);
    y.weight_at = p.params;
    y.bias_at = y.weight_at + y.in * y.out;
    p.params = y.bias_at + y.out;
    y.weight = p.padded;
    y.bias = y.weight + (narrow ? y.out * y.ld_in : y.in * y.ld_out);
    p.padded = y.bias + y.ld_out;
    y.transposed = narrow ? -1 : p.transposes;
    if (!narrow) p.transposes += y.out * pad(y.in);
    y.hidden = last ? -1 : p.slot;
    if (!last) p.slot += samples * y.ld_out;
    p.widest = std::max({p.widest, samples * pad(y.in), samples * y.ld_out});
    p.identical = p.identical && (narrow ? y.out == 1 && y.in == y.ld_in : y.out == y.ld_out);
    layers[l] = y;
  }
  p.layer = layers;
  return p;
}
template Plan plan_of<float>(const MlpShape&, int64_t, LayerPlan*);
template Plan plan_of<double>(const MlpShape&, int64_t, LayerPlan*);

template <class T>
std::shared_ptr<const Plan> make_plan(const MlpShape& shape, int64_t samples) {
  auto owned = std::make_shared<OwnedPlan>();
  owned->layers.resize(shape.widths.size());
  owned->plan = plan_of<T>(shape, samples, owned->layers.data());
  return {owned, &owned->plan};
}
template std::shared_ptr<const Plan> make_plan<float>(const MlpShape&, int64_t);
template std::shared_ptr<const Plan> make_plan<double>(const MlpShape&, int64_t);

template <class T>
const RowKernels<T>& row_kernels() {
#if defined(__x86_64__)
  if (simd() == Simd::kAvx512) return avx512::table<T>();
  if (simd() == Simd::kAvx2) return avx2::table<T>();
#endif
  return baseline::table<T>();
}
template const RowKernels<float>& row_kernels<float>();
template const RowKernels<double>& row_kernels<double>();

void* thread_memory(int64_t bytes) {
  struct Memory {
    void* at = nullptr;
    int64_t bytes = 0;
    ~Memory() { std::free(at); }
  };
  thread_local Memory memory;
  if (memory.bytes < bytes) {
    std::free(memory.at);
    memory.bytes = (bytes + bytes / 4 + 4095) / 4096 * 4096;
    memory.at = std::aligned_alloc(64, memory.bytes);
    if (!memory.at) {
      memory.bytes = 0;
      throw std::bad_alloc();
    }
  }
  return memory.at;
}

}  // namespace symma::kernels
