// Weights in 4 or 8 bits with one scale for each block of input channels, multiplied without ever
// being stored wider: decoding is bound by their bytes.
#pragma once
#include "Gemm.h"
#include <vector>

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

/// Raises Error for other bits, and for blocks that are no multiple of 8.
void checkQuantized(const QuantizedSource &source);
/// The weights as floats, [n][k].
std::vector<float> dequantized(const QuantizedSource &source);

/// How the weights of a block of 16 columns lie: 16 scales, 16 zero points if any, and the codes:
/// words of 8 successive 4-bit codes for each column, or rows of 16 signed bytes.
struct QuantFormat {
  int bits = 0; // 0: not quantised
  int64_t block = 0;
  bool hasZeros = false;

  static QuantFormat of(const QuantizedSource &s) {
    return {s.bits, s.block, s.zeros || s.floatZeros};
  }
  explicit operator bool() const { return bits > 0; }
  bool operator==(const QuantFormat &o) const {
    return bits == o.bits && block == o.block && hasZeros == o.hasZeros;
  }
  int64_t blockBytes() const { return 64 + (hasZeros ? 64 : 0) + block * 2 * bits; }
};

/// Rows up to which a product sums each block's codes before it scales them.
constexpr int64_t quantRowsAtOnce = 4;
/// A row of k elements for such products: `row` has room for whole blocks, of which what lies past
/// k becomes 0, and takes factors where codes are read in place (4 bits); sums [blocks] are those
/// of each block. `from` may be `row`.
void quantRow(const float *from, int64_t k, const QuantFormat &format, float *row, float *sums);

/// Lane j of a block in that format, which was zero: the weights of column `column` in rows
/// rows[0 .. format.block), all of one block of the source; -1 is a row of zeros. The source's
/// bits are the format's.
void packQuantLane(const QuantizedSource &source, int64_t column, const int64_t *rows,
                   const QuantFormat &format, uint8_t *to, int64_t j);

/// The same in panels of 16 columns, the blocks of a panel one after the other.
class QuantizedMatrix {
public:
  QuantizedMatrix() = default;
  /// Raises Error for other bits, and for blocks that are no multiple of 8.
  explicit QuantizedMatrix(const QuantizedSource &source);

  int64_t k = 0, n = 0, blocks = 0;
  QuantFormat format;

  int64_t panels() const { return (n + 15) / 16; }
  int64_t panelBytes() const { return blocks * format.blockBytes(); }
  const uint8_t *panel(int64_t p) const { return data.as<uint8_t>() + p * panelBytes(); }
  size_t bytes() const { return data.size(); }

private:
  Buffer data;
};

/// c[m, n] = epilogue(a[m, k] b). Up to quantRowsAtOnce rows sum each block's codes first and scale
/// the sum; more rows use the weights (code - zero) * scale in float: the two differ by rounding.
void gemm(const float *a, int64_t lda, int64_t m, const QuantizedMatrix &b, float *c, int64_t ldc,
          const Epilogue &epilogue = {});

} // namespace uoe::rt::fast
