#include "uoe/calibration/Plan.h"
#include <gtest/gtest.h>

using namespace uoe::calibration;

namespace {

LayerCurve curve(double weight, double scale) {
  LayerCurve c;
  c.weight = weight;
  for (double cost : {0.25, 0.5, 0.75})
    c.points.push_back({cost, scale * (1 - cost) * (1 - cost)});
  return c;
}

double meanCost(const std::vector<LayerCurve> &layers, const std::vector<double> &costs) {
  double sum = 0, weight = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    sum += layers[i].weight * costs[i];
    weight += layers[i].weight;
  }
  return sum / weight;
}

TEST(Plan, sensitiveLayersKeepMore) {
  std::vector<LayerCurve> layers = {curve(1, 1), curve(1, 10), curve(2, 1)};
  std::vector<double> costs;
  ASSERT_TRUE(spreadBudget(layers, 0.6, costs).ok());
  EXPECT_NEAR(meanCost(layers, costs), 0.6, 1e-12);
  EXPECT_GT(costs[1], costs[0]);
  EXPECT_GE(costs[1], costs[2]);
  for (double c : costs) {
    EXPECT_GE(c, 0.25);
    EXPECT_LE(c, 1.0);
  }
}

TEST(Plan, fullBudgetLeavesAllDense) {
  std::vector<double> costs;
  ASSERT_TRUE(spreadBudget({curve(1, 1), curve(3, 2)}, 1, costs).ok());
  EXPECT_EQ(costs, (std::vector<double>{1, 1}));
}

TEST(Plan, pointsAboveTheHullAreNotUsed) {
  LayerCurve c;
  c.points = {{0.5, 1}, {0.75, 5}}; // the middle one costs more and errs more
  std::vector<double> costs;
  LayerCurve other;
  other.points = {{0.5, 2}};
  ASSERT_TRUE(spreadBudget({c, other}, 0.75, costs).ok());
  EXPECT_DOUBLE_EQ(costs[0], 0.5);
  EXPECT_DOUBLE_EQ(costs[1], 1);
}

TEST(Plan, tiesGoToTheFirstLayer) {
  std::vector<double> costs;
  ASSERT_TRUE(spreadBudget({curve(1, 1), curve(1, 1)}, 0.875, costs).ok());
  EXPECT_EQ(costs, (std::vector<double>{0.75, 1}));
}

TEST(Plan, refusesWhatCannotBe) {
  std::vector<double> costs;
  EXPECT_NE(spreadBudget({curve(1, 1)}, 0.2, costs).message.find("at least 0.25"),
            std::string::npos);
  EXPECT_NE(spreadBudget({curve(0, 1)}, 0.5, costs).message.find("positive weight"),
            std::string::npos);
  LayerCurve bad;
  bad.points = {{-0.5, 1}};
  EXPECT_NE(spreadBudget({bad}, 0.5, costs).message.find("finite costs"), std::string::npos);
}

} // namespace
