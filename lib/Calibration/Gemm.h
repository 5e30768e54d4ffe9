// Single-precision matrix products for calibration. Every element is one chain of fused
// multiply-adds over blocks of fixed length, whatever the vector width and the number of threads,
// so that a plan has the same bytes on every x86-64 machine with FMA.
#pragma once
#include "uoe/calibration/Matrix.h"

namespace uoe::calibration {

/// C [A.rows, B.cols], row-major with `stride` floats a row: A B, added to what is there if
/// `accumulate`.
void gemm(MatrixView a, MatrixView b, float *c, int64_t stride, bool accumulate = false);

inline Matrix multiply(MatrixView a, MatrixView b) {
  Matrix c(a.rows, b.cols);
  gemm(a, b, c.values.data(), c.cols);
  return c;
}

/// The part on and right of the diagonal of Xᵀ X, added to the [X.cols, X.cols] array in double
/// precision; what lies left of the diagonal is left in an unspecified state, see mirror().
void addGram(MatrixView x, double *gram);
/// Copies the upper triangle to the lower one.
void mirror(double *gram, int64_t size);
/// Xᵀ Y added to the [X.cols, Y.cols] array in double precision.
void addCross(MatrixView x, MatrixView y, double *cross);

} // namespace uoe::calibration
