#include "uoe/calibration/Merge.h"
#include "Synthetic.h"
#include <gtest/gtest.h>

using namespace uoe::calibration;
using namespace uoe::calibration::test;

namespace {

void copyColumn(Matrix &m, int64_t from, int64_t to, float scale) {
  for (int64_t i = 0; i < m.rows; ++i)
    m(i, to) = scale * m(i, from);
}

/// The merged block's output, by the dense definition on the kept neurons.
Matrix runMerged(const FfnWeights &w, const MergePlan &plan, MatrixView x) {
  auto columns = [&](MatrixView m) {
    Matrix r(m.rows, static_cast<int64_t>(plan.kept.size()));
    for (int64_t i = 0; i < r.rows; ++i)
      for (int64_t k = 0; k < r.cols; ++k)
        r(i, k) = m(i, plan.kept[k]);
    return r;
  };
  Matrix g = columns(w.gate), u = w.gated() ? columns(w.up) : Matrix(),
         gb = columns({w.gateBias, 1, w.neurons()}),
         ub = w.gated() ? columns({w.upBias, 1, w.neurons()}) : Matrix();
  FfnWeights merged = w;
  merged.gate = g;
  merged.up = u;
  merged.down = plan.down;
  merged.gateBias = gb.values.data();
  merged.upBias = w.gated() ? ub.values.data() : nullptr;
  return naive(merged, x);
}

TEST(Merge, nothingToMergeKeepsEverything) {
  Synthetic s(16, 60, 16, 50, true);
  MergePlan plan;
  ASSERT_TRUE(mergeNeurons(s.weights(), nullptr, {}, plan).ok());
  EXPECT_EQ(plan.kept.size(), 60u);
  EXPECT_TRUE(plan.merged.empty());
  EXPECT_EQ(plan.down.values, s.down.values);
}

TEST(Merge, gatedDuplicatesWithAnyUpScaleAreExact) {
  Synthetic s(16, 60, 16, 50, true);
  for (auto [from, to, scale] : {std::tuple{3, 7, 1.0f}, {3, 40, -2.5f}, {10, 11, 0.3f}}) {
    copyColumn(s.gate, from, to, 1);
    copyColumn(s.up, from, to, scale);
    s.gateBias[to] = s.gateBias[from];
    s.upBias[to] = scale * s.upBias[from];
  }
  MergePlan plan;
  ASSERT_TRUE(mergeNeurons(s.weights(), nullptr, {}, plan).ok());
  ASSERT_EQ(plan.merged.size(), 3u);
  EXPECT_EQ(plan.merged[0].from, 7);
  EXPECT_EQ(plan.merged[0].into, 3);
  EXPECT_TRUE(plan.merged[2].exact);
  EXPECT_NEAR(plan.merged[2].scale, -2.5f, 1e-5f);
  EXPECT_LT(relativeError(runMerged(s.weights(), plan, s.x), naive(s.weights(), s.x)), 1e-9);
}

TEST(Merge, gateScaleMergesUnderReluAlone) {
  Synthetic s(16, 60, 16, 50, false);
  copyColumn(s.gate, 5, 20, 3.0f);
  s.gateBias[20] = 3 * s.gateBias[5];
  copyColumn(s.gate, 6, 21, -1.0f); // the other half-space: never a duplicate
  s.gateBias[21] = -s.gateBias[6];
  MergePlan plan;
  ASSERT_TRUE(mergeNeurons(s.weights(), nullptr, {}, plan).ok());
  EXPECT_TRUE(plan.merged.empty());
  s.activation = Activation::Relu;
  ASSERT_TRUE(mergeNeurons(s.weights(), nullptr, {}, plan).ok());
  ASSERT_EQ(plan.merged.size(), 1u);
  EXPECT_EQ(plan.merged[0].from, 20);
  EXPECT_LT(relativeError(runMerged(s.weights(), plan, s.x), naive(s.weights(), s.x)), 1e-9);
}

TEST(Merge, aDifferentBiasIsNoDuplicate) {
  Synthetic s(16, 60, 16, 50, false);
  copyColumn(s.gate, 5, 20, 1.0f);
  MergePlan plan;
  ASSERT_TRUE(mergeNeurons(s.weights(), nullptr, {}, plan).ok());
  EXPECT_TRUE(plan.merged.empty());
}

TEST(Merge, silentNeuronsGo) {
  Synthetic s(16, 60, 16, 50, true);
  copyColumn(s.up, 9, 9, 0);
  s.upBias[9] = 0;
  for (int64_t k = 0; k < 16; ++k)
    s.down(30, k) = 0;
  MergePlan plan;
  ASSERT_TRUE(mergeNeurons(s.weights(), nullptr, {}, plan).ok());
  ASSERT_EQ(plan.merged.size(), 2u);
  EXPECT_EQ(plan.merged[0].from, 9);
  EXPECT_EQ(plan.merged[0].into, -1);
  EXPECT_LT(relativeError(runMerged(s.weights(), plan, s.x), naive(s.weights(), s.x)), 1e-9);
}

TEST(Merge, nearDuplicatesReportTheirError) {
  Synthetic s(16, 60, 16, 400, true);
  Random random(3);
  copyColumn(s.gate, 5, 20, 1);
  copyColumn(s.up, 5, 20, 1.5f);
  s.gateBias[20] = s.gateBias[5];
  s.upBias[20] = 1.5f * s.upBias[5];
  for (int64_t i = 0; i < 16; ++i)
    s.gate(i, 20) += 0.01f * random.normal();
  MatrixTokens tokens(s.x);
  CalibrationData data;
  data.inputs = &tokens;
  MergePlan plan;
  ASSERT_TRUE(mergeNeurons(s.weights(), &data, {}, plan).ok());
  EXPECT_TRUE(plan.merged.empty());
  MergeOptions options;
  options.tolerance = 0.05;
  ASSERT_TRUE(mergeNeurons(s.weights(), &data, options, plan).ok());
  ASSERT_EQ(plan.merged.size(), 1u);
  EXPECT_FALSE(plan.merged[0].exact);
  EXPECT_GT(plan.error, 0);
  EXPECT_LT(plan.error, 1e-3);
  EXPECT_FALSE(mergeNeurons(s.weights(), nullptr, options, plan).ok());
}

TEST(Merge, theRidgeOnWhatRemainsHelps) {
  // A near duplicate whose difference lies in the span of the other neurons: h_20 = h_5 + 0.05 h_6.
  Synthetic s(16, 40, 16, 2000, false);
  s.activation = Activation::Identity;
  for (int64_t i = 0; i < 16; ++i)
    s.gate(i, 20) = s.gate(i, 5) + 0.05f * s.gate(i, 6);
  s.gateBias[20] = s.gateBias[5] + 0.05f * s.gateBias[6];
  MatrixTokens tokens(s.x);
  CalibrationData data;
  data.inputs = &tokens;
  MergeOptions options;
  options.tolerance = 0.15;
  MergePlan plan;
  ASSERT_TRUE(mergeNeurons(s.weights(), &data, options, plan).ok());
  ASSERT_EQ(plan.merged.size(), 1u);
  EXPECT_EQ(plan.merged[0].into, 5);
  ASSERT_EQ(plan.outputBias.size(), 16u);
  // The pair alone leaves a part that the ridge explains but for its own shrinkage.
  MergePlan pair = plan;
  for (size_t k = 0; k < plan.kept.size(); ++k)
    for (int64_t j = 0; j < 16; ++j)
      pair.down(k, j) = s.down(plan.kept[k], j) +
                        (plan.kept[k] == 5 ? plan.merged[0].scale * s.down(20, j) : 0.0f);
  EXPECT_LT(plan.error, 1e-6);
  Matrix y = runMerged(s.weights(), plan, s.x);
  for (int64_t t = 0; t < y.rows; ++t)
    for (int64_t j = 0; j < y.cols; ++j)
      y(t, j) += plan.outputBias[j];
  EXPECT_LT(relativeError(y, naive(s.weights(), s.x)), 1e-6);
  EXPECT_GT(relativeError(runMerged(s.weights(), pair, s.x), naive(s.weights(), s.x)), 1e-5);
}

} // namespace
