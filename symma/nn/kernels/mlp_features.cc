#include "symma/nn/kernels/mlp_features.h"

#include <algorithm>
#include <vector>

#include "symma/core/parallel.h"
#include "symma/nn/kernels/mlp.h"
#include "symma/nn/kernels/plan.h"

namespace symma {

template <class T>
Tensor mlp_features_gradient(const Tensor& theta, const Tensor& x, const MlpShape& shape,
                             const std::function<void(const FeatureRow<T>&)>& head) {
  check_mlp_rows<T>(theta, x, shape);
  const auto& kernel = kernels::row_kernels<T>();
  const auto plan = kernels::make_plan<T>(shape, x.size(1));
  const kernels::Plan& p = *plan;
  const Tensor from = theta.stride(1) == 1 ? theta.detach() : theta.detach().contiguous(),
               points = x.detach().contiguous();
  Tensor out = at::zeros(theta.sizes(), from.options());
  const auto* rows = from.template data_ptr<T>();
  const auto* inputs = points.template data_ptr<T>();
  auto* gradients = out.template data_ptr<T>();
  const int64_t stride = from.stride(0), columns = out.size(1), sample = x.size(1) * x.size(2);
  if (p.depth == 1) {  // there is no body, and the features are the points
    parallel_for(from.size(0), 1, [&](int64_t begin, int64_t end) {
      std::vector<T> slope(sample);
      for (int64_t b = begin; b < end; ++b) {
        std::fill(slope.begin(), slope.end(), T{0});
        head({b, x.size(2), inputs + b * sample, slope.data(), gradients + b * columns});
      }
    });
    return out;
  }
  const kernels::LayerPlan& top = p.layer[p.depth - 2];
  const int64_t body = p.layer[p.depth - 1].weight_at;
  parallel_for(from.size(0), kernels::grain_of(p, 3), [&](int64_t begin, int64_t end) {
    kernels::Scratch<T> scratch(
        {p.padded, p.padded, p.transposes, p.act_slots() * p.slot, p.delta_slots() * p.slot, p.params});
    T* const packed = scratch.take(p.padded);
    T* const sum = scratch.take(p.padded);
    T* const transposes = scratch.take(p.transposes);
    T* const acts = scratch.take(p.act_slots() * p.slot);
    T* const deltas = scratch.take(p.delta_slots() * p.slot);
    T* const plain = scratch.take(p.params);
    std::fill_n(sum, p.padded, T{0});  // the last layer's columns stay so
    for (int64_t b = begin; b < end; ++b) {
      const T* points_of = inputs + b * sample;
      T* const gradient = gradients + b * columns;
      kernel.pack(p, rows + b * stride, packed);
      kernel.transpose(p, packed, false, transposes);
      kernel.forward_features(p, packed, points_of, acts);
      std::fill_n(deltas + top.hidden, p.samples * top.ld_out, T{0});
      head({b, top.ld_out, acts + top.hidden, deltas + top.hidden, gradient});
      kernel.backward_features(p, packed, transposes, points_of, acts, deltas, sum);
      kernel.unpack(p, sum, plain);
      std::copy_n(plain, body, gradient);
    }
  });
  return out;
}

template Tensor mlp_features_gradient<float>(const Tensor&, const Tensor&, const MlpShape&,
                                             const std::function<void(const FeatureRow<float>&)>&);
template Tensor mlp_features_gradient<double>(const Tensor&, const Tensor&, const MlpShape&,
                                              const std::function<void(const FeatureRow<double>&)>&);

}  // namespace symma
