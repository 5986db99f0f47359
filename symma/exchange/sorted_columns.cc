#include "symma/exchange/sorted_columns.h"

#include <ATen/Dispatch.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "symma/core/parallel.h"
#include "symma/exchange/rows.h"
#include "symma/exchange/wide.h"

namespace symma {
namespace {

constexpr int kLanes = 32;  // columns sorted together
constexpr int64_t kStage =
    1 << 18;  // bytes read ahead of sorting: long reads of each row, and the tile stays in L2

// Sorts tiles of kLanes columns with `network` and hands each, [n][kLanes], to `reduce(tile, out)`.
template <class T, class Reduce>
void for_sorted_tiles(const T* x, int64_t n, int64_t columns, const std::vector<Comparator>& network, T* out,
                      const Reduce& reduce) {
  const int64_t stage =
      std::max<int64_t>(1, kStage / (n * kLanes * static_cast<int64_t>(sizeof(T)))) * kLanes;
  parallel_for(columns, stage, [&](int64_t begin, int64_t end) {
    const int64_t width = end - begin, tiles = (width + kLanes - 1) / kLanes;
    // [tiles][n][kLanes]
    std::vector<T> buffer(tiles * n * kLanes);
    for (int64_t i = 0; i < n; ++i) {
      const T* row = x + i * columns + begin;
      T* to = buffer.data() + i * kLanes;
      widest([&]() SYMMA_INLINE {
        int64_t t = 0;
        for (; (t + 1) * kLanes <= width; ++t)
          for (int l = 0; l < kLanes; ++l) {
            const T v = row[t * kLanes + l];
            to[t * n * kLanes + l] = v == v ? v : std::numeric_limits<T>::infinity();
          }
        for (int64_t c = t * kLanes; c < width; ++c) {
          const T v = row[c];
          to[t * n * kLanes + c - t * kLanes] = v == v ? v : std::numeric_limits<T>::infinity();
        }
      });
    }
    for (int64_t t = 0; t < tiles; ++t) {
      T* tile = buffer.data() + t * n * kLanes;
      T result[kLanes];
      const Comparator* const first = network.data();
      const Comparator* const last = first + network.size();
      widest([&]() SYMMA_INLINE {
        for (const Comparator* s = first; s != last; ++s) {
          T* a = tile + s->low * kLanes;
          T* b = tile + s->high * kLanes;
#pragma GCC ivdep
          for (int l = 0; l < kLanes; ++l) {
            const T p = a[l], q = b[l];
            a[l] = p < q ? p : q;
            b[l] = p < q ? q : p;
          }
        }
        reduce(tile, result);
      });
      std::memcpy(out + begin + t * kLanes, result,
                  std::min<int64_t>(kLanes, width - t * kLanes) * static_cast<int64_t>(sizeof(T)));
    }
  });
}

template <class T>
Tensor mean_of_ranks_of(const Tensor& x, int64_t first, int64_t last) {
  const int64_t n = x.size(0), columns = x.size(1);
  Tensor out = at::empty({columns}, x.options());
  for_sorted_tiles(x.data_ptr<T>(), n, columns, sorting_network(n, first, last), out.data_ptr<T>(),
                   [&](const T* tile, T* result) SYMMA_INLINE {
                     T sum[kLanes] = {};
                     for (int64_t i = first; i < last; ++i)
                       for (int l = 0; l < kLanes; ++l) sum[l] += tile[i * kLanes + l];
                     const T count = static_cast<T>(last - first);
                     for (int l = 0; l < kLanes; ++l) result[l] = sum[l] / count;
                   });
  return out;
}

template <class T>
Tensor mean_near_median_of(const Tensor& x, int64_t keep) {
  const int64_t n = x.size(0), columns = x.size(1);
  Tensor out = at::empty({columns}, x.options());
  for_sorted_tiles(x.data_ptr<T>(), n, columns, sorting_network(n, 0, n), out.data_ptr<T>(),
                   [&](const T* tile, T* result) SYMMA_INLINE {
                     const T *below = tile + (n - 1) / 2 * kLanes, *above = tile + n / 2 * kLanes;
                     T middle[kLanes], radius[kLanes], inside[kLanes] = {}, edge[kLanes] = {},
                                                       count[kLanes] = {}, ties[kLanes] = {};
                     for (int l = 0; l < kLanes; ++l) {
                       middle[l] = (below[l] + above[l]) / 2;
                       radius[l] = std::numeric_limits<T>::infinity();
                     }
                     // The `keep` nearest are neighbours in the sorted column: the radius is the least over
                     // the windows.
                     for (int64_t s = 0; s + keep <= n; ++s)
                       for (int l = 0; l < kLanes; ++l) {
                         const T left = middle[l] - tile[s * kLanes + l],
                                 right = tile[(s + keep - 1) * kLanes + l] - middle[l];
                         const T far = left < right ? right : left;
                         radius[l] = far < radius[l] ? far : radius[l];
                       }
                     for (int64_t i = 0; i < n; ++i)
                       for (int l = 0; l < kLanes; ++l) {
                         const T v = tile[i * kLanes + l], d = v < middle[l] ? middle[l] - v : v - middle[l];
                         inside[l] += d < radius[l] ? v : T(0);
                         count[l] += d < radius[l] ? T(1) : T(0);
                         edge[l] += d == radius[l] ? v : T(0);
                         ties[l] += d == radius[l] ? T(1) : T(0);
                       }
                     const T wanted = static_cast<T>(keep);
                     for (int l = 0; l < kLanes; ++l)
                       result[l] = (inside[l] + (wanted - count[l]) * (edge[l] / ties[l])) / wanted;
                   });
  return out;
}

}  // namespace

std::vector<Comparator> sorting_network(int64_t n, int64_t first, int64_t last) {
  std::vector<Comparator> all;
  // Batcher's merge exchange, Knuth vol. 3, 5.2.2, algorithm M: any n.
  int64_t top = 1;
  while (top < n) top *= 2;
  for (int64_t p = top / 2; p > 0; p /= 2)
    for (int64_t q = top / 2, r = 0, d = p;; d = q - p, q /= 2, r = p) {
      for (int64_t i = 0; i + d < n; ++i)
        if ((i & p) == r) all.push_back({static_cast<int32_t>(i), static_cast<int32_t>(i + d)});
      if (q == p) break;
    }
  // Backwards: a comparator stays only if one of its two places is wanted later.
  std::vector<char> wanted(n, 0);
  std::fill(wanted.begin() + first, wanted.begin() + last, 1);
  std::vector<Comparator> kept;
  for (auto c = all.rbegin(); c != all.rend(); ++c) {
    if (!wanted[c->low] && !wanted[c->high]) continue;
    wanted[c->low] = wanted[c->high] = 1;
    kept.push_back(*c);
  }
  std::reverse(kept.begin(), kept.end());
  return kept;
}

Tensor mean_of_ranks(const Tensor& rows, int64_t first, int64_t last) {
  const Tensor x = plain_rows(rows);
  TORCH_CHECK(0 <= first && first < last && last <= x.size(0), "ranks ", first, "..", last, " of ",
              x.size(0));
  return x.scalar_type() == at::kFloat ? mean_of_ranks_of<float>(x, first, last)
                                       : mean_of_ranks_of<double>(x, first, last);
}

Tensor mean_near_median(const Tensor& rows, int64_t keep) {
  const Tensor x = plain_rows(rows);
  TORCH_CHECK(1 <= keep && keep <= x.size(0), keep, " values of ", x.size(0));
  return x.scalar_type() == at::kFloat ? mean_near_median_of<float>(x, keep)
                                       : mean_near_median_of<double>(x, keep);
}

}  // namespace symma
