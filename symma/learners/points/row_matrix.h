// Small matrices of one task, whose rows are whole vectors long: for heads that are worked out by plain
// loops, where starting a tensor's operation would take longer than doing it. Loops that reduce do so in
// order, so results are the same on every processor.
#pragma once

#include <cstdint>
#include <vector>

#include "symma/core/simd.h"

namespace symma {

template <class T>
struct RowMatrix {
  int64_t rows, columns, ld;  // rows are `ld` apart, which is padded(columns); the padding is 0 and stays so
  T* at;
  T* operator[](int64_t i) const { return at + i * ld; }
  static int64_t padded(int64_t columns) { return whole_lines<T>(columns); }
};

// Gives matrices their places in one stretch of memory, zeros.
template <class T>
struct RowMatrixSize {
  RowMatrix<T>* of;
  int64_t rows, columns;
};
template <class T, class Sizes>
void lay_out(const Sizes& all, std::vector<T>& memory) {
  int64_t total = 0;
  for (const RowMatrixSize<T>& m : all) total += m.rows * RowMatrix<T>::padded(m.columns);
  memory.assign(total, T{0});
  T* at = memory.data();
  for (const RowMatrixSize<T>& m : all) {
    *m.of = {m.rows, m.columns, RowMatrix<T>::padded(m.columns), at};
    at += m.rows * m.of->ld;
  }
}

// c = a b, or c +- a b: whole rows are worked on, so the padding of b is 0. Of float and double.
enum class Into { kSet, kAdd, kSubtract };
template <class T>
void multiply(const RowMatrix<T>& a, const RowMatrix<T>& b, const RowMatrix<T>& c, Into);
// The same of a^T.
template <class T>
void multiply_transposed(const RowMatrix<T>& a, const RowMatrix<T>& b, const RowMatrix<T>& c, Into);
// b = a^T.
template <class T>
void transpose(const RowMatrix<T>& a, const RowMatrix<T>& b);

}  // namespace symma
