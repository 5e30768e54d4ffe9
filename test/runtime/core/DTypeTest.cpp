#include "runtime/core/DType.h"
#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

using namespace uoe::rt;

namespace {

/// The value of a binary float with `fraction` mantissa bits, from its definition.
double valueOf(uint32_t bits, int exponentBits, int fractionBits) {
  int bias = (1 << (exponentBits - 1)) - 1;
  uint32_t fraction = bits & ((1u << fractionBits) - 1);
  int exponent = static_cast<int>(bits >> fractionBits) & ((1 << exponentBits) - 1);
  double sign = bits >> (exponentBits + fractionBits) & 1 ? -1 : 1;
  if (exponent == (1 << exponentBits) - 1)
    return fraction ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0)
    return sign * std::ldexp(fraction, 1 - bias - fractionBits);
  return sign * std::ldexp(fraction + (1u << fractionBits), exponent - bias - fractionBits);
}

/// All patterns must decode to their definition and encode to themselves; what lies between two
/// neighbours must go to the nearer one, and the middle to the even one.
template <typename T> void checkAll(int exponentBits, int fractionBits) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    T value;
    value.bits = static_cast<uint16_t>(bits);
    double expected = valueOf(bits, exponentBits, fractionBits);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(float(value))) << bits;
      ASSERT_TRUE(std::isnan(float(T(float(value))))) << bits;
      continue;
    }
    ASSERT_EQ(double(float(value)), expected) << bits;
    ASSERT_EQ(std::signbit(float(value)), std::signbit(expected)) << bits;
    ASSERT_EQ(T(float(value)).bits, bits);
    double next = valueOf(bits + 1, exponentBits, fractionBits);
    if ((bits & 0x7fff) == 0x7fff || !std::isfinite(next))
      continue;
    auto middle = static_cast<float>((expected + next) / 2);
    auto even = static_cast<uint16_t>(bits + (bits & 1));
    ASSERT_EQ(T(middle).bits, even) << bits;
    float towards = static_cast<float>(expected), away = static_cast<float>(next);
    ASSERT_EQ(T(std::nextafterf(middle, towards)).bits, bits);
    ASSERT_EQ(T(std::nextafterf(middle, away)).bits, bits + 1);
  }
}

TEST(DType, HalfRoundsToNearestEven) {
  checkAll<Half>(5, 10);
  EXPECT_EQ(Half(65519.99f).bits, 0x7bff);
  EXPECT_EQ(Half(65520.0f).bits, 0x7c00);
  EXPECT_EQ(Half(-1e30f).bits, 0xfc00);
  EXPECT_EQ(Half(1e-30f).bits, 0);
}

TEST(DType, BFloat16RoundsToNearestEven) {
  checkAll<BFloat16>(8, 7);
  EXPECT_EQ(BFloat16(std::numeric_limits<float>::max()).bits, 0x7f80);
}

TEST(DType, SizesAndNames) {
  EXPECT_EQ(bytesOf(DType::F32, 3), 12u);
  EXPECT_EQ(bytesOf(DType::I4, 3), 2u);
  EXPECT_EQ(bytesOf(DType::I4, 0), 0u);
  EXPECT_EQ(bytesOf(DType::C128, 2), 32u);
  EXPECT_STREQ(nameOf(DType::BF16), "bfloat16");
  EXPECT_STREQ(nameOf(DType::F8E8M0), "float8e8m0");
  EXPECT_EQ(bitsOf(DType::String), 0);
}

} // namespace
