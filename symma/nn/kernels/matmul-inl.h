// C [m, n] = init + sum over products of A [m, k] B [k, n], for matrices that fit in the second-level cache.
//
// A tile of up to TILE_ROWS rows and two or three vectors of C stays in registers while k runs; A is read one
// number at a time and broadcast, so it may lie in any order (row stride rs, column stride cs), which makes
// A^T B the same code. k is cut so that a tile's panel of B stays in the first-level cache while all rows
// pass over it.

template <class T>
struct Product {
  const T* a;
  int64_t rs, cs;
  const T* b;
  int64_t ldb, k;
};

template <class T, int Rows, int Big, int Small>
SYMMA_INLINE inline void tile(const Product<T>* products, int count, const T* init, int64_t init_stride, T* c,
                              int64_t ldc) {
  using B = Vec<T, BIG_BYTES>;
  using S = Vec<T, SMALL_BYTES>;
  constexpr int kB = BIG_BYTES / sizeof(T);
  B acc[Rows][Big + 1];
  S tail[Rows];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < Big; ++j)
      acc[r][j] = init ? load<T, BIG_BYTES>(init + r * init_stride + j * kB) : B{};
    if (Small) tail[r] = init ? load<T, SMALL_BYTES>(init + r * init_stride + Big * kB) : S{};
  }
  for (int p = 0; p < count; ++p) {
    const T* a = products[p].a;
    const T* b = products[p].b;
    const int64_t rs = products[p].rs, cs = products[p].cs, ldb = products[p].ldb, k = products[p].k;
    for (int64_t i = 0; i < k; ++i, a += cs, b += ldb) {
      B row[Big + 1];
      S row_tail;
#pragma GCC unroll 4
      for (int j = 0; j < Big; ++j) row[j] = load<T, BIG_BYTES>(b + j * kB);
      if (Small) row_tail = load<T, SMALL_BYTES>(b + Big * kB);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const B s = broadcast<T, BIG_BYTES>(a[r * rs]);
#pragma GCC unroll 4
        for (int j = 0; j < Big; ++j) acc[r][j] = fma(s, row[j], acc[r][j]);
        if (Small) tail[r] = fma(broadcast<T, SMALL_BYTES>(a[r * rs]), row_tail, tail[r]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < Big; ++j) store<T, BIG_BYTES>(c + r * ldc + j * kB, acc[r][j]);
    if (Small) store<T, SMALL_BYTES>(c + r * ldc + Big * kB, tail[r]);
  }
}

// All rows of a panel of C, in tiles of nearly equal height.
template <class T, int Big, int Small>
__attribute__((noinline)) void panel(int64_t m, const Product<T>* products, int count, const T* init,
                                     int64_t init_stride, T* c, int64_t ldc) {
  Product<T> at[2];
  for (int p = 0; p < count; ++p) at[p] = products[p];
  for (int64_t tiles = (m + TILE_ROWS - 1) / TILE_ROWS; tiles > 0; --tiles) {
    const int64_t rows = (m + tiles - 1) / tiles;
    switch (rows) {
      case 1:
        tile<T, 1, Big, Small>(at, count, init, init_stride, c, ldc);
        break;
      case 2:
        tile<T, 2, Big, Small>(at, count, init, init_stride, c, ldc);
        break;
      case 3:
        tile<T, 3, Big, Small>(at, count, init, init_stride, c, ldc);
        break;
      case 4:
        tile<T, 4, Big, Small>(at, count, init, init_stride, c, ldc);
        break;
#if TILE_ROWS > 4
      case 5:
        tile<T, 5, Big, Small>(at, count, init, init_stride, c, ldc);
        break;
      case 6:
        tile<T, 6, Big, Small>(at, count, init, init_stride, c, ldc);
        break;
      case 7:
        tile<T, 7, Big, Small>(at, count, init, init_stride, c, ldc);
        break;
      case 8:
        tile<T, 8, Big, Small>(at, count, init, init_stride, c, ldc);
        break;
#endif
      default:
        __builtin_unreachable();
    }
    m -= rows;
    c += rows * ldc;
    if (init) init += rows * init_stride;
    for (int p = 0; p < count; ++p) at[p].a += rows * at[p].rs;
  }
}

template <class T>
SYMMA_INLINE inline void columns(int big, int small, int64_t m, const Product<T>* products, int count,
                                 const T* init, int64_t init_stride, T* c, int64_t ldc) {
  if (big == 3)
    panel<T, 3, 0>(m, products, count, init, init_stride, c, ldc);
  else if (big == 2 && !small)
    panel<T, 2, 0>(m, products, count, init, init_stride, c, ldc);
  else if (big == 1 && !small)
    panel<T, 1, 0>(m, products, count, init, init_stride, c, ldc);
#if SMALL_BYTES != BIG_BYTES
  else if (big == 2)
    panel<T, 2, 1>(m, products, count, init, init_stride, c, ldc);
  else if (big == 1)
    panel<T, 1, 1>(m, products, count, init, init_stride, c, ldc);
  else
    panel<T, 0, 1>(m, products, count, init, init_stride, c, ldc);
#endif
}

// n is a multiple of 32 bytes. `init` is a matrix with row stride init_stride (0: one row for all), or null
// for zero.
template <class T>
void matmul(int64_t m, int64_t n, const Product<T>* products, int count, const T* init, int64_t init_stride,
            T* c, int64_t ldc) {
  constexpr int64_t kB = BIG_BYTES / sizeof(T);
  constexpr int64_t kDeep = 160;
  int64_t bigs = n / kB;
  const int small = n % kB != 0;
  bool deep = false;
  for (int p = 0; p < count; ++p) deep = deep || products[p].k > kDeep;
  for (int64_t at = 0; at < n;) {
    const int big = static_cast<int>(bigs >= 4 ? 2 : bigs == 3 && small ? 2 : bigs);
    const int with_small = small && big == bigs;
    Product<T> here[2];
    for (int p = 0; p < count; ++p) here[p] = products[p], here[p].b += at;
    const T* from = init ? init + at : nullptr;
    if (!deep) {
      columns(big, with_small, m, here, count, from, init_stride, c + at, ldc);
    } else {
      int64_t from_stride = init_stride;
      for (int p = 0; p < count; ++p) {
        for (int64_t k = 0; k < products[p].k; k += kDeep) {
          Product<T> part = here[p];
          part.a += k * part.cs;
          part.b += k * part.ldb;
          part.k = products[p].k - k < kDeep ? products[p].k - k : kDeep;
          columns(big, with_small, m, &part, 1, from, from_stride, c + at, ldc);
          from = c + at;
          from_stride = ldc;
        }
      }
    }
    bigs -= big;
    at += big * kB + (with_small ? n % kB : 0);
  }
}

template <class T>
SYMMA_INLINE inline void matmul(int64_t m, int64_t n, Product<T> p, const T* init, int64_t init_stride, T* c,
                                int64_t ldc) {
  matmul(m, n, &p, 1, init, init_stride, c, ldc);
}

// out[r, j] = bias[j] + sum over products of a[r, :] . b[j, :], vectors along the shared dimension. rs is a's
// row stride, k a multiple of 32 bytes. For heads of one or two outputs.
template <class T>
void dots(int64_t rows, int64_t outs, const Product<T>* products, int count, const T* bias, T* out) {
  constexpr int64_t kS = 32 / sizeof(T);
  using V = Vec<T, 32>;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < outs; ++j) {
      V sum{};
      for (int p = 0; p < count; ++p) {
        const T* a = products[p].a + r * products[p].rs;
        const T* b = products[p].b + j * products[p].ldb;
        for (int64_t i = 0; i < products[p].k; i += kS)
          sum = fma(load<T, 32>(a + i), load<T, 32>(b + i), sum);
      }
      out[r * outs + j] = bias[j] + sum_lanes(sum);
    }
  }
}

// A square block of `from`, one vector to a side, turned.
#ifdef HAS_FMA
SYMMA_INLINE inline void transpose_block(const float* from, int64_t ld_from, float* to, int64_t ld_to) {
  __m256 a[8], b[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) a[i] = _mm256_loadu_ps(from + i * ld_from);
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
    a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(to + i * ld_to, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * ld_to, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
  }
}
SYMMA_INLINE inline void transpose_block(const double* from, int64_t ld_from, double* to, int64_t ld_to) {
  __m256d a[4], b[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) a[i] = _mm256_loadu_pd(from + i * ld_from);
  b[0] = _mm256_unpacklo_pd(a[0], a[1]);
  b[1] = _mm256_unpackhi_pd(a[0], a[1]);
  b[2] = _mm256_unpacklo_pd(a[2], a[3]);
  b[3] = _mm256_unpackhi_pd(a[2], a[3]);
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    _mm256_storeu_pd(to + i * ld_to, _mm256_permute2f128_pd(b[i], b[i + 2], 0x20));
    _mm256_storeu_pd(to + (i + 2) * ld_to, _mm256_permute2f128_pd(b[i], b[i + 2], 0x31));
  }
}
#endif

// to [n, ld_to] = from [m, ld_from]^T, with columns m.. of `to` set to zero.
template <class T>
void transpose(int64_t m, int64_t n, const T* from, int64_t ld_from, T* to, int64_t ld_to) {
  int64_t whole_m = 0, whole_n = 0;
#ifdef HAS_FMA
  constexpr int64_t kSide = 32 / sizeof(T);
  whole_m = m / kSide * kSide, whole_n = n / kSide * kSide;
  for (int64_t j = 0; j < whole_n; j += kSide) {
    for (int64_t i = 0; i < whole_m; i += kSide)
      transpose_block(from + i * ld_from + j, ld_from, to + j * ld_to + i, ld_to);
  }
#endif
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = j < whole_n ? whole_m : 0; i < m; ++i) to[j * ld_to + i] = from[i * ld_from + j];
    for (int64_t i = m; i < ld_to; ++i) to[j * ld_to + i] = 0;
  }
}
