// Symmetric positive definite systems of ridge regression.
#pragma once
#include "uoe/calibration/Matrix.h"

namespace uoe::calibration {

/// X [n, m] with (A + diag(ridge)) X = B for a symmetric A [n, n] and B [n, m] in double precision.
/// Blocked Cholesky in single precision where that is safe, else a pivoted one in double precision;
/// singular directions give 0.
Matrix solveRidge(const std::vector<double> &a, const std::vector<double> &ridge,
                  const std::vector<double> &b, int64_t n, int64_t m);

/// The best approximation of M [d, n] by In [d, r] Out [r, n] in the metric of the inputs: least
/// tr((M − In Out)ᵀ C (M − In Out)) for C [d, d], the inputs' second moments.
void lowRank(const Matrix &m, const std::vector<double> &c, int64_t rank, Matrix &in, Matrix &out);

} // namespace uoe::calibration
