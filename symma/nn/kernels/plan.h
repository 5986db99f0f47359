// How one row of an MLP lies in memory while the kernels work on it, and the kernels themselves, one set for
// each instruction set (target_*.cc). Internal to nn/kernels; the public functions are in mlp.h and
// maml_mlp.h.
//
// The kernels work on "padded" parameters: a weight [in, out] is kept as [in, pad(out)], its bias behind it
// as [pad(out)], where pad rounds up to whole vectors. The last layer, when it has only one or two outputs,
// is kept transposed, [out, pad(in)], since vectors then run along its inputs. Padding is zero, and stays
// zero through every operation, because activations map 0 to 0 (and what the sigmoid makes of it is cleared).
// When widths are multiples of the vector the padded row is the row.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>

#include "symma/nn/kernels/shape.h"

namespace symma::kernels {

struct LayerPlan {
  int64_t in, out;
  int64_t ld_in,
      ld_out;  // row strides of the layer's input and output; those of x and of a narrow head are exact
  int64_t weight_at, bias_at;  // offsets in a row of theta
  int64_t weight, bias;        // offsets in a padded row
  int64_t transposed;          // offset of [out, pad(in)] among the transposed weights, -1 for a narrow head
  int64_t hidden;  // offset of the layer's output [K, ld_out] in one slot of activations; hidden layers only
};

struct Plan {
  Activation activation;
  int64_t samples;  // K
  int64_t unit;     // elements a padded width is a multiple of: 32 bytes
  bool narrow_head;
  bool identical;      // the padded row equals the row
  int64_t params;      // P: columns of theta that belong to the network
  int64_t padded;      // elements of a padded row
  int64_t transposes;  // elements of all transposed weights
  int64_t slot;        // elements of one value for each hidden unit and sample
  int64_t widest;      // elements of the widest [K, ld] of any layer
  int64_t depth;
  const LayerPlan* layer;  // [depth]

  bool curved() const { return activation != Activation::kIdentity && activation != Activation::kRelu; }
  // Slots kept by the forward pass: activations; for gelu also f' and f''.
  int64_t act_slots() const { return activation == Activation::kGelu ? 3 : 1; }
  // Slots kept by the backward pass: delta = dL/dz; for gelu also f'' dL/da.
  int64_t delta_slots() const { return activation == Activation::kGelu ? 2 : 1; }
  // Slots of the forward pass of derivatives: R{a}; for curved activations also R{z}.
  int64_t ract_slots() const { return curved() ? 2 : 1; }
  int64_t ld_y() const { return layer[depth - 1].ld_out; }
};

// How many rows are worth handing to a thread: some 20 microseconds of work.
inline int64_t grain_of(int64_t samples, int64_t padded, int64_t passes) {
  const int64_t operations = 2 * samples * padded * passes;
  return operations < 1 ? 600000 : operations > 600000 ? 1 : 600000 / operations;
}
inline int64_t grain_of(const Plan& plan, int64_t passes) {
  return grain_of(plan.samples, plan.padded, passes);
}

template <class T>
std::shared_ptr<const Plan> make_plan(const MlpShape& shape, int64_t samples);

// The same in memory that is there: `layers` has a place for each.
template <class T>
Plan plan_of(const MlpShape& shape, int64_t samples, LayerPlan* layers);

// One task's points, and the plan of as many.
template <class T>
struct Points {
  const Plan* plan;
  const T* x;
  const void* y;    // T [K, out], or int64_t [K]
  const T* weight;  // [K], each point's share of the loss, together 1; null: all alike
};

// One row of meta-learning (maml_mlp.h), all in padded memory. Buffers of the inner steps lie `*_step`
// elements apart, 0 where one is used for all steps.
template <class T>
struct MamlRow {
  Points<T> support, query;
  Points<T> both;  // support above query, without targets: where the head alone moves
  HeadLoss loss;
  int64_t steps;
  int order;
  bool recompute;
  bool in_turn;    // odd steps learn from the query
  T rate;          // used when `rates` is null
  const T* rates;  // [padded]
  T pull;          // pull (theta - start) is added to gradients; 0: nothing is
  const T* start;  // [padded]
  int64_t cg_steps;
  T* thetas;  // [steps + 1, padded]; the first is given
  T* transposes;
  T* acts;
  T* deltas;
  T* outputs;  // y, which becomes dL/dy; [K, ld_y]
  int64_t thetas_step, transposes_step, acts_step, deltas_step, outputs_step;
  T* gradients;  // [steps, padded] when the gradient in the rates is wanted, else [1, padded]
  int64_t gradients_step;
  T* direction;  // [padded]
  T* direction_transposes;
  T* product;   // [padded]
  T* residual;  // [padded]
  T* racts;
  T* routput;
  T* scratch;                  // 2 widest
  T* meta;                     // [padded], the meta-gradient: a result
  T* rate_gradient;            // [padded], a result, or null
  T support_loss, query_loss;  // results
};

// One row's work; what a table leaves out is null. All pointers are to padded, row-local memory; `x` is [K,
// in] without padding. R{.} is the derivative in the direction (v, s): v for the parameters, s for the inputs
// (Pearlmutter 1994, "Fast exact multiplication by the Hessian").
template <class T>
struct RowKernels {
  void (*pack)(const Plan&, const T* row, T* padded);
  void (*unpack)(const Plan&, const T* padded, T* row);
  void (*transpose)(const Plan&, const T* theta, bool first_too, T* transposes);
  void (*forward)(const Plan&, const T* theta, const T* x, T* acts, T* y /*[K, ld_y]*/);
  // deltas, and the gradients in the parameters (padded) and in x ([K, pad(in)]) where those are not null.
  void (*backward)(const Plan&, const T* theta, const T* transposes, const T* x, const T* acts, const T* gy,
                   T* deltas, T* gtheta, T* gx);
  // The layers before the last, of which there is one: features, what the last reads, stand among `acts` at
  // its input's place. On the way back dL/d features stand there among `deltas`, 0 in their padding; the last
  // layer's gradients are left as they are.
  void (*forward_features)(const Plan&, const T* theta, const T* x, T* acts) = nullptr;
  void (*backward_features)(const Plan&, const T* theta, const T* transposes, const T* x, const T* acts,
                            T* deltas, T* gtheta) = nullptr;
  void (*forward_r)(const Plan&, const T* theta, const T* v, const T* x, const T* s, const T* acts, T* racts,
                    T* ry) = nullptr;
  // R of the gradients, with R{gy} = rgy (null: zero). Works in `scratch`, 2 * widest elements.
  void (*backward_r)(const Plan&, const T* theta, const T* transposes, const T* v, const T* v_transposes,
                     const T* x, const T* s, const T* acts, const T* deltas, const T* racts, const T* gy,
                     const T* rgy, T* scratch, T* hv, T* hx) = nullptr;
  void (*adapt)(MamlRow<T>&);  // the inner steps alone
  // Of MetaGradient's five, in its order.
  void (*meta[5])(MamlRow<T>&) = {};
};

// Those of simd() (core/processor.h).
template <class T>
const RowKernels<T>& row_kernels();

#if defined(__x86_64__)
namespace avx512 {
template <class T>
const RowKernels<T>& table();
}
namespace avx2 {
template <class T>
const RowKernels<T>& table();
}
#endif
namespace baseline {
template <class T>
const RowKernels<T>& table();
}

// Memory of this thread that is kept between calls, 64-byte aligned, its content whatever was left there.
// Good until this thread's next call.
void* thread_memory(int64_t bytes);

// Cuts thread memory into parts, each on a cache line of its own.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::initializer_list<int64_t> parts) {
    int64_t total = 0;
    for (int64_t n : parts) total += rounded(n);
    at_ = static_cast<T*>(thread_memory(total * static_cast<int64_t>(sizeof(T))));
  }
  T* take(int64_t n) {  // in the order of `parts`
    T* part = at_;
    at_ += rounded(n);
    return part;
  }

 private:
  static int64_t rounded(int64_t n) { return (n + 15) / 16 * 16; }
  T* at_;
};

}  // namespace symma::kernels
