#include "runtime/cpu/fast/Gemm.h"
#include "Common.h"
#include "runtime/cpu/fast/Reference.h"
#include <cstring>

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
  for (auto type : {PackedMatrix::Type::F32, PackedMatrix::Type::BF16}) {
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

TEST_P(GemmTest, Bfloat16Weights) {
  const int64_t k = 70, n = 37;
  auto b = randoms(k * n, 2);
  PackedMatrix packed = pack(b.data(), k, n, false, 0, PackedMatrix::Type::BF16);
  std::vector<float> rounded(count(k * n));
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < n; ++j) {
      rounded[count(i * n + j)] = packed.at(i, j);
      ASSERT_NEAR(packed.at(i, j), b[count(i * n + j)], 1.0 / 256);
    }
  for (int64_t m : {1, 4, 9, 45}) {
    auto a = randoms(m * k, 1);
    std::vector<float> c(count(m * n)), expected(count(m * n));
    gemm(a.data(), k, m, packed, c.data(), n);
    reference::gemm(m, n, k, a.data(), k, false, rounded.data(), n, false, expected.data(), n);
    expectClose(c, expected);
  }
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
