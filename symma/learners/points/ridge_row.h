// Ridge regression of one task by plain loops, there and back: what ridge.h says in tensors, for learners
// whose tasks are too small for starting a tensor's operations.
//
//   P = Z_q M + S_q S^T U,   U = (S S^T + I)^-1 (Y - Z M),   v_k = 1 + s_k (S^T S + I)^-1 s_k^T
//
// Z are inputs of the support and Z_q of the query, S and S_q the same in the coordinates in which the
// penalty is 1, M the weights that the penalty pulls to. In double.
#pragma once

#include <cstdint>
#include <vector>

#include "symma/learners/points/row_matrix.h"

namespace symma {

class RidgeRow {
 public:
  // Ks support and Kq query points of D inputs and C outputs.
  RidgeRow(int64_t support, int64_t query, int64_t inputs, int64_t outputs);
  // This thread's own, which it keeps for its next task of the same size.
  static RidgeRow& of_thread(int64_t support, int64_t query, int64_t inputs, int64_t outputs);

  using Matrix = RowMatrix<double>;

  // To be filled in before `solve`. All of them are 0 at first, and keep what they had.
  Matrix z, s;   // [Ks + Kq, D], the support above the query
  Matrix y;      // [Ks, C]
  Matrix prior;  // [D, C]: M

  // Sets `output` to P, and where it is asked for `spread` to v. A matrix that is not finite gives NaN.
  void solve(bool with_spread);
  Matrix output;  // [Kq, C]
  Matrix spread;  // [1, Kq]

  // After dL/dP and, if it was asked for, dL/dv were put in their places.
  void back();
  Matrix dz, ds;  // [Ks + Kq, D]: dL/dZ but for what comes by S, and dL/dS
  Matrix dprior;  // [D, C]

  int64_t support() const { return support_; }
  int64_t query() const { return query_; }
  int64_t inputs() const { return inputs_; }
  int64_t outputs() const { return outputs_; }

 private:
  Matrix upper(const Matrix&) const;  // rows of the support, and below of the query
  Matrix lower(const Matrix&) const;
  void forward_substitution(const Matrix&) const;
  void backward_substitution(const Matrix&) const;

  int64_t support_, query_, inputs_, outputs_;
  bool with_spread_ = false;
  std::vector<double> memory_;
  Matrix factor_;                  // [Ks, Ks], of S S^T + I
  Matrix held_;                    // [1, Kq]: where rounding would have brought v below 1
  Matrix across_, solved_;         // [Ks, Kq]: S S_q^T, and (S S^T + I)^-1 of it
  Matrix u_, du_;                  // [Ks, C]
  Matrix dacross_;                 // [Ks, Kq]
  Matrix dfactor_, symmetric_;     // [Ks, Ks]
  Matrix st_, qt_;                 // [D, Ks], [D, Kq]
  Matrix dpt_, ut_, wt_, priort_;  // [C, Kq], [C, Ks], [Kq, Ks], [C, D]
};

}  // namespace symma
