// Dense products against oneDNN with weights packed in its own layout.
#include "Measure.h"
#include "OneDnn.h"
#include "runtime/cpu/fast/Gemm.h"
#include <cstdio>

namespace uoe::bench {
using namespace rt::fast;

void benchGemm() {
  double peak = peakGflops();
  std::printf("\nGEMM, float32, packed weight, GFLOP/s (peak %.0f)\n", peak);
  std::printf("%6s %6s %6s %9s %8s %9s %7s\n", "M", "K", "N", "ours", "of peak", "oneDNN", "ratio");
  const int64_t sizes[][2] = {{384, 384},  {384, 1536}, {1536, 384},
                              {576, 1536}, {1536, 576}, {4096, 4096}};
  for (auto &size : sizes)
    for (int64_t m : {8, 16, 32, 128, 1024}) {
      int64_t k = size[0], n = size[1];
      if (k * n > 4 << 20 && m > 128)
        continue;
      auto a = randoms(m * k), b = randoms(k * n, 2);
      std::vector<float> c(static_cast<size_t>(m * n));
      PackedMatrix packed = pack(b.data(), k, n);
      double work = 2e-9 * double(m) * double(n) * double(k);
      double ours = work / seconds([&] { gemm(a.data(), k, m, packed, c.data(), n); });
      double theirs = oneDnnGemm(m, n, k, a, b);
      std::printf("%6ld %6ld %6ld %9.1f %7.0f%% %9.1f %6.2fx\n", long(m), long(k), long(n), ours,
                  100 * ours / peak, theirs * work, theirs > 0 ? ours / (theirs * work) : 0.0);
    }
}

void benchGemv() {
  double bandwidth = readBandwidth();
  std::printf("\nFew rows, weights from memory (cycled through 256 MB), GB/s of weights (read "
              "bandwidth %.1f)\n",
              bandwidth);
  std::printf("%6s %6s %6s %9s %9s\n", "M", "K", "N", "float32", "bfloat16");
  const int64_t sizes[][2] = {{576, 1536}, {1536, 576}, {4096, 4096}};
  for (auto &size : sizes)
    for (int64_t m : {1, 2, 4}) {
      int64_t k = size[0], n = size[1];
      auto a = randoms(m * k), b = randoms(k * n, 2);
      std::vector<float> c(static_cast<size_t>(m * n));
      double rate[2];
      for (int type = 0; type < 2; ++type) {
        std::vector<PackedMatrix> copies;
        int64_t bytes = k * n * (type ? 2 : 4), count = std::max<int64_t>(1, (256 << 20) / bytes);
        for (int64_t i = 0; i < count; ++i)
          copies.push_back(pack(b.data(), k, n, false, 0,
                                type ? PackedMatrix::Type::BF16 : PackedMatrix::Type::F32));
        double t = seconds([&] {
          for (auto &w : copies)
            gemm(a.data(), k, m, w, c.data(), n);
        });
        rate[type] = 1e-9 * double(bytes * count) / t;
      }
      std::printf("%6ld %6ld %6ld %9.1f %9.1f\n", long(m), long(k), long(n), rate[0], rate[1]);
    }
}

} // namespace uoe::bench
