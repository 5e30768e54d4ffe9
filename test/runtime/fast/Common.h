// Random operands and comparisons for the kernel tests, which run under every instruction set of
// the machine.
#pragma once
#include "runtime/core/ThreadPool.h"
#include "runtime/cpu/fast/Gemm.h"
#include "runtime/cpu/fast/Isa.h"
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
