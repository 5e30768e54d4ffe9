#include "uoe/calibration/Experts.h"
#include "Synthetic.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>

using namespace uoe::calibration;
using namespace uoe::calibration::test;

namespace {

/// The plan's meaning, token by token and neuron by neuron.
Matrix naivePlan(const FfnWeights &w, const ExpertPlan &plan, MatrixView x) {
  FfnWeights plain = w;
  Matrix identity(w.neurons(), w.neurons());
  for (int64_t j = 0; j < w.neurons(); ++j)
    identity(j, j) = 1;
  plain.down = identity;
  plain.downBias = nullptr;
  Matrix h = naive(plain, x), y(x.rows, w.outputs());
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t k = 0; k < w.outputs(); ++k) {
      double sum = plan.outputBias[k];
      for (int64_t p = 0; p < plan.core; ++p)
        sum += h(t, plan.permutation[p]) * plan.down(p, k);
      int64_t p = plan.core;
      for (int64_t e = 0; e < plan.experts(); ++e) {
        float score = plan.routerBias[e];
        for (int64_t i = 0; i < w.inputs(); ++i)
          score += x(t, i) * plan.router(i, e);
        bool on = score >= plan.threshold;
        for (int64_t q = 0; q < plan.expertSizes[e]; ++q, ++p)
          if (on)
            sum += h(t, plan.permutation[p]) * plan.down(p, k);
        if (!on && !plan.skip.empty())
          sum += plan.skip(e, k);
      }
      for (int64_t r = 0; r < plan.linearIn.cols; ++r) {
        double z = 0;
        for (int64_t i = 0; i < w.inputs(); ++i)
          z += x(t, i) * plan.linearIn(i, r);
        sum += z * plan.linearOut(r, k);
      }
      y(t, k) = static_cast<float>(sum);
    }
  return y;
}

struct Case {
  int64_t d, f, n;
  bool gated;
  int64_t size;
};

class ExpertShapes : public testing::TestWithParam<Case> {};

TEST_P(ExpertShapes, planIsSoundAndMeansWhatItSays) {
  auto [d, f, n, gated, size] = GetParam();
  Synthetic s(d, f, n, 900, gated);
  FfnWeights w = s.weights();
  MatrixTokens tokens(s.x);
  CalibrationData data;
  data.inputs = &tokens;
  ExpertOptions options;
  options.expertSize = size;
  options.budget = 0.7;
  ExpertPlan plan;
  Status status = calibrateExperts(w, data, options, plan);
  ASSERT_TRUE(status.ok()) << status.message;

  std::vector<int64_t> sorted = plan.permutation, all(static_cast<size_t>(f));
  std::sort(sorted.begin(), sorted.end());
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(sorted, all);
  EXPECT_EQ(
      plan.core + std::accumulate(plan.expertSizes.begin(), plan.expertSizes.end(), int64_t{0}), f);
  EXPECT_NEAR(plan.cost, 0.7, 0.05);
  EXPECT_LE(plan.error, plan.errorMasked);
  EXPECT_LT(plan.error, 0.6);

  Matrix y, few(40, d);
  std::copy(s.x.values.begin(), s.x.values.begin() + 40 * d, few.values.begin());
  ASSERT_TRUE(runExperts(w, plan, few, y).ok());
  EXPECT_LT(relativeError(y, naivePlan(w, plan, few)), 1e-8);
  // The reported error and cost are what running the plan gives.
  double cost;
  ASSERT_TRUE(runExperts(w, plan, s.x, y, &cost).ok());
  EXPECT_NEAR(cost, plan.cost, 0.05);
  EXPECT_LT(relativeError(y, naive(w, s.x)), 1.3 * plan.error + 0.01);
}

INSTANTIATE_TEST_SUITE_P(Shapes, ExpertShapes,
                         testing::Values(Case{24, 128, 24, true, 8}, Case{24, 131, 24, true, 8},
                                         Case{24, 96, 20, false, 16}, Case{32, 100, 32, false, 4},
                                         Case{12, 40, 12, true, 16}));

TEST(Experts, fullBudgetIsTheDenseBlock) {
  Synthetic s(16, 50, 16, 200, true);
  FfnWeights w = s.weights();
  MatrixTokens tokens(s.x);
  CalibrationData data;
  data.inputs = &tokens;
  ExpertOptions options;
  options.budget = 1;
  ExpertPlan plan;
  ASSERT_TRUE(calibrateExperts(w, data, options, plan).ok());
  EXPECT_EQ(plan.experts(), 0);
  EXPECT_EQ(plan.core, 50);
  EXPECT_DOUBLE_EQ(plan.cost, 1);
  Matrix y;
  ASSERT_TRUE(runExperts(w, plan, s.x, y).ok());
  EXPECT_LT(relativeError(y, naive(w, s.x)), 1e-9);
}

TEST(Experts, compensationPays) {
  Synthetic s(24, 128, 24, 2000, true);
  FfnWeights w = s.weights();
  MatrixTokens tokens(s.x);
  CalibrationData data;
  data.inputs = &tokens;
  ExpertOptions options;
  options.expertSize = 8;
  options.budget = 0.6;
  ExpertPlan bare, refitted, skips, full, linear;
  options.refit = options.skipVectors = false;
  ASSERT_TRUE(calibrateExperts(w, data, options, bare).ok());
  options.refit = true;
  ASSERT_TRUE(calibrateExperts(w, data, options, refitted).ok());
  options.refit = false;
  options.skipVectors = true; // which are paid for, so that fewer experts run
  ASSERT_TRUE(calibrateExperts(w, data, options, skips).ok());
  options.refit = true;
  ASSERT_TRUE(calibrateExperts(w, data, options, full).ok());
  options.lowRank = 2;
  ASSERT_TRUE(calibrateExperts(w, data, options, linear).ok());
  EXPECT_TRUE(bare.skip.empty());
  EXPECT_LT(refitted.error, bare.error);
  EXPECT_LT(skips.error, skips.errorMasked);
  EXPECT_LT(full.error, skips.error);
  EXPECT_EQ(linear.linearIn.cols, 2);
  EXPECT_NEAR(linear.cost, 0.6, 0.03); // the linear term is paid for
  Matrix y;
  ASSERT_TRUE(runExperts(w, linear, s.x, y).ok());
  EXPECT_LT(relativeError(y, naivePlan(w, linear, s.x)), 1e-8);
}

TEST(Experts, sameBytesForAnyNumberOfThreads) {
  Synthetic s(24, 131, 24, 700, true);
  FfnWeights w = s.weights();
  MatrixTokens tokens(s.x);
  CalibrationData data;
  data.inputs = &tokens;
  ExpertPlan plans[2];
  for (int threads : {1, 3}) {
    uoe::rt::ThreadPool::setGlobalThreads(threads);
    ASSERT_TRUE(calibrateExperts(w, data, {}, plans[threads / 2]).ok());
  }
  uoe::rt::ThreadPool::setGlobalThreads(0);
  EXPECT_EQ(plans[0].permutation, plans[1].permutation);
  EXPECT_EQ(plans[0].router.values, plans[1].router.values);
  EXPECT_EQ(plans[0].threshold, plans[1].threshold);
  EXPECT_EQ(plans[0].down.values, plans[1].down.values);
  EXPECT_EQ(plans[0].skip.values, plans[1].skip.values);
  EXPECT_EQ(plans[0].error, plans[1].error);
}

TEST(Experts, thresholdFollowsOtherTokens) {
  Synthetic s(24, 128, 24, 900, true);
  FfnWeights w = s.weights();
  MatrixTokens tokens(s.x);
  CalibrationData data;
  data.inputs = &tokens;
  ExpertOptions options;
  options.expertSize = 8;
  ExpertPlan plan;
  ASSERT_TRUE(calibrateExperts(w, data, options, plan).ok());
  Matrix other = s.x, y;
  for (float &v : other.values)
    v *= 1.3f;
  ASSERT_TRUE(setThreshold(w, MatrixTokens(other), 0.6, plan).ok());
  double cost;
  ASSERT_TRUE(runExperts(w, plan, other, y, &cost).ok());
  EXPECT_NEAR(cost, 0.6, 0.005);
  EXPECT_LE(cost, 0.6);
}

TEST(Experts, targetsAndWeightsAreUsed) {
  Synthetic s(16, 64, 16, 800, true);
  FfnWeights w = s.weights();
  Matrix twice = naive(w, s.x);
  for (float &v : twice.values)
    v = 2 * v + 1;
  MatrixTokens tokens(s.x), targets(twice);
  std::vector<float> weight(800, 1.0f);
  CalibrationData data;
  data.inputs = &tokens;
  data.targets = &targets;
  data.tokenWeights = weight.data();
  ExpertOptions options;
  options.expertSize = 8;
  options.refitRidge = {1e-3};
  ExpertPlan plan, unweighted;
  ASSERT_TRUE(calibrateExperts(w, data, options, plan).ok());
  Matrix y;
  ASSERT_TRUE(runExperts(w, plan, s.x, y).ok());
  EXPECT_LT(relativeError(y, twice), 0.2);
  data.tokenWeights = nullptr;
  ASSERT_TRUE(calibrateExperts(w, data, options, unweighted).ok());
  EXPECT_EQ(unweighted.down.values, plan.down.values);
  for (size_t t = 0; t < 400; ++t)
    weight[t] = 0;
  data.tokenWeights = weight.data();
  ASSERT_TRUE(calibrateExperts(w, data, options, plan).ok());
  EXPECT_NE(unweighted.down.values, plan.down.values);
}

TEST(Experts, curveFallsWithTheBudget) {
  Synthetic s(24, 128, 24, 900, true);
  FfnWeights w = s.weights();
  MatrixTokens tokens(s.x);
  CalibrationData data;
  data.inputs = &tokens;
  ExpertOptions options;
  options.expertSize = 8;
  ExpertPlan plan;
  ASSERT_TRUE(calibrateExperts(w, data, options, plan).ok());
  LayerCurve curve;
  ASSERT_TRUE(expertCurve(w, data, plan, {0.01, 0.5, 0.75, 0.9}, curve).ok());
  ASSERT_EQ(curve.points.size(), 3u); // the first is out of reach
  EXPECT_GT(curve.points[0].error, curve.points[1].error);
  EXPECT_GT(curve.points[1].error, curve.points[2].error);
  EXPECT_NEAR(curve.points[1].error, plan.error * plan.energy, plan.error * plan.energy);
}

TEST(Experts, refusesWhatItCannotUse) {
  Synthetic s(16, 64, 16, 100, true);
  FfnWeights w = s.weights();
  MatrixTokens tokens(s.x);
  CalibrationData data;
  ExpertPlan plan;
  EXPECT_NE(calibrateExperts(w, data, {}, plan).message.find("found none"), std::string::npos);
  data.inputs = &tokens;
  ExpertOptions options;
  options.budget = 0.01;
  EXPECT_NE(calibrateExperts(w, data, options, plan).message.find("expected a budget of at least"),
            std::string::npos);
  Matrix wrong(100, 15);
  MatrixTokens narrow(wrong);
  data.inputs = &narrow;
  EXPECT_NE(
      calibrateExperts(w, data, {}, plan).message.find("expected 16 values a token, found 15"),
      std::string::npos);
  data.inputs = &tokens;
  s.down(3, 3) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(calibrateExperts(w, data, {}, plan).message.find("down weight"), std::string::npos);
  w.up = MatrixView(s.up.values.data(), 16, 63);
  EXPECT_NE(calibrateExperts(w, data, {}, plan).message.find("[16, 64], found [16, 63]"),
            std::string::npos);
}

TEST(Experts, worksWithVeryFewTokensAndDeadNeurons) {
  Synthetic s(16, 64, 16, 3, true);
  for (int64_t i = 0; i < 16; ++i)
    for (int64_t j = 0; j < 20; ++j)
      s.up(i, j) = 0;
  for (int64_t j = 0; j < 20; ++j)
    s.upBias[j] = 0;
  FfnWeights w = s.weights();
  MatrixTokens tokens(s.x);
  CalibrationData data;
  data.inputs = &tokens;
  ExpertOptions options;
  options.expertSize = 8;
  ExpertPlan plan;
  ASSERT_TRUE(calibrateExperts(w, data, options, plan).ok());
  for (auto *values : {&plan.down.values, &plan.router.values, &plan.skip.values, &plan.outputBias})
    for (float v : *values)
      ASSERT_TRUE(std::isfinite(v));
}

} // namespace
