#include "symma/learners/points/ridge_row.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

namespace symma {
namespace {

using Matrix = RidgeRow::Matrix;
template <int bytes>
SYMMA_INLINE inline LooseVec<double, bytes>& lanes(double* p) {
  return *reinterpret_cast<LooseVec<double, bytes>*>(p);
}

// The lower factor in a's place. False where there is none.
bool factorize(const Matrix& a) {
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double sum = a[i][j];
      for (int64_t k = 0; k < j; ++k) sum -= a[i][k] * a[j][k];
      if (i != j) {
        a[i][j] = sum / a[j][j];
      } else {
        if (!(sum > 0) || !std::isfinite(sum)) return false;
        a[i][i] = std::sqrt(sum);
      }
    }
  }
  return true;
}

void fill(const Matrix& m, double value) {
  std::fill_n(m.at, m.rows * m.ld, value);
}

}  // namespace

RidgeRow::RidgeRow(int64_t support, int64_t query, int64_t inputs, int64_t outputs)
    : support_(support), query_(query), inputs_(inputs), outputs_(outputs) {
  const RowMatrixSize<double> all[] = {{&z, support + query, inputs},
                                       {&s, support + query, inputs},
                                       {&y, support, outputs},
                                       {&prior, inputs, outputs},
                                       {&output, query, outputs},
                                       {&spread, 1, query},
                                       {&held_, 1, query},
                                       {&dz, support + query, inputs},
                                       {&ds, support + query, inputs},
                                       {&dprior, inputs, outputs},
                                       {&factor_, support, support},
                                       {&across_, support, query},
                                       {&solved_, support, query},
                                       {&u_, support, outputs},
                                       {&du_, support, outputs},
                                       {&dacross_, support, query},
                                       {&dfactor_, support, support},
                                       {&symmetric_, support, support},
                                       {&st_, inputs, support},
                                       {&qt_, inputs, query},
                                       {&dpt_, outputs, query},
                                       {&ut_, outputs, support},
                                       {&wt_, query, support},
                                       {&priort_, outputs, inputs}};
  lay_out(all, memory_);
}

RidgeRow& RidgeRow::of_thread(int64_t support, int64_t query, int64_t inputs, int64_t outputs) {
  thread_local std::unique_ptr<RidgeRow> kept;
  if (!kept || kept->support_ != support || kept->query_ != query || kept->inputs_ != inputs ||
      kept->outputs_ != outputs)
    kept = std::make_unique<RidgeRow>(support, query, inputs, outputs);
  return *kept;
}

Matrix RidgeRow::upper(const Matrix& m) const {
  return {support_, m.columns, m.ld, m.at};
}

Matrix RidgeRow::lower(const Matrix& m) const {
  return {query_, m.columns, m.ld, m[support_]};
}

void RidgeRow::forward_substitution(const Matrix& x) const {
  widest([&](auto bytes) SYMMA_INLINE {
    for (int64_t i = 0; i < support_; ++i) {
      for (int64_t j = 0; j < x.ld; j += kLanes<double, bytes>) {
        LooseVec<double, bytes> sum = lanes<bytes>(x[i] + j);
        for (int64_t k = 0; k < i; ++k) sum -= factor_[i][k] * lanes<bytes>(x[k] + j);
        lanes<bytes>(x[i] + j) = sum / factor_[i][i];
      }
    }
  });
}

void RidgeRow::backward_substitution(const Matrix& x) const {
  widest([&](auto bytes) SYMMA_INLINE {
    for (int64_t i = support_ - 1; i >= 0; --i) {
      for (int64_t j = 0; j < x.ld; j += kLanes<double, bytes>) {
        LooseVec<double, bytes> sum = lanes<bytes>(x[i] + j);
        for (int64_t k = i + 1; k < support_; ++k) sum -= factor_[k][i] * lanes<bytes>(x[k] + j);
        lanes<bytes>(x[i] + j) = sum / factor_[i][i];
      }
    }
  });
}

void RidgeRow::solve(bool with_spread) {
  with_spread_ = with_spread;
  transpose(upper(s), st_);
  transpose(lower(s), qt_);
  multiply(upper(s), st_, factor_, Into::kSet);
  for (int64_t i = 0; i < support_; ++i) factor_[i][i] += 1;
  multiply(upper(s), qt_, across_, Into::kSet);
  if (!factorize(factor_)) fill(factor_, std::numeric_limits<double>::quiet_NaN());
  std::copy_n(y.at, y.rows * y.ld, u_.at);
  multiply(upper(z), prior, u_, Into::kSubtract);
  forward_substitution(u_);
  backward_substitution(u_);
  multiply(lower(z), prior, output, Into::kSet);
  multiply_transposed(across_, u_, output, Into::kAdd);
  if (!with_spread) return;
  std::copy_n(across_.at, across_.rows * across_.ld, solved_.at);
  forward_substitution(solved_);
  for (int64_t k = 0; k < query_; ++k) {
    double length = 0, known = 0;
    for (int64_t d = 0; d < inputs_; ++d) length += qt_[d][k] * qt_[d][k];
    for (int64_t i = 0; i < support_; ++i) known += solved_[i][k] * solved_[i][k];
    held_[0][k] = length < known ? 1 : 0;
    spread[0][k] = 1 + (length < known ? 0 : length - known);
  }
  backward_substitution(solved_);
}

void RidgeRow::back() {
  transpose(output, dpt_);
  transpose(u_, ut_);
  transpose(prior, priort_);
  multiply(across_, output, du_, Into::kSet);
  multiply(u_, dpt_, dacross_, Into::kSet);
  multiply_transposed(lower(z), output, dprior, Into::kSet);
  multiply(output, priort_, lower(dz), Into::kSet);
  forward_substitution(du_);
  backward_substitution(du_);  // dL/d(Y - Z M)
  multiply(du_, ut_, dfactor_, Into::kSet);
  multiply_transposed(upper(z), du_, dprior, Into::kSubtract);
  fill(upper(dz), 0);
  multiply(du_, priort_, upper(dz), Into::kSubtract);
  if (with_spread_) {
    transpose(solved_, wt_);
    for (int64_t k = 0; k < query_; ++k) {
      double& slope = spread[0][k];
      if (held_[0][k] != 0) slope = 0;
      for (int64_t i = 0; i < support_; ++i) {
        dacross_[i][k] -= 2 * slope * solved_[i][k];
        solved_[i][k] *= slope;
      }
    }
    multiply(solved_, wt_, dfactor_, Into::kSubtract);
  }
  // dfactor_ is minus dL/d(S S^T).
  for (int64_t i = 0; i < support_; ++i) {
    for (int64_t j = 0; j < support_; ++j) symmetric_[i][j] = dfactor_[i][j] + dfactor_[j][i];
  }
  multiply(dacross_, lower(s), upper(ds), Into::kSet);
  multiply(symmetric_, upper(s), upper(ds), Into::kSubtract);
  multiply_transposed(dacross_, upper(s), lower(ds), Into::kSet);
  for (int64_t k = 0; with_spread_ && k < query_; ++k) {
    for (int64_t d = 0; d < inputs_; ++d) lower(ds)[k][d] += 2 * spread[0][k] * lower(s)[k][d];
  }
}

}  // namespace symma
