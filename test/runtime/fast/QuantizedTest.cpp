#include "runtime/cpu/fast/Quantized.h"
#include "Common.h"
#include "runtime/core/Error.h"
#include "runtime/cpu/fast/Reference.h"

using namespace uoe::rt::fast;
using namespace uoe::rt::fast::test;

namespace {

class QuantizedTest : public EveryIsa {};
UOE_EVERY_ISA(QuantizedTest);

struct Weight {
  std::vector<uint8_t> codes, zeros;
  std::vector<float> scales, floatZeros, wide; // wide: [k, n]
  QuantizedSource source;

  Weight(int64_t k, int64_t n, int64_t block, int bits, int zeroKind) {
    const int64_t blocks = (k + block - 1) / block, codeBytes = block * bits / 8,
                  zeroBytes = (blocks * bits + 7) / 8;
    std::mt19937 engine(5);
    for (int64_t i = 0; i < n * blocks * codeBytes; ++i)
      codes.push_back(static_cast<uint8_t>(engine()));
    for (int64_t i = 0; i < n * zeroBytes; ++i)
      zeros.push_back(static_cast<uint8_t>(engine()));
    scales = randoms(n * blocks, 6, bits == 4 ? 0.1f : 0.01f);
    floatZeros = randoms(n * blocks, 7, 9.0f);
    source = {k, n, block, bits, codes.data(), scales.data(), nullptr, nullptr};
    if (zeroKind == 1)
      source.zeros = zeros.data();
    if (zeroKind == 2)
      source.floatZeros = floatZeros.data();
    auto at = [&](const uint8_t *from, int64_t i) {
      return bits == 8 ? from[i] : i % 2 ? from[i / 2] >> 4 : from[i / 2] & 15;
    };
    wide.resize(static_cast<size_t>(k * n));
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = 0; i < k; ++i) {
        int64_t b = j * blocks + i / block;
        float zero = bits == 4 ? 8.0f : 128.0f;
        if (zeroKind == 1)
          zero = static_cast<float>(at(zeros.data() + j * zeroBytes, i / block));
        if (zeroKind == 2)
          zero = floatZeros[static_cast<size_t>(b)];
        wide[static_cast<size_t>(i * n + j)] =
            (static_cast<float>(at(codes.data() + b * codeBytes, i % block)) - zero) *
            scales[static_cast<size_t>(b)];
      }
  }
};

TEST_P(QuantizedTest, Products) {
  for (int bits : {4, 8})
    for (int zeroKind : {0, 1, 2})
      for (int64_t block : {16, 32, 128})
        for (int64_t k : {16, 70, 256})
          for (int64_t n : {1, 16, 49}) {
            Weight w(k, n, block, bits, zeroKind);
            QuantizedMatrix b(w.source);
            auto bias = randoms(n, 8);
            Epilogue e;
            e.bias = bias.data();
            for (int64_t m : {0, 1, 2, 3, 4, 5, 15, 40}) {
              SCOPED_TRACE(testing::Message() << bits << " bits, zeros " << zeroKind << ", block "
                                              << block << ", " << m << "x" << n << "x" << k);
              auto a = randoms(m * (k + 1), 9);
              std::vector<float> c(static_cast<size_t>(m * n)), expected = c;
              reference::gemm(m, n, k, a.data(), k + 1, false, w.wide.data(), n, false,
                              expected.data(), n, e);
              gemm(a.data(), k + 1, m, b, c.data(), n, e);
              ASSERT_NO_FATAL_FAILURE(expectClose(c, expected, 2e-5f));
            }
          }
}

TEST_P(QuantizedTest, Refusals) {
  Weight w(16, 4, 16, 4, 0);
  w.source.bits = 2;
  EXPECT_THROW(QuantizedMatrix{w.source}, uoe::rt::Error);
  w.source.bits = 4;
  w.source.block = 12;
  EXPECT_THROW(QuantizedMatrix{w.source}, uoe::rt::Error);
}

} // namespace
