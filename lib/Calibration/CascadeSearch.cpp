// Choosing the cascade's rates for a budget.
#include "Cascade.h"
#include <algorithm>
#include <array>
#include <cmath>

namespace uoe::calibration {
namespace {

/// Rates along a line, so that the budget can be met by one number.
CascadeRates between(const CascadeRates &a, const CascadeRates &b, double s) {
  auto mix = [s](double x, double y) { return x + s * (y - x); };
  return {mix(a.gateDropped, b.gateDropped), mix(a.gateKept, b.gateKept),
          mix(a.upDropped, b.upDropped), mix(a.downKept, b.downKept)};
}

/// What is dropped at each stage: a point in [0, 1]^4; a plain block uses the first and the last.
using Drops = std::array<double, 4>;

CascadeRates ratesOf(const Drops &drops) {
  return {drops[0], 1 - drops[1], drops[2], 1 - drops[3]};
}

/// Scales the drops other than `fixed` by one factor so that the cost is the budget; false if no
/// factor does.
bool meetBudget(const FfnWeights &weights, double budget, size_t fixed, Drops &drops) {
  auto scaled = [&](double factor) {
    Drops result = drops;
    for (size_t i = 0; i < result.size(); ++i)
      if (i != fixed)
        result[i] = std::min(result[i] * factor, 0.98);
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

} // namespace

CascadeRates interpolateRates(const FfnWeights &weights, double budget) {
  // Saved 0, 25, 50 and 75% of a SwiGLU decoder's multiply-adds; the last is an extrapolation. For
  // a plain block the stages without W_u keep their proportion.
  static const CascadeRates kGated[] = {{0, 1, 0, 1},
                                        {.21, 1, .21, .63},
                                        {.42, .68, .32, .39},
                                        {.62, .34, .52, .17},
                                        {.98, .02, .98, .02}};
  static const CascadeRates kPlain[] = {
      {0, 1, 0, 1}, {.18, 1, 0, .68}, {.40, 1, 0, .40}, {.67, 1, 0, .17}, {.98, 1, 0, .02}};
  const CascadeRates *table = weights.gated() ? kGated : kPlain;
  if (budget >= 1)
    return table[0];
  for (int i = 0; i < 4; ++i) {
    if (i < 3 && cascadeCost(weights, table[i + 1]) > budget)
      continue;
    double low = 0, high = 1;
    for (int k = 0; k < 50; ++k) {
      double middle = (low + high) / 2;
      (cascadeCost(weights, between(table[i], table[i + 1], middle)) > budget ? low : high) =
          middle;
    }
    return between(table[i], table[i + 1], high);
  }
  return table[4];
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
  CascadeRates start = interpolateRates(weights, options.budget);
  Drops best = {start.gateDropped, 1 - start.gateKept, start.upDropped, 1 - start.downKept};
  double bestError = errorOf(best);
  // Coordinate search: one stage moves, the others make room for it in proportion; the step halves
  // when nothing gains.
  std::vector<size_t> stages =
      weights.gated() ? std::vector<size_t>{0, 1, 2, 3} : std::vector<size_t>{0, 3};
  for (double step : {0.10, 0.05, 0.025}) {
    for (bool gained = true; gained;) {
      gained = false;
      for (size_t stage : stages)
        for (double sign : {1.0, -1.0}) {
          Drops trial = best;
          trial[stage] = std::clamp(trial[stage] + sign * step, 0.0, 0.98);
          if (trial[stage] == best[stage] || !meetBudget(weights, options.budget, stage, trial))
            continue;
          double error = errorOf(trial);
          if (error < bestError * (1 - 1e-3)) {
            bestError = error;
            best = trial;
            gained = true;
          }
        }
    }
  }
  return ratesOf(best);
}

} // namespace uoe::calibration
