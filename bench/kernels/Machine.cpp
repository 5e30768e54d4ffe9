// Peak arithmetic and read bandwidth, measured with the kernels' own means.
#include "Measure.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/cpu/fast/simd/Table.h"

namespace uoe::bench {
using namespace rt;
using namespace rt::fast;

double peakGflops() {
  // A tile whose operands stay in L1: nothing but multiply-adds limits it.
  const Kernels &kernel = kernels();
  const int64_t k = 96, threads = ThreadPool::global().threads(), rounds = 2000;
  std::vector<float> a = randoms(k * kernel.mr), b = randoms(k * 16 * kernel.panels);
  double t = seconds(
      [&] {
        ThreadPool::global().parallelFor(threads, 1, [&](int64_t, int64_t) {
          std::vector<float> c(maxTileRows * 16 * 2);
          Tile tile;
          tile.m = kernel.mr;
          tile.k = k;
          tile.panels = kernel.panels;
          tile.a = a.data();
          tile.b = b.data();
          tile.bk = 16;
          tile.bp = 16 * k;
          tile.c = c.data();
          tile.ldc = 16 * kernel.panels;
          for (int64_t i = 0; i < rounds; ++i)
            kernel.packedTile(tile);
        });
      },
      0.5);
  return 2e-9 * double(kernel.mr * 16 * kernel.panels * k * rounds * threads) / t;
}

double readBandwidth() {
  const int64_t count = 64 << 20;
  std::vector<float> data(static_cast<size_t>(count), 1.0f);
  std::vector<float> sums(1024);
  double t = seconds(
      [&] {
        ThreadPool::global().parallelFor(count, count / 64, [&](int64_t begin, int64_t end) {
          float s[64] = {};
          for (int64_t i = begin; i + 64 <= end; i += 64)
            for (int64_t j = 0; j < 64; ++j)
              s[j] += data[static_cast<size_t>(i + j)];
          float total = 0;
          for (float x : s)
            total += x;
          sums[static_cast<size_t>(begin * 64 / count)] = total;
        });
      },
      0.5);
  volatile float keep = sums[0];
  (void)keep;
  return 4e-9 * double(count) / t;
}

} // namespace uoe::bench
