// The parts of a matrix product, for the kernels that are built from them. Internal to
// runtime/cpu/fast.
#pragma once
#include "Gemm.h"
#include "simd/Table.h"

namespace uoe::rt::fast {

/// Panels of 16 columns of the right operand, from panel `first` on: element (k, 16 p + j) at base
/// + k * stepK + (p - first) * stepPanel + j.
struct Panels {
  const char *base = nullptr;
  ElementType type = ElementType::F32;
  int64_t stepK = 16, stepPanel = 0;
  int64_t first = 0;

  const void *panel(int64_t p) const { return base + (p - first) * stepPanel * bytesOf(type); }
  static Panels of(const PackedMatrix &b) {
    return {static_cast<const char *>(b.panel(0)), b.type(), 16, 16 * b.k()};
  }
};

/// c[m, n] = epilogue(a b). Element (i, k) of a is a[i * stepM + k * stepK], or rows[i][k].
struct Product {
  int64_t m = 0, n = 0, k = 0;
  const float *a = nullptr;
  int64_t stepM = 0, stepK = 1;
  const float *const *rows = nullptr;
  Panels b;
  float *c = nullptr;
  int64_t ldc = 0;
  Epilogue epilogue;

  const float *row(int64_t i) const { return rows ? rows[i] : a + i * stepM; }
  bool plain() const {
    return epilogue.alpha == 1.0f && !epilogue.bias && !epilogue.residual &&
           epilogue.act == Activation::Identity;
  }
  /// Rows m..m+height into [k][mr].
  void packSliver(int64_t m, int64_t height, float *out) const;
};

/// Rows m0..m0+m and columns n0..n0+n of the result from their products x: the epilogue.
void finishBlock(const Product &g, int64_t m0, int64_t m, int64_t n0, int64_t n, const float *x,
                 int64_t ldx);
/// The block of rows m0..m1 and panels p0..p1 on this thread alone.
void runBlock(const Product &g, int64_t m0, int64_t m1, int64_t p0, int64_t p1);
/// The whole product on all threads.
void runProduct(const Product &g);

} // namespace uoe::rt::fast
