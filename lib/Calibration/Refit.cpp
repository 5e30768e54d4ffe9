#include "Refit.h"
#include "Solve.h"
#include <algorithm>

namespace uoe::calibration {

RefitStatistics::RefitStatistics(int64_t features, int64_t outputs) : n(features), m(outputs) {
  for (Sums *sums : {&fit, &held}) {
    sums->gram.resize(static_cast<size_t>(n * n));
    sums->cross.resize(static_cast<size_t>(n * m));
  }
}

void RefitStatistics::add(const Matrix &features, const Matrix &residual, bool heldOut) {
  Sums &sums = heldOut ? held : fit;
  addGram(features, sums.gram.data());
  mirror(sums.gram.data(), n);
  addCross(features, residual, sums.cross.data());
  sums.energy += squaredNorm(residual.values.data(), residual.rows * residual.cols);
  sums.count += features.rows;
}

void RefitStatistics::project(const Matrix &map) {
  int64_t k = map.cols;
  auto toFloat = [](const std::vector<double> &values, int64_t rows, int64_t cols) {
    Matrix result(rows, cols);
    std::copy(values.begin(), values.end(), result.values.begin());
    return result;
  };
  MatrixView left = static_cast<MatrixView>(map).transposed();
  for (Sums *sums : {&fit, &held}) {
    Matrix gram = multiply(left, multiply(toFloat(sums->gram, n, n), map));
    Matrix cross = multiply(left, toFloat(sums->cross, n, m));
    sums->gram.assign(gram.values.begin(), gram.values.end());
    mirror(sums->gram.data(), k);
    sums->cross.assign(cross.values.begin(), cross.values.end());
  }
  n = k;
}

Matrix RefitStatistics::solve(double ridge, int64_t scaleOver) const {
  // Centred on the constant feature: A − s sᵀ/w, B − s bᵀ/w; the constant's own row follows from
  // the means.
  int64_t k = n - 1;
  double weight = fit.gram[k * n + k];
  std::vector<double> a(static_cast<size_t>(k * k)), b(static_cast<size_t>(k * m)), diagonal;
  if (weight <= 0)
    return Matrix(n, m);
  const double *sum = fit.gram.data() + k * n, *total = fit.cross.data() + k * m;
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < k; ++j)
      a[i * k + j] = fit.gram[i * n + j] - sum[i] * sum[j] / weight;
    for (int64_t j = 0; j < m; ++j)
      b[i * m + j] = fit.cross[i * m + j] - sum[i] * total[j] / weight;
  }
  scaleOver = std::clamp<int64_t>(scaleOver, 1, std::max<int64_t>(k, 1));
  double trace = 0;
  for (int64_t i = 0; i < std::min(scaleOver, k); ++i)
    trace += a[i * k + i];
  diagonal.assign(static_cast<size_t>(k), ridge * trace / std::max<int64_t>(scaleOver, 1));
  Matrix slope = solveRidge(a, diagonal, b, k, m);
  Matrix delta(n, m);
  std::copy(slope.values.begin(), slope.values.end(), delta.values.begin());
  for (int64_t j = 0; j < m; ++j) {
    double constant = total[j];
    for (int64_t i = 0; i < k; ++i)
      constant -= sum[i] * slope(i, j);
    delta(k, j) = static_cast<float>(constant / weight);
  }
  return delta;
}

void RefitStatistics::useHeldOut() {
  for (size_t i = 0; i < fit.gram.size(); ++i)
    fit.gram[i] += held.gram[i];
  for (size_t i = 0; i < fit.cross.size(); ++i)
    fit.cross[i] += held.cross[i];
  fit.energy += held.energy;
  fit.count += held.count;
  held = {};
}

double RefitStatistics::heldOutEnergy() const {
  return judge().energy;
}

double RefitStatistics::heldOutError(const Matrix &delta) const {
  const Sums &sums = judge();
  Matrix gram(n, n);
  std::copy(sums.gram.begin(), sums.gram.end(), gram.values.begin());
  Matrix product = multiply(gram, delta);
  double error = sums.energy;
  for (int64_t i = 0; i < n * m; ++i)
    error += delta.values[i] * (static_cast<double>(product.values[i]) - 2 * sums.cross[i]);
  return std::max(error, 0.0);
}

std::vector<double> RefitStatistics::gram(int64_t begin, int64_t end) const {
  std::vector<double> part;
  for (int64_t i = begin; i < end; ++i)
    part.insert(part.end(), fit.gram.begin() + i * n + begin, fit.gram.begin() + i * n + end);
  return part;
}

} // namespace uoe::calibration
