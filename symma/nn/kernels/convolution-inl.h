// The products of taps.h. A tile of up to six rows and TILE_VECTORS vectors of the result stays in registers;
// the operand on the left is read one number at a time where it lies and broadcast.

template <class T, int Rows, int Vectors>
SYMMA_INLINE inline void gather_tile(const TapGroup& g, const T* in, const int32_t* in_at, const T* w,
                                     int64_t depth, int64_t n, T* out, const int32_t* out_at) {
  using B = Vec<T, BIG_BYTES>;
  constexpr int kB = BIG_BYTES / sizeof(T);
  B acc[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) acc[r][j] = B{};
  }
  for (int64_t t = 0; t < g.n_taps; ++t) {
    const T* a[Rows];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) a[r] = in + in_at[r] + g.taps[t].at;
    const T* b = w + g.taps[t].index * depth * n;
    for (int64_t i = 0; i < depth; ++i, b += n) {
      B line[Vectors];
#pragma GCC unroll 4
      for (int j = 0; j < Vectors; ++j) line[j] = load<T, BIG_BYTES>(b + j * kB);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        const B s = broadcast<T, BIG_BYTES>(a[r][i]);
#pragma GCC unroll 4
        for (int j = 0; j < Vectors; ++j) acc[r][j] = fma(s, line[j], acc[r][j]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) store<T, BIG_BYTES>(out + out_at[r] + j * kB, acc[r][j]);
  }
}

// All rows of a group, in tiles of nearly equal height. A group of fewer than four repeats its last.
template <class T, int Vectors>
__attribute__((noinline)) void gather_panel(const TapGroup& g, const T* in, const T* w, int64_t depth,
                                            int64_t n, T* out) {
  if (g.rows < 4) {
    int32_t from[4], to[4];
    for (int64_t r = 0; r < 4; ++r) {
      const int64_t at = r < g.rows ? r : g.rows - 1;
      from[r] = g.in[at], to[r] = g.out[at];
    }
    gather_tile<T, 4, Vectors>(g, in, from, w, depth, n, out, to);
    return;
  }
  const int64_t tiles = (g.rows + 5) / 6;
  int64_t done = 0;
  for (int64_t t = tiles; t > 0; --t) {
    const int64_t rows = (g.rows - done + t - 1) / t;
    if (rows == 6)
      gather_tile<T, 6, Vectors>(g, in, g.in + done, w, depth, n, out, g.out + done);
    else if (rows == 5)
      gather_tile<T, 5, Vectors>(g, in, g.in + done, w, depth, n, out, g.out + done);
    else
      gather_tile<T, 4, Vectors>(g, in, g.in + done, w, depth, n, out, g.out + done);
    done += rows;
  }
}

template <class T>
void gather_taps(const TapGroup* groups, int64_t count, const T* in, const T* w, int64_t depth, int64_t n,
                 T* out) {
  constexpr int64_t kB = BIG_BYTES / sizeof(T);
  for (int64_t c = 0; c < n;) {
    const int64_t left = (n - c) / kB;
    const int64_t vectors = left >= TILE_VECTORS ? TILE_VECTORS : left >= 2 ? 2 : 1;
    for (int64_t i = 0; i < count; ++i) {
      if (vectors == TILE_VECTORS) gather_panel<T, TILE_VECTORS>(groups[i], in, w + c, depth, n, out + c);
#if TILE_VECTORS > 2
      else if (vectors == 2)
        gather_panel<T, 2>(groups[i], in, w + c, depth, n, out + c);
#endif
      else
        gather_panel<T, 1>(groups[i], in, w + c, depth, n, out + c);
    }
    c += vectors * kB;
  }
}

template <class T, int Rows, int Vectors>
__attribute__((noinline)) void weight_tile(const TapPairs& tap, const T* x, const T* g, int64_t n, T* w) {
  using B = Vec<T, BIG_BYTES>;
  constexpr int kB = BIG_BYTES / sizeof(T);
  B acc[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) acc[r][j] = B{};
  }
  for (int64_t p = 0; p < tap.count; ++p) {
    const T* a = x + tap.x[p];
    const T* b = g + tap.g[p];
    B line[Vectors];
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) line[j] = load<T, BIG_BYTES>(b + j * kB);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const B s = broadcast<T, BIG_BYTES>(a[r]);
#pragma GCC unroll 4
      for (int j = 0; j < Vectors; ++j) acc[r][j] = fma(s, line[j], acc[r][j]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) store<T, BIG_BYTES>(w + r * n + j * kB, acc[r][j]);
  }
}

template <class T, int Vectors>
void weight_panel(const TapPairs& tap, const T* x, const T* g, int64_t depth, int64_t n, T* w) {
  for (int64_t c = 0, tiles = (depth + 5) / 6; tiles > 0; --tiles) {
    const int64_t rows = (depth - c + tiles - 1) / tiles;
    switch (rows) {
      case 1:
        weight_tile<T, 1, Vectors>(tap, x + c, g, n, w + c * n);
        break;
      case 2:
        weight_tile<T, 2, Vectors>(tap, x + c, g, n, w + c * n);
        break;
      case 3:
        weight_tile<T, 3, Vectors>(tap, x + c, g, n, w + c * n);
        break;
      case 4:
        weight_tile<T, 4, Vectors>(tap, x + c, g, n, w + c * n);
        break;
      case 5:
        weight_tile<T, 5, Vectors>(tap, x + c, g, n, w + c * n);
        break;
      default:
        weight_tile<T, 6, Vectors>(tap, x + c, g, n, w + c * n);
    }
    c += rows;
  }
}

template <class T>
void tap_weights(const TapPairs* taps, const T* x, const T* g, int64_t depth, int64_t n, T* w) {
  constexpr int64_t kB = BIG_BYTES / sizeof(T);
  for (int t = 0; t < kTaps; ++t, w += depth * n) {
    for (int64_t c = 0; c < n;) {
      const int64_t left = (n - c) / kB;
      const int64_t vectors = left >= TILE_VECTORS ? TILE_VECTORS : left >= 2 ? 2 : 1;
      if (vectors == TILE_VECTORS) weight_panel<T, TILE_VECTORS>(taps[t], x, g + c, depth, n, w + c);
#if TILE_VECTORS > 2
      else if (vectors == 2)
        weight_panel<T, 2>(taps[t], x, g + c, depth, n, w + c);
#endif
      else
        weight_panel<T, 1>(taps[t], x, g + c, depth, n, w + c);
      c += vectors * kB;
    }
  }
}

template <class T>
void turn_taps(const T* from, int64_t depth, int64_t n, T* to) {
  for (int t = 0; t < kTaps; ++t) transpose(depth, n, from + t * depth * n, n, to + t * depth * n, depth);
}

template <class T>
const ConvolutionKernels<T>& convolution_table() {
  static const ConvolutionKernels<T> table{&gather_taps<T>, &tap_weights<T>, &turn_taps<T>};
  return table;
}
template const ConvolutionKernels<float>& convolution_table<float>();
template const ConvolutionKernels<double>& convolution_table<double>();
