// Products of 8-bit integers, exact in 32 bits: what MatMulInteger and its kin compute.
#pragma once
#include "Memory.h"
#include <cstdint>
#include <vector>

namespace uoe::rt::fast {

/// A matrix of bytes [k, n] in panels of 16 columns: [ceil(k / 4)][16][4], missing elements 0.
/// Unsigned bytes are stored less 128.
class IntegerMatrix {
public:
  IntegerMatrix() = default;
  /// From rows of n bytes, int8 or uint8.
  IntegerMatrix(const void *source, bool isSigned, int64_t k, int64_t n);

  int64_t k = 0, n = 0;
  int32_t shift = 0; // an element is what is stored and this
  /// Of what is stored, [16 * panels].
  std::vector<int32_t> columnSums;

  int64_t panels() const { return (n + 15) / 16; }
  int64_t quads() const { return (k + 3) / 4; }
  int64_t panelBytes() const { return quads() * 64; }
  const int8_t *panel(int64_t p) const { return data.as<int8_t>() + p * panelBytes(); }

private:
  Buffer data;
};

/// c[m, n] = (a - zeroA)·(b - zeroB), a of int8 or uint8 [m, k]. Zero points are one value
/// (step 0) or one for each row of a and column of b (step 1), null for 0. Sums wrap around in 32
/// bits; below k = 32768 none does.
struct IntegerZeros {
  const int32_t *values = nullptr;
  int64_t step = 0;
  int32_t at(int64_t i) const { return values ? values[i * step] : 0; }
};
void gemm(const void *a, bool isSigned, int64_t lda, int64_t m, const IntegerMatrix &b,
          IntegerZeros zeroA, IntegerZeros zeroB, int32_t *c, int64_t ldc);

/// For tests: whether instructions that sum products of bytes are used where there are some.
void useByteDots(bool use);

} // namespace uoe::rt::fast
