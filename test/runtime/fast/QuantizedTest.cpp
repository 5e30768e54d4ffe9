#include "runtime/cpu/fast/Quantized.h"
#include "Common.h"
#include "runtime/core/Error.h"
#include "runtime/cpu/fast/Reference.h"

using namespace uoe::rt::fast;
using namespace uoe::rt::fast::test;

namespace {

class QuantizedTest : public EveryIsa {};
UOE_EVERY_ISA(QuantizedTest);

TEST_P(QuantizedTest, Products) {
  for (int bits : {4, 8})
    for (int zeroKind : {0, 1, 2})
      for (int64_t block : {16, 32, 128})
        for (int64_t k : {16, 70, 256})
          for (int64_t n : {1, 16, 49}) {
            QuantizedWeight w(k, n, block, bits, zeroKind);
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
  QuantizedWeight w(16, 4, 16, 4, 0);
  w.source.bits = 2;
  EXPECT_THROW(QuantizedMatrix{w.source}, uoe::rt::Error);
  w.source.bits = 4;
  w.source.block = 12;
  EXPECT_THROW(QuantizedMatrix{w.source}, uoe::rt::Error);
}

} // namespace
