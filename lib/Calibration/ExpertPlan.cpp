// What an ExpertPlan means: costs, scores, masks, the reference execution, and setting its
// threshold.
#include "ExpertPlan.h"
#include <algorithm>
#include <cmath>
#include <limits>

namespace uoe::calibration {

double perNeuron(const FfnWeights &weights) {
  return static_cast<double>(weights.multiplyAdds()) / static_cast<double>(weights.neurons());
}

double fixedCost(const FfnWeights &weights, const ExpertPlan &plan) {
  double d = static_cast<double>(weights.inputs()), n = static_cast<double>(weights.outputs());
  return static_cast<double>(plan.core) * perNeuron(weights) +
         static_cast<double>(plan.experts()) * d +
         static_cast<double>(plan.linearIn.cols) * (d + n);
}

double skippedCost(const FfnWeights &weights, const ExpertPlan &plan) {
  return plan.skip.empty() ? 0.0 : static_cast<double>(weights.outputs());
}

Matrix scores(const ExpertPlan &plan, MatrixView x) {
  Matrix s = multiply(x, plan.router);
  addBias(s, plan.routerBias.data());
  return s;
}

Status chooseThreshold(const FfnWeights &weights, const Matrix &scores, double budget,
                       ExpertPlan &plan) {
  double tokens = static_cast<double>(scores.rows);
  double least =
      fixedCost(weights, plan) + skippedCost(weights, plan) * static_cast<double>(plan.experts());
  double room = (budget * static_cast<double>(weights.multiplyAdds()) - least) * tokens;
  if (room < 0) {
    double share = least / static_cast<double>(weights.multiplyAdds());
    return {"expected a budget of at least " + std::to_string(share) +
            " (core, router and linear term of this block), found " + std::to_string(budget)};
  }
  std::vector<std::pair<float, int64_t>> all; // score, expert
  all.reserve(scores.values.size());
  for (int64_t t = 0; t < scores.rows; ++t)
    for (int64_t e = 0; e < scores.cols; ++e)
      all.emplace_back(scores(t, e), e);
  std::sort(all.begin(), all.end(), [](auto &a, auto &b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  });
  plan.threshold = std::numeric_limits<float>::max();
  size_t taken = 0;
  for (; taken < all.size(); ++taken) {
    room -= static_cast<double>(plan.expertSizes[all[taken].second]) * perNeuron(weights) -
            skippedCost(weights, plan);
    if (room < 0)
      break;
  }
  if (taken == all.size() && taken > 0) {
    plan.threshold = std::numeric_limits<float>::lowest();
  } else if (taken > 0) { // equal scores all stay out
    std::vector<float> values = scores.values;
    plan.threshold = std::nextafter(cutAbove(values, static_cast<int64_t>(all.size() - taken)),
                                    std::numeric_limits<float>::infinity());
  }
  return {};
}

Masked maskHidden(const FfnWeights &weights, const ExpertPlan &plan, MatrixView x,
                  const Matrix &inner) {
  Masked result;
  result.skipped = Matrix(x.rows, plan.experts());
  result.kept = Matrix(x.rows, weights.neurons());
  Matrix s = plan.experts() ? scores(plan, x) : Matrix(x.rows, 0);
  std::vector<double> cost(static_cast<size_t>(x.rows)), active(static_cast<size_t>(x.rows));
  parallelRows(x.rows, [&](int64_t t) {
    const float *h = inner.row(t);
    float *kept = result.kept.row(t);
    for (int64_t p = 0; p < plan.core; ++p)
      kept[p] = h[plan.permutation[p]];
    double neurons = static_cast<double>(plan.core), skippedExperts = 0;
    int64_t p = plan.core;
    for (int64_t e = 0; e < plan.experts(); p += plan.expertSizes[e++]) {
      if (s(t, e) >= plan.threshold) {
        for (int64_t q = p; q < p + plan.expertSizes[e]; ++q)
          kept[q] = h[plan.permutation[q]];
        neurons += static_cast<double>(plan.expertSizes[e]);
      } else {
        result.skipped(t, e) = 1;
        ++skippedExperts;
      }
    }
    active[t] = neurons;
    cost[t] = (neurons - static_cast<double>(plan.core)) * perNeuron(weights) +
              skippedExperts * skippedCost(weights, plan);
  });
  for (int64_t t = 0; t < x.rows; ++t) {
    result.multiplyAdds += cost[t] + fixedCost(weights, plan);
    result.activeNeurons += active[t];
  }
  return result;
}

Status setThreshold(const FfnWeights &weights, const Tokens &inputs, double budget,
                    ExpertPlan &plan) {
  if (Status s = check(weights, &inputs); !s.ok())
    return s;
  if (plan.experts() == 0)
    return {};
  Matrix x = gatherTokens(inputs, spacedTokens(inputs.count(), kScoredTokens));
  return chooseThreshold(weights, scores(plan, x), budget, plan);
}

Status expertCurve(const FfnWeights &weights, const CalibrationData &data, const ExpertPlan &plan,
                   const std::vector<double> &budgets, LayerCurve &curve) {
  if (!data.inputs)
    return {"calibration inputs: expected tokens, found none"};
  if (Status s = check(weights, data.inputs); !s.ok())
    return s;
  curve = {};
  curve.weight = static_cast<double>(weights.multiplyAdds());
  std::vector<int64_t> tokens = spacedTokens(data.inputs->count(), kCurveTokens);
  Matrix x = gatherTokens(*data.inputs, tokens), h = hidden(weights, x).h, s = scores(plan, x);
  double kept = plan.errorMasked > 0 ? plan.error / plan.errorMasked : 1;
  for (double budget : budgets) {
    ExpertPlan other = plan;
    if (plan.experts() == 0 || !chooseThreshold(weights, s, budget, other).ok())
      continue;
    Masked masked = maskHidden(weights, other, x, h);
    Matrix lost(h.rows, h.cols);
    for (int64_t t = 0; t < h.rows; ++t)
      for (int64_t p = 0; p < h.cols; ++p)
        if (masked.kept(t, p) == 0)
          lost(t, plan.permutation[p]) = h(t, plan.permutation[p]);
    Matrix missing = multiply(lost, weights.down);
    double error = 0;
    for (int64_t t = 0; t < missing.rows; ++t)
      error += (data.tokenWeights ? data.tokenWeights[tokens[t]] : 1.0) *
               squaredNorm(missing.row(t), missing.cols);
    curve.points.push_back({budget, kept * error / static_cast<double>(tokens.size())});
  }
  return {};
}

Status runExperts(const FfnWeights &weights, const ExpertPlan &plan, MatrixView x, Matrix &y,
                  double *cost) {
  MatrixTokens tokens(x);
  if (x.rows > 0)
    if (Status s = check(weights, &tokens); !s.ok())
      return s;
  Masked masked = maskHidden(weights, plan, x, hidden(weights, x).h);
  y = multiply(masked.kept, plan.down);
  if (!plan.skip.empty())
    gemm(masked.skipped, plan.skip, y.values.data(), y.cols, true);
  if (!plan.linearIn.empty())
    gemm(multiply(x, plan.linearIn), plan.linearOut, y.values.data(), y.cols, true);
  addBias(y, plan.outputBias.data());
  if (cost)
    *cost = x.rows ? masked.multiplyAdds / static_cast<double>(x.rows) /
                         static_cast<double>(weights.multiplyAdds())
                   : 0;
  return {};
}

} // namespace uoe::calibration
