// The vectorised functions against the C library in double, over the whole range.
#include "runtime/cpu/fast/Activation.h"
#include "Common.h"
#include "runtime/cpu/fast/Reference.h"
#include <cstring>

using namespace uoe::rt::fast;
using namespace uoe::rt::fast::test;

namespace {

class ActivationTest : public EveryIsa {};
UOE_EVERY_ISA(ActivationTest);

double ulp(float x) {
  float a = std::fabs(x);
  return a < 1.17549435e-38f ? 1.4012984643e-45 : double(std::nextafter(a, INFINITY)) - double(a);
}

const Activation all[] = {Activation::Identity, Activation::Relu,     Activation::Relu2,
                          Activation::Gelu,     Activation::GeluTanh, Activation::QuickGelu,
                          Activation::Silu,     Activation::Sigmoid,  Activation::Tanh,
                          Activation::Exp,      Activation::Erf};

TEST_P(ActivationTest, WithinThreeUlp) {
  // Every 4001st float of both signs.
  std::vector<float> x;
  for (uint64_t bits = 0; bits < 0x7f800000u; bits += 4001)
    for (uint32_t sign : {0u, 0x80000000u}) {
      uint32_t word = static_cast<uint32_t>(bits) | sign;
      float value;
      std::memcpy(&value, &word, 4);
      x.push_back(value);
    }
  std::vector<float> y(x.size());
  for (Activation act : {Activation::Exp, Activation::Erf, Activation::Tanh, Activation::Sigmoid}) {
    activate(act, x.data(), y.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      float expected = reference::activate(act, x[i]);
      if (std::fabs(expected) < 1e-37f || std::isinf(expected)) {
        ASSERT_TRUE(std::fabs(y[i]) < 1.1e-37f || y[i] == expected) << x[i] << " gives " << y[i];
        continue;
      }
      ASSERT_LE(std::fabs(double(y[i]) - double(expected)), 3.01 * ulp(expected))
          << static_cast<int>(act) << "(" << x[i] << ") = " << y[i] << ", not " << expected;
    }
  }
}

TEST_P(ActivationTest, GeluFamily) {
  std::vector<float> x;
  for (float v = -20; v < 20; v += 0.00137f)
    x.push_back(v);
  std::vector<float> y(x.size());
  for (Activation act : {Activation::Gelu, Activation::GeluTanh, Activation::QuickGelu,
                         Activation::Silu, Activation::Relu, Activation::Relu2}) {
    activate(act, x.data(), y.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      float expected = reference::activate(act, x[i]);
      ASSERT_NEAR(y[i], expected, 4 * ulp(expected) + 1e-7)
          << static_cast<int>(act) << "(" << x[i] << ")";
    }
  }
}

TEST_P(ActivationTest, SpecialValuesAndTails) {
  const float nan = std::nanf(""), inf = INFINITY;
  for (Activation act : all) {
    for (int64_t n : {0, 1, 15, 16, 17, 33}) {
      std::vector<float> x = randoms(n, 3, 4), y(static_cast<size_t>(n) + 1, 77.0f);
      activate(act, x.data(), y.data(), n);
      for (int64_t i = 0; i < n; ++i)
        ASSERT_NEAR(y[size_t(i)], reference::activate(act, x[size_t(i)]), 1e-5);
      ASSERT_EQ(y[size_t(n)], 77.0f) << "written beyond the end";
    }
    float x[3] = {nan, inf, -0.0f}, y[3];
    activate(act, x, y, 3);
    EXPECT_TRUE(std::isnan(y[0])) << static_cast<int>(act);
    EXPECT_EQ(y[1], reference::activate(act, inf)) << static_cast<int>(act);
    EXPECT_EQ(y[2], reference::activate(act, -0.0f)) << static_cast<int>(act);
  }
}

TEST_P(ActivationTest, Gated) {
  auto gate = randoms(100, 1, 5), up = randoms(100, 2, 5);
  std::vector<float> y(100), expected(100);
  for (size_t i = 0; i < 100; ++i)
    expected[i] = reference::activate(Activation::Silu, gate[i]) * up[i];
  activateGated(Activation::Silu, gate.data(), up.data(), y.data(), 100);
  expectClose(y, expected);
}

} // namespace
