// The few matrix types that calibration exchanges with its callers. Single precision, no library in
// the interface.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace uoe::calibration {

/// A read-only matrix that somebody else owns (a mapped weight, a profile's sample), with any
/// strides in elements: a transposed weight is the same data with the strides swapped.
struct MatrixView {
  const float *data = nullptr;
  int64_t rows = 0, cols = 0;
  int64_t rowStride = 0, colStride = 1;

  MatrixView() = default;
  /// Row-major and contiguous.
  MatrixView(const float *data, int64_t rows, int64_t cols)
      : data(data), rows(rows), cols(cols), rowStride(cols) {}
  MatrixView(const float *data, int64_t rows, int64_t cols, int64_t rowStride, int64_t colStride)
      : data(data), rows(rows), cols(cols), rowStride(rowStride), colStride(colStride) {}

  bool empty() const { return rows == 0 || cols == 0; }
  float operator()(int64_t row, int64_t col) const {
    return data[row * rowStride + col * colStride];
  }
  MatrixView transposed() const { return {data, cols, rows, colStride, rowStride}; }
};

/// An owned, row-major, contiguous matrix.
struct Matrix {
  int64_t rows = 0, cols = 0;
  std::vector<float> values; // rows * cols

  Matrix() = default;
  Matrix(int64_t rows, int64_t cols, float fill = 0)
      : rows(rows), cols(cols), values(static_cast<size_t>(rows * cols), fill) {}

  bool empty() const { return values.empty(); }
  float *row(int64_t r) { return values.data() + r * cols; }
  const float *row(int64_t r) const { return values.data() + r * cols; }
  float &operator()(int64_t r, int64_t c) { return values[static_cast<size_t>(r * cols + c)]; }
  float operator()(int64_t r, int64_t c) const { return values[static_cast<size_t>(r * cols + c)]; }
  operator MatrixView() const { return {values.data(), rows, cols}; }
};

/// The outcome of a call: empty means success, else the message says what was expected and what was
/// found. Nothing here throws, so that callers built without exceptions can use it.
struct [[nodiscard]] Status {
  std::string message;
  bool ok() const { return message.empty(); }
};

} // namespace uoe::calibration
