// Random operands and comparisons for the kernel tests, which run under every instruction set of
// the machine.
#pragma once
#include "runtime/core/ThreadPool.h"
#include "runtime/cpu/fast/Gemm.h"
#include "runtime/cpu/fast/Isa.h"
#include "runtime/cpu/fast/Quantized.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace uoe::rt::fast::test {

inline std::vector<float> randoms(int64_t count, unsigned seed, float scale = 1.0f) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> value(-scale, scale);
  std::vector<float> out(static_cast<size_t>(count));
  for (float &x : out)
    x = value(engine);
  return out;
}

/// Rounds every element to what `type` holds.
inline void roundTo(ElementType type, std::vector<float> &values) {
  for (float &x : values)
    x = rounded(type, x);
}

/// Every element within `tolerance` of the largest magnitude of `expected`; NaN only where
/// expected.
inline void expectClose(const std::vector<float> &found, const std::vector<float> &expected,
                        float tolerance = 2e-6f) {
  ASSERT_EQ(found.size(), expected.size());
  float largest = 0.25f;
  for (float x : expected)
    if (std::isfinite(x))
      largest = std::max(largest, std::fabs(x));
  for (size_t i = 0; i < found.size(); ++i) {
    if (std::isnan(expected[i]) || std::isinf(expected[i])) {
      ASSERT_TRUE(std::isnan(expected[i]) ? std::isnan(found[i]) : found[i] == expected[i])
          << "element " << i << ": " << found[i] << " for " << expected[i];
      continue;
    }
    ASSERT_LE(std::fabs(found[i] - expected[i]), tolerance * largest)
        << "element " << i << ": " << found[i] << " for " << expected[i];
  }
}

/// A random weight in 4 or 8 bits, without zero points (0), with codes (1) or floats (2) of them,
/// and as floats.
struct QuantizedWeight {
  std::vector<uint8_t> codes, zeros;
  std::vector<float> scales, floatZeros, wide; // wide: [k, n]
  QuantizedSource source;

  QuantizedWeight(int64_t k, int64_t n, int64_t block, int bits, int zeroKind, unsigned seed = 5) {
    const int64_t blocks = (k + block - 1) / block, codeBytes = block * bits / 8,
                  zeroBytes = (blocks * bits + 7) / 8;
    std::mt19937 engine(seed);
    for (int64_t i = 0; i < n * blocks * codeBytes; ++i)
      codes.push_back(static_cast<uint8_t>(engine()));
    for (int64_t i = 0; i < n * zeroBytes; ++i)
      zeros.push_back(static_cast<uint8_t>(engine()));
    scales = randoms(n * blocks, seed + 1, bits == 4 ? 0.1f : 0.01f);
    floatZeros = randoms(n * blocks, seed + 2, 9.0f);
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

/// A test case that runs once for each supported instruction set.
class EveryIsa : public ::testing::TestWithParam<Isa> {
protected:
  void SetUp() override { setIsa(GetParam()); }
  void TearDown() override { setIsa(supportedIsas().back()); }
};
inline std::string isaName(const ::testing::TestParamInfo<Isa> &info) {
  return nameOf(info.param);
}
#define UOE_EVERY_ISA(Suite)                                                                       \
  INSTANTIATE_TEST_SUITE_P(, Suite, ::testing::ValuesIn(supportedIsas()), isaName)

} // namespace uoe::rt::fast::test
