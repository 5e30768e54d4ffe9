#include "lib/Evaluation/Metrics.h"
#include "lib/Evaluation/Statistics.h"
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>

using namespace uoe;
using rt::DType;

static rt::Tensor floats(const rt::Shape &shape, const std::vector<float> &values) {
  rt::Tensor tensor(DType::F32, shape);
  std::copy(values.begin(), values.end(), tensor.data<float>());
  return tensor;
}

TEST(Difference, RelativeToTheLargestMagnitude) {
  Difference found = difference(floats({3}, {1, -8, 2}), floats({3}, {1, -8, 2.5f}));
  EXPECT_DOUBLE_EQ(found.maxAbs, 0.5);
  EXPECT_DOUBLE_EQ(found.relative(), 0.5 / 8);
  EXPECT_EQ(found.at, 2);
}

TEST(Difference, NonFiniteMustBeAtTheSamePlaces) {
  float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(difference(floats({3}, {nan, inf, 1}), floats({3}, {nan, inf, 1})).maxAbs, 0);
  EXPECT_TRUE(std::isinf(difference(floats({1}, {nan}), floats({1}, {1})).maxAbs));
  EXPECT_TRUE(std::isinf(difference(floats({1}, {1}), floats({1}, {nan})).maxAbs));
  EXPECT_TRUE(std::isinf(difference(floats({1}, {inf}), floats({1}, {-inf})).maxAbs));
}

TEST(Difference, ZeroAndEmpty) {
  EXPECT_EQ(difference(floats({2}, {0, 0}), floats({2}, {0, 0})).relative(), 0);
  EXPECT_FLOAT_EQ(difference(floats({1}, {0}), floats({1}, {0.25f})).relative(), 0.25);
  EXPECT_EQ(difference(floats({0, 3}, {}), floats({0, 3}, {})).relative(), 0);
}

TEST(Difference, TypesAndShapes) {
  EXPECT_NE(difference(floats({2}, {0, 0}), floats({1, 2}, {0, 0})).mismatch, "");
  EXPECT_NE(difference(rt::makeInts({1}), floats({1}, {1})).mismatch, "");
  rt::Value none, sequence;
  sequence.kind = rt::Value::Kind::Sequence;
  EXPECT_NE(difference(none, sequence).mismatch, "");
  EXPECT_EQ(difference(none, none).mismatch, "");
  rt::Value two = sequence;
  sequence.sequence = {rt::makeInts({1})};
  two.sequence = {rt::makeInts({1}), rt::makeInts({2})};
  EXPECT_NE(difference(sequence, two).mismatch, "");
  rt::Value other = two;
  other.sequence[1] = rt::makeInts({5});
  EXPECT_EQ(difference(two, other).maxAbs, 3);
}

TEST(Difference, WideIntegersAreExact) {
  int64_t big = int64_t(1) << 60; // double has 53 bits
  EXPECT_EQ(difference(rt::makeInts({big}), rt::makeInts({big + 1})).maxAbs, 1);
  EXPECT_EQ(difference(rt::makeInts({big}), rt::makeInts({big})).maxAbs, 0);
}

TEST(Summary, CountsWhatIsNotFinite) {
  Summary summary = summarize(floats({4}, {1, 3, std::nanf(""), INFINITY}));
  EXPECT_EQ(summary.min, 1);
  EXPECT_EQ(summary.mean, 2);
  EXPECT_EQ(summary.max, 3);
  EXPECT_EQ(summary.nans, 1);
  EXPECT_EQ(summary.infinities, 1);
}

TEST(Numbers, SmallTypes) {
  auto one = [](DType type, uint8_t bits) {
    rt::Tensor tensor(type, {1});
    tensor.data<uint8_t>()[0] = bits;
    double value;
    readNumbers(tensor, 0, 1, &value);
    return value;
  };
  EXPECT_EQ(one(DType::I4, 0x0f), -1);
  EXPECT_EQ(one(DType::U4, 0x0f), 15);
  EXPECT_EQ(one(DType::F4E2M1, 0x7), 6);
  EXPECT_EQ(one(DType::F8E4M3FN, 0x7e), 448);
  EXPECT_TRUE(std::isnan(one(DType::F8E4M3FN, 0x7f)));
  EXPECT_EQ(one(DType::F8E4M3FN, 0x01), std::ldexp(1, -9));
  EXPECT_EQ(one(DType::F8E5M2, 0x7b), 57344);
  EXPECT_EQ(one(DType::F8E5M2, 0xfc), -INFINITY);
  EXPECT_EQ(one(DType::F8E4M3FNUZ, 0x7f), 240);
  EXPECT_TRUE(std::isnan(one(DType::F8E5M2FNUZ, 0x80)));
}

TEST(Rows, CosineAndArgmax) {
  rt::Tensor a = floats({2, 2}, {1, 0, 0, 2}), b = floats({2, 2}, {3, 0, 1, 0});
  EXPECT_DOUBLE_EQ(meanCosine(a, b), 0.5);
  EXPECT_DOUBLE_EQ(argmaxAgreement(a, b), 0.5);
  EXPECT_DOUBLE_EQ(meanCosine(floats({1, 2}, {0, 0}), floats({1, 2}, {0, 0})), 1);
}

TEST(Softmax, LogSumExpAndDivergence) {
  // An odd length: blocks, vectors and remainder all take part.
  std::vector<float> p(5003), q(5003);
  for (size_t i = 0; i < p.size(); ++i) {
    p[i] = 8 * std::sin(0.37f * static_cast<float>(i)) + 30;
    q[i] = p[i] + std::cos(1.1f * static_cast<float>(i));
  }
  auto exact = [](const std::vector<float> &row) {
    double sum = 0;
    for (float value : row)
      sum += std::exp(static_cast<double>(value) - 40);
    return std::log(sum) + 40;
  };
  double logP = exact(p), logQ = exact(q), expected = 0;
  for (size_t i = 0; i < p.size(); ++i)
    expected += std::exp(p[i] - logP) * ((p[i] - logP) - (q[i] - logQ));
  int64_t count = static_cast<int64_t>(p.size());
  EXPECT_NEAR(logSumExp(p.data(), count), logP, 1e-6);
  EXPECT_NEAR(divergence(p.data(), q.data(), count), expected, 1e-5);
  EXPECT_NEAR(divergence(p.data(), p.data(), count), 0, 1e-6);
  std::vector<float> far = {0, -1000, -INFINITY};
  EXPECT_EQ(logSumExp(far.data(), 3), 0);
}

TEST(Sample, Quantiles) {
  Sample sample({4, 1, 3, 2, 5});
  EXPECT_EQ(sample.median(), 3);
  EXPECT_EQ(sample.quantile(0.1), 1.4);
  EXPECT_EQ(sample.spread(), 2);
  EXPECT_EQ(sample.max(), 5);
  EXPECT_TRUE(std::isnan(Sample().median()));
}

TEST(Repeat, RunsEnough) {
  int calls = 0;
  EXPECT_EQ(repeat({2, 5, 0, 100}, [&] { ++calls; }).size(), 5u);
  EXPECT_EQ(calls, 7);
  EXPECT_EQ(repeat({0, 1, 1e9, 3}, [] {}).size(), 3u);
}

TEST(Memory, IsReported) {
  Memory now = memory();
  EXPECT_GT(now.peak, size_t(1) << 20);
  EXPECT_GE(now.peak + (64 << 20), now.anonymous);
}
