// Matrix products in float32. A weight is packed once, at load; the same packed form serves every
// number of rows, the slices of experts included. Matrices are row-major with a leading dimension
// in elements.
//
// Every output element is one chain of fused multiply-adds over k in ascending order, whatever the
// number of rows, the blocking and the threads: a row computed alone equals the same row of a batch
// bit for bit. (gemmUnpacked with transposed b and at most 4 rows sums in another order.)
#pragma once
#include "Activation.h"
#include "ElementType.h"
#include "Memory.h"
#include <initializer_list>

namespace uoe::rt::fast {

struct Floats {
  const float *begin = nullptr; // null: nothing
  int64_t count = 0;
};
/// A type of 16 bits that holds every element of all the ranges exactly; F32 if there is none, or
/// an element is not finite.
ElementType exactType(std::initializer_list<Floats> ranges);
/// What `value` is stored as in 16 bits, rounded to nearest even, and back; and both, of any type.
uint16_t toBits(ElementType type, float value);
float fromBits(ElementType type, uint16_t bits);
float rounded(ElementType type, float value);

/// A weight [k, n] as ceil(n / 16) panels of [k][16] (columns past n are 0).
/// The rows k0..k1 of a panel are contiguous, and so are neighbouring panels: a slice of columns or
/// rows needs no copy.
class PackedMatrix {
public:
  PackedMatrix() = default;
  PackedMatrix(int64_t k, int64_t n, ElementType type = ElementType::F32); // all zero

  int64_t k() const { return rows; }
  int64_t n() const { return columns; }
  int64_t panels() const { return (columns + 15) / 16; }
  ElementType type() const { return kind; }
  bool empty() const { return rows == 0 || columns == 0; }
  size_t bytes() const { return data.size(); }
  /// Panel p from its row k on.
  const void *panel(int64_t p, int64_t k = 0) const {
    return data.as<char>() + (p * rows + k) * 16 * elementBytes();
  }
  void *panel(int64_t p, int64_t k = 0) {
    return const_cast<void *>(static_cast<const PackedMatrix *>(this)->panel(p, k));
  }
  int64_t elementBytes() const { return bytesOf(kind); }
  /// Element (k, n) as float; slow, for tests.
  float at(int64_t k, int64_t n) const;

private:
  int64_t rows = 0, columns = 0;
  ElementType kind = ElementType::F32;
  Buffer data;
};

/// Packs b: element (k, n) is b[k * ldb + n], or b[n * ldb + k] if transposed; ldb = 0 means dense.
/// 16-bit types round to nearest even.
PackedMatrix pack(const float *b, int64_t k, int64_t n, bool transposed = false, int64_t ldb = 0,
                  ElementType type = ElementType::F32);
/// A dense b in the exact type.
PackedMatrix packExact(const float *b, int64_t k, int64_t n, bool transposed = false);

/// What happens to a product before it is stored: c = act(alpha * ab + bias) + residualScale *
/// residual.
struct Epilogue {
  float alpha = 1.0f;
  const float *bias = nullptr; // [n]
  Activation act = Activation::Identity;
  const float *residual = nullptr; // [m, n]; may be c
  int64_t ldr = 0;                 // its leading dimension; 0: one row for all
  float residualScale = 1.0f;
};

/// c[m, n] = epilogue(a[m, k] b). k = 0 gives epilogue(0). c may be no part of a.
void gemm(const float *a, int64_t lda, int64_t m, const PackedMatrix &b, float *c, int64_t ldc,
          const Epilogue &epilogue = {});
/// The same for rows that lie anywhere: row i of a is rows[i].
void gemmRows(const float *const *rows, int64_t m, const PackedMatrix &b, float *c, int64_t ldc,
              const Epilogue &epilogue = {});

/// c[m, n] = alpha * op(a) op(b) + beta * c for two run-time operands: op(a) is [m, k], stored [k,
/// m] if transposed; op(b) is [k, n], stored [n, k] if transposed. beta = 0 does not read c.
void gemmUnpacked(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool transA,
                  const float *b, int64_t ldb, bool transB, float *c, int64_t ldc,
                  float alpha = 1.0f, float beta = 0.0f);

/// `batch` such products: operand i starts at a + offsets.a(i) and so on; offsets may repeat
/// (broadcasting).
struct BatchOffsets {
  const int64_t *a = nullptr, *b = nullptr, *c = nullptr; // [batch] each, in elements
};
void gemmBatched(int64_t batch, const BatchOffsets &offsets, int64_t m, int64_t n, int64_t k,
                 const float *a, int64_t lda, bool transA, const float *b, int64_t ldb, bool transB,
                 float *c, int64_t ldc, float alpha = 1.0f, float beta = 0.0f);

} // namespace uoe::rt::fast
