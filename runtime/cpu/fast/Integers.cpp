#include "Integers.h"
#include "runtime/core/ThreadPool.h"
#include "simd/Table.h"
#include <algorithm>
#include <cstring>

namespace uoe::rt::fast {

namespace {

/// Rows of a that a task takes with its columns, panels of a task, and threads' worth of work.
constexpr int64_t taskRows = 96, taskPanels = 8;
constexpr int64_t tileRows = 12, tilePanels = 4;
constexpr double worthThreads = 120e3;

bool detectByteDots() {
#ifdef UOE_FAST_X86
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

bool allowed = true;

} // namespace

void useByteDots(bool use) {
  allowed = use;
}

IntegerMatrix::IntegerMatrix(const void *source, bool isSigned, int64_t k, int64_t n)
    : k(k), n(n), shift(isSigned ? 0 : 128), columnSums(size_t((n + 15) / 16 * 16)),
      data(static_cast<size_t>((n + 15) / 16 * ((k + 3) / 4) * 64)) {
  // Less 128 is the other top bit.
  const uint8_t *from = static_cast<const uint8_t *>(source);
  const uint8_t flip = isSigned ? 0 : 128;
  ThreadPool::global().parallelFor(panels(), 8, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      int8_t *to = data.as<int8_t>() + p * panelBytes();
      const int64_t width = std::min<int64_t>(16, n - p * 16);
      for (int64_t i = 0; i < k; ++i)
        for (int64_t j = 0; j < width; ++j) {
          const auto value = static_cast<int8_t>(from[i * n + p * 16 + j] ^ flip);
          to[i / 4 * 64 + 4 * j + i % 4] = value;
          columnSums[static_cast<size_t>(p * 16 + j)] += value;
        }
    }
  });
}

void gemm(const void *a, bool isSigned, int64_t lda, int64_t m, const IntegerMatrix &b,
          IntegerZeros zeroA, IntegerZeros zeroB, int32_t *c, int64_t ldc) {
  if (m <= 0 || b.n <= 0)
    return;
  static const bool byteDots = detectByteDots();
  const Kernels &kernel = kernels();
  const auto tile =
      byteDots && allowed && kernel.integerDots ? kernel.integerDots : kernel.integerTile;
  // Rows as unsigned bytes, padded to whole quads.
  const int64_t padded = b.quads() * 4;
  const uint8_t flip = isSigned ? 128 : 0;
  uint8_t *rows = scratch<uint8_t>(Scratch::RowPack, m * padded + 1);
  int32_t *rowSums = scratch<int32_t>(Scratch::Sums, m);
  ThreadPool &pool = ThreadPool::global();
  const bool threaded = double(m) * double(b.n) * double(b.k) >= worthThreads;
  auto prepare = [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const uint8_t *from = static_cast<const uint8_t *>(a) + r * lda;
      uint8_t *to = rows + r * padded;
      int32_t sum = 0;
      for (int64_t i = 0; i < b.k; ++i) {
        to[i] = from[i] ^ flip;
        sum += to[i];
      }
      std::memset(to + b.k, 0, static_cast<size_t>(padded - b.k));
      rowSums[r] = sum;
    }
  };
  // What is stored is each factor and a shift, which goes with the zero points.
  auto part = [&](int64_t begin, int64_t end, int64_t p0, int64_t p1) {
    alignas(64) int32_t sums[tileRows * tilePanels * 16];
    IntegerTile t;
    t.quads = b.quads();
    t.bPanel = b.panelBytes();
    t.lda = padded;
    t.c = sums;
    t.ldc = tilePanels * 16;
    for (int64_t p = p0; p < p1; p += tilePanels)
      for (int64_t r0 = begin; r0 < end; r0 += tileRows) {
        t.m = std::min(tileRows, end - r0);
        t.panels = std::min(tilePanels, p1 - p);
        t.a = rows + r0 * padded;
        t.b = b.panel(p);
        tile(t);
        const int64_t width = std::min(t.panels * 16, b.n - p * 16);
        for (int64_t r = 0; r < t.m; ++r) {
          const uint32_t za = static_cast<uint32_t>(zeroA.at(r0 + r) + flip);
          const uint32_t sumA = static_cast<uint32_t>(rowSums[r0 + r]);
          const uint32_t rest = sumA - za * static_cast<uint32_t>(b.k);
          int32_t *out = c + (r0 + r) * ldc + p * 16;
          const int32_t *got = sums + r * t.ldc, *sumsB = b.columnSums.data() + p * 16;
          for (int64_t j = 0; j < width; ++j)
            out[j] = static_cast<int32_t>(
                static_cast<uint32_t>(got[j]) - za * static_cast<uint32_t>(sumsB[j]) -
                static_cast<uint32_t>(zeroB.at(p * 16 + j) - b.shift) * rest);
        }
      }
  };
  if (!threaded) {
    prepare(0, m);
    return part(0, m, 0, b.panels());
  }
  pool.parallelFor(m, 16, prepare);
  const int64_t rowTasks = (m + taskRows - 1) / taskRows;
  const int64_t panelTasks = (b.panels() + taskPanels - 1) / taskPanels;
  pool.parallelFor(rowTasks * panelTasks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t r = task / panelTasks, p = task % panelTasks * taskPanels;
      part(m * r / rowTasks, m * (r + 1) / rowTasks, p, std::min(b.panels(), p + taskPanels));
    }
  });
}

} // namespace uoe::rt::fast
