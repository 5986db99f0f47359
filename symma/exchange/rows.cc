#include "symma/exchange/rows.h"

#include <ATen/Dispatch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "symma/core/parallel.h"
#include "symma/core/simd.h"

namespace symma {
namespace {

constexpr double kFar = std::numeric_limits<double>::infinity();  // of rows that are not finite
constexpr int64_t kTile = 2048;  // columns in one tile: 8 KiB of floats a row
constexpr int64_t kPieces = 64;  // partial sums at most, each added in the order of the columns

// Columns in one piece of work that ends in a partial sum.
int64_t piece_columns(int64_t columns) {
  const int64_t tiles = (columns + kTile - 1) / kTile;
  return (tiles + kPieces - 1) / kPieces * kTile;
}

// sum of (x - y)^2 over k elements, in 32 lanes. `y` may be null, for zero.
template <class T>
SYMMA_INLINE inline double sum_of_squares(const T* x, const T* y, int64_t k) {
  constexpr int kLanes = 32;
  T lanes[kLanes] = {};
  int64_t c = 0;
  if (y != nullptr) {
    for (; c + kLanes <= k; c += kLanes)
      for (int l = 0; l < kLanes; ++l) lanes[l] += (x[c + l] - y[c + l]) * (x[c + l] - y[c + l]);
  } else {
    for (; c + kLanes <= k; c += kLanes)
      for (int l = 0; l < kLanes; ++l) lanes[l] += x[c + l] * x[c + l];
  }
  double sum = 0;
  for (int l = 0; l < kLanes; ++l) sum += static_cast<double>(lanes[l]);
  for (; c < k; ++c) {
    const T d = y != nullptr ? x[c] - y[c] : x[c];
    sum += static_cast<double>(d * d);
  }
  return sum;
}

double or_infinity(double x) {
  return std::isfinite(x) ? x : kFar;
}

// Adds up partial sums [pieces][size] in order.
std::vector<double> add_pieces(const std::vector<std::vector<double>>& pieces, int64_t size) {
  std::vector<double> sum(size, 0.0);
  for (const auto& piece : pieces)
    for (int64_t i = 0; i < size; ++i) sum[i] += piece[i];
  return sum;
}

constexpr int64_t kSide = 4;     // rows of a block of the product with itself
constexpr int64_t kShort = 512;  // columns of the rows that are multiplied at a time: all of them stay in L2
constexpr int64_t kFloats = 8192;  // columns that are added up in their own type

// Adds to sums [kSide * kSide], of one line each, the products of the rows of a with those of b, `lines`
// long.
template <class T, int bytes>
SYMMA_INLINE inline void multiply_block(PartOfLines<T, bytes> a, PartOfLines<T, bytes> b, int64_t stride,
                                        int64_t lines, PartOfLines<T, bytes> sums) {
  using V = Vec<T, bytes>;
  V sum[kSide * kSide];
#pragma GCC unroll 16
  for (int i = 0; i < kSide * kSide; ++i) sum[i] = sums[i];
  for (int64_t l = 0; l < lines; ++l) {
    V right[kSide];
#pragma GCC unroll 4
    for (int j = 0; j < kSide; ++j) right[j] = b[j * stride + l];
#pragma GCC unroll 4
    for (int i = 0; i < kSide; ++i) {
      const V left = a[i * stride + l];
#pragma GCC unroll 4
      for (int j = 0; j < kSide; ++j) sum[i * kSide + j] += left * right[j];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kSide * kSide; ++i) sums[i] = sum[i];
}

// The product of (rows - origin) with itself, [n * n]. It is symmetric, so half of it is made; and vectors
// run along the rows as they lie, so nothing is packed: for so few rows that is faster than BLAS.
template <class T>
std::vector<double> gram(const T* x, const T* origin, int64_t n, int64_t columns) {
  const int64_t step = piece_columns(columns), blocks = (n + kSide - 1) / kSide;
  const int64_t pairs = blocks * (blocks + 1) / 2, lines = kSide * kSide * pairs;
  // Rows a power of two apart would share few sets of the cache.
  constexpr int64_t kStride = kShort + kOfLine<T>;
  std::vector<std::vector<double>> partial((columns + step - 1) / step);
  parallel_for(columns, step, [&](int64_t begin, int64_t end) {
    auto& all = partial[begin / step];
    all.assign(n * n, 0.0);
    std::vector<CacheLine> tile(blocks * kSide * kStride / kOfLine<T>), sums(lines);
    std::memset(static_cast<void*>(tile.data()), 0, tile.size() * sizeof(CacheLine));
    T* const t = reinterpret_cast<T*>(tile.data());
    for (int64_t from = begin; from < end; from += kFloats) {
      std::memset(static_cast<void*>(sums.data()), 0, sums.size() * sizeof(CacheLine));
      for (int64_t c = from; c < std::min(end, from + kFloats); c += kShort) {
        const int64_t k = std::min(kShort, end - c), whole = whole_lines<T>(k);
        widest([&](auto bytes) SYMMA_INLINE {
          for (int64_t i = 0; i < n; ++i) {
            const T *row = x + i * columns + c, *zero = origin + c;
            T* to = t + i * kStride;
            const T* next = row + (i + 1 < n ? columns : 0);
            for (int64_t l = 0; l < k; l += kOfLine<T>) __builtin_prefetch(next + l);
            for (int64_t l = 0; l < k; ++l) to[l] = row[l] - zero[l];
            for (int64_t l = k; l < whole; ++l) to[l] = 0;
          }
          using Part = PartOfLines<T, bytes>;
          constexpr int64_t kLines = kStride / kOfLine<T>;
          for (int64_t p = 0; p < Part::kParts; ++p) {
            const Part all_rows = Part::of(t, p);
            Part sum = Part::of(sums.data(), p);
            for (int64_t i = 0; i < blocks; ++i)
              for (int64_t j = 0; j <= i; ++j, sum = sum.from(kSide * kSide))
                multiply_block(all_rows.from(i * kSide * kLines), all_rows.from(j * kSide * kLines), kLines,
                               whole / kOfLine<T>, sum);
          }
        });
      }
      const T* lane = reinterpret_cast<const T*>(sums.data());
      for (int64_t i = 0; i < blocks * kSide; i += kSide)
        for (int64_t j = 0; j <= i; j += kSide)
          for (int64_t p = 0; p < kSide * kSide; ++p, lane += kOfLine<T>) {
            const int64_t r = i + p / kSide, s = j + p % kSide;
            if (r >= n || s > r) continue;
            double sum = 0;
            for (int64_t l = 0; l < kOfLine<T>; ++l) sum += static_cast<double>(lane[l]);
            all[r * n + s] += sum;
          }
    }
  });
  std::vector<double> all = add_pieces(partial, n * n);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j) all[j * n + i] = all[i * n + j];
  return all;
}

// Weights [m, n] as [m / kSide][n][kSide], filled up with zeros.
template <class T>
std::vector<T> turned_weights(const Tensor& weights) {
  const Tensor w = weights.to(at::kDouble).contiguous();
  const int64_t m = w.size(0), n = w.size(1);
  std::vector<T> out((m + kSide - 1) / kSide * kSide * n);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      out[(i / kSide * n + j) * kSide + i % kSide] = static_cast<T>(w.data_ptr<double>()[i * n + j]);
  return out;
}

// kSide sums over x [n][kSide lines] into that part of as many lines of each row.
template <class T, int bytes>
SYMMA_INLINE inline void mix_block(const T* w, PartOfLines<T, bytes> x, int64_t n, T* out, int64_t stride) {
  using V = Vec<T, bytes>;
  V sum[kSide][kSide];
#pragma GCC unroll 4
  for (int i = 0; i < kSide; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kSide; ++j) sum[i][j] = V{};
  }
  for (int64_t k = 0; k < n; ++k, w += kSide, x = x.from(kSide)) {
    V line[kSide];
#pragma GCC unroll 4
    for (int j = 0; j < kSide; ++j) line[j] = x[j];
#pragma GCC unroll 4
    for (int i = 0; i < kSide; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < kSide; ++j) sum[i][j] += w[i] * line[j];
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kSide; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kSide; ++j)
      *reinterpret_cast<LooseVec<T, bytes>*>(out + i * stride + j * kOfLine<T>) = sum[i][j];
  }
}

// Distances of the pairs listed, by differences.
template <class T>
std::vector<double> pair_distances(const T* x, const std::vector<std::pair<int64_t, int64_t>>& pairs,
                                   int64_t columns) {
  const int64_t step = piece_columns(columns), size = static_cast<int64_t>(pairs.size());
  std::vector<std::vector<double>> partial((columns + step - 1) / step);
  parallel_for(columns, step, [&](int64_t begin, int64_t end) {
    auto& sum = partial[begin / step];
    sum.assign(size, 0.0);
    for (int64_t c = begin; c < end; c += kTile) {
      const int64_t k = std::min(kTile, end - c);
      widest([&]() SYMMA_INLINE {
        for (int64_t p = 0; p < size; ++p)
          sum[p] += sum_of_squares(x + pairs[p].first * columns + c, x + pairs[p].second * columns + c, k);
      });
    }
  });
  return add_pieces(partial, size);
}

// A point amid the rows: the median of three of them, coordinate by coordinate, 0 where that is not finite.
template <class T>
std::vector<T> origin_of(const T* x, int64_t n, int64_t columns) {
  std::vector<T> origin(columns);
  const T *a = x, *b = x + n / 2 * columns, *c = x + (n - 1) * columns;
  T* const to = origin.data();
  parallel_for(columns, 4 * kTile, [&](int64_t begin, int64_t end) {
    widest([&]() SYMMA_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const T low = a[i] < b[i] ? a[i] : b[i], high = a[i] < b[i] ? b[i] : a[i];
        const T least = high < c[i] ? high : c[i], middle = low < least ? least : low;
        to[i] = middle - middle == 0 ? middle : T(0);  // a difference that is not 0 is NaN
      }
    });
  });
  return origin;
}

template <class T>
void squared_distances_of(const T* x, int64_t n, int64_t columns, double* out) {
  // Rounding of the product, relative to |x_i|^2 + |x_j|^2, is about 3e-6 in float: a pair below this share
  // of the sum of its squares would be off by more than 1e-4 of itself.
  const double doubtful = std::is_same_v<T, float> ? 3e-2 : 1e-9;
  std::vector<std::pair<int64_t, int64_t>> close;
  std::vector<T> origin = origin_of(x, n, columns);
  for (int attempt = 0; attempt < 3; ++attempt) {
    const std::vector<double> g = gram(x, origin.data(), n, columns);
    int64_t lost = 0;
    close.clear();
    for (int64_t i = 0; i < n; ++i) {
      const bool finite = std::isfinite(g[i * n + i]);
      lost += !finite;
      out[i * n + i] = finite ? 0 : kFar;
      for (int64_t j = 0; j < i; ++j) {
        const double squares = g[i * n + i] + g[j * n + j], d = squares - 2 * g[i * n + j];
        out[i * n + j] = out[j * n + i] = std::max(0.0, or_infinity(d));
        if (std::isfinite(d) && d < doubtful * squares) close.push_back({i, j});
      }
    }
    if (attempt == 0 && 2 * lost >= n) {
      // The origin is of hostile rows, so far off that the squares of good ones overflow about it.
      std::fill(origin.begin(), origin.end(), T(0));
      continue;
    }
    if (static_cast<int64_t>(close.size()) <= n || attempt == 2) break;
    // The origin lies far from the rows: take the row with the nearest (n / 2)th neighbour.
    attempt = 1;
    int64_t best = 0;
    double least = kFar;
    for (int64_t i = 0; i < n; ++i) {
      std::vector<double> row(out + i * n, out + (i + 1) * n);
      std::nth_element(row.begin(), row.begin() + n / 2, row.end());
      if (row[n / 2] < least) least = row[n / 2], best = i;
    }
    if (!std::isfinite(least)) break;
    origin.assign(x + best * columns, x + (best + 1) * columns);
  }
  const std::vector<double> exact = pair_distances(x, close, columns);
  for (size_t p = 0; p < close.size(); ++p)
    out[close[p].first * n + close[p].second] = out[close[p].second * n + close[p].first] =
        or_infinity(exact[p]);
}

template <class T>
void weighted_sum_of(const T* x, int64_t columns, const std::vector<std::pair<const T*, T>>& terms, T* out) {
  parallel_for(columns, 4 * kTile, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; c += kTile) {
      const int64_t k = std::min(kTile, end - c);
      T sum[kTile] = {};
      widest([&]() SYMMA_INLINE {
        size_t i = 0;
        for (; i + 4 <= terms.size(); i += 4) {
          const T *a = terms[i].first + c, *b = terms[i + 1].first + c, *d = terms[i + 2].first + c,
                  *e = terms[i + 3].first + c;
          const T wa = terms[i].second, wb = terms[i + 1].second, wd = terms[i + 2].second,
                  we = terms[i + 3].second;
          for (int64_t l = 0; l < k; ++l) sum[l] += (wa * a[l] + wb * b[l]) + (wd * d[l] + we * e[l]);
        }
        for (; i < terms.size(); ++i) {
          const T* a = terms[i].first + c;
          const T wa = terms[i].second;
          for (int64_t l = 0; l < k; ++l) sum[l] += wa * a[l];
        }
      });
      std::memcpy(out + c, sum, k * sizeof(T));
    }
  });
}

}  // namespace

Tensor plain_rows(const Tensor& rows) {
  TORCH_CHECK(rows.dim() == 2 && rows.size(0) >= 1 && rows.size(1) >= 1, "rows are [n, P], not ",
              rows.sizes());
  TORCH_CHECK(rows.scalar_type() == at::kFloat || rows.scalar_type() == at::kDouble,
              "rows are float or double, not ", rows.scalar_type());
  return rows.detach().cpu().contiguous();
}

Tensor squared_distances(const Tensor& rows) {
  const Tensor x = plain_rows(rows);
  const int64_t n = x.size(0);
  Tensor out = at::zeros({n, n}, at::kDouble);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "squared_distances", [&] {
    squared_distances_of<scalar_t>(x.data_ptr<scalar_t>(), n, x.size(1), out.data_ptr<double>());
  });
  return out;
}

std::vector<double> squared_distances_to(const Tensor& rows, const Tensor& point) {
  const Tensor x = plain_rows(rows);
  const int64_t n = x.size(0), columns = x.size(1), step = piece_columns(columns);
  const Tensor y = point.defined() ? point.detach().to(x.scalar_type()).contiguous() : Tensor();
  TORCH_CHECK(!y.defined() || y.numel() == columns, "a point of ", y.numel(), " values for rows of ",
              columns);
  std::vector<std::vector<double>> partial((columns + step - 1) / step);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "squared_distances_to", [&] {
    const scalar_t* p = x.data_ptr<scalar_t>();
    const scalar_t* q = y.defined() ? y.data_ptr<scalar_t>() : nullptr;
    parallel_for(columns, step, [&](int64_t begin, int64_t end) {
      auto& sum = partial[begin / step];
      sum.assign(n, 0.0);
      // Long reads of each row; the point's piece stays in the second-level cache.
      widest([&]() SYMMA_INLINE {
        for (int64_t i = 0; i < n; ++i)
          for (int64_t c = begin; c < end; c += kTile)
            sum[i] +=
                sum_of_squares(p + i * columns + c, q != nullptr ? q + c : nullptr, std::min(kTile, end - c));
      });
    });
  });
  std::vector<double> out = add_pieces(partial, n);
  for (double& d : out) d = or_infinity(d);
  return out;
}

Tensor weighted_sum(const Tensor& rows, std::span<const double> weights, const Tensor& point,
                    double point_weight) {
  const Tensor x = plain_rows(rows);
  const int64_t n = x.size(0), columns = x.size(1);
  TORCH_CHECK(static_cast<int64_t>(weights.size()) == n, weights.size(), " weights for ", n, " rows");
  Tensor out = at::empty({columns}, x.options());
  const Tensor y = point.defined() ? point.detach().to(x.scalar_type()).contiguous() : Tensor();
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "weighted_sum", [&] {
    std::vector<std::pair<const scalar_t*, scalar_t>> terms;
    for (int64_t i = 0; i < n; ++i)
      if (weights[i] != 0)
        terms.push_back({x.data_ptr<scalar_t>() + i * columns, static_cast<scalar_t>(weights[i])});
    if (point_weight != 0) terms.push_back({y.data_ptr<scalar_t>(), static_cast<scalar_t>(point_weight)});
    weighted_sum_of<scalar_t>(x.data_ptr<scalar_t>(), columns, terms, out.data_ptr<scalar_t>());
  });
  return out;
}

Tensor mean_of(const Tensor& rows, std::span<const int64_t> which) {
  std::vector<double> weights(rows.size(0), 0.0);
  for (int64_t i : which) weights[i] = 1.0 / static_cast<double>(which.size());
  return weighted_sum(rows, weights);
}

Tensor mix_rows(const Tensor& rows, const Tensor& weights) {
  const Tensor x = plain_rows(rows);
  const int64_t n = x.size(0), columns = x.size(1), m = weights.size(0);
  TORCH_CHECK(weights.dim() == 2 && weights.size(1) == n, "weights are [m, ", n, "], not ", weights.sizes());
  const Tensor used = weights.ne(0).any(0).contiguous();
  Tensor out = at::empty({m, columns}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "mix_rows", [&] {
    const std::vector<scalar_t> w = turned_weights<scalar_t>(weights);
    const scalar_t* from = x.data_ptr<scalar_t>();
    scalar_t* to = out.data_ptr<scalar_t>();
    parallel_for(columns, 4 * kTile, [&](int64_t begin, int64_t end) {
      constexpr int64_t kWide = kSide * kOfLine<scalar_t>;
      std::vector<CacheLine> tile(kShort / kWide * n * kSide);  // [kShort / kWide][n][kSide]
      std::memset(static_cast<void*>(tile.data()), 0, tile.size() * sizeof(CacheLine));
      scalar_t* const t = reinterpret_cast<scalar_t*>(tile.data());
      for (int64_t c = begin; c < end; c += kShort) {
        const int64_t k = std::min(kShort, end - c);
        for (int64_t j = 0; j < n; ++j) {
          if (!used.data_ptr<bool>()[j]) continue;
          const scalar_t* row = from + j * columns + c;
          const scalar_t* next = row + (j + 1 < n ? columns : 0);
          for (int64_t l = 0; l < k; l += kWide) {
            for (int64_t p = 0; p < kWide; p += kOfLine<scalar_t>) __builtin_prefetch(next + l + p);
            std::memcpy(t + l * n + j * kWide, row + l, std::min(kWide, k - l) * sizeof(scalar_t));
          }
        }
        for (int64_t l = 0; l < k; l += kWide) {
          widest([&](auto bytes) SYMMA_INLINE {
            using Part = PartOfLines<scalar_t, bytes>;
            for (int64_t i = 0; i < m; i += kSide) {
              scalar_t edge[kSide * kWide], *const there = to + i * columns + c + l;
              const int64_t rows = std::min(kSide, m - i), wide = std::min(kWide, k - l);
              const bool whole = rows == kSide && wide == kWide;
              for (int64_t p = 0; p < Part::kParts; ++p)
                mix_block(w.data() + i * n, Part::of(t + l * n, p), n,
                          (whole ? there : edge) + p * kLanes<scalar_t, bytes>, whole ? columns : kWide);
              for (int64_t r = 0; !whole && r < rows; ++r)
                std::memcpy(there + r * columns, edge + r * kWide, wide * sizeof(scalar_t));
            }
          });
        }
      }
    });
  });
  return out;
}

Tensor scale_rows(const Tensor& rows, std::span<const double> scales, const Tensor& centre) {
  const Tensor x = plain_rows(rows);
  const int64_t n = x.size(0), columns = x.size(1);
  const Tensor y =
      centre.defined() ? centre.detach().to(x.scalar_type()).contiguous() : at::zeros({columns}, x.options());
  Tensor out = at::empty({n, columns}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "scale_rows", [&] {
    const scalar_t *from = x.data_ptr<scalar_t>(), *mid = y.data_ptr<scalar_t>();
    scalar_t* to = out.data_ptr<scalar_t>();
    parallel_for(n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto s = static_cast<scalar_t>(scales[i]);
        const scalar_t* a = from + i * columns;
        scalar_t* b = to + i * columns;
        if (s == 0) {
          std::memcpy(b, mid, columns * sizeof(scalar_t));
        } else if (s == 1) {
          std::memcpy(b, a, columns * sizeof(scalar_t));
        } else {
          widest([&]() SYMMA_INLINE {
            for (int64_t c = 0; c < columns; ++c) b[c] = mid[c] + s * (a[c] - mid[c]);
          });
        }
      }
    });
  });
  return out;
}

std::vector<int64_t> ascending(std::span<const double> values) {
  std::vector<int64_t> order(values.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return values[a] < values[b] || (std::isnan(values[b]) && !std::isnan(values[a]));
  });
  return order;
}

}  // namespace symma
