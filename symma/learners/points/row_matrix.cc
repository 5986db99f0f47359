#include "symma/learners/points/row_matrix.h"

namespace symma {
namespace {

// `Rows` rows of c, each of a's elements standing `across` apart.
template <int bytes, int Rows, class T>
SYMMA_INLINE inline void some_rows(const T* a, int64_t down, int64_t across, int64_t n, const RowMatrix<T>& b,
                                   T* c, int64_t ld, Into into) {
  using Some = LooseVec<T, bytes>;
  for (int64_t j = 0; j < ld; j += kLanes<T, bytes>) {
    Some sum[Rows] = {};
    for (int64_t k = 0; k < n; ++k) {
      const Some with = *reinterpret_cast<const Some*>(b[k] + j);
      for (int i = 0; i < Rows; ++i) sum[i] += a[i * down + k * across] * with;
    }
    for (int i = 0; i < Rows; ++i) {
      Some& to = *reinterpret_cast<Some*>(c + i * ld + j);
      to = into == Into::kSet ? sum[i] : into == Into::kAdd ? to + sum[i] : to - sum[i];
    }
  }
}

template <class T>
void any_product(const T* a, int64_t down, int64_t across, const RowMatrix<T>& b, const RowMatrix<T>& c,
                 Into into) {
  widest([&](auto bytes) SYMMA_INLINE {
    int64_t i = 0;
    for (; i + 4 <= c.rows; i += 4)
      some_rows<bytes, 4>(a + i * down, down, across, b.rows, b, c[i], c.ld, into);
    for (; i < c.rows; ++i) some_rows<bytes, 1>(a + i * down, down, across, b.rows, b, c[i], c.ld, into);
  });
}

}  // namespace

template <class T>
void multiply(const RowMatrix<T>& a, const RowMatrix<T>& b, const RowMatrix<T>& c, Into into) {
  any_product<T>(a.at, a.ld, 1, b, c, into);
}

template <class T>
void multiply_transposed(const RowMatrix<T>& a, const RowMatrix<T>& b, const RowMatrix<T>& c, Into into) {
  any_product<T>(a.at, 1, a.ld, b, c, into);
}

template <class T>
void transpose(const RowMatrix<T>& a, const RowMatrix<T>& b) {
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < a.columns; ++j) b[j][i] = a[i][j];
  }
}

#define SYMMA_MATRICES(T)                                                                                 \
  template void multiply(const RowMatrix<T>&, const RowMatrix<T>&, const RowMatrix<T>&, Into);            \
  template void multiply_transposed(const RowMatrix<T>&, const RowMatrix<T>&, const RowMatrix<T>&, Into); \
  template void transpose(const RowMatrix<T>&, const RowMatrix<T>&);
SYMMA_MATRICES(float)
SYMMA_MATRICES(double)
#undef SYMMA_MATRICES

}  // namespace symma
