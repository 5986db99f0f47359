// Memory and blocks for a perceptron's passes (mlp_tape.h); the passes themselves are the row kernels.
#include "symma/nn/kernels/mlp_tape.h"

#include "symma/core/parallel.h"
#include "symma/nn/kernels/mlp.h"

namespace symma {
namespace {

using kernels::Plan;
using kernels::Scratch;

template <class T>
T* row_of(const Tensor& t, int64_t b) {
  return static_cast<T*>(t.data_ptr()) + b * t.stride(0);
}

// One value for each sample and hidden unit is a slot; blocks are as large as the whole ones.
int64_t act_size(const Plan& p) {
  return p.act_slots() * p.slot;
}
int64_t delta_size(const Plan& p) {
  return p.delta_slots() * p.slot;
}
int64_t out_size(const Plan& p) {
  return p.samples * p.ld_y();
}

}  // namespace

template <class T>
MlpTape<T>::MlpTape(const Tensor& theta, const Tensor& x, const MlpShape& shape, int64_t block) {
  check_mlp_rows<T>(theta, x, shape);
  x_ = x.detach().contiguous();
  const int64_t rows = x.size(0), k = x.size(1);
  block_ = std::min(block, k);
  blocks_ = (k + block_ - 1) / block_;
  whole_ = kernels::make_plan<T>(shape, block_);
  last_ = kernels::make_plan<T>(shape, k - (blocks_ - 1) * block_);
  const Tensor from = theta.detach().contiguous();
  thetas_ = at::empty({rows, whole_->padded}, from.options());
  transposes_ = at::empty({rows, whole_->transposes}, from.options());
  const auto& kernel = kernels::row_kernels<T>();
  for (int64_t b = 0; b < rows; ++b) {
    kernel.pack(*whole_, row_of<T>(from, b), row_of<T>(thetas_, b));
    kernel.transpose(*whole_, row_of<T>(thetas_, b), false, row_of<T>(transposes_, b));
  }
}

template <class T>
template <class Work>
void MlpTape<T>::each_row(int64_t passes, const Work& work) const {
  parallel_for(x_.size(0), kernels::grain_of(x_.size(1), whole_->padded, passes),
               [&](int64_t begin, int64_t end) {
                 for (int64_t b = begin; b < end; ++b) work(b);
               });
}

template <class T>
void MlpTape<T>::forward(const Head& read, bool keep) {
  const auto& kernel = kernels::row_kernels<T>();
  const Plan& w = *whole_;
  if (keep) acts_ = at::empty({x_.size(0), blocks_ * act_size(w)}, x_.options());
  each_row(1, [&](int64_t b) {
    Scratch<T> scratch({keep ? 0 : act_size(w), out_size(w)});
    T* const space = scratch.take(keep ? 0 : act_size(w));
    T* const y = scratch.take(out_size(w));
    for (int64_t i = 0; i < blocks_; ++i) {
      const Plan& p = plan(i);
      T* acts = keep ? row_of<T>(acts_, b) + i * act_size(w) : space;
      kernel.forward(p, row_of<T>(thetas_, b), row_of<T>(x_, b) + i * block_ * x_.size(2), acts, y);
      read({b, i * block_, i * block_ + p.samples, p.ld_y(), y});
    }
  });
}

template <class T>
Tensor MlpTape<T>::gradient(const Head& head, bool keep) {
  const auto& kernel = kernels::row_kernels<T>();
  const Plan& w = *whole_;
  const int64_t rows = x_.size(0), n_acts = act_size(w), n_deltas = delta_size(w), n_y = out_size(w);
  if (keep) {
    acts_ = at::empty({rows, blocks_ * n_acts}, x_.options());
    deltas_ = at::empty({rows, blocks_ * n_deltas}, x_.options());
    gys_ = at::empty({rows, blocks_ * n_y}, x_.options());
  }
  const Tensor out = at::empty({rows, w.params}, x_.options());
  each_row(3, [&](int64_t b) {
    Scratch<T> scratch({n_acts, n_deltas, n_y, w.padded, w.padded});
    T* const acts_space = scratch.take(n_acts);
    T* const deltas_space = scratch.take(n_deltas);
    T* const y_space = scratch.take(n_y);
    T* const sum = scratch.take(w.padded);
    T* const part = scratch.take(w.padded);
    for (int64_t i = 0; i < blocks_; ++i) {
      const Plan& p = plan(i);
      const T* x = row_of<T>(x_, b) + i * block_ * x_.size(2);
      T* acts = keep ? row_of<T>(acts_, b) + i * n_acts : acts_space;
      T* deltas = keep ? row_of<T>(deltas_, b) + i * n_deltas : deltas_space;
      T* y = keep ? row_of<T>(gys_, b) + i * n_y : y_space;
      kernel.forward(p, row_of<T>(thetas_, b), x, acts, y);
      head({b, i * block_, i * block_ + p.samples, p.ld_y(), y});
      kernel.backward(p, row_of<T>(thetas_, b), row_of<T>(transposes_, b), x, acts, y, deltas,
                      i == 0 ? sum : part, nullptr);
      for (int64_t j = 0; i > 0 && j < w.padded; ++j) sum[j] += part[j];
    }
    kernel.unpack(w, sum, row_of<T>(out, b));
  });
  return out;
}

template <class T>
Tensor MlpTape<T>::hessian(const Tensor& v, const Head& r) const {
  TORCH_CHECK(deltas_.defined(), "the tape keeps no gradient");
  return product(v, r, true);
}

template <class T>
Tensor MlpTape<T>::gauss_newton(const Tensor& v, const Head& r) const {
  TORCH_CHECK(acts_.defined(), "the tape keeps no activations");
  return product(v, r, false);
}

template <class T>
Tensor MlpTape<T>::product(const Tensor& v, const Head& r, bool exact) const {
  const auto& kernel = kernels::row_kernels<T>();
  const Plan& w = *whole_;
  const int64_t n_acts = act_size(w), n_deltas = delta_size(w), n_y = out_size(w),
                n_racts = w.ract_slots() * w.slot;
  const Tensor directions = v.contiguous(), out = at::empty({x_.size(0), w.params}, x_.options());
  each_row(exact ? 6 : 4, [&](int64_t b) {
    // Of the exact product: both vectors of a pass back. Of the other: deltas of R{dL/dy} alone.
    const int64_t n_work = exact ? 2 * w.widest : n_deltas;
    Scratch<T> scratch({n_racts, n_y, n_work, w.padded, w.transposes, w.padded, w.padded});
    T* const racts = scratch.take(n_racts);
    T* const ry = scratch.take(n_y);
    T* const work = scratch.take(n_work);
    T* const u = scratch.take(w.padded);
    T* const u_transposes = scratch.take(w.transposes);
    T* const sum = scratch.take(w.padded);
    T* const part = scratch.take(w.padded);
    kernel.pack(w, row_of<T>(directions, b), u);
    if (exact) kernel.transpose(w, u, false, u_transposes);
    const T *theta = row_of<T>(thetas_, b), *transposes = row_of<T>(transposes_, b);
    for (int64_t i = 0; i < blocks_; ++i) {
      const Plan& p = plan(i);
      const T* x = row_of<T>(x_, b) + i * block_ * x_.size(2);
      const T* acts = row_of<T>(acts_, b) + i * n_acts;
      T* to = i == 0 ? sum : part;
      kernel.forward_r(p, theta, u, x, nullptr, acts, racts, ry);
      r({b, i * block_, i * block_ + p.samples, p.ld_y(), ry});
      if (exact) {
        kernel.backward_r(p, theta, transposes, u, u_transposes, x, nullptr, acts,
                          row_of<T>(deltas_, b) + i * n_deltas, racts, row_of<T>(gys_, b) + i * n_y, ry, work,
                          to, nullptr);
      } else {
        kernel.backward(p, theta, transposes, x, acts, ry, work, to, nullptr);
      }
      for (int64_t j = 0; i > 0 && j < w.padded; ++j) sum[j] += part[j];
    }
    kernel.unpack(w, sum, row_of<T>(out, b));
  });
  return out;
}

template class MlpTape<float>;
template class MlpTape<double>;

}  // namespace symma
