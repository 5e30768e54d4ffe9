// Choosing the cascade's rates for a budget.
#include "Cascade.h"
#include <algorithm>
#include <array>
#include <cmath>

namespace uoe::calibration {
namespace {

/// What is dropped at each stage: a point in [0, 1]^4; a plain block uses the first and the last.
using Drops = std::array<double, 4>;

constexpr double kMost = 0.98; // some of every stage is always kept
constexpr int kSweeps = 3;     // over all stages, for each step

CascadeRates ratesOf(const Drops &drops) {
  return {drops[0], 1 - drops[1], drops[2], 1 - drops[3]};
}

std::vector<size_t> stagesOf(const FfnWeights &weights, UpMask upMask) {
  if (!weights.gated())
    return {0, 3};
  switch (upMask) {
  case UpMask::Neurons:
    return {0, 1, 3};
  case UpMask::Channels:
    return {0, 2, 3};
  case UpMask::Both:
    break;
  }
  return {0, 1, 2, 3};
}

/// Scales the drops other than `fixed` by one factor so that the cost is the budget; false if no
/// factor does.
bool meetBudget(const FfnWeights &weights, double budget, size_t fixed, Drops &drops) {
  auto scaled = [&](double factor) {
    Drops result = drops;
    for (size_t i = 0; i < result.size(); ++i)
      if (i != fixed)
        result[i] = std::min(result[i] * factor, kMost);
    return result;
  };
  double low = 0, high = 64;
  if (cascadeCost(weights, ratesOf(scaled(low))) < budget ||
      cascadeCost(weights, ratesOf(scaled(high))) > budget)
    return false;
  for (int i = 0; i < 50; ++i) {
    double middle = (low + high) / 2;
    (cascadeCost(weights, ratesOf(scaled(middle))) > budget ? low : high) = middle;
  }
  drops = scaled(high);
  return true;
}

Drops interpolate(const FfnWeights &weights, double budget, UpMask upMask) {
  static const Drops kGated[] = {
      {0, 0, 0, 0}, {.175, .135, .14, .32}, {.395, .355, .26, .59}, {.62, .66, .50, .82}};
  static const Drops kPlain[] = {
      {0, 0, 0, 0}, {.21, 0, 0, .29}, {.42, 0, 0, .58}, {.67, 0, 0, .83}};
  std::vector<Drops> table(weights.gated() ? kGated : kPlain,
                           (weights.gated() ? kGated : kPlain) + 4);
  table.push_back({kMost, kMost, kMost, kMost});
  std::vector<size_t> stages = stagesOf(weights, upMask);
  for (Drops &drops : table)
    for (size_t i = 0; i < drops.size(); ++i)
      if (std::find(stages.begin(), stages.end(), i) == stages.end())
        drops[i] = 0;
  if (budget >= 1)
    return table[0];
  auto mix = [&](size_t k, double s) {
    Drops result;
    for (size_t i = 0; i < result.size(); ++i)
      result[i] = table[k][i] + s * (table[k + 1][i] - table[k][i]);
    return result;
  };
  for (size_t k = 0; k + 1 < table.size(); ++k) {
    if (cascadeCost(weights, ratesOf(table[k + 1])) > budget)
      continue;
    double low = 0, high = 1;
    for (int i = 0; i < 50; ++i) {
      double middle = (low + high) / 2;
      (cascadeCost(weights, ratesOf(mix(k, middle))) > budget ? low : high) = middle;
    }
    return mix(k, high);
  }
  return table.back();
}

} // namespace

CascadeRates interpolateRates(const FfnWeights &weights, double budget, UpMask upMask) {
  return ratesOf(interpolate(weights, budget, upMask));
}

CascadeRates searchRates(const FfnWeights &weights, const CascadeOptions &options, const Matrix &x,
                         const Matrix &target, const CascadePlan &measured) {
  std::vector<int64_t> tokens = spacedTokens(x.rows, options.searchTokens);
  Matrix sample(static_cast<int64_t>(tokens.size()), x.cols), wanted(sample.rows, target.cols);
  for (int64_t i = 0; i < sample.rows; ++i) {
    std::copy(x.row(tokens[i]), x.row(tokens[i]) + x.cols, sample.row(i));
    std::copy(target.row(tokens[i]), target.row(tokens[i]) + target.cols, wanted.row(i));
  }
  auto errorOf = [&](const Drops &drops) {
    CascadePlan plan = measured;
    Matrix y = multiply(setThresholds(weights, ratesOf(drops), sample, plan).h, weights.down);
    addBias(y, weights.downBias);
    // Judged after the bias that calibration will add: the variance of what is left.
    std::vector<double> mean(static_cast<size_t>(y.cols));
    for (int64_t t = 0; t < y.rows; ++t)
      for (int64_t j = 0; j < y.cols; ++j) {
        y(t, j) -= wanted(t, j);
        mean[j] += y(t, j) / static_cast<double>(y.rows);
      }
    double error = squaredNorm(y.values.data(), y.rows * y.cols);
    if (options.outputBias)
      for (double m : mean)
        error -= m * m * static_cast<double>(y.rows);
    return error;
  };
  Drops best = interpolate(weights, options.budget, options.upMask);
  double bestError = errorOf(best);
  // Coordinate search: one stage moves, the others make room for it in proportion; the step halves
  // when nothing gains.
  std::vector<size_t> stages = stagesOf(weights, options.upMask);
  for (double step : {0.06, 0.03}) {
    bool gained = true;
    for (int sweep = 0; sweep < kSweeps && gained; ++sweep) {
      gained = false;
      for (size_t stage : stages)
        for (double sign : {1.0, -1.0}) {
          Drops trial = best;
          trial[stage] = std::clamp(trial[stage] + sign * step, 0.0, kMost);
          if (trial[stage] == best[stage] || !meetBudget(weights, options.budget, stage, trial))
            continue;
          double error = errorOf(trial);
          if (error < bestError * (1 - 1e-3)) {
            bestError = error;
            best = trial;
            gained = true;
            break; // the other direction leads back
          }
        }
    }
  }
  return ratesOf(best);
}

} // namespace uoe::calibration
