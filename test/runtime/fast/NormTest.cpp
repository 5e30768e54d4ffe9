#include "runtime/cpu/fast/Norm.h"
#include "Common.h"
#include "runtime/core/Error.h"

using namespace uoe::rt::fast;
using namespace uoe::rt::fast::test;

namespace {

class NormTest : public EveryIsa {};
UOE_EVERY_ISA(NormTest);

TEST_P(NormTest, LayerAndRms) {
  for (int64_t rows : {0, 1, 5, 300})
    for (int64_t n : {1, 15, 16, 64, 131, 384})
      for (int variant = 0; variant < 16; ++variant) {
        SCOPED_TRACE(testing::Message() << rows << "x" << n << " variant " << variant);
        auto x = randoms(rows * n, 1, 3), skip = randoms(rows * n, 2), gamma = randoms(n, 3),
             beta = randoms(n, 4), bias = randoms(n, 5);
        for (float &v : x)
          v += 2;
        std::vector<float> y(x.size()), sum(x.size()), mean(size_t(rows + 1)), inverse = mean;
        NormArgs a;
        a.rows = rows;
        a.n = n;
        a.x = x.data();
        a.y = y.data();
        a.rms = variant & 1;
        if (variant & 2) {
          a.skip = skip.data();
          a.skipBias = bias.data();
        }
        if (variant & 4) {
          a.gamma = gamma.data();
          a.beta = beta.data();
        }
        if (variant & 8) {
          a.sum = sum.data();
          a.mean = mean.data();
          a.inverse = inverse.data();
        }
        normalize(a);
        std::vector<float> expected, sums;
        for (int64_t r = 0; r < rows; ++r) {
          std::vector<double> s;
          double m = 0, square = 0;
          for (int64_t i = 0; i < n; ++i) {
            size_t at = size_t(r * n + i);
            s.push_back(x[at] + (a.skip ? skip[at] + bias[size_t(i)] : 0.0f));
            sums.push_back(static_cast<float>(s.back()));
            m += s.back() / double(n);
          }
          if (a.rms)
            m = 0;
          for (double v : s)
            square += (v - m) * (v - m) / double(n);
          double scale = 1 / std::sqrt(square + 1e-5);
          for (int64_t i = 0; i < n; ++i)
            expected.push_back(static_cast<float>((s[size_t(i)] - m) * scale *
                                                      (a.gamma ? gamma[size_t(i)] : 1.0f) +
                                                  (a.beta ? beta[size_t(i)] : 0.0f)));
          if (a.mean) {
            ASSERT_NEAR(mean[size_t(r)], m, 1e-5);
            ASSERT_NEAR(inverse[size_t(r)], scale, 1e-4 * scale);
          }
        }
        // One element has variance 0: what is left of it is rounding, scaled by 1/sqrt(eps).
        ASSERT_NO_FATAL_FAILURE(expectClose(y, expected, n == 1 ? 1e-3f : 5e-6f));
        if (a.sum) {
          ASSERT_NO_FATAL_FAILURE(expectClose(sum, sums));
        }
      }
}

TEST_P(NormTest, RepeatedSkipRowsAndInPlace) {
  auto x = randoms(6 * 20, 1), skip = randoms(2 * 20, 2);
  std::vector<float> full, expected(x.size());
  for (int i = 0; i < 3; ++i)
    full.insert(full.end(), skip.begin(), skip.end());
  NormArgs a;
  a.rows = 6;
  a.n = 20;
  a.x = x.data();
  a.skip = full.data();
  a.y = expected.data();
  normalize(a);
  a.skip = skip.data();
  a.skipRows = 2;
  a.y = x.data();
  normalize(a);
  EXPECT_EQ(x, expected);
}

TEST_P(NormTest, Softmax) {
  for (int64_t rows : {0, 1, 40})
    for (int64_t n : {1, 7, 16, 33, 600})
      for (bool logarithm : {false, true}) {
        auto x = randoms(rows * n, 1, 20);
        std::vector<float> expected, y(x.size());
        for (int64_t r = 0; r < rows; ++r) {
          double most = -INFINITY, total = 0;
          for (int64_t i = 0; i < n; ++i)
            most = std::max(most, double(x[size_t(r * n + i)]));
          for (int64_t i = 0; i < n; ++i)
            total += std::exp(double(x[size_t(r * n + i)]) - most);
          for (int64_t i = 0; i < n; ++i) {
            double v = double(x[size_t(r * n + i)]) - most;
            expected.push_back(
                static_cast<float>(logarithm ? v - std::log(total) : std::exp(v) / total));
          }
        }
        softmaxRows(x.data(), rows, n, y.data(), logarithm);
        ASSERT_NO_FATAL_FAILURE(expectClose(y, expected));
      }
  float row[18];
  std::fill(row, row + 18, -INFINITY);
  softmaxRows(row, 1, 18, row);
  EXPECT_TRUE(std::isnan(row[0]));
  std::fill(row, row + 18, -3.4028235e38f);
  softmaxRows(row, 1, 18, row);
  EXPECT_FLOAT_EQ(row[17], 1.0f / 18);
}

TEST_P(NormTest, Rotary) {
  for (int64_t size : {2, 12, 64})
    for (int64_t rotated : {int64_t(2), size})
      for (bool interleaved : {false, true}) {
        const int64_t batch = 2, heads = 3, length = 5, half = rotated / 2, rows = 20;
        auto x = randoms(batch * heads * length * size, 1), cos = randoms(rows * half, 2),
             sin = randoms(rows * half, 3);
        std::vector<int64_t> index;
        for (int64_t i = 0; i < batch * length; ++i)
          index.push_back((i * 7) % 17);
        std::vector<float> y(x.size()), expected(x.size());
        RotaryArgs a;
        a.batch = batch;
        a.heads = heads;
        a.positions = length;
        a.size = size;
        a.rotated = rotated;
        a.interleaved = interleaved;
        a.x = x.data();
        a.y = y.data();
        a.xStrides = {heads * length * size, length * size, size, 1};
        a.yStrides = {heads * length * size, size, heads * size, 1}; // transposed on the way
        a.cos = cos.data();
        a.sin = sin.data();
        a.rows = rows;
        a.index = index.data();
        a.indexStride = length;
        a.offset = 1;
        rotary(a);
        for (int64_t b = 0; b < batch; ++b)
          for (int64_t h = 0; h < heads; ++h)
            for (int64_t s = 0; s < length; ++s) {
              const float *from = x.data() + ((b * heads + h) * length + s) * size;
              float *to = expected.data() + ((b * length + s) * heads + h) * size;
              std::copy(from, from + size, to);
              int64_t p = index[size_t(b * length + s)] + 1;
              for (int64_t i = 0; i < half; ++i) {
                int64_t one = interleaved ? 2 * i : i, two = interleaved ? 2 * i + 1 : half + i;
                float c = cos[size_t(p * half + i)], n = sin[size_t(p * half + i)];
                to[one] = from[one] * c - from[two] * n;
                to[two] = from[two] * c + from[one] * n;
              }
            }
        expectClose(y, expected, 1e-6f);
        std::vector<float> place = x; // in place
        a.y = place.data();
        a.x = place.data();
        a.yStrides = a.xStrides;
        rotary(a);
        EXPECT_NEAR(place[0], expected[0], 1e-6f);
        index[3] = rows;
        EXPECT_THROW(rotary(a), uoe::rt::Error);
      }
}

} // namespace
