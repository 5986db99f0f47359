#include "symma/learners/evolution/strategy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "symma/core/normal.h"
#include "symma/core/parallel.h"
#include "symma/core/simd.h"
#include "symma/learners/rows.h"

namespace symma {
namespace {

constexpr int64_t kPiece = 1024;  // coordinates whose sums stay in the first-level cache

// Sums over l candidates of `wide` coordinates, of rows that lie d apart. `second` and v may be null.
template <class T>
[[gnu::always_inline]] inline void moments_run(int64_t l, int64_t wide, int64_t d, const T* x, const T* mean,
                                               const T* w, const T* v, T* first, T* second) {
  for (int64_t k = 0; k < l; ++k, x += d) {
    const T of_first = w[k], of_second = v ? v[k] : 0;
    if (v) {
#pragma GCC ivdep
      for (int64_t c = 0; c < wide; ++c) {
        const T apart = x[c] - mean[c];
        first[c] += of_first * apart;
        second[c] += of_second * apart * apart;
      }
    } else {
#pragma GCC ivdep
      for (int64_t c = 0; c < wide; ++c) first[c] += of_first * (x[c] - mean[c]);
    }
  }
}

SYMMA_CLONES void moments_piece(int64_t l, int64_t wide, int64_t d, const float* x, const float* mean,
                                const float* w, const float* v, float* first, float* second) {
  moments_run(l, wide, d, x, mean, w, v, first, second);
}
SYMMA_CLONES void moments_piece(int64_t l, int64_t wide, int64_t d, const double* x, const double* mean,
                                const double* w, const double* v, double* first, double* second) {
  moments_run(l, wide, d, x, mean, w, v, first, second);
}

constexpr int64_t kDrawn = 2048;  // numbers at a time, which stay in the first-level cache too

void draw(Rng rng, float* out, int64_t n, int64_t first) {
  fill_normal32(rng, out, n, first);
}
void draw(Rng rng, double* out, int64_t n, int64_t first) {
  fill_normal(rng, out, n, first);
}

// plus = mean + sigma z, and minus = mean - sigma z where it is wanted.
template <class T>
[[gnu::always_inline]] inline void spread_run(int64_t n, const T* mean, const T* sigma, const T* z, T* plus,
                                              T* minus) {
  if (minus) {
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) {
      const T away = sigma[c] * z[c];
      plus[c] = mean[c] + away;
      minus[c] = mean[c] - away;
    }
  } else {
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) plus[c] = mean[c] + sigma[c] * z[c];
  }
}

SYMMA_CLONES void spread(int64_t n, const float* mean, const float* sigma, const float* z, float* plus,
                         float* minus) {
  spread_run(n, mean, sigma, z, plus, minus);
}
SYMMA_CLONES void spread(int64_t n, const double* mean, const double* sigma, const double* z, double* plus,
                         double* minus) {
  spread_run(n, mean, sigma, z, plus, minus);
}

// [N, population, D]: `fresh` directions of each search, or with `sigma` candidates along them, and along
// their opposites until there are enough. Numbers are drawn and used a piece at a time.
Tensor drawn(const State& search, int64_t population, int64_t fresh, const Tensor& sigma, Rng rng) {
  const Tensor& theta = search.theta;
  const int64_t n = theta.size(0), d = theta.size(1), all = fresh * d, pieces = (all + kDrawn - 1) / kDrawn;
  const std::vector<int64_t> id = whole_numbers(search.id);
  const Tensor mean = theta.cpu().contiguous(),
               wide = sigma.defined() ? sigma.to(mean.options()).expand({n, d}).contiguous() : sigma;
  Tensor out = at::empty({n, population, d}, mean.options());
  AT_DISPATCH_FLOATING_TYPES(out.scalar_type(), "drawn", [&] {
    using T = scalar_t;
    parallel_for(n * pieces, 8, [&](int64_t begin, int64_t end) {
      alignas(64) T z[kDrawn];
      for (int64_t at = begin; at < end; ++at) {
        const int64_t i = at / pieces, from = at % pieces * kDrawn, count = std::min(kDrawn, all - from);
        const Rng own = rng.split("search", static_cast<uint64_t>(id[i]));
        T* to = out.data_ptr<T>() + i * population * d;
        if (!wide.defined()) {
          draw(own, to + from, count, from);
          continue;
        }
        draw(own, z, count, from);
        const T *centre = mean.data_ptr<T>() + i * d, *scale = wide.data_ptr<T>() + i * d;
        for (int64_t k = 0; k < count;) {
          const int64_t row = (from + k) / d, c = (from + k) % d, run = std::min(d - c, count - k);
          const bool mirrored = fresh + row < population && fresh < population;
          spread(run, centre + c, scale + c, z + k, to + row * d + c,
                 mirrored ? to + (fresh + row) * d + c : nullptr);
          k += run;
        }
      }
    });
  });
  return out.to(theta.device());
}

}  // namespace

Tensor directions(const State& search, int64_t population, Rng rng) {
  return drawn(search, population, population, {}, rng);
}

Tensor sample(const State& search, int64_t population, bool antithetic, const Tensor& sigma, Rng rng) {
  return drawn(search, population, antithetic ? (population + 1) / 2 : population, sigma, rng);
}

Tensor ranks(const Tensor& loss) {
  const Tensor from = loss.to(at::kCPU, at::kDouble).contiguous();
  const int64_t l = from.size(1);
  Tensor out = at::empty({from.size(0), l}, at::kLong);
  // Equal losses, and NaN among themselves, stay in the order of the candidates.
  std::vector<std::pair<double, int64_t>> order(l);
  for (int64_t i = 0; i < from.size(0); ++i) {
    const double* x = from.data_ptr<double>() + i * l;
    int64_t known = 0, end = l;
    for (int64_t k = l; k-- > 0;)
      if (std::isnan(x[k])) order[--end] = {0, k};
    for (int64_t k = 0; k < l; ++k)
      if (!std::isnan(x[k])) order[known++] = {x[k], k};
    std::sort(order.begin(), order.begin() + known);
    for (int64_t k = 0; k < l; ++k) out.data_ptr<int64_t>()[i * l + order[k].second] = k;
  }
  return out.to(loss.device());
}

Tensor finite_losses(const Tensor& loss) {
  const Tensor finite = loss.isfinite();
  const Tensor dearest = loss.masked_fill(finite.logical_not(), -std::numeric_limits<double>::infinity())
                             .amax(1, true);  // -inf where none is finite
  return at::where(finite, loss, dearest.masked_fill(dearest.isinf(), 0));
}

Tensor centred_ranks(const Tensor& loss) {
  const auto last = static_cast<double>(std::max<int64_t>(1, loss.size(1) - 1));
  return ranks(loss).to(loss.scalar_type()) / last - 0.5;
}

Moments moments(const Tensor& asked, const Tensor& mean, const Tensor& w, const Tensor& v) {
  if (!asked.is_cpu()) {
    const Tensor apart = asked - mean.unsqueeze(1);
    const auto sum = [](const Tensor& weight, const Tensor& x) {
      return at::bmm(weight.unsqueeze(1), x).squeeze(1);
    };
    return {sum(w, apart), v.defined() ? sum(v, apart.square()) : Tensor()};
  }
  const int64_t n = asked.size(0), l = asked.size(1), d = asked.size(2);
  const Tensor x = asked.stride(2) == 1 && asked.stride(1) == d ? asked : asked.contiguous();
  const Tensor m = mean.contiguous(), a = w.to(asked.scalar_type()).contiguous(),
               b = v.defined() ? v.to(asked.scalar_type()).contiguous() : v;
  Moments out{at::zeros({n, d}, asked.options()),
              v.defined() ? at::zeros({n, d}, asked.options()) : Tensor()};
  const int64_t pieces = (d + kPiece - 1) / kPiece;
  AT_DISPATCH_FLOATING_TYPES(asked.scalar_type(), "moments", [&] {
    using T = scalar_t;
    parallel_for(n * pieces, 4, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) {
        const int64_t i = at / pieces, from = at % pieces * kPiece, wide = std::min(kPiece, d - from);
        moments_piece(l, wide, d, x.data_ptr<T>() + i * x.stride(0) + from, m.data_ptr<T>() + i * d + from,
                      a.data_ptr<T>() + i * l, b.defined() ? b.data_ptr<T>() + i * l : nullptr,
                      out.first.data_ptr<T>() + i * d + from,
                      b.defined() ? out.second.data_ptr<T>() + i * d + from : nullptr);
      }
    });
  });
  return out;
}

Tensor in_order(const Tensor& candidates, const Tensor& loss) {
  return candidates.gather(1, loss.argsort(int64_t{1}).unsqueeze(2).expand_as(candidates));
}

int64_t population_for(int64_t dims, int64_t asked) {
  return asked > 0 ? asked : 4 + static_cast<int64_t>(3 * std::log(static_cast<double>(dims)));
}

}  // namespace symma
