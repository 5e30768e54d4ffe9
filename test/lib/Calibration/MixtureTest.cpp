#include "uoe/calibration/Mixture.h"
#include "Synthetic.h"
#include <algorithm>
#include <gtest/gtest.h>
#include <map>

using namespace uoe::calibration;
using namespace uoe::calibration::test;

namespace {

struct Case {
  std::vector<OwnedFfn> owned;
  Matrix x, scores;
  Mixture mixture;

  Case(int64_t experts, int64_t tokens, bool gated, uint32_t seed = 3) {
    Random random(seed);
    for (int64_t e = 0; e < experts; ++e) {
      OwnedFfn ffn;
      ffn.gate = random.matrix(6, 10, 0.5f);
      if (gated)
        ffn.up = random.matrix(6, 10, 0.5f);
      ffn.down = random.matrix(10, 5, 0.5f);
      ffn.gateBias = random.matrix(1, 10, 0.2f).values;
      ffn.downBias = random.matrix(1, 5, 0.2f).values;
      owned.push_back(ffn);
    }
    x = random.matrix(tokens, 6);
    scores = random.matrix(tokens, experts);
    mixture.selection.k = 2;
    mixture.selection.normalized = true;
    refresh();
  }
  void refresh() {
    mixture.experts.clear();
    for (const OwnedFfn &ffn : owned)
      mixture.experts.push_back(ffn.view());
  }
};

/// Weights by sorting, in double precision.
std::vector<double> weightsOf(const Selection &s, const Matrix &scores, int64_t t) {
  int64_t n = scores.cols;
  std::vector<double> gate(n), weight(n);
  double sum = 0;
  for (int64_t e = 0; e < n; ++e) {
    double v = scores(t, e) / static_cast<double>(s.temperature);
    gate[e] = s.scoring == Selection::Scoring::Raw       ? v
              : s.scoring == Selection::Scoring::Sigmoid ? 1 / (1 + std::exp(-v))
                                                         : std::exp(v);
    sum += gate[e];
  }
  if (s.scoring == Selection::Scoring::Softmax)
    for (double &g : gate)
      g /= sum;
  std::multimap<double, int64_t> best; // by falling gate, ties in ascending order of index
  for (int64_t e = 0; e < n; ++e)
    best.insert({-gate[e], e});
  int64_t taken = 0;
  double chosen = 0;
  std::vector<int64_t> picks;
  for (auto [g, e] : best)
    if (s.rule == Selection::Rule::All || (s.rule == Selection::Rule::TopK && taken++ < s.k) ||
        (s.rule == Selection::Rule::Threshold && -g > s.threshold)) {
      picks.push_back(e);
      chosen += -g;
    }
  for (int64_t e : picks)
    weight[e] = s.factor * (s.unit ? 1 : s.normalized ? gate[e] / chosen : gate[e]);
  return weight;
}

Matrix reference(const Mixture &m, const Matrix &x, const Matrix &scores) {
  Matrix y(x.rows, m.experts[0].outputs());
  for (int64_t s = 0; s < m.slotCount(); ++s) {
    if (m.expertOf(s) < 0)
      continue;
    Matrix part = naive(m.experts[m.expertOf(s)], x);
    for (int64_t t = 0; t < x.rows; ++t) {
      double w = weightsOf(m.selection, scores, t)[s];
      for (int64_t j = 0; j < y.cols; ++j)
        y(t, j) += static_cast<float>(w * part(t, j));
    }
  }
  return y;
}

TEST(Mixture, runsAsTheEquationsSay) {
  for (bool gated : {false, true})
    for (auto scoring :
         {Selection::Scoring::Raw, Selection::Scoring::Softmax, Selection::Scoring::Sigmoid})
      for (auto rule : {Selection::Rule::All, Selection::Rule::Threshold, Selection::Rule::TopK})
        for (bool normalized : {false, true}) {
          Case c(7, 40, gated);
          Selection &selection = c.mixture.selection;
          selection = {};
          selection.scoring = scoring;
          selection.rule = rule;
          selection.k = 3;
          selection.threshold = 0.2f;
          selection.temperature = 1.5f;
          selection.normalized = normalized;
          selection.factor = 2.0f;
          Matrix y;
          ASSERT_TRUE(runMixture(c.mixture, c.x, c.scores, y).ok());
          EXPECT_LT(relativeError(y, reference(c.mixture, c.x, c.scores)), 1e-9);
        }
  Case none(4, 0, true);
  Matrix y;
  ASSERT_TRUE(runMixture(none.mixture, none.x, none.scores, y).ok());
  EXPECT_EQ(y.rows, 0);
}

TEST(Mixture, limitAndOffsetCutTheHiddenValues) {
  Case c(4, 30, true);
  for (OwnedFfn &ffn : c.owned) {
    ffn.limit = 0.3f;
    ffn.upOffset = 1.0f;
  }
  Matrix plain, y;
  ASSERT_TRUE(runMixture(c.mixture, c.x, c.scores, plain).ok());
  c.refresh();
  ASSERT_TRUE(runMixture(c.mixture, c.x, c.scores, y).ok());
  EXPECT_LT(relativeError(y, reference(c.mixture, c.x, c.scores)), 1e-9);
  EXPECT_GT(relativeError(y, plain), 1e-2);
}

// DeepSeek-V3's choice, one token by hand: gates 0.5 but for a bias.
TEST(Mixture, biasAndGroupsChooseAndDoNotWeigh) {
  Selection s;
  s.scoring = Selection::Scoring::Sigmoid;
  s.k = 2;
  s.factor = 3;
  s.bias = {0.9f, 0, 0.5f, 0.5f, 0.1f, 0.2f};
  Matrix scores(1, 6, 0.0f), weights;
  auto chosen = [&] {
    EXPECT_TRUE(selectExperts(s, scores, weights).ok());
    std::vector<int64_t> list;
    for (int64_t e = 0; e < 6; ++e)
      if (weights(0, e) != 0) {
        EXPECT_FLOAT_EQ(weights(0, e), 1.5f); // without the bias
        list.push_back(e);
      }
    return list;
  };
  EXPECT_EQ(chosen(), (std::vector<int64_t>{0, 2}));
  s.groups = {0, 0, 1, 1, 2, 2};
  s.groupK = 1;
  EXPECT_EQ(chosen(), (std::vector<int64_t>{0, 1})); // the best expert's group
  s.groupTop2 = true;
  EXPECT_EQ(chosen(), (std::vector<int64_t>{2, 3})); // the best two
  s.groups = {0, 1, 1, 1, 2, 2};
  s.groupK = 2;
  EXPECT_EQ(chosen(), (std::vector<int64_t>{0, 2})); // a group of one has no second
  s.groups.pop_back();
  EXPECT_FALSE(selectExperts(s, scores, weights).ok());
  s.groups.push_back(-1);
  EXPECT_FALSE(selectExperts(s, scores, weights).ok());
  s.groups.clear();
  s.bias.pop_back();
  EXPECT_FALSE(selectExperts(s, scores, weights).ok());
}

// Bias and groups of the experts that are left; no groups where they may hold too few.
TEST(Mixture, prunedChoicesKeepBiasAndGroups) {
  Case c(6, 60, true);
  c.mixture.selection.bias = {0, 0.1f, 0.2f, 0.3f, 0.4f, 0.5f};
  c.mixture.selection.groups = {0, 0, 1, 1, 2, 2};
  c.mixture.selection.groupK = 2;
  PruneExpertsPlan plan;
  plan.kept = plan.keptSlots = {0, 1, 4, 5};
  Mixture pruned = pruneExperts(c.mixture, plan);
  EXPECT_EQ(pruned.selection.bias, (std::vector<float>{0, 0.1f, 0.4f, 0.5f}));
  EXPECT_EQ(pruned.selection.groups, (std::vector<int64_t>{0, 0, 1, 1}));
  EXPECT_EQ(pruned.selection.groupK, 2);
  c.mixture.selection.groupK = 1;
  plan.kept = plan.keptSlots = {0, 2, 3};
  pruned = pruneExperts(c.mixture, plan);
  EXPECT_TRUE(pruned.selection.groups.empty());
  EXPECT_EQ(pruned.selection.groupK, 0);
}

TEST(Mixture, equalScoresGoToTheLowerIndex) {
  Matrix scores(1, 4, 1.0f), weights;
  Selection selection;
  selection.scoring = Selection::Scoring::Softmax;
  selection.k = 2;
  ASSERT_TRUE(selectExperts(selection, scores, weights).ok());
  EXPECT_FLOAT_EQ(weights(0, 1), 0.25f);
  EXPECT_EQ(weights(0, 2), 0);
}

TEST(Mixture, countsAndSaliencyAreTheDefinitions) {
  Case c(5, 200, true);
  MatrixTokens x(c.x), s(c.scores);
  ExpertUse use;
  ASSERT_TRUE(measureUse(c.mixture, {&x, &s, 0}, true, use).ok());
  for (int64_t e = 0; e < 5; ++e) {
    Matrix y = naive(c.mixture.experts[e], c.x);
    double count = 0, weight = 0, saliency = 0, mean = 0;
    for (int64_t t = 0; t < 200; ++t) {
      double w = weightsOf(c.mixture.selection, c.scores, t)[e], norm = 0;
      mean += y(t, 2) / 200.0;
      for (int64_t j = 0; j < 5; ++j)
        norm += static_cast<double>(y(t, j)) * y(t, j);
      count += w != 0;
      weight += w;
      saliency += w * std::sqrt(norm);
    }
    EXPECT_EQ(use.tokens[e], count);
    EXPECT_NEAR(use.weight[e], weight, 1e-4);
    EXPECT_NEAR(use.saliency[e], saliency / count, 1e-5);
    EXPECT_NEAR(use.meanOutput(e, 2), mean, 1e-5);
  }
}

TEST(Mixture, clustersByAverageLinkage) {
  // On a line: 0, 1, 2.5, 10, 11. {0, 1} and {10, 11} first; 2.5 is 2 from the mean of the first.
  Matrix points(5, 1);
  points.values = {0, 11, 1, 2.5f, 10};
  EXPECT_EQ(clusterRows(points, 5), (std::vector<int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(clusterRows(points, 4), (std::vector<int64_t>{0, 1, 0, 2, 3}));
  EXPECT_EQ(clusterRows(points, 3), (std::vector<int64_t>{0, 1, 0, 2, 1}));
  EXPECT_EQ(clusterRows(points, 2), (std::vector<int64_t>{0, 1, 0, 0, 1}));
  EXPECT_EQ(clusterRows(points, 1), (std::vector<int64_t>{0, 0, 0, 0, 0}));
  // Average, not single: 2.2 is 1.2 from the member 1 of {0, 1}, but 1.7 on average, and 1.6
  // from 3.8.
  points = Matrix(4, 1);
  points.values = {0, 1, 2.2f, 3.8f};
  EXPECT_EQ(clusterRows(points, 2), (std::vector<int64_t>{0, 0, 1, 1}));
}

TEST(Mixture, duplicatesMergeExactly) {
  Case c(6, 120, true);
  c.owned[4] = c.owned[1];
  c.owned[5] = c.owned[0];
  c.refresh();
  MatrixTokens x(c.x), s(c.scores);
  MergeExpertsPlan plan;
  ASSERT_TRUE(planMergeExperts(c.mixture, {&x, &s}, 4, plan).ok());
  EXPECT_EQ(plan.cluster, (std::vector<int64_t>{0, 1, 2, 3, 1, 0}));
  std::vector<OwnedFfn> merged = mergeExperts(c.mixture, plan);
  EXPECT_EQ(merged[1].gate.values, c.owned[1].gate.values);
  EXPECT_EQ(merged[0].down.values, c.owned[0].down.values);
  EXPECT_EQ(merged[0].downBias, c.owned[0].downBias);
  // Two picks of one merged expert add up.
  EXPECT_LT(plan.error, 1e-12);
}

TEST(Mixture, mergedWeightsAreTheMeanByUse) {
  Case c(3, 90, false);
  MatrixTokens x(c.x), s(c.scores);
  MergeExpertsPlan plan;
  ASSERT_TRUE(planMergeExperts(c.mixture, {&x, &s, 0}, 1, plan).ok());
  std::vector<OwnedFfn> merged = mergeExperts(c.mixture, plan);
  double f = plan.usage[0] + plan.usage[1] + plan.usage[2], expected = 0;
  EXPECT_EQ(f, 180); // two picks of each token
  for (int64_t e = 0; e < 3; ++e)
    expected += plan.usage[e] / f * c.owned[e].down(4, 3);
  EXPECT_NEAR(merged[0].down(4, 3), expected, 1e-6);
  EXPECT_GT(plan.error, 1e-3);
}

TEST(Mixture, expertsThatNobodyChoseMergeInEqualParts) {
  Case c(3, 50, false);
  for (int64_t t = 0; t < 50; ++t)
    c.scores(t, 0) = 100, c.scores(t, 1) = c.scores(t, 2) = 0;
  c.mixture.selection.k = 1;
  for (float &v : c.owned[0].down.values)
    v += 10; // far from the others
  c.refresh();
  MatrixTokens x(c.x), s(c.scores);
  MergeExpertsPlan plan;
  ASSERT_TRUE(planMergeExperts(c.mixture, {&x, &s}, 2, plan).ok());
  EXPECT_EQ(plan.cluster, (std::vector<int64_t>{0, 1, 1}));
  EXPECT_EQ(plan.share[1], 0.5);
}

TEST(Mixture, anExpertWithoutContributionIsDroppedFirst) {
  for (auto criterion :
       {PruneCriterion::Reap, PruneCriterion::SeerHard, PruneCriterion::SeerSoft}) {
    Case c(5, 200, true);
    // Expert 3 gives nothing; for the counts, nobody chooses it.
    std::fill(c.owned[3].down.values.begin(), c.owned[3].down.values.end(), 0.0f);
    std::fill(c.owned[3].downBias.begin(), c.owned[3].downBias.end(), 0.0f);
    if (criterion != PruneCriterion::Reap)
      for (int64_t t = 0; t < 200; ++t)
        c.scores(t, 3) = -50;
    c.refresh();
    MatrixTokens x(c.x), s(c.scores);
    PruneExpertsPlan plan;
    ASSERT_TRUE(planPruneExperts(c.mixture, {&x, &s}, 3, criterion, PruneRouter::Keep, plan).ok());
    ASSERT_EQ(plan.dropped.size(), 2u);
    EXPECT_EQ(plan.dropped[0], 3);
    EXPECT_EQ(plan.keptSlots.size(), 5u);
    ASSERT_TRUE(planPruneExperts(c.mixture, {&x, &s}, 4, criterion, PruneRouter::Keep, plan).ok());
    EXPECT_EQ(plan.error, 0); // it gave nothing before
  }
}

TEST(Mixture, droppedScoresLeaveTheSoftmax) {
  Case c(5, 60, true);
  MatrixTokens x(c.x), s(c.scores);
  PruneExpertsPlan plan;
  ASSERT_TRUE(
      planPruneExperts(c.mixture, {&x, &s}, 3, PruneCriterion::Reap, PruneRouter::Drop, plan).ok());
  Mixture pruned = pruneExperts(c.mixture, plan);
  EXPECT_EQ(plan.keptSlots, plan.kept);
  Matrix rest(60, 3), y;
  for (int64_t t = 0; t < 60; ++t)
    for (int64_t e = 0; e < 3; ++e)
      rest(t, e) = c.scores(t, plan.kept[e]);
  ASSERT_TRUE(runMixture(pruned, c.x, rest, y).ok());
  EXPECT_LT(relativeError(y, reference(pruned, c.x, rest)), 1e-9);
  // One expert left: it takes all of the weight, and k falls to 1.
  ASSERT_TRUE(
      planPruneExperts(c.mixture, {&x, &s}, 1, PruneCriterion::Reap, PruneRouter::Drop, plan).ok());
  EXPECT_EQ(pruneExperts(c.mixture, plan).selection.k, 1);
}

TEST(Mixture, pruningMergedExpertsDropsAllTheirSlots) {
  Case c(3, 60, true);
  c.mixture.slots = {0, 1, 1, 2};
  c.scores = Random(5).matrix(60, 4);
  MatrixTokens x(c.x), s(c.scores);
  PruneExpertsPlan plan;
  ASSERT_TRUE(
      planPruneExperts(c.mixture, {&x, &s}, 2, PruneCriterion::SeerHard, PruneRouter::Drop, plan)
          .ok());
  size_t slots = plan.dropped[0] == 1 ? 2 : 3;
  EXPECT_EQ(plan.keptSlots.size(), slots);
}

TEST(Mixture, saysWhatIsWrong) {
  Case c(3, 20, true);
  Matrix two(20, 2);
  MatrixTokens x(c.x), s(c.scores), narrow(two);
  MergeExpertsPlan plan;
  EXPECT_EQ(planMergeExperts(c.mixture, {&x, &s}, 4, plan).message,
            "experts to keep: expected 1 to 3, found 4");
  EXPECT_EQ(planMergeExperts(c.mixture, {&x, &narrow}, 2, plan).message,
            "calibration scores: expected a width of 3, found 2");
  c.mixture.selection.k = 5;
  EXPECT_EQ(planMergeExperts(c.mixture, {&x, &s}, 2, plan).message,
            "experts per token: expected 1 to 3, found 5");
}

} // namespace
