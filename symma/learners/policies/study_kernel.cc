// Studies of Gaussian policies by the perceptron's passes (nn/kernels/mlp_tape.h).
//
// With l_t = log p(a_t) - log p_drawn(a_t), summed over players, z = (a - mean) / sd and s = log sd, a
// density's derivatives are
//
//   dl/dmean = z / sd,  dl/ds = z^2 - 1,  R{z} = -R{mean} / sd - z R{s}
//
// A surrogate gives w_t = dL/dl_t and R{w_t} (tasks/advantages.h):
//
//   low variance:  L = -1/n sum_t exp(l_t) A_t
//                  w_t = -1/n exp(l_t) A_t,                                R{w_t} = w_t R{l_t}
//   clipped:       L = -1/n sum_t min(q_t A_t, clip(q_t) A_t), q_t = exp(l_t)
//                  w_t = -1/n q_t A_t where the first is the less, else 0
//   dice:          L = -1/n sum_t (p_t - p_{t-1}) A_t,  p_t = exp(sum_{s<=t} l_s)
//                  w_t = -1/n (sum_{s>=t} p_s A_s - sum_{s>t} p_{s-1} A_s), and R{p_t} = p_t sum_{s<=t}
//                  R{l_s}
//
// The metric of a normal distribution is 1 / sd^2 for a mean and 2 for s.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "symma/learners/policies/study.h"
#include "symma/nn/gaussian.h"
#include "symma/nn/kernels/mlp_tape.h"

namespace symma {
namespace {

constexpr int64_t kBlock = 256;  // samples that stay in the second-level cache

template <class T>
class KernelStudy : public Study {
 public:
  using Tape = MlpTape<T>;
  using Block = typename Tape::Block;

  KernelStudy(const GaussianShape& shape, const Tensor& rows, const ControlBatch::Lesson& l, bool dice,
              bool products, double clip)
      : n_(shape.means.widths.back()),
        learned_(shape.learned),
        dice_(dice),
        products_(products),
        clip_(static_cast<T>(clip)) {
    const auto real = [&](const Tensor& t) { return t.to(rows.scalar_type()).contiguous(); };
    const Tensor& action = l.episodes.action;  // [b, E, T, A, n]
    b_ = action.size(0), e_ = action.size(1), t_ = action.size(2), a_ = action.size(3);
    action_ = real(action), drawn_ = real(l.drawn), advantage_ = real(l.advantage),
    alive_ = real(l.episodes.alive);
    share_ = 1 / alive_.sum({1, 2}).clamp_min(1);
    given_ =
        learned_ > 0 ? rows.narrow(1, 0, n_).contiguous() : at::full({b_, n_}, shape.log_std, rows.options());
    held_ = given_.lt(kLeastLogStd);
    log_std_ = given_.clamp_min(kLeastLogStd);
    over_ = (-log_std_).exp();
    const Tensor x = real(l.episodes.input.narrow(2, 0, t_)).view({b_, e_ * t_ * a_, -1});
    // Whole episodes, for a surrogate may join their steps.
    const int64_t episode = t_ * a_;
    tape_ = std::make_unique<Tape>(rows.narrow(1, learned_, shape.means.params()), x, shape.means,
                                   episode * std::max<int64_t>(1, kBlock / episode));
  }

  Gradients gradient() override {
    begin();
    Tensor loss = at::zeros({b_}, action_.options()), of_std = at::zeros({b_, n_}, action_.options());
    means_ = at::empty({b_, e_ * t_ * a_, n_}, action_.options());
    const Tensor of_means = tape_->gradient(
        [&](const Block& k) {
          loss.data_ptr<T>()[k.row] += learn(k);
          slope(k, of_std.data_ptr<T>() + k.row * n_);
        },
        products_);
    return {joined(of_means, of_std), loss};
  }

  Tensor hessian(const Tensor& v) override {
    const Tensor u = deviations(v), of_std = at::zeros({b_, n_}, action_.options());
    const Tensor of_means = tape_->hessian(v.narrow(1, learned_, v.size(1) - learned_), [&](const Block& k) {
      curve(k, u.data_ptr<T>() + k.row * n_, of_std.data_ptr<T>() + k.row * n_);
    });
    return joined(of_means, of_std);
  }

  Tensor metric(const Tensor& v) override {
    if (!means_.defined()) outputs();
    const Tensor of_std = 2.0 * a_ * deviations(v);  // the same at every step of every player
    const Tensor of_means =
        tape_->gauss_newton(v.narrow(1, learned_, v.size(1) - learned_), [&](const Block& k) {
          const T* over = at(over_, k.row * n_);
          const T share = *at(share_, k.row);
          each(k, [&](int64_t, int64_t step, T* y) {
            const T weight = share * *at(alive_, step);
            for (int64_t i = 0; i < n_; ++i) y[i] *= weight * over[i] * over[i];
          });
        });
    return joined(of_means, of_std);
  }

  Verdict judge(const Tensor& before) override {
    begin();
    const Tensor was = before.to(action_.scalar_type()).contiguous();
    Verdict out{at::zeros({b_}, action_.options()), at::zeros({b_}, action_.options())};
    means_ = at::empty({b_, e_ * t_ * a_, n_}, action_.options());
    tape_->forward([&](const Block& k) {
      out.surrogate.data_ptr<T>()[k.row] += learn(k);
      T sum = 0;
      const T *over = at(over_, k.row * n_), *now = at(log_std_, k.row * n_);
      each(k, [&](int64_t sample, int64_t step, const T* y) {
        const T* p = at(was, sample * 2 * n_);
        T apart = 0;
        for (int64_t i = 0; i < n_; ++i) {
          const T s = std::max(p[n_ + i], static_cast<T>(kLeastLogStd)), d = p[i] - y[i];
          apart += now[i] - s + static_cast<T>(0.5) * ((std::exp(2 * s) + d * d) * over[i] * over[i] - 1);
        }
        sum += apart * *at(alive_, step);
      });
      out.apart.data_ptr<T>()[k.row] += sum * *at(share_, k.row);
    });
    return out;
  }

  Tensor hold(const Tensor& before) override {
    const Tensor was = before.to(action_.scalar_type()).contiguous(),
                 of_std = at::zeros({b_, n_}, action_.options());
    const Tensor of_means = tape_->gradient([&](const Block& k) {
      const T* over = at(over_, k.row * n_);
      T* sum = into(of_std, k.row * n_);
      each(k, [&](int64_t sample, int64_t step, T* y) {
        const T *p = at(was, sample * 2 * n_), weight = *at(share_, k.row) * *at(alive_, step);
        for (int64_t i = 0; i < n_; ++i) {
          const T s = std::max(p[n_ + i], static_cast<T>(kLeastLogStd)), d = y[i] - p[i],
                  o = over[i] * over[i];
          sum[i] += weight * (1 - (std::exp(2 * s) + d * d) * o);
          y[i] = weight * d * o;
        }
      });
    });
    return joined(of_means, of_std);
  }

  Tensor outputs() override {
    if (!means_.defined()) {
      means_ = at::empty({b_, e_ * t_ * a_, n_}, action_.options());
      tape_->forward([&](const Block& k) { note(k); }, products_);
    }
    const Tensor means = means_.view({b_, e_, t_, a_, n_});
    return at::cat({means, given_.view({b_, 1, 1, 1, n_}).expand_as(means)}, 4);
  }

 private:
  static const T* at(const Tensor& t, int64_t i) { return static_cast<const T*>(t.data_ptr()) + i; }
  static T* into(const Tensor& t, int64_t i) { return static_cast<T*>(t.data_ptr()) + i; }

  // z of number j, counted through all rows, whose deviation is 1 / over.
  T away(int64_t j, T over) const { return (*at(action_, j) - *at(means_, j)) * over; }

  // work(sample, step, y) for the samples of a block; both count through all rows.
  template <class Work>
  void each(const Block& k, const Work& work) const {
    for (int64_t i = k.begin; i < k.end; ++i) {
      const int64_t sample = k.row * e_ * t_ * a_ + i;
      work(sample, sample / a_, k.y + (i - k.begin) * k.ld);
    }
  }

  void begin() {
    weight_ = at::empty({b_, e_, t_}, action_.options());
    if (dice_) product_ = at::empty({b_, e_, t_}, action_.options());
  }

  void note(const Block& k) {
    each(k, [&](int64_t sample, int64_t, const T* y) { std::copy(y, y + n_, into(means_, sample * n_)); });
  }

  // Notes the means, and dL/dl_t. Returns the block's part of the surrogate.
  T learn(const Block& k) {
    note(k);
    const T *over = at(over_, k.row * n_), *s = at(log_std_, k.row * n_);
    T constant = 0;
    for (int64_t i = 0; i < n_; ++i) constant += s[i] + static_cast<T>(kHalfLog2Pi);
    T loss = 0;
    const int64_t first = (k.row * e_ * t_ * a_ + k.begin) / a_, last = first + (k.end - k.begin) / a_;
    for (int64_t step = first; step < last; ++step) {
      T log_p = 0;
      for (int64_t j = step * a_ * n_; j < (step + 1) * a_ * n_; ++j) {
        const T z = away(j, over[j % n_]);
        log_p -= static_cast<T>(0.5) * z * z;
      }
      *into(weight_, step) = (log_p - static_cast<T>(a_) * constant - *at(drawn_, step)) * *at(alive_, step);
    }
    const T share = *at(share_, k.row);
    if (clip_ > 0) {
      for (int64_t step = first; step < last; ++step) {
        T& w = *into(weight_, step);
        const T q = std::exp(w), a = *at(advantage_, step), there = share * *at(alive_, step);
        const T whole = q * a, cut = std::clamp(q, 1 - clip_, 1 + clip_) * a;
        loss -= there * std::min(whole, cut);
        w = whole <= cut ? -there * whole : 0;
      }
      return loss;
    }
    if (!dice_) {
      for (int64_t step = first; step < last; ++step) {
        T& w = *into(weight_, step);
        w = -share * std::exp(w) * *at(advantage_, step) * *at(alive_, step);
        loss += w;
      }
      return loss;
    }
    for (int64_t begin = first; begin < last; begin += t_) {
      T sum = 0, before = 1;
      for (int64_t step = begin; step < begin + t_; ++step) {
        sum += *at(weight_, step);
        T& p = *into(product_, step);
        p = std::exp(sum);
        loss -= share * (p - before) * *at(advantage_, step) * *at(alive_, step);
        before = p;
      }
      to_go(
          begin, share, [&](int64_t step) { return *at(product_, step); }, into(weight_, begin));
    }
    return loss;
  }

  // w_t = -share (sum_{s>=t} p_s A_s - sum_{s>t} p_{s-1} A_s) for the steps of the episode from `begin` on.
  template <class P>
  void to_go(int64_t begin, T share, const P& p, T* w) const {
    T sum = 0;
    for (int64_t step = begin + t_; step-- > begin;) {
      const T gain = share * *at(advantage_, step) * *at(alive_, step);
      sum += gain * p(step);
      w[step - begin] = -sum * *at(alive_, step);
      if (step > begin) sum -= gain * p(step - 1);
    }
  }

  // y becomes dL/dmean; dL/ds is added up.
  void slope(const Block& k, T* of_std) const {
    const T* over = at(over_, k.row * n_);
    each(k, [&](int64_t sample, int64_t step, T* y) {
      const T w = *at(weight_, step);
      for (int64_t i = 0; i < n_; ++i) {
        const T z = away(sample * n_ + i, over[i]);
        y[i] = w * z * over[i];
        of_std[i] += w * (z * z - 1);
      }
    });
  }

  // R{mean} becomes R{dL/dmean}, with R{s} = u; R{dL/ds} is added up.
  void curve(const Block& k, const T* u, T* of_std) const {
    const T* over = at(over_, k.row * n_);
    const int64_t first = (k.row * e_ * t_ * a_ + k.begin) / a_, steps = (k.end - k.begin) / a_;
    std::vector<T> rl(steps, 0), rw(steps);
    each(k, [&](int64_t sample, int64_t step, const T* y) {
      T sum = 0;
      for (int64_t i = 0; i < n_; ++i) {
        const T z = away(sample * n_ + i, over[i]);
        sum += z * over[i] * y[i] + (z * z - 1) * u[i];
      }
      rl[step - first] += sum * *at(alive_, step);
    });
    if (!dice_) {
      for (int64_t i = 0; i < steps; ++i) rw[i] = *at(weight_, first + i) * rl[i];
    } else {
      for (int64_t begin = 0; begin < steps; begin += t_) {
        std::partial_sum(rl.begin() + begin, rl.begin() + begin + t_, rl.begin() + begin);
        to_go(
            first + begin, *at(share_, k.row),
            [&](int64_t step) { return *at(product_, step) * rl[step - first]; }, rw.data() + begin);
      }
    }
    each(k, [&](int64_t sample, int64_t step, T* y) {
      const T w = *at(weight_, step), r = rw[step - first];
      for (int64_t i = 0; i < n_; ++i) {
        const T z = away(sample * n_ + i, over[i]);
        const T rz = -over[i] * y[i] - z * u[i];
        y[i] = over[i] * (r * z + w * (rz - z * u[i]));
        of_std[i] += r * (z * z - 1) + 2 * w * z * rz;
      }
    });
  }

  // R{s}: zero where deviations are not learned, or are at the least.
  Tensor deviations(const Tensor& v) const {
    if (learned_ == 0) return at::zeros({b_, n_}, action_.options());
    return v.narrow(1, 0, n_).masked_fill(held_, 0).contiguous();
  }

  Tensor joined(const Tensor& of_means, const Tensor& of_std) const {
    return learned_ == 0 ? of_means : at::cat({of_std.masked_fill(held_, 0), of_means}, 1);
  }

  int64_t n_, learned_, b_, e_, t_, a_;
  bool dice_, products_;
  T clip_;
  std::unique_ptr<Tape> tape_;
  Tensor action_, drawn_, advantage_, alive_;  // [b, E, T, A, n], [b, E, T] each
  Tensor share_;                               // [b], one over the steps of a row
  Tensor given_, log_std_, over_;              // [b, n]: s as rows have it, and at least the least; 1 / sd
  Tensor held_;                                // [b, n]: whether s is at the least
  Tensor means_, weight_, product_;            // [b, E T A, n], dL/dl_t and p_t [b, E, T]
};

}  // namespace

std::unique_ptr<Study> study_by_kernel(const ControlBatch& tasks, const Tensor& rows,
                                       const ControlBatch::Lesson& l, bool products, double clip) {
  const auto* policy = dynamic_cast<const HasGaussianShape*>(&tasks.model());
  if (!policy || CompositePath::active() || !rows.is_cpu() || !l.advantage.defined() ||
      rows.size(1) != tasks.model().layout().size()) {
    return nullptr;
  }
  const GaussianShape shape = policy->gaussian_shape();
  // Rows are padded, and the padding stays zero only where f(0) = 0.
  if (shape.means.activation == Activation::kSigmoid) return nullptr;
  const bool dice = tasks.options().surrogate == "dice";
  if (rows.scalar_type() == at::kFloat)
    return std::make_unique<KernelStudy<float>>(shape, rows, l, dice, products, clip);
  return std::make_unique<KernelStudy<double>>(shape, rows, l, dice, products, clip);
}

}  // namespace symma
