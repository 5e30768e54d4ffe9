#include "runtime/cpu/fast/Integers.h"
#include "Common.h"

using namespace uoe::rt::fast;
using namespace uoe::rt::fast::test;

namespace {

class IntegersTest : public EveryIsa {
protected:
  void TearDown() override {
    useByteDots(true);
    EveryIsa::TearDown();
  }
};
UOE_EVERY_ISA(IntegersTest);

// Bytes of the whole range, extremes more often than others.
std::vector<uint8_t> bytes(int64_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<uint8_t> values(static_cast<size_t>(count));
  for (uint8_t &value : values) {
    const unsigned draw = engine();
    value = draw % 5 == 0 ? 255 : draw % 5 == 1 ? 128 : draw % 5 == 2 ? 127 : uint8_t(draw >> 8);
  }
  return values;
}

int32_t valueOf(uint8_t byte, bool isSigned) {
  return isSigned ? static_cast<int8_t>(byte) : byte;
}

void check(int64_t m, int64_t n, int64_t k, bool signedA, bool signedB, int zeros) {
  SCOPED_TRACE(::testing::Message() << m << " x " << n << " x " << k << ", " << signedA << signedB
                                    << ", zeros " << zeros);
  const int64_t lda = k + 3, ldc = n + 2;
  const std::vector<uint8_t> a = bytes(m * lda, 1), b = bytes(k * n, 2);
  std::vector<int32_t> zeroA, zeroB;
  for (int64_t i = 0; i < m; ++i)
    zeroA.push_back(signedA ? static_cast<int32_t>(i % 256) - 128 : static_cast<int32_t>(i % 256));
  for (int64_t j = 0; j < n; ++j)
    zeroB.push_back(signedB ? 127 - static_cast<int32_t>(j % 256) : static_cast<int32_t>(j % 256));
  const IntegerZeros ofA{zeros ? zeroA.data() : nullptr, zeros == 2},
      ofB{zeros ? zeroB.data() : nullptr, zeros == 2};
  const IntegerMatrix packed(b.data(), signedB, k, n);
  std::vector<int32_t> c(static_cast<size_t>(m * ldc), -7);
  gemm(a.data(), signedA, lda, m, packed, ofA, ofB, c.data(), ldc);
  for (int64_t r = 0; r < m; ++r) {
    for (int64_t j = 0; j < n; ++j) {
      int64_t sum = 0;
      for (int64_t i = 0; i < k; ++i)
        sum += int64_t(valueOf(a[size_t(r * lda + i)], signedA) - ofA.at(r)) *
               (valueOf(b[size_t(i * n + j)], signedB) - ofB.at(j));
      ASSERT_EQ(c[size_t(r * ldc + j)], sum) << "row " << r << ", column " << j;
    }
    for (int64_t j = n; j < ldc; ++j)
      ASSERT_EQ(c[size_t(r * ldc + j)], -7);
  }
}

TEST_P(IntegersTest, EqualsTheSums) {
  for (const bool dots : {true, false}) {
    useByteDots(dots);
    for (const int64_t m : {1, 2, 5, 13, 40})
      for (const int64_t n : {1, 16, 33, 130})
        for (const int64_t k : {1, 3, 4, 65})
          check(m, n, k, m % 2, n % 2, static_cast<int>((m + n + k) % 3));
    for (const bool signedA : {false, true})
      for (const bool signedB : {false, true})
        for (const int zeros : {0, 1, 2})
          check(7, 21, 33, signedA, signedB, zeros);
    check(200, 300, 130, false, true, 2);
  }
}

TEST_P(IntegersTest, LongSumsAreExact) {
  for (const bool dots : {true, false}) {
    useByteDots(dots);
    check(3, 17, 32767, false, false, 1);
    check(3, 17, 32767, true, true, 2);
  }
}

TEST_P(IntegersTest, NothingToDo) {
  check(0, 5, 4, false, true, 0);
  check(3, 0, 4, false, true, 0);
  check(3, 5, 0, true, false, 2);
}

} // namespace
