#include "symma/exchange/sorted_columns.h"

#include <ATen/Dispatch.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "symma/core/parallel.h"
#include "symma/core/simd.h"
#include "symma/exchange/rows.h"

namespace symma {
namespace {

constexpr int64_t kStage =
    1 << 19;                // bytes read ahead of sorting: long reads of each row, and the tile stays in L2
constexpr int kBlock = 16;  // values of a column that stay in registers

// Numbers are sorted as integers in the same order, whose minimum and maximum are one instruction each.
template <class T>
using KeyOf = std::conditional_t<std::is_same_v<T, float>, int32_t, int64_t>;

// Negative numbers have their other bits turned, so the order of keys is that of numbers. It is its own
// inverse. K is an integer or a vector of them.
template <class T, class K>
SYMMA_INLINE inline void turn(K* key) {
  constexpr KeyOf<T> kOthers = std::numeric_limits<KeyOf<T>>::max();
  *key ^= (*key >> (8 * sizeof(T) - 1)) & kOthers;
}

template <class T>
constexpr KeyOf<T> greatest() {
  return std::bit_cast<KeyOf<T>>(std::numeric_limits<T>::infinity());
}

// The bits of numbers become keys: those of NaN that of +inf.
template <class T, class K>
SYMMA_INLINE inline void to_keys(K* bits) {
  constexpr KeyOf<T> kOthers = std::numeric_limits<KeyOf<T>>::max();
  const K infinity = greatest<T>() - K{};
  *bits = (*bits & kOthers) > infinity ? infinity : *bits;
  turn<T>(bits);
}

template <class T, int bytes>
SYMMA_INLINE inline void to_numbers(const PartOfLines<KeyOf<T>, bytes>& keys, int64_t row,
                                    Vec<T, bytes>* out) {
  Vec<KeyOf<T>, bytes> k = keys[row];
  turn<T>(&k);
  *out = reinterpret_cast<Vec<T, bytes>>(k);
}

template <class V>
SYMMA_INLINE inline void compare(V* a, V* b) {
  const V p = *a, q = *b;
  *a = p < q ? p : q;
  *b = p < q ? q : p;
}

// Batcher's merge exchange, Knuth vol. 3, 5.2.2, algorithm M.
struct Network {
  std::array<std::array<int, 2>, 63> pairs{};
  int size = 0;
};
constexpr Network network(int n) {
  Network out;
  for (int p = n / 2; p > 0; p /= 2)
    for (int q = n / 2, r = 0, d = p;; d = q - p, q /= 2, r = p) {
      for (int i = 0; i + d < n; ++i)
        if ((i & p) == r) out.pairs[out.size++] = {i, i + d};
      if (q == p) break;
    }
  return out;
}

// Sorts a vector of columns of N rows, of which those from `count` on are absent, in registers: from numbers
// to keys.
template <int N, class T, class K, int bytes>
SYMMA_INLINE inline void sort_block(const T* from, int64_t stride, int64_t count, PartOfLines<K, bytes> to) {
  using V = Vec<K, bytes>;
  constexpr int64_t kAhead = 8 * kOfLine<T>;
  constexpr Network kNetwork = network(N);
  V a[N];
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) {
    if (i < count) {
      std::memcpy(a + i, from + i * stride, sizeof(V));
      __builtin_prefetch(from + i * stride + kAhead);
      to_keys<T>(a + i);
    } else {
      a[i] = greatest<T>() - V{};
    }
  }
#pragma GCC unroll 64
  for (int k = 0; k < kNetwork.size; ++k) compare(a + kNetwork.pairs[k][0], a + kNetwork.pairs[k][1]);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) to[i] = a[i];
}

// The last levels of a bitonic merge, of distances Top, Top / 2 ... 1, on a block of rows.
template <int Top, class K, int bytes>
SYMMA_INLINE inline void last_levels(PartOfLines<K, bytes> t) {
  using V = Vec<K, bytes>;
  V a[kBlock];
#pragma GCC unroll 16
  for (int i = 0; i < kBlock; ++i) a[i] = t[i];
#pragma GCC unroll 4
  for (int d = Top; d > 0; d /= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < kBlock; ++i)
      if ((i & d) == 0) compare(a + i, a + i + d);
  }
#pragma GCC unroll 16
  for (int i = 0; i < kBlock; ++i) t[i] = a[i];
}

// Merges two sorted runs of `run` rows that follow each other (Batcher 1968). The first three levels, with
// the second run read backwards, are done on eight rows at a time.
template <class K, int bytes>
SYMMA_INLINE inline void merge(PartOfLines<K, bytes> t, int64_t run) {
  using V = Vec<K, bytes>;
  const int64_t quarter = run / 4;
  for (int64_t i = 0; i < quarter; ++i) {
    V low[4], high[4];
    const int64_t end = 2 * run - 1 - i;
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      low[k] = t[i + k * quarter], high[k] = t[end - k * quarter];
      compare(low + k, high + k);
    }
#pragma GCC unroll 2
    for (int d = 2; d > 0; d /= 2) {
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        if ((k & d) != 0) continue;
        compare(low + k, low + k + d);
        compare(high + k + d, high + k);
      }
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) t[i + k * quarter] = low[k], t[end - k * quarter] = high[k];
  }
  for (int64_t d = quarter / 2; d >= kBlock; d /= 2) {
    for (int64_t i = 0; i < 2 * run; ++i)
      if ((i & d) == 0) compare(&t[i], &t[i + d]);
  }
  for (int64_t i = 0; i < 2 * run; i += kBlock) {
    if (quarter == 4)
      last_levels<2>(t.from(i));
    else if (quarter == 8)
      last_levels<4>(t.from(i));
    else
      last_levels<8>(t.from(i));
  }
}

// The same for the sake of ranks [first, last) alone: what they do not depend on is left out.
template <class K, int bytes>
SYMMA_INLINE inline void merge_for(PartOfLines<K, bytes> t, int64_t run, int64_t first, int64_t last) {
  using V = Vec<K, bytes>;
  const auto level = [&](V* low, V* high, bool wants_low, bool wants_high) SYMMA_INLINE {
    const V p = *low, q = *high;
    if (wants_low) *low = p < q ? p : q;
    if (wants_high) *high = p < q ? q : p;
  };
  const bool below = first<run, above = last> run;
  for (int64_t i = 0; i < run; ++i) level(&t[i], &t[2 * run - 1 - i], below, above);
  for (int64_t d = run / 2; d >= kBlock; d /= 2) {
    for (int64_t s = std::max<int64_t>(0, first / (2 * d) * 2 * d); s < last; s += 2 * d)
      for (int64_t i = s; i < s + d; ++i) level(&t[i], &t[i + d], first<s + d, last> s + d);
  }
  for (int64_t i = first / kBlock * kBlock; i < last; i += kBlock) last_levels<8>(t.from(i));
}

// Rows of a tile: a power of two, 16 or more unless they are few.
int64_t padded(int64_t n) {
  int64_t p = 4;
  while (p < n) p *= 2;
  return p;
}

// Merges the sorted blocks of a tile [padded(n)], of which the rows from n on are the greatest there are, so
// that the ranks [first, last) stand in their places.
template <class K, int bytes>
SYMMA_INLINE inline void merge_blocks(PartOfLines<K, bytes> t, int64_t n, int64_t first, int64_t last) {
  const int64_t rows = padded(n);
  if (rows <= kBlock) return;
  int64_t run = kBlock;
  for (; 4 * run <= rows; run *= 2)
    for (int64_t s = 0; s + run < n; s += 2 * run) merge(t.from(s), run);
  if (last - first > run)
    merge(t, run);
  else
    merge_for(t, run, first, last);
}

// Sorts a block of rows of each tile, as they are read. Of the last, unfilled tile the rows are at `edge`.
// Apart from what comes of the tiles, so that it is compiled once for a type.
template <class T>
[[gnu::noinline]] void sort_blocks(const T* from, const T* edge, int64_t columns, int64_t count, int64_t rows,
                                   int64_t tiles, int64_t whole, int64_t apart, CacheLine* tiles_of) {
  constexpr int64_t kWide = kOfLine<T>;
  widest([&](auto bytes) SYMMA_INLINE {
    // Copies of what is captured: the stores below might change that, for all the compiler knows.
    const int64_t present = count, size = rows, stride = columns, step = apart, last_whole = whole;
    CacheLine* to = tiles_of;
    const T* at = from;
    for (int64_t t = 0; t < tiles; ++t, to += step, at += kWide) {
      const T* block = t < last_whole ? at : edge;
      const int64_t apart_by = t < last_whole ? stride : kWide;
      using Part = PartOfLines<KeyOf<T>, bytes>;
      for (int64_t p = 0; p < Part::kParts; ++p) {
        const T* first = block + p * kLanes<T, bytes>;
        const Part part = Part::of(to, p);
        if (size == 4)
          sort_block<4>(first, apart_by, present, part);
        else if (size == 8)
          sort_block<8>(first, apart_by, present, part);
        else
          sort_block<kBlock>(first, apart_by, present, part);
      }
    }
  });
}

template <class K>
[[gnu::noinline]] void merge_tile(CacheLine* tile, int64_t n, int64_t first, int64_t last) {
  widest([&](auto bytes) SYMMA_INLINE {
    using Part = PartOfLines<K, bytes>;
    for (int64_t p = 0; p < Part::kParts; ++p) merge_blocks(Part::of(tile, p), n, first, last);
  });
}

// Sorts the columns of x [n, columns] for the ranks [first, last), and hands each tile of keys, [padded(n)],
// to `reduce(tile, out)`, part by part.
template <class T, class Reduce>
void for_sorted_tiles(const T* x, int64_t n, int64_t columns, int64_t first, int64_t last, T* out,
                      const Reduce& reduce) {
  constexpr int64_t kWide = kOfLine<T>;
  const int64_t rows = padded(n),
                apart = rows + 1;  // tiles a power of two apart would share few sets of the cache
  const int64_t stage =
      std::max<int64_t>(1, kStage / (apart * static_cast<int64_t>(sizeof(CacheLine)))) * kWide;
  parallel_for(columns, stage, [&](int64_t begin, int64_t end) {
    const int64_t width = end - begin, tiles = (width + kWide - 1) / kWide, whole = width / kWide;
    // [tiles][apart], this thread's: new memory for each stage would cost as much as sorting.
    thread_local std::vector<CacheLine> buffer;
    if (static_cast<int64_t>(buffer.size()) < tiles * apart) buffer.resize(tiles * apart);
    CacheLine* const tiles_of = buffer.data();
    // Blocks are sorted as they are read: as many long reads side by side, and work to do while they come.
    for (int64_t i = 0; i < rows; i += kBlock) {
      T edge[kBlock * kWide];
      if (whole < tiles) {
        std::fill_n(edge, kBlock * kWide, std::numeric_limits<T>::infinity());
        for (int64_t r = i; r < std::min(n, i + kBlock); ++r)
          std::memcpy(edge + (r - i) * kWide, x + r * columns + begin + whole * kWide,
                      (width - whole * kWide) * sizeof(T));
      }
      sort_blocks<T>(x + i * columns + begin, edge, columns, n - i, rows, tiles, whole, apart, tiles_of + i);
    }
    for (int64_t t = 0; t < tiles; ++t) {
      CacheLine* tile = tiles_of + t * apart;
      T result[kWide];
      merge_tile<KeyOf<T>>(tile, n, first, last);
      widest([&](auto bytes) SYMMA_INLINE {
        using Part = PartOfLines<KeyOf<T>, bytes>;
        for (int64_t p = 0; p < Part::kParts; ++p) reduce(Part::of(tile, p), result + p * kLanes<T, bytes>);
      });
      std::memcpy(out + begin + t * kWide, result,
                  std::min<int64_t>(kWide, width - t * kWide) * static_cast<int64_t>(sizeof(T)));
    }
  });
}

template <class T>
Tensor mean_of_ranks_of(const Tensor& x, int64_t first, int64_t last) {
  const int64_t n = x.size(0), columns = x.size(1);
  Tensor out = at::empty({columns}, x.options());
  for_sorted_tiles(x.data_ptr<T>(), n, columns, first, last, out.data_ptr<T>(),
                   [&]<int bytes>(PartOfLines<KeyOf<T>, bytes> tile, T* result) SYMMA_INLINE {
                     Vec<T, bytes> sum{}, v;
                     for (int64_t i = first; i < last; ++i) {
                       to_numbers<T>(tile, i, &v);
                       sum += v;
                     }
                     sum /= static_cast<T>(last - first);
                     std::memcpy(result, &sum, sizeof sum);
                   });
  return out;
}

template <class T>
Tensor mean_near_median_of(const Tensor& x, int64_t keep) {
  const int64_t n = x.size(0), columns = x.size(1);
  Tensor out = at::empty({columns}, x.options());
  for_sorted_tiles(x.data_ptr<T>(), n, columns, 0, n, out.data_ptr<T>(),
                   [&]<int bytes>(PartOfLines<KeyOf<T>, bytes> tile, T* result) SYMMA_INLINE {
                     using V = Vec<T, bytes>;
                     const V zero{};
                     V v, w, radius = zero + std::numeric_limits<T>::infinity();
                     to_numbers<T>(tile, (n - 1) / 2, &v);
                     to_numbers<T>(tile, n / 2, &w);
                     const V middle = (v + w) / 2;
                     // The `keep` nearest are neighbours in the sorted column: the radius is the least over
                     // the windows.
                     for (int64_t s = 0; s + keep <= n; ++s) {
                       to_numbers<T>(tile, s, &v);
                       to_numbers<T>(tile, s + keep - 1, &w);
                       const V left = middle - v, right = w - middle, far = left < right ? right : left;
                       radius = far < radius ? far : radius;
                     }
                     V inside{}, edge{};
                     Vec<KeyOf<T>, bytes> count{}, ties{};  // a comparison that holds is -1
                     for (int64_t i = 0; i < n; ++i) {
                       to_numbers<T>(tile, i, &v);
                       const V d = v < middle ? middle - v : v - middle;
                       inside += d < radius ? v : zero;
                       count -= d < radius;
                       edge += d == radius ? v : zero;
                       ties -= d == radius;
                     }
                     for (int l = 0; l < kLanes<T, bytes>; ++l) {
                       const T wanted = static_cast<T>(keep), rest = wanted - static_cast<T>(count[l]);
                       result[l] = (inside[l] + rest * (edge[l] / static_cast<T>(ties[l]))) / wanted;
                     }
                   });
  return out;
}

}  // namespace

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
