#include "lib/Calibration/Gemm.h"
#include "Synthetic.h"
#include "lib/Calibration/Solve.h"
#include "runtime/core/ThreadPool.h"
#include <gtest/gtest.h>

using namespace uoe::calibration;
using uoe::calibration::test::Random;

namespace {

Matrix naiveProduct(MatrixView a, MatrixView b) {
  Matrix c(a.rows, b.cols);
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < b.cols; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < a.cols; ++k)
        sum += static_cast<double>(a(i, k)) * b(k, j);
      c(i, j) = static_cast<float>(sum);
    }
  return c;
}

void expectNear(const Matrix &a, const Matrix &b, float tolerance) {
  ASSERT_EQ(a.values.size(), b.values.size());
  for (size_t i = 0; i < a.values.size(); ++i)
    ASSERT_NEAR(a.values[i], b.values[i], tolerance) << "element " << i;
}

TEST(Gemm, agreesWithTheDefinition) {
  Random random(1);
  const int64_t shapes[][3] = {{1, 1, 1}, {13, 7, 33}, {193, 300, 65}, {5, 600, 2}, {3, 0, 4}};
  for (auto &[m, k, n] : shapes) {
    Matrix a = random.matrix(m, k), b = random.matrix(k, n);
    expectNear(multiply(a, b), naiveProduct(a, b), 2e-4f);
    Matrix at = random.matrix(k, m), bt = random.matrix(n, k);
    MatrixView left = static_cast<MatrixView>(at).transposed(),
               right = static_cast<MatrixView>(bt).transposed();
    expectNear(multiply(left, right), naiveProduct(left, right), 2e-4f);
  }
}

TEST(Gemm, accumulatesAndRespectsTheStride) {
  Random random(2);
  Matrix a = random.matrix(9, 20), b = random.matrix(20, 5), c(9, 8, 1.0f);
  gemm(a, b, c.values.data(), 8, true);
  Matrix expected = naiveProduct(a, b);
  for (int64_t i = 0; i < 9; ++i)
    for (int64_t j = 0; j < 8; ++j)
      EXPECT_NEAR(c(i, j), j < 5 ? expected(i, j) + 1 : 1.0f, 1e-4f);
}

TEST(Gemm, gramIsSymmetricAndAddsUp) {
  Random random(3);
  Matrix x = random.matrix(70, 101);
  std::vector<double> gram(101 * 101, 0.5);
  addGram(x, gram.data());
  mirror(gram.data(), 101);
  Matrix expected = naiveProduct(static_cast<MatrixView>(x).transposed(), x);
  for (int64_t i = 0; i < 101 * 101; ++i)
    ASSERT_NEAR(gram[i], expected.values[i] + 0.5, 1e-3);
}

TEST(Gemm, sameBytesForAnyNumberOfThreads) {
  Random random(4);
  Matrix a = random.matrix(500, 300), b = random.matrix(300, 200);
  uoe::rt::ThreadPool::setGlobalThreads(1);
  Matrix one = multiply(a, b);
  uoe::rt::ThreadPool::setGlobalThreads(3);
  Matrix three = multiply(a, b);
  uoe::rt::ThreadPool::setGlobalThreads(0);
  EXPECT_EQ(one.values, three.values);
}

TEST(Solve, ridgeSolvesSmallAndBlockedSystems) {
  Random random(5);
  for (int64_t n : {3, 300}) {
    Matrix x = random.matrix(2 * n, n), b = random.matrix(n, 4);
    std::vector<double> a(static_cast<size_t>(n * n)), right(b.values.begin(), b.values.end());
    addGram(x, a.data());
    mirror(a.data(), n);
    std::vector<double> ridge(static_cast<size_t>(n), 0.05 * static_cast<double>(2 * n));
    Matrix solution = solveRidge(a, ridge, right, n, 4);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < 4; ++j) {
        double sum = ridge[i] * solution(i, j);
        for (int64_t k = 0; k < n; ++k)
          sum += a[i * n + k] * solution(k, j);
        ASSERT_NEAR(sum, b(i, j), 1e-3);
      }
  }
}

TEST(Solve, absentFeaturesGetNothing) {
  std::vector<double> a = {4, 0, 0, 0}, ridge = {0, 0}, b = {8, 0};
  Matrix x = solveRidge(a, ridge, b, 2, 1);
  EXPECT_FLOAT_EQ(x(0, 0), 2);
  EXPECT_FLOAT_EQ(x(1, 0), 0);
}

TEST(Solve, lowRankIsExactWhereTheRankSuffices) {
  Random random(6);
  Matrix m = naiveProduct(random.matrix(10, 3), random.matrix(3, 7)), x = random.matrix(40, 10), in,
         out;
  std::vector<double> moments(100);
  addGram(x, moments.data());
  mirror(moments.data(), 10);
  lowRank(m, moments, 3, in, out);
  expectNear(multiply(in, out), m, 1e-4f);
  lowRank(m, moments, 2, in, out);
  EXPECT_EQ(in.cols, 2);
  EXPECT_GT(test::relativeError(multiply(in, out), m), 1e-4);
}

TEST(Moments, matchTheSample) {
  Random random(8);
  Matrix x = random.matrix(200, 6);
  Moments all(6), parts(6);
  all.add(x);
  parts.add({x.values.data(), 50, 6});
  parts.add({x.row(50), 150, 6});
  EXPECT_EQ(parts.count(), 200);
  for (int i = 0; i < 6; ++i) {
    double mean = 0, square = 0;
    for (int64_t t = 0; t < 200; ++t) {
      mean += x(t, i) / 200.0;
      square += x(t, i) * x(t, i) / 200.0;
    }
    EXPECT_NEAR(all.mean()[i], mean, 1e-5);
    EXPECT_NEAR(parts.mean()[i], mean, 1e-5);
    EXPECT_NEAR(parts.meanSquare()[i], square, 1e-5);
  }
}

} // namespace
