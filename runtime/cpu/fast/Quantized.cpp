#include "Quantized.h"
#include "GemmBlock.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <cstring>

namespace uoe::rt::fast {

namespace {

QuantPanels panelsOf(const QuantizedMatrix &b, int64_t p) {
  const QuantFormat &f = b.format;
  return {f.bits, f.hasZeros, f.block, b.panel(p), f.blockBytes(), b.panelBytes()};
}

void fewRowsProduct(const Product &g, const QuantizedMatrix &b) {
  const int64_t padded = b.blocks * b.format.block;
  float *memory = scratch<float>(Scratch::Rows, g.m * (padded + b.blocks));
  const float *rows[quantRowsAtOnce], *sums[quantRowsAtOnce];
  for (int64_t r = 0; r < g.m; ++r, memory += padded + b.blocks) {
    quantRow(g.row(r), g.k, b.format, memory, memory + padded);
    rows[r] = memory;
    sums[r] = memory + padded;
  }
  auto part = [&](int64_t begin, int64_t end) {
    constexpr int64_t step = 16;
    float *out = scratch<float>(Scratch::Tile, quantRowsAtOnce * step * 16);
    float *results[quantRowsAtOnce];
    for (int64_t p = begin; p < end; p += step) {
      QuantTile t;
      t.m = g.m;
      t.panels = std::min(step, end - p);
      t.blocks = b.blocks;
      t.w = panelsOf(b, p);
      t.rows = rows;
      t.sums = sums;
      t.out = results;
      const int64_t width = t.panels * 16;
      for (int64_t r = 0; r < g.m; ++r)
        results[r] = out + r * width;
      kernels().quantTile(t);
      finishBlock(g, 0, g.m, p * 16, std::min(width, g.n - p * 16), out, width);
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
  const int64_t padded = b.blocks * b.format.block, pairs = (b.panels() + 1) / 2;
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
        kernel.widenPanel(panelsOf(b, 2 * i + p), b.blocks, wide + p * 16, t.panels * 16);
      t.b = wide;
      t.bk = t.panels * 16;
      t.bp = 16;
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

void checkQuantized(const QuantizedSource &s) {
  check(s.bits == 4 || s.bits == 8, "quantised weight: ", s.bits, " bits, expected 4 or 8");
  check(s.block > 0 && s.block % 8 == 0, "quantised weight: blocks of ", s.block,
        ", expected a multiple of 8");
  check(s.k >= 0 && s.n >= 0, "quantised weight: negative size");
}

namespace {

int codeAt(const uint8_t *from, int64_t i, int bits) {
  return bits == 8 ? from[i] : from[i / 2] >> (i % 2 * 4) & 15;
}

/// The middle of the codes, which zero points are where there are none.
int middleOf(int bits) {
  return bits == 8 ? 128 : 8;
}

float zeroOf(const QuantizedSource &s, int64_t column, int64_t block, int64_t blocks) {
  if (s.floatZeros)
    return s.floatZeros[column * blocks + block];
  const int64_t rowBytes = (blocks * s.bits + 7) / 8;
  return static_cast<float>(s.zeros ? codeAt(s.zeros + column * rowBytes, block, s.bits)
                                    : middleOf(s.bits));
}

} // namespace

void quantRow(const float *from, int64_t k, const QuantFormat &format, float *row, float *sums) {
  // A code that is read in place counts 16^j, save the last of a word.
  static constexpr float factors[8] = {1.0f,     0x1p-4f,  0x1p-8f,  0x1p-12f,
                                       0x1p-16f, 0x1p-20f, 0x1p-24f, 1.0f};
  for (int64_t first = 0; first < k; first += format.block, ++sums) {
    const int64_t count = std::min(format.block, k - first);
    float sum = 0;
    for (int64_t i = first; i < first + count; ++i)
      sum += from[i];
    *sums = sum;
    for (int64_t i = first; i < first + count; ++i)
      row[i] = format.bits == 4 ? from[i] * factors[i % 8] : from[i];
    std::fill(row + first + count, row + first + format.block, 0.0f);
  }
}

std::vector<float> dequantized(const QuantizedSource &s) {
  checkQuantized(s);
  const int64_t blocks = (s.k + s.block - 1) / s.block;
  std::vector<float> out(static_cast<size_t>(s.n * s.k));
  ThreadPool::global().parallelFor(s.n, 16, [&](int64_t begin, int64_t end) {
    for (int64_t column = begin; column < end; ++column)
      for (int64_t i = 0; i < blocks; ++i) {
        const uint8_t *codes = s.codes + (column * blocks + i) * (s.block * s.bits / 8);
        const float scale = s.scales[column * blocks + i], zero = zeroOf(s, column, i, blocks);
        for (int64_t x = 0, k = i * s.block; x < s.block && k < s.k; ++x, ++k)
          out[static_cast<size_t>(column * s.k + k)] =
              (static_cast<float>(codeAt(codes, x, s.bits)) - zero) * scale;
      }
  });
  return out;
}

void packQuantLane(const QuantizedSource &s, int64_t column, const int64_t *rows,
                   const QuantFormat &format, uint8_t *to, int64_t j) {
  const int64_t blocks = (s.k + s.block - 1) / s.block, codeBytes = s.block * s.bits / 8;
  const int64_t *first = std::find_if(rows, rows + format.block, [](int64_t r) { return r >= 0; });
  if (first == rows + format.block)
    return; // a scale of 0
  const int64_t block = *first / s.block;
  const int shift = format.bits == 8 ? 128 : 0; // bytes are kept signed
  const float zero = zeroOf(s, column, block, blocks);
  auto *heads = reinterpret_cast<float *>(to);
  heads[j] = s.scales[column * blocks + block];
  if (format.hasZeros)
    heads[16 + j] = zero - static_cast<float>(shift);
  uint8_t *codes = to + (format.hasZeros ? 128 : 64);
  const uint8_t *from = s.codes + (column * blocks + block) * codeBytes;
  for (int64_t x = 0; x < format.block; ++x) {
    const int value =
        rows[x] < 0 ? static_cast<int>(zero) : codeAt(from, rows[x] - block * s.block, s.bits);
    if (format.bits == 4)
      reinterpret_cast<uint32_t *>(codes)[x / 8 * 16 + j] |= uint32_t(value & 15) << (x % 8 * 4);
    else
      codes[x * 16 + j] = static_cast<uint8_t>(value - shift);
  }
}

QuantizedMatrix::QuantizedMatrix(const QuantizedSource &s)
    : k(s.k), n(s.n), format(QuantFormat::of(s)) {
  checkQuantized(s);
  const int64_t block = format.block;
  blocks = (k + block - 1) / block;
  data = Buffer(static_cast<size_t>(panels() * panelBytes()));
  ThreadPool::global().parallelFor(panels(), 1, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> rows(static_cast<size_t>(block));
    for (int64_t i = 0; i < blocks; ++i) {
      for (int64_t x = 0; x < block; ++x)
        rows[static_cast<size_t>(x)] = i * block + x < k ? i * block + x : -1;
      for (int64_t column = begin * 16; column < std::min(n, end * 16); ++column)
        packQuantLane(s, column, rows.data(), format,
                      data.as<uint8_t>() + column / 16 * panelBytes() + i * format.blockBytes(),
                      column % 16);
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
  m <= quantRowsAtOnce ? fewRowsProduct(g, b) : manyRowsProduct(g, b);
}

} // namespace uoe::rt::fast
