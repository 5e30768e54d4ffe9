// Dense products against oneDNN with weights packed in its own layout.
#include "Measure.h"
#include "OneDnn.h"
#include "runtime/cpu/fast/Gemm.h"
#include "runtime/cpu/fast/Quantized.h"
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

/// GB/s at which a pass over enough copies of a weight reads them.
template <typename Make> static double streamed(int64_t m, int64_t k, int64_t n, Make make) {
  auto a = randoms(m * k);
  std::vector<float> c(static_cast<size_t>(m * n));
  std::vector<decltype(make())> copies;
  size_t bytes = 0;
  while (bytes < 256u << 20) {
    copies.push_back(make());
    bytes += copies.back().bytes();
  }
  double t = seconds([&] {
    for (auto &w : copies)
      gemm(a.data(), k, m, w, c.data(), n);
  });
  return 1e-9 * double(bytes) / t;
}

void benchGemv() {
  std::printf("\nFew rows, weights from memory (256 MB of them), GB/s of weights as stored (read "
              "bandwidth %.1f); "
              "int4: blocks of 32, 5 bits a weight\n",
              readBandwidth());
  std::printf("%6s %6s %6s %9s %9s %9s %9s %12s\n", "M", "K", "N", "float32", "bfloat16", "int8",
              "int4", "int4 ms/f32");
  const int64_t sizes[][2] = {{576, 1536}, {1536, 576}, {4096, 4096}};
  for (auto &size : sizes)
    for (int64_t m : {1, 2, 4}) {
      int64_t k = size[0], n = size[1];
      auto b = randoms(k * n, 2);
      std::vector<uint8_t> codes(b.size());
      for (size_t i = 0; i < codes.size(); ++i)
        codes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
      std::vector<float> scales(b.size() / 32, 0.01f);
      auto packed = [&](ElementType type) {
        return streamed(m, k, n, [&] { return pack(b.data(), k, n, false, 0, type); });
      };
      auto quantized = [&](int bits) {
        return streamed(m, k, n, [&] {
          return QuantizedMatrix(QuantizedSource{k, n, 32, bits, codes.data(), scales.data()});
        });
      };
      double f32 = packed(ElementType::F32), bf16 = packed(ElementType::BF16);
      double int8 = quantized(8), int4 = quantized(4);
      std::printf("%6ld %6ld %6ld %9.1f %9.1f %9.1f %9.1f %12.2f\n", long(m), long(k), long(n), f32,
                  bf16, int8, int4, 5.0 / 32 * f32 / int4);
    }
}

} // namespace uoe::bench
