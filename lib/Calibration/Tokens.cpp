#include "uoe/calibration/Tokens.h"
#include "Gemm.h"
#include <algorithm>

namespace uoe::calibration {

void MatrixTokens::read(int64_t begin, int64_t n, float *out) const {
  for (int64_t i = 0; i < n; ++i, out += view.cols) {
    const float *row = view.data + (begin + i) * view.rowStride;
    if (view.colStride == 1)
      std::copy(row, row + view.cols, out);
    else
      for (int64_t j = 0; j < view.cols; ++j)
        out[j] = row[j * view.colStride];
  }
}

Moments::Moments(int64_t width)
    : sum(static_cast<size_t>(width)), products(static_cast<size_t>(width * width)) {}

void Moments::add(MatrixView rows) {
  addGram(rows, products.data());
  mirror(products.data(), width());
  for (int64_t i = 0; i < rows.rows; ++i)
    for (int64_t j = 0; j < rows.cols; ++j)
      sum[j] += rows(i, j);
  tokens += rows.rows;
}

std::vector<float> Moments::mean() const {
  std::vector<float> result(sum.size());
  for (size_t i = 0; i < sum.size(); ++i)
    result[i] = tokens ? static_cast<float>(sum[i] / tokens) : 0.0f;
  return result;
}

std::vector<float> Moments::meanSquare() const {
  std::vector<float> result(sum.size());
  for (size_t i = 0; i < sum.size(); ++i)
    result[i] = tokens ? static_cast<float>(products[i * sum.size() + i] / tokens) : 0.0f;
  return result;
}

} // namespace uoe::calibration
