#include "runtime/cpu/fast/Gemm.h"
#include "Common.h"
#include "runtime/cpu/fast/Reference.h"
#include <cmath>
#include <cstring>
#include <limits>

using namespace uoe::rt::fast;
using namespace uoe::rt::fast::test;

namespace {

class GemmTest : public EveryIsa {};
UOE_EVERY_ISA(GemmTest);

size_t count(int64_t n) {
  return static_cast<size_t>(n);
}

TEST_P(GemmTest, PackedSizes) {
  for (int64_t m : {0, 1, 2, 3, 4, 5, 7, 13, 14, 15, 29, 100, 191})
    for (int64_t k : {0, 1, 3, 16, 67})
      for (int64_t n : {0, 1, 15, 16, 17, 48, 131}) {
        SCOPED_TRACE(testing::Message() << m << "x" << n << "x" << k);
        bool transposed = (m + n) % 2;
        auto a = randoms(m * (k + 3), 1), b = randoms(k * n, 2);
        std::vector<float> c(count(m * (n + 2)), 5.0f), expected = c;
        int64_t ldb = transposed ? k : n;
        PackedMatrix packed = pack(b.data(), k, n, transposed);
        gemm(a.data(), k + 3, m, packed, c.data(), n + 2);
        reference::gemm(m, n, k, a.data(), k + 3, false, b.data(), ldb, transposed, expected.data(),
                        n + 2);
        ASSERT_NO_FATAL_FAILURE(expectClose(c, expected));
      }
}

TEST_P(GemmTest, Epilogues) {
  for (int64_t m : {1, 6, 33}) {
    const int64_t k = 40, n = 55;
    auto a = randoms(m * k, 1), b = randoms(k * n, 2), bias = randoms(n, 3),
         residual = randoms(m * n, 4);
    PackedMatrix packed = pack(b.data(), k, n);
    for (int variant = 0; variant < 16; ++variant) {
      Epilogue e;
      if (variant & 1)
        e.bias = bias.data();
      if (variant & 2)
        e.act = Activation::Gelu;
      if (variant & 8)
        e.alpha = 0.5f;
      std::vector<float> c = residual, expected(count(m * n));
      if (variant & 4) { // in place: c holds the residual
        e.residual = residual.data();
        e.ldr = n;
        e.residualScale = -2.0f;
      }
      reference::gemm(m, n, k, a.data(), k, false, b.data(), n, false, expected.data(), n, e);
      if (variant & 4)
        e.residual = c.data();
      gemm(a.data(), k, m, packed, c.data(), n, e);
      ASSERT_NO_FATAL_FAILURE(expectClose(c, expected));
    }
  }
}

TEST_P(GemmTest, RowsAnywhere) {
  const int64_t k = 33, n = 50;
  auto a = randoms(40 * k, 1), b = randoms(k * n, 2);
  PackedMatrix packed = pack(b.data(), k, n);
  for (int64_t m : {3, 14, 37}) {
    std::vector<const float *> rows;
    std::vector<float> gathered, c(count(m * n)), expected(count(m * n));
    for (int64_t i = 0; i < m; ++i) {
      rows.push_back(a.data() + (i * 17 % 40) * k);
      gathered.insert(gathered.end(), rows.back(), rows.back() + k);
    }
    gemmRows(rows.data(), m, packed, c.data(), n);
    reference::gemm(m, n, k, gathered.data(), k, false, b.data(), n, false, expected.data(), n);
    expectClose(c, expected);
  }
}

TEST_P(GemmTest, OneRowEqualsTheSameRowOfABatch) {
  const int64_t k = 300, n = 75, m = 61;
  auto a = randoms(m * k, 1), b = randoms(k * n, 2);
  for (auto type : {ElementType::F32, ElementType::BF16, ElementType::F16}) {
    PackedMatrix packed = pack(b.data(), k, n, false, 0, type);
    std::vector<float> batch(count(m * n)), row(count(n)), serial(count(m * n));
    gemm(a.data(), k, m, packed, batch.data(), n);
    for (int64_t i = 0; i < m; ++i) {
      gemm(a.data() + i * k, k, 1, packed, row.data(), n);
      ASSERT_EQ(0, std::memcmp(row.data(), batch.data() + i * n, count(n) * 4)) << "row " << i;
    }
    uoe::rt::ThreadPool::setGlobalThreads(1);
    gemm(a.data(), k, m, packed, serial.data(), n);
    uoe::rt::ThreadPool::setGlobalThreads(0);
    ASSERT_EQ(0, std::memcmp(serial.data(), batch.data(), serial.size() * 4));
  }
}

TEST_P(GemmTest, RoundedWeights) {
  const int64_t k = 70, n = 37;
  for (auto type : {ElementType::BF16, ElementType::F16}) {
    auto b = randoms(k * n, 2);
    PackedMatrix packed = pack(b.data(), k, n, false, 0, type);
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < n; ++j)
        ASSERT_NEAR(packed.at(i, j), b[count(i * n + j)],
                    type == ElementType::BF16 ? 1.0 / 256 : 1.0 / 2048);
  }
}

// Weights of a narrow type give the bits of the same weights as floats, whatever the rows.
TEST_P(GemmTest, ExactTypes) {
  const int64_t k = 70, n = 37;
  for (auto type : {ElementType::BF16, ElementType::F16})
    for (bool transposed : {false, true}) {
      auto b = randoms(k * n, 2);
      roundTo(type, b);
      PackedMatrix wide = pack(b.data(), k, n, transposed),
                   narrow = packExact(b.data(), k, n, transposed);
      EXPECT_EQ(narrow.type(), type);
      EXPECT_EQ(narrow.bytes() * 2, wide.bytes());
      for (int64_t m : {1, 2, 3, 4, 9, 14, 15, 45, 200}) {
        SCOPED_TRACE(m);
        auto a = randoms(m * k, 1);
        std::vector<float> c(count(m * n)), expected(count(m * n));
        gemm(a.data(), k, m, narrow, c.data(), n);
        gemm(a.data(), k, m, wide, expected.data(), n);
        ASSERT_EQ(0, std::memcmp(c.data(), expected.data(), c.size() * sizeof(float)));
      }
    }
}

TEST(ElementTypes, Exact) {
  auto of = [](std::vector<float> x) {
    return exactType({{x.data(), static_cast<int64_t>(x.size())}});
  };
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(of({}), ElementType::BF16);
  EXPECT_EQ(of({0.0f, -0.0f, 1.0f, -1.5f}), ElementType::BF16);
  EXPECT_EQ(of({1e30f}), ElementType::F32);
  EXPECT_EQ(of({0x1p100f}), ElementType::BF16);
  EXPECT_EQ(of({1 + 0x1p-10f, 65504.0f, 0x1p-24f, -0x3p-24f}), ElementType::F16);
  EXPECT_EQ(of({1 + 0x1p-10f, 0x1p-25f}), ElementType::F32);
  EXPECT_EQ(of({1 + 0x1p-10f, 65536.0f}), ElementType::F32);
  EXPECT_EQ(of({1 + 0x1p-11f}), ElementType::F32);
  EXPECT_EQ(of({infinity}), ElementType::F32);
  EXPECT_EQ(of({std::nanf("")}), ElementType::F32);
  // The last of many, and of several ranges.
  std::vector<float> many(100000, 1.0f), half(3, 1 + 0x1p-9f);
  EXPECT_EQ(exactType({{many.data(), 100000}, {}, {half.data(), 3}}), ElementType::F16);
  many.back() = 1 + 0x1p-20f;
  EXPECT_EQ(exactType({{half.data(), 3}, {many.data(), 100000}}), ElementType::F32);
}

// Every half float but those that are not finite, as the kernels widen them.
TEST_P(GemmTest, HalfsWiden) {
  std::vector<float> b;
  for (uint32_t bits = 0; bits < 0x10000; ++bits)
    if ((bits & 0x7c00) != 0x7c00)
      b.push_back(fromBits(ElementType::F16, static_cast<uint16_t>(bits)));
  const auto n = static_cast<int64_t>(b.size());
  PackedMatrix packed = packExact(b.data(), 1, n);
  ASSERT_EQ(packed.type(), ElementType::F16);
  const float one = 1;
  std::vector<float> c(b.size());
  gemm(&one, 1, 1, packed, c.data(), n);
  for (size_t i = 0; i < b.size(); ++i)
    ASSERT_EQ(c[i], b[i]) << i;
}

TEST_P(GemmTest, Unpacked) {
  for (int64_t m : {1, 3, 4, 5, 30})
    for (int64_t n : {1, 16, 31, 70})
      for (int64_t k : {0, 1, 20, 65})
        for (int flags = 0; flags < 8; ++flags) {
          SCOPED_TRACE(testing::Message() << m << "x" << n << "x" << k << " flags " << flags);
          bool ta = flags & 1, tb = flags & 2;
          float beta = flags & 4 ? 0.5f : 0.0f;
          int64_t lda = (ta ? m : k) + 1, ldb = (tb ? k : n) + 2;
          auto a = randoms((ta ? k : m) * lda, 1), b = randoms((tb ? n : k) * ldb, 2);
          auto c = randoms(m * n, 3), old = c;
          std::vector<float> expected(c.size());
          Epilogue e;
          e.alpha = 0.25f;
          e.residual = old.data();
          e.ldr = n;
          e.residualScale = beta;
          reference::gemm(m, n, k, a.data(), lda, ta, b.data(), ldb, tb, expected.data(), n, e);
          if (beta == 0)
            c.assign(c.size(), std::nanf("")); // must not be read
          gemmUnpacked(m, n, k, a.data(), lda, ta, b.data(), ldb, tb, c.data(), n, 0.25f, beta);
          ASSERT_NO_FATAL_FAILURE(expectClose(c, expected));
        }
}

TEST_P(GemmTest, BatchedWithBroadcast) {
  const int64_t batch = 6, m = 20, n = 33, k = 18;
  auto a = randoms(2 * m * k, 1), b = randoms(3 * k * n, 2);
  std::vector<int64_t> oa, ob, oc;
  for (int64_t i = 0; i < batch; ++i) {
    oa.push_back(i % 2 * m * k);
    ob.push_back(i / 2 * k * n);
    oc.push_back(i * m * n);
  }
  std::vector<float> c(count(batch * m * n)), expected(c.size());
  gemmBatched(batch, {oa.data(), ob.data(), oc.data()}, m, n, k, a.data(), k, false, b.data(), n,
              false, c.data(), n);
  for (size_t i = 0; i < count(batch); ++i)
    reference::gemm(m, n, k, a.data() + oa[i], k, false, b.data() + ob[i], n, false,
                    expected.data() + oc[i], n);
  expectClose(c, expected);
}

TEST_P(GemmTest, NonFiniteValuesStayInTheirRowAndColumn) {
  const int64_t m = 20, k = 8, n = 20;
  auto a = randoms(m * k, 1), b = randoms(k * n, 2);
  a[3 * k] = std::nanf("");
  b[5] = INFINITY; // row 0, column 5
  std::vector<float> c(count(m * n));
  gemm(a.data(), k, m, pack(b.data(), k, n), c.data(), n);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      EXPECT_EQ(std::isfinite(c[count(i * n + j)]), i != 3 && j != 5) << i << " " << j;
}

} // namespace
