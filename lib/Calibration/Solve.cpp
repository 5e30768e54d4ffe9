#include "Solve.h"
#include "Gemm.h"
#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>

namespace uoe::calibration {
namespace {

using DoubleMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using DoubleMap = Eigen::Map<const DoubleMatrix>;
constexpr int64_t kBlock = 64;

MatrixView block(const Matrix &m, int64_t row, int64_t rows, int64_t col, int64_t cols) {
  return {m.values.data() + row * m.cols + col, rows, cols, m.cols, 1};
}

/// Blocked L Lᵀ of the lower triangle of `a`, in place; the diagonal blocks become inv(L_bb), which
/// is all that the solves need. False if a pivot is not positive.
bool factor(Matrix &a) {
  int64_t n = a.rows;
  for (int64_t k = 0; k < n; k += kBlock) {
    int64_t size = std::min(kBlock, n - k), rest = n - k - size;
    DoubleMatrix diagonal(size, size);
    for (int64_t i = 0; i < size; ++i)
      for (int64_t j = 0; j < size; ++j)
        diagonal(i, j) = a(k + std::max(i, j), k + std::min(i, j));
    Eigen::LLT<DoubleMatrix> llt(diagonal);
    if (llt.info() != Eigen::Success)
      return false;
    DoubleMatrix inverse = DoubleMatrix::Identity(size, size);
    llt.matrixL().solveInPlace(inverse);
    for (int64_t i = 0; i < size; ++i)
      for (int64_t j = 0; j < size; ++j)
        a(k + i, k + j) = static_cast<float>(inverse(i, j));
    if (rest == 0)
      break;
    // Panel: L_rk = A_rk inv(L_kk)ᵀ; then the trailing part loses L_rk L_rkᵀ.
    Matrix panel =
        multiply(block(a, k + size, rest, k, size), block(a, k, size, k, size).transposed());
    Matrix negative = panel;
    for (float &v : negative.values)
      v = -v;
    for (int64_t i = 0; i < rest; ++i)
      std::copy(panel.row(i), panel.row(i) + size, a.row(k + size + i) + k);
    constexpr int64_t strip = 512; // only strips on and left of the diagonal are needed
    for (int64_t i = 0; i < rest; i += strip) {
      int64_t rows = std::min(strip, rest - i);
      gemm(block(negative, i, rows, 0, size), block(panel, 0, i + rows, 0, size).transposed(),
           a.row(k + size + i) + k + size, n, true);
    }
  }
  return true;
}

/// x := inv(L Lᵀ) x for factor()'s result.
void solveFactored(const Matrix &l, Matrix &x) {
  int64_t n = l.rows;
  auto scaled = [&](int64_t k, int64_t size, bool transpose) {
    MatrixView inverse = block(l, k, size, k, size);
    Matrix part =
        multiply(transpose ? inverse.transposed() : inverse, block(x, k, size, 0, x.cols));
    std::copy(part.values.begin(), part.values.end(), x.row(k));
    for (float &v : part.values)
      v = -v;
    return part;
  };
  for (int64_t k = 0; k < n; k += kBlock) {
    int64_t size = std::min(kBlock, n - k);
    Matrix negative = scaled(k, size, false);
    gemm(block(l, k + size, n - k - size, k, size), negative, x.row(0) + (k + size) * x.cols,
         x.cols, true);
  }
  for (int64_t k = (n - 1) / kBlock * kBlock; k >= 0; k -= kBlock) {
    int64_t size = std::min(kBlock, n - k);
    Matrix negative = scaled(k, size, true);
    gemm(block(l, k, size, 0, k).transposed(), negative, x.row(0), x.cols, true);
  }
}

} // namespace

Matrix solveRidge(const std::vector<double> &a, const std::vector<double> &ridge,
                  const std::vector<double> &b, int64_t n, int64_t m) {
  Matrix x(n, m);
  if (n == 0 || m == 0)
    return x;
  // Unit diagonal: features of very different scale would lose digits in single precision.
  std::vector<double> scale(static_cast<size_t>(n));
  double smallest = 1;
  for (int64_t i = 0; i < n; ++i) {
    double diagonal = a[i * n + i] + ridge[i];
    scale[i] = diagonal > 0 ? 1 / std::sqrt(diagonal) : 0;
    if (diagonal > 0)
      smallest = std::min(smallest, ridge[i] / diagonal);
  }
  if (n >= 4 * kBlock && smallest > 1e-4) {
    Matrix system(n, n);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < i; ++j)
        system(i, j) = static_cast<float>(a[i * n + j] * scale[i] * scale[j]);
      system(i, i) = 1; // also for an absent feature, whose right-hand side is 0
      for (int64_t j = 0; j < m; ++j)
        x(i, j) = static_cast<float>(b[i * m + j] * scale[i]);
    }
    if (factor(system)) {
      solveFactored(system, x);
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < m; ++j)
          x(i, j) *= static_cast<float>(scale[i]);
      return x;
    }
  }
  DoubleMatrix system(n, n), right(n, m);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j)
      system(i, j) = a[std::max(i, j) * n + std::min(i, j)] * scale[i] * scale[j];
    system(i, i) = scale[i] > 0 ? 1 : 0;
    for (int64_t j = 0; j < m; ++j)
      right(i, j) = b[i * m + j] * scale[i];
  }
  DoubleMatrix solution = Eigen::LDLT<DoubleMatrix>(system).solve(right);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) {
      double value = solution(i, j) * scale[i];
      x(i, j) = std::isfinite(value) ? static_cast<float>(value) : 0.0f;
    }
  return x;
}

void lowRank(const Matrix &m, const std::vector<double> &c, int64_t rank, Matrix &in, Matrix &out) {
  int64_t d = m.rows, n = m.cols;
  rank = std::clamp<int64_t>(rank, 0, std::min(d, n));
  // With C = V S Vᵀ, the error is ‖S^½ Vᵀ (M − In Out)‖²; its best right factor spans the top
  // eigenvectors of Mᵀ C M, and In = M Outᵀ for orthonormal rows of Out.
  DoubleMap moments(c.data(), d, d);
  DoubleMatrix dense(d, n);
  for (int64_t i = 0; i < d; ++i)
    for (int64_t j = 0; j < n; ++j)
      dense(i, j) = m(i, j);
  DoubleMatrix weighted = dense.transpose() * (moments * dense);
  Eigen::SelfAdjointEigenSolver<DoubleMatrix> eigen(weighted);
  in = Matrix(d, rank);
  out = Matrix(rank, n);
  for (int64_t r = 0; r < rank; ++r)
    for (int64_t j = 0; j < n; ++j)
      out(r, j) = static_cast<float>(eigen.eigenvectors()(j, n - 1 - r));
  in = multiply(m, static_cast<MatrixView>(out).transposed());
}

} // namespace uoe::calibration
