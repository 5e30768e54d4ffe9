// Weights in 4 or 8 bits with one scale for each block of input channels, multiplied without ever
// being stored wider: decoding is bound by their bytes.
#pragma once
#include "Gemm.h"

namespace uoe::rt::fast {

/// A weight [k, n] in the layout of com.microsoft.MatMulNBits: codes [n][ceil(k / block)][block *
/// bits / 8] (4-bit codes low half first), scales [n][ceil(k / block)], zero points [n][ceil(ceil(k
/// / block) * bits / 8)] in codes' width, or null for the middle (8, 128). w = (code - zero) *
/// scale.
struct QuantizedSource {
  int64_t k = 0, n = 0, block = 32;
  int bits = 4; // 4 or 8
  const uint8_t *codes = nullptr;
  const float *scales = nullptr;
  const uint8_t *zeros = nullptr;
  const float *floatZeros = nullptr; // [n][ceil(k / block)], instead of zeros
};

/// The same in panels of 16 columns. For each block of a panel, contiguously: 16 scales, 16 zero
/// points if any, and the codes: words of 8 successive 4-bit codes for each column, or rows of 16
/// signed bytes.
class QuantizedMatrix {
public:
  QuantizedMatrix() = default;
  /// Raises Error for other bits, and for blocks that are no multiple of 8.
  explicit QuantizedMatrix(const QuantizedSource &source);

  int64_t k = 0, n = 0, block = 0, blocks = 0;
  int bits = 4;
  bool hasZeros = false;

  int64_t panels() const { return (n + 15) / 16; }
  int64_t blockBytes() const { return 64 + (hasZeros ? 64 : 0) + block * 2 * bits; }
  int64_t panelBytes() const { return blocks * blockBytes(); }
  const uint8_t *panel(int64_t p) const { return data.as<uint8_t>() + p * panelBytes(); }
  size_t bytes() const { return data.size(); }

private:
  Buffer data;
};

/// c[m, n] = epilogue(a[m, k] b). Up to 4 rows sum each block's codes first and scale the sum; more
/// rows use the weights (code - zero) * scale in float: the two differ by rounding.
void gemm(const float *a, int64_t lda, int64_t m, const QuantizedMatrix &b, float *c, int64_t ldc,
          const Epilogue &epilogue = {});

} // namespace uoe::rt::fast
