// The cascade of exact thresholds: measurement, thresholds, reference execution.
#include "Cascade.h"
#include <algorithm>
#include <cmath>

namespace uoe::calibration {
namespace {

/// A value that a share `dropped` of |values| · scale does not exceed, so that "> threshold" keeps
/// the rest. Scratch is one float a value.
float quantile(const Matrix &values, const std::vector<float> &scale, double dropped) {
  if (dropped <= 0 || values.values.empty())
    return 0; // drops zeros alone, which add nothing
  std::vector<float> scores(values.values.size());
  parallelRows(values.rows, [&](int64_t t) {
    for (int64_t j = 0; j < values.cols; ++j)
      scores[t * values.cols + j] = std::abs(values(t, j)) * scale[j];
  });
  auto below = static_cast<int64_t>(std::ceil(dropped * static_cast<double>(scores.size())));
  return cutAbove(scores, below);
}

/// Zeroes values whose score does not exceed the threshold; returns the share that is kept.
double mask(Matrix &values, const std::vector<float> &scale, float threshold) {
  std::vector<int64_t> kept(static_cast<size_t>(values.rows));
  parallelRows(values.rows, [&](int64_t t) {
    for (int64_t j = 0; j < values.cols; ++j)
      if (std::abs(values(t, j)) * scale[j] > threshold)
        ++kept[t];
      else
        values(t, j) = 0;
  });
  int64_t sum = 0;
  for (int64_t k : kept)
    sum += k;
  return values.values.empty()
             ? 1.0
             : static_cast<double>(sum) / static_cast<double>(values.values.size());
}

Matrix centred(MatrixView x, const std::vector<float> &mean) {
  Matrix z(x.rows, x.cols);
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t i = 0; i < x.cols; ++i)
      z(t, i) = x(t, i) - mean[i];
  return z;
}

CascadeTrace trace(const FfnWeights &weights, CascadePlan &plan, MatrixView x,
                   const CascadeRates *rates) {
  CascadeTrace result;
  Matrix z = centred(x, plan.mean);
  if (rates)
    plan.gateThreshold = quantile(z, plan.gateNorm, rates->gateDropped);
  Matrix masked = z;
  result.realised.gateDropped = 1 - mask(masked, plan.gateNorm, plan.gateThreshold);
  result.h = multiply(masked, weights.gate);
  addBias(result.h, plan.gateOffset.data());
  parallelRows(x.rows, [&](int64_t t) {
    applyActivation(weights.activation, result.h.row(t), result.h.cols);
  });
  if (weights.gated()) {
    if (rates)
      plan.activeThreshold = quantile(result.h, plan.gateScale, 1 - rates->gateKept);
    result.realised.gateKept = mask(result.h, plan.gateScale, plan.activeThreshold);
    if (rates)
      plan.upThreshold = quantile(z, plan.upNorm, rates->upDropped);
    masked = std::move(z);
    result.realised.upDropped = 1 - mask(masked, plan.upNorm, plan.upThreshold);
    Matrix up = multiply(masked, weights.up);
    addBias(up, plan.upOffset.data());
    parallelRows(x.rows, [&](int64_t t) {
      for (int64_t j = 0; j < up.cols; ++j)
        result.h(t, j) *= up(t, j);
    });
  }
  if (rates)
    plan.downThreshold = quantile(result.h, plan.downNorm, 1 - rates->downKept);
  result.realised.downKept = mask(result.h, plan.downNorm, plan.downThreshold);
  return result;
}

Status calibrate(const FfnWeights &weights, const CalibrationData &data,
                 const CascadeOptions &options, const CascadeRates *given, CascadePlan &plan) {
  if (!data.inputs)
    return {"calibration inputs: expected tokens, found none"};
  if (Status s = check(weights, data.inputs); !s.ok())
    return s;
  plan = {};
  HeldOut heldOut(data.inputs->count(), options.heldOut);
  std::vector<int64_t> fit, held;
  for (int64_t t : spacedTokens(data.inputs->count(), options.tokens))
    (heldOut(t) ? held : fit).push_back(t);
  if (held.empty())
    held = fit;
  auto targets = [&](const std::vector<int64_t> &tokens, const Matrix &x) {
    if (data.targets)
      return gatherTokens(*data.targets, tokens);
    Matrix y = multiply(hidden(weights, x).h, weights.down);
    addBias(y, weights.downBias);
    return y;
  };
  Matrix x = gatherTokens(*data.inputs, fit), target = targets(fit, x);
  measureCascade(weights, x, plan);
  plan.rates = given ? *given
               : options.search && options.budget < 1
                   ? searchRates(weights, options, x, target, plan)
                   : interpolateRates(weights, options.budget, options.upMask);
  Matrix y = multiply(setThresholds(weights, plan.rates, x, plan).h, weights.down);
  plan.outputBias.assign(static_cast<size_t>(weights.outputs()), 0.0f);
  if (weights.downBias)
    plan.outputBias.assign(weights.downBias, weights.downBias + weights.outputs());
  if (options.outputBias) { // the (weighted) mean of what is left unexplained
    std::vector<double> sum(plan.outputBias.size());
    double total = 0;
    for (int64_t t = 0; t < y.rows; ++t) {
      double w = data.tokenWeights ? data.tokenWeights[fit[t]] : 1.0;
      total += w;
      for (int64_t j = 0; j < y.cols; ++j)
        sum[j] += w * (target(t, j) - y(t, j));
    }
    if (total > 0)
      for (size_t j = 0; j < sum.size(); ++j)
        plan.outputBias[j] = static_cast<float>(sum[j] / total);
  }
  Matrix judged = gatherTokens(*data.inputs, held);
  target = targets(held, judged);
  CascadeTrace check = traceCascade(weights, plan, judged);
  plan.realised = check.realised;
  plan.cost = cascadeCost(weights, plan.realised);
  y = multiply(check.h, weights.down);
  addBias(y, plan.outputBias.data());
  double error = 0, energy = 0;
  for (int64_t t = 0; t < y.rows; ++t) {
    double w = data.tokenWeights ? data.tokenWeights[held[t]] : 1.0;
    energy += w * squaredNorm(target.row(t), y.cols);
    for (int64_t j = 0; j < y.cols; ++j)
      y(t, j) -= target(t, j);
    error += w * squaredNorm(y.row(t), y.cols);
  }
  plan.error = error / std::max(energy, 1e-30);
  plan.energy = energy / static_cast<double>(std::max<int64_t>(y.rows, 1));
  return {};
}

} // namespace

double cascadeCost(const FfnWeights &weights, const CascadeRates &rates) {
  double d = static_cast<double>(weights.inputs()), n = static_cast<double>(weights.outputs());
  double gate = (1 - rates.gateDropped) * d, down = rates.downKept * n;
  double up = weights.gated() ? rates.gateKept * (1 - rates.upDropped) * d : 0;
  return (gate + up + down) / (d * (weights.gated() ? 2 : 1) + n);
}

void measureCascade(const FfnWeights &weights, const Matrix &x, CascadePlan &plan) {
  int64_t d = weights.inputs(), f = weights.neurons();
  std::vector<double> sum(static_cast<size_t>(d));
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t i = 0; i < d; ++i)
      sum[i] += x(t, i);
  plan.mean.resize(static_cast<size_t>(d));
  for (int64_t i = 0; i < d; ++i)
    plan.mean[i] = static_cast<float>(sum[i] / static_cast<double>(x.rows));
  auto offset = [&](MatrixView w, const float *bias) {
    Matrix row = multiply({plan.mean.data(), 1, d}, w);
    addBias(row, bias);
    return row.values;
  };
  plan.gateNorm = rowNorms(weights.gate);
  plan.downNorm = rowNorms(weights.down);
  plan.gateOffset = offset(weights.gate, weights.gateBias);
  if (!weights.gated())
    return;
  plan.upNorm = rowNorms(weights.up);
  plan.upOffset = offset(weights.up, weights.upBias);
  Matrix up = multiply(x, weights.up);
  addBias(up, weights.upBias);
  plan.gateScale.assign(static_cast<size_t>(f), 0.0f);
  std::vector<double> square(static_cast<size_t>(f));
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t j = 0; j < f; ++j)
      square[j] += static_cast<double>(up(t, j)) * up(t, j);
  for (int64_t j = 0; j < f; ++j)
    plan.gateScale[j] =
        plan.downNorm[j] * static_cast<float>(std::sqrt(square[j] / static_cast<double>(x.rows)));
}

CascadeTrace setThresholds(const FfnWeights &weights, const CascadeRates &rates, const Matrix &x,
                           CascadePlan &plan) {
  return trace(weights, plan, x, &rates);
}

CascadeTrace traceCascade(const FfnWeights &weights, const CascadePlan &plan, MatrixView x) {
  return trace(weights, const_cast<CascadePlan &>(plan), x, nullptr); // only written with rates
}

Status calibrateCascade(const FfnWeights &weights, const CalibrationData &data,
                        const CascadeOptions &options, CascadePlan &plan) {
  return calibrate(weights, data, options, nullptr, plan);
}

Status calibrateCascade(const FfnWeights &weights, const CalibrationData &data,
                        const CascadeOptions &options, const CascadeRates &rates,
                        CascadePlan &plan) {
  return calibrate(weights, data, options, &rates, plan);
}

Status cascadeCurve(const FfnWeights &weights, const CalibrationData &data,
                    const CascadeOptions &options, const std::vector<double> &budgets,
                    LayerCurve &curve) {
  curve = {};
  curve.weight = static_cast<double>(weights.multiplyAdds());
  CascadeOptions fast = options;
  fast.tokens = options.searchTokens;
  fast.search = false;
  for (double budget : budgets) {
    CascadePlan plan;
    fast.budget = budget;
    if (Status s = calibrateCascade(weights, data, fast, plan); !s.ok())
      return s;
    curve.points.push_back({cascadeCost(weights, plan.rates), plan.error * plan.energy});
  }
  return {};
}

Status runCascade(const FfnWeights &weights, const CascadePlan &plan, MatrixView x, Matrix &y,
                  double *cost) {
  MatrixTokens tokens(x);
  if (x.rows > 0)
    if (Status s = check(weights, &tokens); !s.ok())
      return s;
  CascadeTrace result = traceCascade(weights, plan, x);
  y = multiply(result.h, weights.down);
  addBias(y, plan.outputBias.data());
  if (cost)
    *cost = x.rows ? cascadeCost(weights, result.realised) : 0;
  return {};
}

} // namespace uoe::calibration
