// Matrix products of every type: float through ../fast, plain loops for the others.
#pragma once
#include "Vector.h"
#include "runtime/core/Kernel.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/cpu/fast/Gemm.h"

namespace uoe::rt {

/// C (rows × columns, row stride ldc) = A (rows × depth, row stride lda) · B, where B is depth ×
/// columns or, if transposed, columns × depth, with row stride ldb. Threaded.
void multiply(const float *a, int64_t lda, int64_t rows, const float *b, int64_t ldb,
              bool transposed, int64_t depth, int64_t columns, float *c, int64_t ldc);
void multiply(const double *a, int64_t lda, int64_t rows, const double *b, int64_t ldb,
              bool transposed, int64_t depth, int64_t columns, double *c, int64_t ldc);

/// The same for integers, wrapping around.
template <typename T>
void multiplyIntegers(const T *a, int64_t rows, const T *b, int64_t depth, int64_t columns, T *c) {
  ThreadPool::global().parallelFor(rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      T *row = c + r * columns;
      for (int64_t j = 0; j < columns; ++j)
        row[j] = 0;
      for (int64_t k = 0; k < depth; ++k) {
        T factor = a[r * depth + k];
        const T *from = b + k * columns;
        for (int64_t j = 0; j < columns; ++j)
          row[j] = static_cast<T>(row[j] + factor * from[j]);
      }
    }
  });
}

/// C (rows × columns, int32) = A (rows × depth) · B^T, both int16 with B given as columns × depth.
/// Exact for values in
/// [-255, 255] and depth below 2^15.
void multiplyShorts(const int16_t *a, int64_t rows, const int16_t *bTransposed, int64_t depth,
                    int64_t columns, int32_t *c);

/// Adds to C, the product of multiplyShorts, what it loses where each sum of two raw products of
/// neighbours along the depth is clamped to 16 bits, as x86 processors without VNNI multiply uint8
/// by int8. Zero points (one a row of A, one a row of B) were taken off the operands; `order`, if
/// given, says which k is the i-th for pairing.
void addPairSaturation(const int16_t *a, const int32_t *zeroA, int64_t rows,
                       const int16_t *bTransposed, const int32_t *zeroB, int64_t columns,
                       int64_t depth, const int64_t *order, int32_t *c);

/// How MatMul's operands of any rank fall into matrices: NumPy's rules.
struct MatMulPlan {
  Shape batch, result;
  int64_t rows, depth, columns;
  std::vector<int64_t> aOffset, bOffset; // of each product's operands, counted in matrices
};

/// Raises Error naming the operator if the shapes do not fit. `transposeB` exchanges B's last two
/// dimensions.
MatMulPlan planMatMul(const Node &node, Shape a, Shape b, bool transposeB);

} // namespace uoe::rt
