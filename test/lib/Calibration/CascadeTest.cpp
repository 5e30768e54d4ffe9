#include "uoe/calibration/Cascade.h"
#include "Synthetic.h"
#include "runtime/core/ThreadPool.h"
#include <gtest/gtest.h>

using namespace uoe::calibration;
using namespace uoe::calibration::test;

namespace {

struct Fixture {
  Synthetic s;
  FfnWeights w;
  MatrixTokens tokens;
  CalibrationData data;
  explicit Fixture(bool gated) : s(24, 80, 20, 800, gated), w(s.weights()), tokens(s.x) {
    data.inputs = &tokens;
  }
};

class Cascades : public testing::TestWithParam<bool> {};

TEST_P(Cascades, nothingDroppedIsTheDenseBlock) {
  Fixture t(GetParam());
  CascadePlan plan;
  CascadeOptions options;
  options.budget = 1;
  ASSERT_TRUE(calibrateCascade(t.w, t.data, options, plan).ok());
  // Zeros of a ReLU add nothing and are dropped all the same.
  for (float threshold :
       {plan.gateThreshold, plan.activeThreshold, plan.upThreshold, plan.downThreshold})
    EXPECT_EQ(threshold, 0);
  EXPECT_LE(plan.cost, 1);
  EXPECT_GT(plan.cost, 0.95);
  Matrix y;
  ASSERT_TRUE(runCascade(t.w, plan, t.s.x, y).ok());
  EXPECT_LT(relativeError(y, naive(t.w, t.s.x)), 1e-9);
}

TEST_P(Cascades, thresholdsMeetTheRates) {
  Fixture t(GetParam());
  CascadeRates rates{.2, t.w.gated() ? .8 : 1, t.w.gated() ? .3 : 0, .5};
  CascadeOptions options;
  options.heldOut = 0;
  CascadePlan plan;
  ASSERT_TRUE(calibrateCascade(t.w, t.data, options, rates, plan).ok());
  EXPECT_NEAR(plan.realised.gateDropped, rates.gateDropped, 1e-3);
  EXPECT_NEAR(plan.realised.gateKept, rates.gateKept, 1e-3);
  EXPECT_NEAR(plan.realised.upDropped, rates.upDropped, 1e-3);
  EXPECT_NEAR(plan.realised.downKept, rates.downKept, 1e-3);
  EXPECT_NEAR(plan.cost, cascadeCost(t.w, rates), 1e-3);
  double cost;
  Matrix y;
  ASSERT_TRUE(runCascade(t.w, plan, t.s.x, y, &cost).ok());
  EXPECT_DOUBLE_EQ(cost, plan.cost);
  EXPECT_NEAR(relativeError(y, naive(t.w, t.s.x)), plan.error, 1e-6);
}

TEST_P(Cascades, runsByItsEquations) {
  Fixture t(GetParam());
  const FfnWeights &w = t.w;
  CascadePlan p;
  CascadeOptions options;
  options.budget = 0.6;
  options.search = false;
  ASSERT_TRUE(calibrateCascade(w, t.data, options, p).ok());
  Matrix y, few(30, 24);
  std::copy(t.s.x.values.begin(), t.s.x.values.begin() + 30 * 24, few.values.begin());
  ASSERT_TRUE(runCascade(w, p, few, y).ok());
  Matrix expected(30, 20);
  for (int64_t r = 0; r < 30; ++r) {
    std::vector<double> sum(p.outputBias.begin(), p.outputBias.end());
    for (int64_t j = 0; j < w.neurons(); ++j) {
      float g = p.gateOffset[j], u = w.gated() ? p.upOffset[j] : 1;
      for (int64_t i = 0; i < 24; ++i) {
        float z = few(r, i) - p.mean[i];
        if (std::abs(z) * p.gateNorm[i] > p.gateThreshold)
          g += z * w.gate(i, j);
        if (w.gated() && std::abs(z) * p.upNorm[i] > p.upThreshold)
          u += z * w.up(i, j);
      }
      g = apply(w.activation, g);
      if (w.gated() && !(std::abs(g) * p.gateScale[j] > p.activeThreshold))
        continue;
      if (std::abs(g * u) * p.downNorm[j] > p.downThreshold)
        for (int64_t k = 0; k < 20; ++k)
          sum[k] += static_cast<double>(g * u) * w.down(j, k);
    }
    for (int64_t k = 0; k < 20; ++k)
      expected(r, k) = static_cast<float>(sum[k]);
  }
  EXPECT_LT(relativeError(y, expected), 1e-6);
}

TEST_P(Cascades, searchMeetsTheBudgetAndIsNoWorse) {
  Fixture t(GetParam());
  for (double budget : {0.85, 0.6, 0.4}) {
    CascadeOptions options;
    options.budget = budget;
    CascadePlan found, given;
    ASSERT_TRUE(calibrateCascade(t.w, t.data, options, found).ok());
    options.search = false;
    ASSERT_TRUE(calibrateCascade(t.w, t.data, options, given).ok());
    EXPECT_NEAR(cascadeCost(t.w, found.rates), budget, 1e-6);
    EXPECT_NEAR(cascadeCost(t.w, given.rates), budget, 1e-6);
    EXPECT_NEAR(found.cost, budget, 0.04);
    EXPECT_LT(found.error, 1.1 * given.error);
  }
}

TEST_P(Cascades, sameBytesForAnyNumberOfThreads) {
  Fixture t(GetParam());
  CascadePlan plans[2];
  for (int threads : {1, 3}) {
    uoe::rt::ThreadPool::setGlobalThreads(threads);
    ASSERT_TRUE(calibrateCascade(t.w, t.data, {}, plans[threads / 2]).ok());
  }
  uoe::rt::ThreadPool::setGlobalThreads(0);
  EXPECT_EQ(plans[0].gateThreshold, plans[1].gateThreshold);
  EXPECT_EQ(plans[0].downThreshold, plans[1].downThreshold);
  EXPECT_EQ(plans[0].gateOffset, plans[1].gateOffset);
  EXPECT_EQ(plans[0].outputBias, plans[1].outputBias);
  EXPECT_EQ(plans[0].error, plans[1].error);
}

INSTANTIATE_TEST_SUITE_P(PlainAndGated, Cascades, testing::Bool());

TEST(Cascade, costIsTheShareOfMultiplyAdds) {
  Fixture t(true);
  t.w.down = MatrixView(t.s.down.values.data(), 80, 20);
  EXPECT_DOUBLE_EQ(cascadeCost(t.w, {}), 1);
  EXPECT_NEAR(cascadeCost(t.w, {.5, .5, .5, .5}), (12.0 + 6 + 10) / 68, 1e-12);
}

TEST(Cascade, interpolationGoesThroughItsPoints) {
  Matrix g(60, 90), d(90, 60);
  FfnWeights w;
  w.gate = w.up = g;
  w.down = d;
  double previous = 0;
  for (double budget = 1; budget > 0.05; budget -= 0.05) {
    CascadeRates r = interpolateRates(w, budget);
    EXPECT_NEAR(cascadeCost(w, r), budget, 1e-9);
    EXPECT_GE(r.gateDropped, previous);
    previous = r.gateDropped;
  }
}

TEST(Cascade, oneSideOfTheUpWeightCanBeMaskedAlone) {
  Fixture t(true);
  CascadeOptions options;
  options.budget = 0.6;
  CascadePlan neurons, channels;
  options.upMask = UpMask::Neurons;
  ASSERT_TRUE(calibrateCascade(t.w, t.data, options, neurons).ok());
  EXPECT_EQ(neurons.rates.upDropped, 0);
  EXPECT_LT(neurons.rates.gateKept, 1);
  options.upMask = UpMask::Channels;
  ASSERT_TRUE(calibrateCascade(t.w, t.data, options, channels).ok());
  EXPECT_EQ(channels.rates.gateKept, 1);
  EXPECT_GT(channels.rates.upDropped, 0);
  EXPECT_NEAR(cascadeCost(t.w, neurons.rates), 0.6, 1e-6);
  EXPECT_NEAR(cascadeCost(t.w, channels.rates), 0.6, 1e-6);
}

TEST(Cascade, curveFallsWithTheBudget) {
  Fixture t(true);
  LayerCurve curve;
  ASSERT_TRUE(cascadeCurve(t.w, t.data, {}, {0.4, 0.6, 0.8}, curve).ok());
  ASSERT_EQ(curve.points.size(), 3u);
  EXPECT_NEAR(curve.points[1].cost, 0.6, 1e-6);
  EXPECT_GT(curve.points[0].error, curve.points[1].error);
  EXPECT_GT(curve.points[1].error, curve.points[2].error);
  EXPECT_GT(curve.points[2].error, 0);
}

TEST(Cascade, refusesWrongTokens) {
  Fixture t(true);
  Matrix wrong(10, 23);
  MatrixTokens narrow(wrong);
  t.data.inputs = &narrow;
  CascadePlan plan;
  EXPECT_NE(calibrateCascade(t.w, t.data, {}, plan).message.find("expected 24"), std::string::npos);
}

} // namespace
