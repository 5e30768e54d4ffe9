#include "uoe/calibration/Training.h"
#include "Synthetic.h"
#include <gtest/gtest.h>

using namespace uoe::calibration;
using namespace uoe::calibration::test;

namespace {

/// Σ over all elements of a ⊙ b.
double dot(const Matrix &a, const Matrix &b) {
  double sum = 0;
  for (size_t i = 0; i < a.values.size(); ++i)
    sum += static_cast<double>(a.values[i]) * b.values[i];
  return sum;
}

/// The slope of f at a parameter, by central differences.
template <typename F> double slope(float &parameter, F &&f, float step = 1e-2f) {
  float was = parameter;
  parameter = was + step;
  double above = f();
  parameter = was - step;
  double below = f();
  parameter = was;
  return (above - below) / (2.0 * step);
}

struct Gated {
  std::vector<Synthetic> blocks;
  Matrix router, h, dy;
  bool gatedBlocks;

  explicit Gated(bool gatedBlocks, int64_t n = 4, int64_t tokens = 9)
      : h(0, 0), dy(0, 0), gatedBlocks(gatedBlocks) {
    Random random(11);
    for (int64_t i = 0; i < n; ++i)
      blocks.emplace_back(5, 7, 3, 1, gatedBlocks, static_cast<uint32_t>(20 + i));
    router = random.matrix(5, n, 0.8f);
    h = random.matrix(tokens, 5, 0.7f);
    dy = random.matrix(tokens, 3);
  }
  GatedExperts layer(float tau = 0.5f, bool rescale = true) const {
    GatedExperts layer;
    for (const Synthetic &block : blocks)
      layer.experts.push_back(block.weights());
    layer.router = router;
    layer.tau = tau;
    layer.rescale = rescale;
    return layer;
  }
  /// Σ dy ⊙ y for gates that are not cut off, scaled by the n/active of `active`: what the
  /// straight-through gradient of the router is the gradient of.
  double surrogate(const Matrix &active, bool rescale, double sparsity) const {
    double sum = 0;
    for (size_t i = 0; i < blocks.size(); ++i) {
      Matrix o = naive(blocks[i].weights(), h);
      for (int64_t t = 0; t < h.rows; ++t) {
        double z = 0, count = 0, inner = 0;
        for (int64_t k = 0; k < h.cols; ++k)
          z += static_cast<double>(h(t, k)) * router(k, static_cast<int64_t>(i));
        for (int64_t e = 0; e < active.cols; ++e)
          count += active(t, e);
        for (int64_t j = 0; j < o.cols; ++j)
          inner += static_cast<double>(dy(t, j)) * o(t, j);
        double c = rescale && count > 0 ? static_cast<double>(active.cols) / count : 1;
        sum += (c * inner + sparsity) / (1 + std::exp(-z));
      }
    }
    return sum;
  }
};

TEST(Training, derivativesOfActivations) {
  for (auto a : {Activation::Relu, Activation::ReluSquared, Activation::GeluErf,
                 Activation::GeluTanh, Activation::Silu, Activation::QuickGelu, Activation::Sigmoid,
                 Activation::Tanh, Activation::Identity})
    for (float v : {-3.1f, -0.7f, 0.3f, 2.2f}) {
      double numeric = (static_cast<double>(apply(a, v + 1e-2f)) - apply(a, v - 1e-2f)) / 2e-2;
      EXPECT_NEAR(derivative(a, v), numeric, 2e-4) << nameOf(a) << " at " << v;
    }
}

TEST(Training, aFunctionWithoutANameIsDifferentiatedNumerically) {
  Activation silu([](double x) { return x / (1 + std::exp(-x)); });
  for (float v : {-3.1f, -0.7f, 0.3f, 2.2f}) {
    EXPECT_NEAR(apply(silu, v), apply(Activation::Silu, v), 1e-6) << v;
    EXPECT_NEAR(derivative(silu, v), derivative(Activation::Silu, v), 1e-6) << v;
  }
}

TEST(Training, gatesAtOneAreTheDenseSum) {
  Gated g(true);
  GatedForward f;
  // A router of zeros gives gates of 1/2, a tau below makes all active: n/active is 1.
  g.router = Matrix(5, 4);
  ASSERT_TRUE(forwardGated(g.layer(0.25f), g.h, f).ok());
  Matrix sum(9, 3);
  for (auto &block : g.blocks) {
    Matrix o = naive(block.weights(), g.h);
    for (size_t i = 0; i < sum.values.size(); ++i)
      sum.values[i] += 0.5f * o.values[i];
  }
  EXPECT_LT(relativeError(f.y, sum), 1e-9);
  // A gate exactly at tau is inactive, and a token without an expert gets nothing.
  ASSERT_TRUE(forwardGated(g.layer(0.5f), g.h, f).ok());
  EXPECT_EQ(dot(f.active, f.active), 0);
  EXPECT_EQ(dot(f.y, f.y), 0);
  EXPECT_EQ(sparsityLoss(f), 0);
}

TEST(Training, straightThroughReachesInactiveGates) {
  for (bool rescale : {false, true})
    for (double sparsity : {0.0, 0.3}) {
      Gated g(true);
      GatedExperts layer = g.layer(0.5f, rescale);
      GatedForward f;
      GatedGradients gradients;
      ASSERT_TRUE(forwardGated(layer, g.h, f).ok());
      ASSERT_TRUE(backwardGated(layer, g.h, f, g.dy, sparsity, gradients).ok());
      double inactive = 0;
      for (float a : f.active.values)
        inactive += a == 0;
      ASSERT_GT(inactive, 5);
      for (int64_t k = 0; k < 5; ++k)
        for (int64_t i = 0; i < 4; ++i)
          EXPECT_NEAR(
              gradients.router(k, i),
              slope(g.router(k, i), [&] { return g.surrogate(f.active, rescale, sparsity); }),
              2e-3);
    }
}

TEST(Training, weightsOfInactiveExpertsGetNoGradient) {
  for (bool gatedBlocks : {false, true}) {
    Gated g(gatedBlocks);
    for (int64_t k = 0; k < 5; ++k)
      g.router(k, 2) = 0; // σ(0) is not above tau
    GatedForward f;
    GatedGradients gradients;
    GatedExperts layer = g.layer();
    ASSERT_TRUE(forwardGated(layer, g.h, f).ok());
    ASSERT_TRUE(backwardGated(layer, g.h, f, g.dy, 0, gradients).ok());
    for (const Matrix *m : {&gradients.experts[2].gate, &gradients.experts[2].down})
      EXPECT_EQ(dot(*m, *m), 0);
    double size = 0;
    for (int64_t k = 0; k < 5; ++k)
      size += std::abs(gradients.router(k, 2));
    EXPECT_GT(size, 1e-3); // its router does
    // The others: y is smooth in the weights, so the true loss serves.
    auto loss = [&] {
      GatedForward now;
      EXPECT_TRUE(forwardGated(layer, g.h, now).ok());
      return dot(now.y, g.dy);
    };
    for (int64_t e : {0, 1, 3}) {
      Synthetic &b = g.blocks[e];
      FfnGradients &d = gradients.experts[e];
      for (auto [k, j] : {std::pair{0, 0}, {2, 3}, {4, 6}}) {
        EXPECT_NEAR(d.gate(k, j), slope(b.gate(k, j), loss), 5e-3);
        if (gatedBlocks)
          EXPECT_NEAR(d.up(k, j), slope(b.up(k, j), loss), 5e-3);
        EXPECT_NEAR(d.gateBias[j], slope(b.gateBias[j], loss), 5e-3);
        EXPECT_NEAR(d.down(j, k % 3), slope(b.down(j, k % 3), loss), 5e-3);
        EXPECT_NEAR(d.downBias[k % 3], slope(b.downBias[k % 3], loss), 5e-3);
      }
    }
  }
}

TEST(Training, balanceEntropyOverRecurrences) {
  Random random(5);
  Matrix a = random.matrix(6, 5), b = random.matrix(4, 5);
  std::vector<Matrix> gradients;
  double value = balanceEntropy({a, b}, &gradients);
  LoadStatistics load;
  Matrix weights(6, 5, 1), fewer(4, 5);
  fewer(1, 3) = 0.5f;
  ASSERT_TRUE(load.add(a, weights).ok());
  ASSERT_TRUE(load.add(b, fewer).ok());
  EXPECT_NEAR(load.entropy(), value, 1e-12);
  EXPECT_EQ(load.chosen[3], 7);
  EXPECT_EQ(load.tokens, 10);
  EXPECT_NEAR(load.imbalance(), 7.0 * 5 / 31, 1e-12);
  EXPECT_FALSE(load.add(a, fewer).ok());
  for (auto [m, g] : {std::pair{&a, 0}, {&b, 1}})
    for (int64_t t = 0; t < m->rows; ++t)
      for (int64_t e = 0; e < 5; ++e)
        EXPECT_NEAR(gradients[g](t, e),
                    slope((*m)(t, e),
                          [&] {
                            return balanceEntropy({a, b}, nullptr);
                          }),
                    1e-4);
  // Even use is −log n, one expert alone 0.
  Matrix even(8, 5), one(8, 5);
  for (int64_t t = 0; t < 8; ++t)
    one(t, 2) = 100;
  EXPECT_NEAR(balanceEntropy({even}, nullptr), -std::log(5.0), 1e-12);
  EXPECT_NEAR(balanceEntropy({one}, nullptr), 0, 1e-12);
  EXPECT_EQ(balanceEntropy({}, nullptr), 0);
}

TEST(Training, balanceLossHasATemperatureOfItsOwn) {
  Random random(6);
  Matrix s = random.matrix(12, 4, 0.3f), weights(12, 4), gradient;
  for (int64_t t = 0; t < 12; ++t)
    weights(t, t % 3) = 1;
  for (double tau0 : {0.3, 0.07}) {
    balanceLoss(s, weights, tau0, &gradient);
    for (int64_t t = 0; t < 12; ++t)
      for (int64_t e = 0; e < 4; ++e)
        EXPECT_NEAR(gradient(t, e),
                    slope(
                        s(t, e), [&] { return balanceLoss(s, weights, tau0, nullptr); }, 1e-3f),
                    1e-3);
  }
  // Even shares give 1 whatever the scores.
  Matrix each(12, 4);
  for (int64_t t = 0; t < 12; ++t)
    each(t, t % 4) = 1;
  EXPECT_NEAR(balanceLoss(s, each, 0.3, nullptr), 1, 1e-6);
  EXPECT_EQ(balanceLoss(Matrix(0, 4), Matrix(0, 4), 0.3, nullptr), 0);
}

TEST(Training, distillationLowersTheErrorOfABadRouter) {
  Synthetic s(16, 64, 16, 1500, true);
  MatrixTokens tokens(s.x);
  CalibrationData data;
  data.inputs = &tokens;
  ExpertOptions options;
  options.expertSize = 4;
  options.budget = 0.7;
  ExpertPlan plan;
  ASSERT_TRUE(calibrateExperts(s.weights(), data, options, plan).ok());
  Random random(8);
  for (float &w : plan.router.values)
    w += 0.3f * random.normal();
  ASSERT_TRUE(setThreshold(s.weights(), tokens, options.budget, plan).ok());
  ExpertPlan trained = plan;
  DistillOptions distill;
  DistillResult result;
  ASSERT_TRUE(distillRouter(s.weights(), data, options, distill, trained, result).ok());
  EXPECT_LT(result.after, 0.8 * result.before);
  // The budget holds, and all but the router stays.
  Matrix y;
  double cost = 0;
  ASSERT_TRUE(runExperts(s.weights(), trained, s.x, y, &cost).ok());
  EXPECT_LT(cost, options.budget + 0.01);
  EXPECT_EQ(trained.down.values, plan.down.values);
  // The same again: the same bytes.
  ExpertPlan again = plan;
  ASSERT_TRUE(distillRouter(s.weights(), data, options, distill, again, result).ok());
  EXPECT_EQ(again.router.values, trained.router.values);
  // As a step of the calibration, never for the worse after the refit.
  options.distillSteps = 50;
  ASSERT_TRUE(calibrateExperts(s.weights(), data, options, plan).ok());
  EXPECT_GT(plan.errorRouter, 0);
  EXPECT_EQ(plan.error, std::min(plan.errorRouter, plan.errorDistilled));
}

} // namespace
