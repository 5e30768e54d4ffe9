#include "Quantized.h"
#include "GemmBlock.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <cstring>

namespace uoe::rt::fast {

namespace {

/// Rows up to which codes are widened in registers for each product.
constexpr int64_t fewRows = 4;

QuantTile tileOf(const QuantizedMatrix &b, int64_t p) {
  QuantTile t;
  t.bits = b.bits;
  t.block = b.block;
  t.blocks = b.blocks;
  t.hasZeros = b.hasZeros;
  t.b = b.panel(p);
  t.blockBytes = b.blockBytes();
  t.panelBytes = b.panelBytes();
  return t;
}

/// Rows padded to whole blocks, and the sum of each block, which zero points multiply.
void fewRowsProduct(const Product &g, const QuantizedMatrix &b) {
  const int64_t padded = b.blocks * b.block;
  float *rows = scratch<float>(Scratch::Rows, g.m * (padded + b.blocks));
  float *sums = rows + g.m * padded;
  for (int64_t r = 0; r < g.m; ++r) {
    float *row = rows + r * padded;
    std::memcpy(row, g.row(r), static_cast<size_t>(g.k) * sizeof(float));
    std::memset(row + g.k, 0, static_cast<size_t>(padded - g.k) * sizeof(float));
    for (int64_t i = 0; i < b.blocks; ++i) {
      float sum = 0;
      for (int64_t k = 0; k < b.block; ++k)
        sum += row[i * b.block + k];
      sums[r * b.blocks + i] = sum;
    }
  }
  auto part = [&](int64_t begin, int64_t end) {
    constexpr int64_t step = 16;
    float *out = scratch<float>(Scratch::Tile, fewRows * step * 16);
    for (int64_t p = begin; p < end; p += step) {
      QuantTile t = tileOf(b, p);
      t.m = g.m;
      t.panels = std::min(step, end - p);
      t.a = rows;
      t.lda = padded;
      t.sums = sums;
      t.c = out;
      t.ldc = t.panels * 16;
      kernels().quantTile(t);
      finishBlock(g, 0, g.m, p * 16, std::min(t.ldc, g.n - p * 16), out, t.ldc);
    }
  };
  if (double(g.m) * double(g.n) * double(g.k) < 60e3)
    part(0, b.panels());
  else
    ThreadPool::global().parallelFor(b.panels(), 2, part);
}

/// Two panels at a time are widened into L2 and used by all rows.
void manyRowsProduct(const Product &g, const QuantizedMatrix &b) {
  const Kernels &kernel = kernels();
  const int64_t padded = b.blocks * b.block, pairs = (b.panels() + 1) / 2;
  ThreadPool::global().parallelFor(pairs, 1, [&](int64_t begin, int64_t end) {
    float *wide = scratch<float>(Scratch::Panels, 2 * padded * 16);
    float *out = scratch<float>(Scratch::Work, maxTileRows * 32);
    const float *rows[maxTileRows];
    for (int64_t i = begin; i < end; ++i) {
      Tile t;
      t.k = g.k;
      t.rows = rows;
      t.panels = std::min<int64_t>(2, b.panels() - 2 * i);
      for (int64_t p = 0; p < t.panels; ++p)
        kernel.widenPanel(tileOf(b, 2 * i + p), wide + p * padded * 16);
      t.b = wide;
      t.bk = 16;
      t.bp = padded * 16;
      t.c = out;
      t.ldc = 32;
      const int64_t slivers = (g.m + kernel.mr - 1) / kernel.mr;
      for (int64_t s = 0; s < slivers; ++s) {
        int64_t m0 = g.m * s / slivers;
        t.m = g.m * (s + 1) / slivers - m0;
        for (int64_t r = 0; r < t.m; ++r)
          rows[r] = g.row(m0 + r);
        kernel.rowTile(t);
        finishBlock(g, m0, t.m, i * 32, std::min<int64_t>(t.panels * 16, g.n - i * 32), out, 32);
      }
    }
  });
}

} // namespace

QuantizedMatrix::QuantizedMatrix(const QuantizedSource &s)
    : k(s.k), n(s.n), block(s.block), bits(s.bits), hasZeros(s.zeros || s.floatZeros) {
  check(bits == 4 || bits == 8, "quantised weight: ", bits, " bits, expected 4 or 8");
  check(block > 0 && block % 8 == 0, "quantised weight: blocks of ", block,
        ", expected a multiple of 8");
  check(k >= 0 && n >= 0, "quantised weight: negative size");
  blocks = (k + block - 1) / block;
  data = Buffer(static_cast<size_t>(panels() * panelBytes()));
  const int64_t codeBytes = block * bits / 8, zeroBytes = (blocks * bits + 7) / 8;
  auto code = [&](const uint8_t *from, int64_t i) -> int {
    return bits == 8 ? from[i] : from[i / 2] >> (i % 2 * 4) & 15;
  };
  const int shift = bits == 8 ? 128 : 0; // bytes are kept signed
  ThreadPool::global().parallelFor(panels(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t column = begin * 16; column < std::min(n, end * 16); ++column) {
      uint8_t *to = data.as<uint8_t>() + column / 16 * panelBytes();
      const int64_t j = column % 16;
      for (int64_t i = 0; i < blocks; ++i, to += blockBytes()) {
        auto *heads = reinterpret_cast<float *>(to);
        heads[j] = s.scales[column * blocks + i];
        if (s.floatZeros)
          heads[16 + j] = s.floatZeros[column * blocks + i] - static_cast<float>(shift);
        else if (s.zeros)
          heads[16 + j] = static_cast<float>(code(s.zeros + column * zeroBytes, i) - shift);
        uint8_t *codes = to + (hasZeros ? 128 : 64);
        const uint8_t *from = s.codes + (column * blocks + i) * codeBytes;
        for (int64_t x = 0; x < block; ++x) {
          int value = i * block + x < k ? code(from, x) : shift;
          if (bits == 4)
            reinterpret_cast<uint32_t *>(codes)[x / 8 * 16 + j] |= uint32_t(value) << (x % 8 * 4);
          else
            codes[x * 16 + j] = static_cast<uint8_t>(value - shift);
        }
      }
    }
  });
}

void gemm(const float *a, int64_t lda, int64_t m, const QuantizedMatrix &b, float *c, int64_t ldc,
          const Epilogue &epilogue) {
  if (m <= 0 || b.n <= 0)
    return;
  Product g;
  g.m = m;
  g.n = b.n;
  g.k = b.k;
  g.a = a;
  g.stepM = lda;
  g.c = c;
  g.ldc = ldc;
  g.epilogue = epilogue;
  m <= fewRows ? fewRowsProduct(g, b) : manyRowsProduct(g, b);
}

} // namespace uoe::rt::fast
