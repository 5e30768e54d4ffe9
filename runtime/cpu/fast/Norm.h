// Normalisations over rows, softmax, and rotary position embeddings, vectorised and on all threads.
#pragma once
#include "Attention.h"

namespace uoe::rt::fast {

/// Rows of n floats, contiguous. s = x + skip + skipBias; y = (s - mean(s)) / sqrt(var(s) + eps) *
/// gamma + beta, or s / sqrt(mean(s^2) + eps) * gamma for rms. Null parts are left out.
struct NormArgs {
  int64_t rows = 0, n = 0;
  const float *x = nullptr;
  const float *skip = nullptr;     // [skipRows, n], repeated for later rows
  int64_t skipRows = 0;            // 0: as many as rows
  const float *skipBias = nullptr; // [n]
  const float *gamma = nullptr;    // [n]
  const float *beta = nullptr;     // [n]
  float eps = 1e-5f;
  bool rms = false;
  float *y = nullptr;                        // may be x
  float *sum = nullptr;                      // [rows, n]: receives s; may be x or skip
  float *mean = nullptr, *inverse = nullptr; // [rows]: receive the mean and 1 / sqrt(...)
};
void normalize(const NormArgs &args);

/// y = softmax of each row of n floats, or its logarithm; y may be x. A row of -inf gives NaN.
void softmaxRows(const float *x, int64_t rows, int64_t n, float *y, bool logarithm = false);

/// Turns pairs of features by the angle of their position: (a, b) becomes (a cos - b sin, b cos + a
/// sin), as in Su et al., RoFormer (2021). The first `rotated` features of each head take part,
/// pairs being (i, i + rotated / 2), or (2 i, 2 i + 1) if interleaved; the others are copied.
struct RotaryArgs {
  int64_t batch = 0, heads = 0, positions = 0, size = 0;
  int64_t rotated = 0; // even, at most size; 0: size
  bool interleaved = false;
  const float *x = nullptr;
  float *y = nullptr;          // may be x with the same strides
  Strides4 xStrides, yStrides; // feature stride 1
  /// Row p of cos and sin, [rotated / 2] each, at p * rowStride (0: rotated / 2), where p is
  /// index[b * indexStride + s] or, without index, b * indexStride + s, and `offset` is added.
  const float *cos = nullptr, *sin = nullptr;
  int64_t rowStride = 0, rows = 0; // rows: how many the tables have
  const int64_t *index = nullptr;
  int64_t indexStride = 0, offset = 0;
};
/// Raises Error for odd sizes and positions outside the tables.
void rotary(const RotaryArgs &args);

} // namespace uoe::rt::fast
