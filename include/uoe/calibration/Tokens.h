// Calibration data: what an instrumented run has seen at the input of one layer.
#pragma once
#include "Matrix.h"

namespace uoe::calibration {

/// Rows of floats that are read batch by batch, so that a profile larger than memory can be
/// streamed. A read may run many times over the same rows and must give the same values.
class Tokens {
public:
  virtual ~Tokens() = default;
  virtual int64_t count() const = 0; // tokens
  virtual int64_t width() const = 0; // floats per token
  /// Writes rows [begin, begin + n) to `out`, n * width() floats.
  virtual void read(int64_t begin, int64_t n, float *out) const = 0;
};

/// Tokens that lie in memory, or in a mapped file.
class MatrixTokens final : public Tokens {
public:
  explicit MatrixTokens(MatrixView view) : view(view) {}
  int64_t count() const override { return view.rows; }
  int64_t width() const override { return view.cols; }
  void read(int64_t begin, int64_t n, float *out) const override;

private:
  MatrixView view;
};

/// Running first and second moments of row vectors, in double precision. The result does not depend
/// on how the rows were cut into batches by more than rounding; equal batches give equal bytes.
class Moments {
public:
  explicit Moments(int64_t width);
  /// Adds rows of `width` values.
  void add(MatrixView rows);
  int64_t count() const { return tokens; }
  int64_t width() const { return static_cast<int64_t>(sum.size()); }
  std::vector<float> mean() const;                             // E[x], [width]
  std::vector<float> meanSquare() const;                       // E[x²], [width]
  const std::vector<double> &gram() const { return products; } // Σ x xᵀ, [width, width], symmetric

private:
  int64_t tokens = 0;
  std::vector<double> sum, products;
};

} // namespace uoe::calibration
