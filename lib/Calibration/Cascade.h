// Inner parts of the cascade, shared by its calibration and the search for rates.
#pragma once
#include "Hidden.h"
#include "uoe/calibration/Cascade.h"

namespace uoe::calibration {

/// Norms, means and offsets, from a sample x [tokens, d]; thresholds are left at 0.
void measureCascade(const FfnWeights &weights, const Matrix &x, CascadePlan &plan);

/// Inner values of one execution on a sample, by which thresholds of the next stage are set.
struct CascadeTrace {
  Matrix h; // [tokens, F], masked
  CascadeRates realised;
};

/// Sets t_g, t_a, t_u and t_d in this order, each as the quantile of what its stage sees on x after
/// the stages before. Returns h under all four masks.
CascadeTrace setThresholds(const FfnWeights &weights, const CascadeRates &rates, const Matrix &x,
                           CascadePlan &plan);

/// The stages with the plan's thresholds as they are.
CascadeTrace traceCascade(const FfnWeights &weights, const CascadePlan &plan, MatrixView x);

/// The rates that meet options.budget with the least error on some tokens of x against `target`.
CascadeRates searchRates(const FfnWeights &weights, const CascadeOptions &options, const Matrix &x,
                         const Matrix &target, const CascadePlan &measured);

} // namespace uoe::calibration
